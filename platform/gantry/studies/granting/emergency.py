"""Breaking the glass: explicit, reasoned, for the purpose of an emergency, told at once, ended by time, reviewed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.models import Q

from gantry.access.public import MAY_BREAK_GLASS, grant, require_permission
from gantry.agreements.public import require
from gantry.audit.public import Entry, Kind, record
from gantry.foundation.outbox import COMPLIANCE, WORKLIST, emit, study_stream
from gantry.foundation.scope import atomic_service, tenant_scope, unit_of_work
from gantry.kernel.actor import Actor, Subject, system_actor
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.kernel.decision import Decision, Refused
from gantry.kernel.errors import InvalidInputError, NotFoundError
from gantry.kernel.ids import InstitutionId, StudyId, TenantId
from gantry.kernel.vocabulary import Activity, AdminPermission, DataCategory, GrantKind, Purpose, Role
from gantry.studies.domain import EmergencyReason, ReviewVerdict
from gantry.studies.granting.domain import MIN_REASON
from gantry.studies.granting.errors import (
    EmergencyAmbiguousError,
    EmergencyNotNeededError,
    EmergencyReviewError,
    TooManyEmergenciesError,
)
from gantry.studies.granting.events import EmergencyChanged, GrantsChanged
from gantry.studies.models import Emergency, EmergencyAttempt, Patient, PatientGrant, Study
from gantry.studies.policies import SEE_PATIENT, find_grant, visible_studies

_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Sought:
    """Whose data somebody needs: exactly one of these. Nothing is searched by parts of a name or number."""

    study_id: UUID | None = None
    study_instance_uid: str = ""
    accession_number: str = ""
    patient_id: str = ""


@dataclass(frozen=True, slots=True)
class EmergencyCard:
    """Emergency access, as the person who has it and those who review it see it; no patient data."""

    id: UUID
    user_id: UUID
    role: Role
    patient_pseudonym: UUID
    study_ids: tuple[UUID, ...]
    reason_code: EmergencyReason
    reason: str
    opened_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    verdict: ReviewVerdict
    reviewed_by: UUID | None
    reviewed_at: datetime | None
    comment: str
    is_open: bool


def break_glass(
    *, actor: Actor, sought: Sought, reason_code: EmergencyReason, reason: str, clock: Clock = SYSTEM_CLOCK
) -> EmergencyCard:
    """Open a patient's studies to somebody whom role and hospital do not show them, for an hour.

    The attempt is recorded, counted and committed before anything is looked up.

    Raises
    ------
    Refused
        Not in this role, or the agreement has no clause for emergencies.
    TooManyEmergenciesError
        Too many attempts within an hour, found or not.
    NotFoundError
        There is no such study or patient.
    EmergencyNotNeededError
        The person may see the patient as it is.
    """
    if len(reason.strip()) < MIN_REASON:
        raise InvalidInputError("Say in a sentence why this is an emergency: it will be reviewed.")
    _attempt(actor, reason_code, clock)
    return _open(actor, sought, reason_code, reason.strip(), clock)


@atomic_service
def _attempt(actor: Actor, reason_code: EmergencyReason, clock: Clock) -> None:
    # Of nobody in particular yet: what is there and what is not get the same answer.
    subject = Subject(actor.tenant_id, DataCategory.PIXEL_DATA, granted_by=GrantKind.BREAK_GLASS)
    decision = require(actor=actor, activity=Activity.VIEW, subject=subject, purpose=Purpose.EMERGENCY, clock=clock)
    if actor.user_id is None or actor.role not in MAY_BREAK_GLASS:
        reason = f"The role {actor.role} does not include breaking the glass."
        no = Decision(False, "role.not_permitted", reason, Activity.VIEW, Purpose.EMERGENCY)
        raise Refused(no, actor=actor, subject=subject)
    with connection.cursor() as cursor:  # two attempts of one person wait for each other, so neither is miscounted
        cursor.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"emergency:{actor.user_id}"])
    recent = EmergencyAttempt.objects.filter(user_id=actor.user_id, at__gt=clock.now() - _HOUR).count()
    if recent >= settings.EMERGENCIES_PER_HOUR:
        raise TooManyEmergenciesError
    EmergencyAttempt.objects.filter(user_id=actor.user_id, at__lte=clock.now() - 2 * _HOUR).delete()
    EmergencyAttempt.objects.create(user_id=actor.user_id, at=clock.now())
    entry = Entry(
        kind=Kind.SECURITY_ALERT, action="emergency.sought", decision=decision, subject=subject,
        detail={"reason_code": reason_code},
    )  # fmt: skip
    record(actor=actor, entry=entry, clock=clock)


@atomic_service
def _open(actor: Actor, sought: Sought, reason_code: EmergencyReason, reason: str, clock: Clock) -> EmergencyCard:
    assert actor.user_id is not None
    study = _find(sought)
    subject = Subject(
        tenant_id=actor.tenant_id,
        category=DataCategory.PIXEL_DATA,
        study_id=StudyId(study.pk),
        institution_id=InstitutionId(study.institution_id),
        patient_pseudonym=study.patient.pseudonym,
        granted_by=GrantKind.BREAK_GLASS,
    )
    decision = require(actor=actor, activity=Activity.VIEW, subject=subject, purpose=Purpose.EMERGENCY, clock=clock)
    existing = find_grant(actor, study)
    if visible_studies(actor).filter(pk=study.pk).exists() and not (
        existing and existing.kind is GrantKind.BREAK_GLASS
    ):
        raise EmergencyNotNeededError
    now = clock.now()
    ends = now + timedelta(minutes=settings.EMERGENCY_MINUTES)
    grant(
        PatientGrant, actor=actor, user_id=actor.user_id, target=study.patient, codename=SEE_PATIENT, until=ends,
        reason=reason_code, clock=clock, kind=GrantKind.BREAK_GLASS,
    )  # fmt: skip
    row = Emergency.objects.create(
        patient=study.patient,
        user_id=actor.user_id,
        role=actor.role,
        reason_code=reason_code,
        reason=reason,
        opened_at=now,
        expires_at=ends,
    )
    detail = {"emergency_id": str(row.pk), "reason_code": reason_code, "until": ends.isoformat()}
    entry = Entry(
        kind=Kind.SECURITY_ALERT,
        action="emergency.opened",
        decision=decision,
        subject=subject,
        detail=detail,
        sealed=reason.encode(),
    )
    record(actor=actor, entry=entry, clock=clock)
    _tell(row, "opened", clock)
    return _cards([row], clock)[0]


def _find(sought: Sought) -> Study:
    """Return a study of the patient whom somebody needs: matched whole, never by parts."""
    conditions = {
        "pk": sought.study_id,
        "study_instance_uid": sought.study_instance_uid,
        "accession_number": sought.accession_number,
        "patient__patient_id": sought.patient_id,
    }
    given = {name: value for name, value in conditions.items() if value}
    if len(given) != 1:
        raise InvalidInputError("Name exactly one: the study, its UID, its accession number, or the patient's number.")
    found = list(Study.objects.filter(Q(**given)).select_related("patient").order_by("-received_at", "pk")[:200])
    if not found:
        raise NotFoundError
    if len({study.patient_id for study in found}) > 1:
        raise EmergencyAmbiguousError
    return found[0]


@atomic_service
def end_emergency(*, actor: Actor, emergency_id: UUID, clock: Clock = SYSTEM_CLOCK) -> EmergencyCard:
    """End emergency access before its time: by the person themselves, or by who reviews it.

    Raises
    ------
    NotFoundError
        There is none that this actor may end, or it is over.
    """
    row = Emergency.objects.select_for_update().filter(pk=emergency_id, ended_at=None).first()
    if row is None or row.user_id != actor.user_id:
        require_permission(actor, AdminPermission.BREAK_GLASS_REVIEW)
    if row is None:
        raise NotFoundError
    _end(actor, row, clock)
    return _cards([row], clock)[0]


def end_due_emergencies(*, clock: Clock = SYSTEM_CLOCK) -> int:
    """Write down, for every tenant, that emergency access whose time is over has ended; returns how many."""
    with connection.cursor() as cursor:
        cursor.execute("select tenant_id, emergency_id from gantry.due_emergencies()")
        due = cursor.fetchall()
    for tenant_id, emergency_id in due:
        actor = system_actor(TenantId(tenant_id))
        with tenant_scope(actor), unit_of_work():
            row = Emergency.objects.select_for_update().filter(pk=emergency_id, ended_at=None).first()
            if row is not None and row.expires_at <= clock.now():
                _end(actor, row, clock)
    return len(due)


@atomic_service
def list_emergencies(
    *,
    actor: Actor,
    verdict: ReviewVerdict | None = None,
    offset: int = 0,
    limit: int = 50,
    clock: Clock = SYSTEM_CLOCK,
) -> tuple[int, list[EmergencyCard]]:
    """Return the queue of reviews, newest first, or all of one verdict."""
    decision = require_permission(actor, AdminPermission.BREAK_GLASS_REVIEW)
    rows = Emergency.objects.select_related("patient").order_by("-opened_at", "pk")
    if verdict is not None:
        rows = rows.filter(verdict=verdict)
    record(actor=actor, entry=Entry(kind=Kind.QUERY, action="emergencies.listed", decision=decision), clock=clock)
    return rows.count(), _cards(list(rows[offset : offset + limit]), clock)


@atomic_service
def review_emergency(
    *, actor: Actor, emergency_id: UUID, verdict: ReviewVerdict, comment: str, clock: Clock = SYSTEM_CLOCK
) -> EmergencyCard:
    """Write down whether breaking the glass was justified; where it was not, access ends with that.

    Raises
    ------
    NotFoundError
        There is no such emergency.
    EmergencyReviewError
        Reviewed before, by the person themselves, or without a word on why.
    """
    decision = require_permission(actor, AdminPermission.BREAK_GLASS_REVIEW)
    row = Emergency.objects.select_for_update().filter(pk=emergency_id).first()
    if row is None:
        raise NotFoundError
    if row.verdict != ReviewVerdict.PENDING or verdict is ReviewVerdict.PENDING:
        raise EmergencyReviewError("This was reviewed already; what was found stands.")
    if row.user_id == actor.user_id:
        raise EmergencyReviewError("Somebody else reviews what you did.")
    if len(comment.strip()) < MIN_REASON:
        raise EmergencyReviewError("Say in a sentence what you found.")
    row.verdict, row.comment = verdict, comment.strip()
    row.reviewed_by, row.reviewed_at = actor.id, clock.now()
    row.save(update_fields=["verdict", "comment", "reviewed_by", "reviewed_at"])
    detail = {"emergency_id": str(row.pk), "verdict": verdict, "of": str(row.user_id)}
    entry = Entry(kind=Kind.CONFIGURATION, action="emergency.reviewed", decision=decision, detail=detail)
    record(actor=actor, entry=entry, clock=clock)
    if verdict is ReviewVerdict.NOT_JUSTIFIED and row.ended_at is None:
        _end(actor, row, clock)
    _tell(row, "reviewed", clock)
    return _cards([row], clock)[0]


def _end(actor: Actor, row: Emergency, clock: Clock) -> None:
    rows = PatientGrant.objects.filter(
        user_id=row.user_id, content_object=row.patient_id, kind=GrantKind.BREAK_GLASS, valid_until__lte=row.expires_at
    )
    rows.delete()
    row.ended_at, row.ended_by = min(clock.now(), row.expires_at), actor.id
    row.save(update_fields=["ended_at", "ended_by"])
    patient = Patient.objects.get(pk=row.patient_id)
    subject = Subject(actor.tenant_id, DataCategory.PIXEL_DATA, patient_pseudonym=patient.pseudonym)
    detail = {"emergency_id": str(row.pk), "of": str(row.user_id)}
    entry = Entry(kind=Kind.SECURITY_ALERT, action="emergency.ended", subject=subject, detail=detail)
    record(actor=actor, entry=entry, clock=clock)
    _tell(row, "ended", clock)


def _tell(row: Emergency, state: str, clock: Clock) -> None:
    """Tell compliance officers, and whoever has the patient's studies open."""
    emit(EmergencyChanged(emergency_id=row.pk, state=state), streams=(COMPLIANCE,), clock=clock)
    if state == "reviewed":
        return
    for study_id in _study_ids([row.patient_id])[row.patient_id]:
        emit(GrantsChanged(study_id=study_id), streams=(WORKLIST, study_stream(study_id)), clock=clock)


def _study_ids(patient_ids: Sequence[UUID]) -> dict[UUID, list[UUID]]:
    found: dict[UUID, list[UUID]] = {patient_id: [] for patient_id in patient_ids}
    for patient_id, study_id in (
        Study.objects.filter(patient_id__in=list(found)).order_by("pk").values_list("patient_id", "pk")
    ):
        found[patient_id].append(study_id)
    return found


def _cards(rows: Sequence[Emergency], clock: Clock) -> list[EmergencyCard]:
    studies = _study_ids([row.patient_id for row in rows])
    return [
        EmergencyCard(
            id=row.pk,
            user_id=row.user_id,
            role=Role(row.role),
            patient_pseudonym=row.patient.pseudonym,
            study_ids=tuple(studies[row.patient_id]),
            reason_code=EmergencyReason(row.reason_code),
            reason=row.reason,
            opened_at=row.opened_at,
            expires_at=row.expires_at,
            ended_at=row.ended_at,
            verdict=ReviewVerdict(row.verdict),
            reviewed_by=row.reviewed_by,
            reviewed_at=row.reviewed_at,
            comment=row.comment,
            is_open=row.ended_at is None and row.expires_at > clock.now(),
        )
        for row in rows
    ]
