"""The end of a tenant: everything that is theirs goes, except what proves what was done (`KEPT`)."""

from __future__ import annotations

import functools
from typing import Any, Final

from django.apps import apps
from django.db.models import Count, QuerySet, Sum

from gantry.foundation.models import TenantModel
from gantry.foundation.scope import current_tenant_id, unit_of_work
from gantry.studies.destruction.domain import Share
from gantry.studies.destruction.fences import wait_for_writers
from gantry.studies.destruction.inventory import (
    CATEGORIES,
    Inventory,
    children_first,
    delete_rows,
    may_delete,
)
from gantry.vault.public import get_vault

#: Apps and tables whose rows outlive their tenant's data, and why.
KEPT: Final = {
    "audit": "the trail of who did what, by ids and pseudonyms, is kept as long as the law asks",
    "agreements": "the agreements, which say on what terms data were held and destroyed",
    "tenancy": "who the tenant's people are; they read trail and certificate, and are ended by the operator",
    "access": "who was admitted to what, by ids",
    "oversight": "requests, incidents and exports of the audit trail: the controller's own records",
    "studies.Erasure": "the record and certificate of the erasure",
    "studies.RetentionRun": "the record of scheduled destruction",
}
_BATCH: Final = 200


@functools.cache
def ending_models() -> tuple[type[TenantModel], ...]:
    """Return the tables whose rows go with a tenant, those first that others do not refer to."""
    owned = [
        model
        for model in apps.get_models(include_auto_created=True)
        if issubclass(model, TenantModel) and model._meta.app_label not in KEPT and model._meta.label not in KEPT
    ]
    return tuple(children_first(owned))


def take_tenant_inventory() -> Inventory:
    """Count what there is of the scope's tenant."""
    shares: dict[str, list[int]] = {}
    substance: dict[str, list[str]] = {}
    for model in ending_models():
        rows: QuerySet[Any] = model.objects.all()
        counts = shares.setdefault(CATEGORIES.get(model._meta.label, "other records"), [0, 0, 0])
        number = rows.count()
        counts[0] += number
        if "object_id" in {field.name for field in model._meta.concrete_fields}:
            found = rows.filter(object_id__isnull=False).aggregate(n=Count("pk"), size=Sum("size_bytes"))
            counts[1] += found["n"]
            counts[2] += found["size"] or 0
        if model._meta.label in {"studies.Patient", "studies.Study", "studies.Instance"}:
            substance[model._meta.label] = [str(number)]
    return Inventory(
        shares=[Share(name, *counts) for name, counts in sorted(shares.items()) if counts[0]],
        key_ids=[],
        substance=substance,
        object_ids=[],
    )


def has_tenant_rows() -> bool:
    """Tell whether anything of the tenant that should be gone is there."""
    return any(model.objects.exists() for model in ending_models())


def destroy_tenant_rows() -> None:
    """Delete the tenant's rows, a few patients a transaction, then what belongs to no patient."""
    patient_model, study_model = apps.get_model("studies", "Patient"), apps.get_model("studies", "Study")
    while True:
        with unit_of_work():
            wait_for_writers()
            patients = list(patient_model.objects.order_by("pk").values_list("pk", flat=True)[:_BATCH])
            for patient_id in patients:
                studies = list(study_model.objects.filter(patient_id=patient_id).values_list("pk", flat=True))
                delete_rows(study_ids=studies, patient_id=patient_id)
        if len(patients) < _BATCH:
            break
    with unit_of_work():
        wait_for_writers()
        delete_tenant_rows()


def delete_tenant_rows() -> None:
    """Delete every row of the tenant that does not outlive its data; within a unit of work."""
    for model in ending_models():
        if may_delete(model):
            model.objects.all().delete()


def destroy_tenant_objects() -> None:
    """Delete every object of the tenant, whether a row knew of it or not."""
    objects = get_vault().objects
    for blob in list(objects.list(current_tenant_id())):
        objects.delete(blob.name)
