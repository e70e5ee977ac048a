"""What there is of a patient, a study or a tenant: found by walking the foreign keys of every model.

A table that names a patient, a study, or anything that names one, is part of them by that alone: whoever adds one
need not tell us. What names them by an id without a foreign key stands in `LOOSE`, with the reason.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.apps import apps
from django.db import connection, models
from django.db.models import Count, Q, Sum

from gantry.foundation.models import TenantModel
from gantry.foundation.outbox import study_stream
from gantry.studies.destruction.domain import Share
from gantry.studies.domain import ErasurePart
from gantry.vault.public import StoredRef

#: What people call the rows of a table; the rest are "other records".
CATEGORIES: Final = {
    "studies.Patient": "patients",
    "studies.Study": "studies",
    "studies.StudyTerm": "search terms",
    "studies.Series": "series",
    "studies.Instance": "originals",
    "studies.SeriesPack": "volume packs",
    "studies.QuarantinedInstance": "quarantined objects",
    "studies.StudyGrant": "grants and shares",
    "studies.PatientGrant": "grants and shares",
    "studies.StudyTeamGrant": "grants and shares",
    "studies.PatientTeamGrant": "grants and shares",
    "studies.Emergency": "emergency access",
    "studies.LegalHold": "holds that were released",
    "analyses.Analysis": "analyses",
    "analyses.Finding": "findings",
    "analyses.Review": "reviews",
    "analyses.Artefact": "result artefacts (meshes, outlines)",
    "viewing.RenderSession": "viewing sessions",
}
#: Tables that hold ids of studies or patients without a foreign key, and what becomes of them.
LOOSE: Final = {
    "audit.AuditEvent": "kept: ids and pseudonyms that name nothing any more",
    "audit.AccessWindow": "kept with the audit trail: ids alone",
    "studies.Erasure": "kept: it is the record of the erasure",
    "oversight.SubjectRequest": "kept: it proves that a request was answered, by ids that name nothing any more",
}


@dataclass(frozen=True, slots=True)
class Holding:
    """A table whose rows belong to a study, a patient or both, and by which lookups."""

    model: type[TenantModel]
    to_study: tuple[str, ...]
    to_patient: tuple[str, ...]

    @property
    def label(self) -> str:
        return self.model._meta.label

    @property
    def has_objects(self) -> bool:
        return {"object_id", "key_id", "wrapped_key"} <= {field.name for field in self.model._meta.concrete_fields}

    def rows(self, *, study_ids: Collection[UUID], patient_id: UUID | None) -> models.QuerySet[Any]:
        """Return the rows that belong to some studies, and to a patient where one is given."""
        wanted = Q(pk__in=[])
        for path in self.to_study:
            wanted |= Q(**{f"{path}__in": list(study_ids)})
        if patient_id is not None:
            for path in self.to_patient:
                wanted |= Q(**{path: patient_id})
        return self.model.objects.filter(wanted)

    def part_of(self, part: ErasurePart) -> Q | None:
        """Return which of a study's rows a part of it takes; None where it takes none of this table."""
        if part is ErasurePart.WHOLE:
            return Q()
        of_series = {"studies.Instance": "series__analysis_id", "studies.SeriesPack": "series__analysis_id"}
        if part is ErasurePart.PIXELS:
            return Q(**{of_series[self.label]: None}) if self.label in of_series else None
        if part is ErasurePart.RESULTS:
            if self.label in of_series or self.label == "studies.Series":
                return Q(**{f"{of_series.get(self.label, 'analysis_id')}__isnull": False})
            return Q() if self.label.startswith("analyses.") or self.label == "viewing.RenderSession" else None
        return None

    def selected(
        self, *, study_ids: Collection[UUID], patient_id: UUID | None, part: ErasurePart = ErasurePart.WHOLE
    ) -> models.QuerySet[Any] | None:
        """Return the rows that an erasure takes; None where it leaves this table alone.

        Of what is in quarantine `study_ids` are the rows' own.
        """
        if part is ErasurePart.QUARANTINE:
            is_meant = self.label == "studies.QuarantinedInstance"
            return self.model.objects.filter(pk__in=list(study_ids)) if is_meant else None
        condition = self.part_of(part)
        if condition is None:
            return None
        return self.rows(study_ids=study_ids, patient_id=patient_id).filter(condition)


@functools.cache
def holdings() -> tuple[Holding, ...]:
    """Return every table that belongs to patients, those first that others do not refer to."""
    study, patient = apps.get_model("studies", "Study"), apps.get_model("studies", "Patient")
    to_study: dict[type[models.Model], tuple[str, ...]] = {study: ("pk",)}
    to_patient: dict[type[models.Model], tuple[str, ...]] = {patient: ("pk",), study: ("patient_id",)}
    owned = [model for model in apps.get_models(include_auto_created=True) if issubclass(model, TenantModel)]
    grows = True
    while grows:
        grows = False
        for model in owned:
            for known in (to_study, to_patient):
                found = _paths(model, known)
                if model not in {study, patient} and found and known.get(model) != found:
                    known[model], grows = found, True
    of_patients = [model for model in owned if model in to_study or model in to_patient]
    return tuple(
        Holding(model, to_study.get(model, ()), () if _is_sure(model, to_study) else to_patient.get(model, ()))
        for model in children_first(of_patients)
    )


def _parents(model: type[models.Model]) -> list[models.ForeignKey[Any, Any]]:
    return [field for field in model._meta.concrete_fields if isinstance(field, models.ForeignKey)]


def _paths(model: type[models.Model], known: dict[type[models.Model], tuple[str, ...]]) -> tuple[str, ...]:
    """Return the shortest lookup that every row has, or all lookups where none is sure."""
    paths: list[tuple[bool, str]] = []
    for field in _parents(model):
        for path in known.get(field.related_model, ()):
            step = field.attname if path == "pk" else f"{field.name}__{path}"
            paths.append((field.null, step))
    sure = sorted((path.count("__"), path) for nullable, path in paths if not nullable)
    return (sure[0][1],) if sure else tuple(sorted(path for _, path in paths))


def _is_sure(model: type[models.Model], to_study: dict[type[models.Model], tuple[str, ...]]) -> bool:
    """Tell whether every row of a table has its study, and is found by it alone."""
    return any(not field.null and field.related_model in to_study for field in _parents(model))


def children_first(found: Iterable[type[models.Model]]) -> list[type[TenantModel]]:
    """Return tables so that each comes before those that it refers to."""
    remaining: list[Any] = sorted(found, key=lambda model: model._meta.label)
    ordered: list[type[TenantModel]] = []
    while remaining:
        free = [
            model
            for model in remaining
            if not any(model in {field.related_model for field in _parents(other)} for other in remaining if other is not model)
        ]  # fmt: skip
        if not free:
            raise RuntimeError("tables refer to each other in a circle")
        ordered += free
        remaining = [model for model in remaining if model not in free]
    return ordered


@dataclass(frozen=True, slots=True)
class Inventory:
    """What there is of some studies, and of their patient where all of them are meant."""

    shares: list[Share]
    key_ids: list[UUID]
    #: Of each table whose rows say that these are still the same data: the number of rows and a digest of their ids.
    substance: dict[str, list[str]]
    object_ids: list[UUID]


#: Rows by which a plan is known again: what comes and goes with people looking is not among them.
_SUBSTANCE: Final = ("studies.Study", "studies.Instance", "studies.QuarantinedInstance", "analyses.Analysis")


def take_inventory(
    *, study_ids: Collection[UUID], patient_id: UUID | None, part: ErasurePart = ErasurePart.WHOLE
) -> Inventory:
    """Count and list what belongs to some studies, and to a patient; within a unit of work."""
    shares: dict[str, list[int]] = {}
    keys: set[UUID] = set()
    objects: set[UUID] = set()
    substance: dict[str, list[str]] = {}
    for holding in holdings():
        rows = holding.selected(study_ids=study_ids, patient_id=patient_id, part=part)
        if rows is None:
            continue
        for category, rows_of_it in _split(holding, rows):
            counts = shares.setdefault(category, [0, 0, 0])
            if holding.has_objects:
                stored = rows_of_it.filter(object_id__isnull=False)
                found = stored.aggregate(n=Count("pk"), size=Sum("size_bytes"))
                counts[0] += rows_of_it.count()
                counts[1] += found["n"]
                counts[2] += found["size"] or 0
            else:
                counts[0] += rows_of_it.count()
        if holding.has_objects:
            for object_id, key_id in rows.filter(object_id__isnull=False).values_list("object_id", "key_id"):
                objects.add(object_id)
                keys.add(key_id)
        if holding.label in _SUBSTANCE:
            substance[holding.label] = sorted(str(pk) for pk in rows.values_list("pk", flat=True))
    if patient_id is not None:
        keys.add(apps.get_model("studies", "Patient").objects.values_list("key_id", flat=True).get(pk=patient_id))
    events = _study_events(study_ids).count() if part is ErasurePart.WHOLE else 0
    if events:
        shares["events of live updates"] = [events, 0, 0]
    return Inventory(
        shares=[Share(name, *counts) for name, counts in sorted(shares.items()) if counts[0]],
        key_ids=sorted(keys),
        substance=substance,
        object_ids=sorted(objects),
    )


def _split(holding: Holding, rows: models.QuerySet[Any]) -> list[tuple[str, models.QuerySet[Any]]]:
    if holding.label in {"studies.Instance", "studies.Series"}:
        via = "series__analysis_id" if holding.label == "studies.Instance" else "analysis_id"
        name = CATEGORIES[holding.label]
        results = "results (DICOM)" if holding.label == "studies.Instance" else "series of results"
        return [(name, rows.filter(**{via: None})), (results, rows.exclude(**{via: None}))]
    return [(CATEGORIES.get(holding.label, "other records"), rows)]


@functools.cache
def may_delete(model: type[TenantModel]) -> bool:
    """Tell whether we may delete a table's rows; where not, a foreign key lets them go with what they belong to."""
    with connection.cursor() as cursor:
        cursor.execute("select has_table_privilege(current_user, %s, 'delete')", [model._meta.db_table])
        return bool(cursor.fetchone()[0])


def delete_rows(*, study_ids: Collection[UUID], patient_id: UUID | None, part: ErasurePart = ErasurePart.WHOLE) -> None:
    """Delete every row that belongs to some studies, and to a patient; within a unit of work."""
    for holding in holdings():
        rows = holding.selected(study_ids=study_ids, patient_id=patient_id, part=part)
        if rows is not None and may_delete(holding.model):
            rows.delete()
    if part is ErasurePart.PIXELS:
        apps.get_model("studies", "Study").objects.filter(pk__in=list(study_ids)).update(number_of_instances=0)
        of_images = apps.get_model("studies", "Series").objects.filter(study_id__in=list(study_ids), analysis_id=None)
        of_images.update(number_of_instances=0)
    if part is not ErasurePart.WHOLE:
        return
    names = [study_stream(study_id) for study_id in study_ids]
    apps.get_model("foundation", "Stream").objects.filter(name__in=names).delete()
    # In a stream of everybody the place stays, so that who resumes finds no gap; what it said goes.
    with connection.cursor() as cursor:
        cursor.execute("select gantry.silence_events(%s)", [list(study_ids)])


def _study_events(study_ids: Collection[UUID]) -> models.QuerySet[Any]:
    return apps.get_model("foundation", "StreamEvent").objects.filter(
        data__study_id__in=[str(study_id) for study_id in study_ids]
    )


def surviving_rows(*, patient_id: UUID) -> list[tuple[Any, Any]]:
    """Return the rows with objects that a patient has left, to be put under another key."""
    studies = list(
        apps.get_model("studies", "Study").objects.filter(patient_id=patient_id).values_list("pk", flat=True)
    )
    found: list[tuple[Any, Any]] = []
    for holding in holdings():
        if holding.has_objects and holding.to_study:
            rows = holding.rows(study_ids=studies, patient_id=None).filter(object_id__isnull=False)
            found += [(holding.model, row) for row in rows.select_for_update(of=("self",))]
    return found


def ref_of(row: Any) -> StoredRef:
    """Return the vault's reference that a row with an object keeps."""
    return StoredRef(
        tenant_id=row.tenant_id,
        object_id=row.object_id,
        key_id=row.key_id,
        wrapped_key=bytes(row.wrapped_key),
        size_bytes=row.size_bytes,
        sha256=bytes(row.sha256).hex(),
    )
