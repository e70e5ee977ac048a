"""What ids stand for: identities that the audit trail's readers join while they are there."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from gantry.foundation.scope import atomic_service
from gantry.studies.models import Patient, Study


@dataclass(frozen=True, slots=True)
class PatientIdentity:
    """A patient as their issuer knows them."""

    pseudonym: UUID
    patient_id: str
    issuer: str
    name: str


@atomic_service
def list_patient_identities(pseudonyms: Collection[UUID]) -> dict[UUID, PatientIdentity]:
    """Return who some pseudonyms stand for; an erased patient's is not among them.

    Tells identities: whoever calls has asked whether they may, and recorded it.
    """
    rows = Patient.objects.filter(pseudonym__in=pseudonyms).values_list(
        "pseudonym", "patient_id", "issuer_of_patient_id", "name"
    )
    return {row[0]: PatientIdentity(*row) for row in rows}


@atomic_service
def list_study_uids(study_ids: Collection[UUID]) -> dict[UUID, str]:
    """Return the Study Instance UIDs of some studies that are there."""
    return dict(Study.objects.filter(pk__in=study_ids).values_list("pk", "study_instance_uid"))


@atomic_service
def find_pseudonyms(*, patient_id: str, issuer: str = "") -> list[UUID]:
    """Return the pseudonyms of the patients with a number, of one issuer where it is named; several hospitals may have it."""
    rows = Patient.objects.filter(patient_id=patient_id)
    if issuer:
        rows = rows.filter(issuer_of_patient_id=issuer)
    return list(rows.order_by("pk").values_list("pseudonym", flat=True)[:20])


@atomic_service
def find_study_id(study_instance_uid: str) -> UUID | None:
    """Return the id of a study by its UID."""
    found: UUID | None = (
        Study.objects.filter(study_instance_uid=study_instance_uid).values_list("pk", flat=True).first()
    )
    return found
