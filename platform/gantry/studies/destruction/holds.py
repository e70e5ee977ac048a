"""Legal holds: what must not be destroyed, by whose word and until when."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from django.db.models import Q, QuerySet

from gantry.access.public import require_permission
from gantry.audit.public import Entry, Kind, record
from gantry.foundation.scope import atomic_service
from gantry.kernel.actor import Actor, Subject
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.kernel.errors import InvalidInputError, NotFoundError
from gantry.kernel.ids import InstitutionId, StudyId
from gantry.kernel.vocabulary import AdminPermission, DataCategory
from gantry.studies.models import LegalHold, Patient, Study


def list_holds_on(*, study_ids: Collection[UUID], patient_id: UUID | None) -> QuerySet[LegalHold]:
    """Return the holds in force on some studies or their patient, and on any study of a patient who is meant whole."""
    on = Q(study_id__in=list(study_ids))
    if patient_id is not None:
        on |= Q(patient_id=patient_id) | Q(study__patient_id=patient_id)
    return LegalHold.objects.filter(on, released_at=None)


@atomic_service
def place_hold(
    *,
    actor: Actor,
    patient_id: UUID | None = None,
    study_id: UUID | None = None,
    reason: str,
    reference: str = "",
    clock: Clock = SYSTEM_CLOCK,
) -> LegalHold:
    """Forbid that a patient's data, or one study, are destroyed: by retention, on request, or with the tenant.

    Raises
    ------
    NotFoundError
        There is no such patient or study for this actor.
    """
    decision = require_permission(actor, AdminPermission.RETENTION_MANAGE)
    if (patient_id is None) == (study_id is None):
        raise InvalidInputError("A hold is on a patient or on a study: name one of them.")
    if not reason.strip():
        raise InvalidInputError("Say why this must be kept.")
    subject = _subject(actor, patient_id, study_id)
    hold = LegalHold.objects.create(
        patient_id=patient_id,
        study_id=study_id,
        reason=reason.strip()[:500],
        reference=reference.strip()[:128],
        placed_by=actor.id,
        placed_at=clock.now(),
    )
    entry = Entry(Kind.CONFIGURATION, "hold.placed", decision=decision, subject=subject, detail=_detail(hold))
    record(actor=actor, entry=entry, clock=clock)
    return hold


@atomic_service
def release_hold(*, actor: Actor, hold_id: UUID, reason: str, clock: Clock = SYSTEM_CLOCK) -> LegalHold:
    """End a hold; the row stays, so that it can be told later who kept what and why.

    Raises
    ------
    NotFoundError
        There is no such hold, or it was released before.
    """
    decision = require_permission(actor, AdminPermission.RETENTION_MANAGE)
    hold = LegalHold.objects.select_for_update().filter(pk=hold_id, released_at=None).first()
    if hold is None:
        raise NotFoundError
    if not reason.strip():
        raise InvalidInputError("Say why this need not be kept any longer.")
    subject = _subject(actor, hold.patient_id, hold.study_id)
    hold.released_by, hold.released_at, hold.release_reason = actor.id, clock.now(), reason.strip()[:500]
    hold.save(update_fields=["released_by", "released_at", "release_reason"])
    entry = Entry(Kind.CONFIGURATION, "hold.released", decision=decision, subject=subject, detail=_detail(hold))
    record(actor=actor, entry=entry, clock=clock)
    return hold


@atomic_service
def list_holds(
    *, actor: Actor, include_released: bool = False, offset: int = 0, limit: int = 50, clock: Clock = SYSTEM_CLOCK
) -> tuple[int, Sequence[LegalHold]]:
    """Return the tenant's holds, newest first, and how many there are."""
    decision = require_permission(actor, AdminPermission.RETENTION_MANAGE)
    holds = LegalHold.objects.order_by("-placed_at", "pk")
    if actor.institutions is not None:
        ours = Q(study__institution_id__in=actor.institutions)
        theirs = Study.objects.filter(institution_id__in=actor.institutions).values("patient_id")
        holds = holds.filter(ours | Q(patient_id__in=theirs))
    if not include_released:
        holds = holds.filter(released_at=None)
    record(actor=actor, entry=Entry(Kind.QUERY, "holds.listed", decision=decision), clock=clock)
    return holds.count(), list(holds[offset : offset + limit])


def _subject(actor: Actor, patient_id: UUID | None, study_id: UUID | None) -> Subject:
    if study_id is not None:
        study = Study.objects.select_related("patient").filter(pk=study_id).first()
        if study is None or actor.is_confined_from(InstitutionId(study.institution_id)):
            raise NotFoundError
        return Subject(
            tenant_id=actor.tenant_id,
            category=DataCategory.IDENTIFYING_METADATA,
            study_id=StudyId(study.pk),
            institution_id=InstitutionId(study.institution_id),
            patient_pseudonym=study.patient.pseudonym,
        )
    patient = None if patient_id is None else Patient.objects.filter(pk=patient_id).first()
    if patient is None or (
        actor.institutions is not None
        and not Study.objects.filter(patient=patient, institution_id__in=actor.institutions).exists()
    ):
        raise NotFoundError
    return Subject(
        tenant_id=actor.tenant_id, category=DataCategory.IDENTIFYING_METADATA, patient_pseudonym=patient.pseudonym
    )


def _detail(hold: LegalHold) -> dict[str, str]:
    return {"hold_id": str(hold.pk)}
