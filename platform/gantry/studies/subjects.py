"""What a person asked of their own data: restrict it, lift that again, and say what is held of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from gantry.access.public import require_permission
from gantry.agreements.public import require
from gantry.audit.public import Entry, Kind, record
from gantry.foundation.scope import atomic_service
from gantry.kernel.actor import Actor, Subject, system_actor
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.kernel.errors import NotFoundError
from gantry.kernel.vocabulary import Activity, AdminPermission, DataCategory, Purpose
from gantry.studies.models import Patient, Series, Study


@dataclass(frozen=True, slots=True)
class HeldStudy:
    """One study of a person, as they may be told of it."""

    study_id: UUID
    study_instance_uid: str
    study_date: date | None
    description: str
    modalities: str
    institution: str
    number_of_series: int
    number_of_instances: int
    number_of_results: int
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Holdings:
    """What is held of a person."""

    patient_number: str
    issuer: str
    name: str
    birth_date: date | None
    sex: str
    pseudonym: UUID
    restricted_at: datetime | None
    studies: tuple[HeldStudy, ...]


@atomic_service
def restrict_patient(*, actor: Actor, patient_id: UUID, clock: Clock = SYSTEM_CLOCK) -> None:
    """Keep a patient's data from all use but keeping it (GDPR art. 18(2)); the gate refuses the rest from now on."""
    patient = _lock(actor, patient_id)
    if patient.restricted_at is None:
        patient.restricted_at = clock.now()
        patient.save(update_fields=["restricted_at"])
        record(actor=actor, entry=_entry("patient.restricted", patient), clock=clock)


@atomic_service
def lift_restriction(*, actor: Actor, patient_id: UUID, clock: Clock = SYSTEM_CLOCK) -> None:
    """Let a patient's data be used again."""
    patient = _lock(actor, patient_id)
    if patient.restricted_at is not None:
        patient.restricted_at = None
        patient.save(update_fields=["restricted_at"])
        record(actor=actor, entry=_entry("patient.restriction_lifted", patient), clock=clock)


@atomic_service
def get_pseudonym(*, actor: Actor, patient_id: UUID) -> UUID:
    """Return what stands for a patient in the audit trail.

    Raises
    ------
    NotFoundError
        There is no such patient.
    """
    require_permission(actor, AdminPermission.PRIVACY_MANAGE)
    patient = Patient.objects.filter(pk=patient_id).first()
    if patient is None:
        raise NotFoundError
    return patient.pseudonym


@atomic_service
def open_holdings(*, actor: Actor, patient_id: UUID, reference: str, clock: Clock = SYSTEM_CLOCK) -> Holdings:
    """Return what is held of a patient, for the answer to their own request.

    The officer's role shows no patient data: the platform compiles the answer, and the gate is asked whether it
    may export for that purpose.

    Raises
    ------
    Refused
        The agreement does not let data be exported to the person.
    """
    require_permission(actor, AdminPermission.PRIVACY_MANAGE)
    patient = Patient.objects.filter(pk=patient_id).first()
    if patient is None:
        raise NotFoundError
    subject = Subject(actor.tenant_id, DataCategory.IDENTIFYING_METADATA, patient_pseudonym=patient.pseudonym)
    decision = require(
        actor=system_actor(actor.tenant_id, correlation_id=actor.correlation_id),
        activity=Activity.EXPORT,
        subject=subject,
        purpose=Purpose.PATIENT_REQUEST,
        clock=clock,
    )
    studies = Study.objects.filter(patient=patient).select_related("institution").order_by("study_date", "pk")
    held = tuple(
        HeldStudy(
            study_id=study.pk,
            study_instance_uid=study.study_instance_uid,
            study_date=study.study_date,
            description=study.description,
            modalities=study.modalities.replace("\\", ", "),
            institution=study.institution.name,
            number_of_series=study.number_of_series,
            number_of_instances=study.number_of_instances,
            number_of_results=Series.objects.filter(study=study, analysis_id__isnull=False).count(),
            received_at=study.received_at,
        )
        for study in studies
    )
    entry = Entry(
        Kind.EXPORT,
        "subject_report.made",
        decision=decision,
        subject=subject,
        detail={"request": reference, "studies": str(len(held))},
    )
    record(actor=actor, entry=entry, clock=clock)
    return Holdings(
        patient_number=patient.patient_id,
        issuer=patient.issuer_of_patient_id,
        name=patient.name,
        birth_date=patient.birth_date,
        sex=patient.sex,
        pseudonym=patient.pseudonym,
        restricted_at=patient.restricted_at,
        studies=held,
    )


def _lock(actor: Actor, patient_id: UUID) -> Patient:
    require_permission(actor, AdminPermission.PRIVACY_MANAGE)
    patient = Patient.objects.select_for_update().filter(pk=patient_id).first()
    if patient is None:
        raise NotFoundError
    return patient


def _entry(action: str, patient: Patient) -> Entry:
    subject = Subject(
        patient.tenant_id,  # type: ignore[arg-type]  # a TenantId
        DataCategory.IDENTIFYING_METADATA,
        patient_pseudonym=patient.pseudonym,
    )
    return Entry(Kind.CONFIGURATION, action, subject=subject)
