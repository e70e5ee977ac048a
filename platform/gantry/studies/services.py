"""What changes about a study after ingest: it becomes complete, is referred, and gets AI results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection

from gantry.access.public import grant, list_grants, withdraw
from gantry.audit.public import Entry, Kind, record, record_access
from gantry.foundation.boundary import record_refusal
from gantry.foundation.outbox import WORKLIST, emit, study_stream
from gantry.foundation.scope import atomic_service, tenant_scope, unit_of_work
from gantry.kernel.actor import Actor, Subject, system_actor
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.kernel.decision import Decision, Refused
from gantry.kernel.errors import NotFoundError
from gantry.kernel.ids import TenantId
from gantry.kernel.vocabulary import Activity, DataCategory, GrantKind, Role
from gantry.studies.domain import ReviewState, StudyState, fold_name
from gantry.studies.errors import ReferralError
from gantry.studies.events import ReferralChanged, ResultsChanged, StudyCompleted
from gantry.studies.ingest import imaging_facts, stored_columns
from gantry.studies.models import Instance, QuarantinedInstance, Series, SeriesPack, Study, StudyGrant
from gantry.studies.parsing.model import ParsedInstance
from gantry.studies.policies import SEE_STUDY, require_study, visible_studies
from gantry.tenancy.public import list_members
from gantry.vault.public import SealedObject, get_vault

#: How long a referral opens a study, unless another date is given.
REFERRAL_LIFETIME = timedelta(days=90)
MAX_REFERRAL_LIFETIME = timedelta(days=365)


@atomic_service
def complete_study(*, actor: Actor, study_id: UUID, clock: Clock = SYSTEM_CLOCK) -> Study:
    """Declare a study complete: by a person, or by the timer when nothing has arrived for a while.

    Raises
    ------
    NotFoundError
        There is no such study for this actor.
    """
    study, subject, decision = require_study(
        actor,
        visible_studies(actor).select_for_update(of=("self",)).filter(pk=study_id),
        activity=Activity.STORE,
        category=DataCategory.PIXEL_DATA,
        clock=clock,
    )
    if study.state == StudyState.COMPLETE:
        if actor.role is not Role.SYSTEM:
            record_access(
                actor=actor, action="study.opened", decision=decision, subject=subject, study_id=study.pk, clock=clock
            )
        return study
    if actor.role is Role.SYSTEM and (study.quiet_until is None or study.quiet_until > clock.now()):
        return study  # something arrived between the timer's look and the lock
    study.state, study.quiet_until = StudyState.COMPLETE, None
    study.save(update_fields=["state", "quiet_until"])
    entry = Entry(kind=Kind.ACCESSED, action="study.completed", decision=decision, subject=subject)
    record(actor=actor, entry=entry, clock=clock)
    emit(
        StudyCompleted(study_id=study.pk, state=study.state, revision=study.revision),
        streams=(WORKLIST, study_stream(study.pk)),
        clock=clock,
    )
    return study


def complete_due_studies(*, clock: Clock = SYSTEM_CLOCK) -> int:
    """Complete every study, of any tenant, whose quiet time is over; returns how many were looked at."""
    with connection.cursor() as cursor:
        cursor.execute("select tenant_id, study_id from gantry.due_studies()")
        due = cursor.fetchall()
    for tenant_id, study_id in due:
        actor = system_actor(TenantId(tenant_id))
        with tenant_scope(actor):
            _complete_or_postpone(actor, study_id, clock)
    return len(due)


def _complete_or_postpone(actor: Actor, study_id: UUID, clock: Clock) -> None:
    try:
        complete_study(actor=actor, study_id=study_id, clock=clock)
    except NotFoundError:
        return
    except Refused as refused:
        # The agreement ended while the study was arriving: look again later, not every second.
        record_refusal(refused)
        with unit_of_work():
            Study.objects.filter(pk=study_id).update(quiet_until=clock.now() + timedelta(minutes=5))


@dataclass(frozen=True, slots=True)
class Referral:
    """A grant on a study, as people read it."""

    id: UUID
    user_id: UUID
    name: str
    until: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class ReferralCandidate:
    """A referring physician of the tenant whose name is that of the study's ReferringPhysicianName."""

    user_id: UUID
    name: str


def _require_referable(actor: Actor, study_id: UUID, clock: Clock) -> tuple[Study, Subject, Decision]:
    # Locked, so that two people who refer it at once leave one referral.
    studies = visible_studies(actor).select_for_update(of=("self",)).filter(pk=study_id)
    return require_study(actor, studies, activity=Activity.SHARE, category=DataCategory.PIXEL_DATA, clock=clock)


@atomic_service
def refer_study(
    *,
    actor: Actor,
    study_id: UUID,
    user_id: UUID,
    until: datetime | None = None,
    reason: str = "referred",
    clock: Clock = SYSTEM_CLOCK,
) -> Referral:
    """Let a referring physician of the tenant see a study until a date.

    Raises
    ------
    ReferralError
        Not a referring physician here, or a date that is past or too far.
    """
    study, subject, decision = _require_referable(actor, study_id, clock)
    member = next((one for one in list_members(role=Role.REFERRER) if one.user_id == user_id), None)
    if member is None:
        raise ReferralError("Studies can be referred to referring physicians of your organisation only.")
    ends = until or clock.now() + REFERRAL_LIFETIME
    if not clock.now() < ends <= clock.now() + MAX_REFERRAL_LIFETIME:
        raise ReferralError("Choose an end date that lies ahead, within one year.")
    row = grant(
        StudyGrant,
        actor=actor,
        user_id=user_id,
        target=study,
        codename=SEE_STUDY,
        until=ends,
        reason=reason,
        clock=clock,
    )
    detail = {"to": str(user_id), "until": ends.isoformat(), "reason": reason}
    record(
        actor=actor,
        entry=Entry(kind=Kind.DISCLOSURE, action="study.referred", decision=decision, subject=subject, detail=detail),
        clock=clock,
    )
    emit(ReferralChanged(study_id=study.pk), streams=(WORKLIST, study_stream(study.pk)), clock=clock)
    return Referral(id=row.pk, user_id=user_id, name=_name_of(user_id), until=row.valid_until, reason=row.reason)


@atomic_service
def withdraw_referral(*, actor: Actor, study_id: UUID, referral_id: UUID, clock: Clock = SYSTEM_CLOCK) -> None:
    """End a referral at once."""
    study, subject, decision = _require_referable(actor, study_id, clock)
    row = next((one for one in list_grants(StudyGrant, study, kind=GrantKind.REFERRAL) if one.pk == referral_id), None)
    if row is None:
        raise NotFoundError
    withdraw(StudyGrant, user_id=row.user_id, target=study, codename=SEE_STUDY)
    detail = {"from": str(row.user_id)}
    entry = Entry(
        kind=Kind.CONFIGURATION, action="referral.withdrawn", decision=decision, subject=subject, detail=detail
    )
    record(actor=actor, entry=entry, clock=clock)
    emit(ReferralChanged(study_id=study.pk), streams=(WORKLIST, study_stream(study.pk)), clock=clock)


def _name_of(user_id: UUID) -> str:
    return list_names([user_id]).get(user_id, "")


def list_names(user_ids: Sequence[UUID]) -> dict[UUID, str]:
    """Return people's names by id; the application role may read no more of a person than this."""
    with connection.cursor() as cursor:
        cursor.execute("select id, name from identity_user where id = any(%s)", [list(user_ids)])
        return dict(cursor.fetchall())


@atomic_service
def list_referrals(*, study: Study) -> tuple[list[Referral], list[ReferralCandidate]]:
    """Return who sees a study by referral, and who is named in it and waits for confirmation.

    To be called with a study that a service has opened.
    """
    rows = list_grants(StudyGrant, study, kind=GrantKind.REFERRAL)
    members = list_members(role=Role.REFERRER)
    names = list_names([row.user_id for row in rows] + [member.user_id for member in members])
    referrals = [Referral(row.pk, row.user_id, names.get(row.user_id, ""), row.valid_until, row.reason) for row in rows]
    taken = {row.user_id for row in rows}
    wanted = _name_words(study.referring_physician_name)
    candidates = [
        ReferralCandidate(member.user_id, names.get(member.user_id, ""))
        for member in members
        if member.user_id not in taken and wanted and wanted == _name_words(names.get(member.user_id, ""))
    ]
    return referrals, candidates


def list_referred(study_ids: Iterable[UUID]) -> set[UUID]:
    """Return which of some studies are referred to anybody now.

    To be called inside a service that has decided about these studies.
    """
    referrals = StudyGrant.objects.filter(content_object_id__in=list(study_ids), kind=GrantKind.REFERRAL)
    return set(referrals.values_list("content_object_id", flat=True))


_TITLES = frozenset({"dr", "prof", "md", "mr", "mrs", "ms", "med", "phd"})


def _name_words(name: str) -> frozenset[str]:
    alphabetic = name.split("=", 1)[0]
    return frozenset(word.strip(".,") for word in fold_name(alphabetic).split()) - _TITLES


@dataclass(frozen=True, slots=True)
class ResultObject:
    """A DICOM object that an analysis wrote, sealed and staged."""

    sealed: SealedObject
    parsed: ParsedInstance


def store_results(*, study: Study, analysis_id: UUID, results: Sequence[ResultObject], clock: Clock) -> dict[str, UUID]:
    """Index an analysis's DICOM objects as new series of its study; returns series ids by SOP UID.

    Runs in the transaction of the analysis that finishes; deciding and recording are its part.
    """
    vault = get_vault()
    series_ids: dict[str, UUID] = {}
    for result in results:
        parsed = result.parsed
        series = Series(
            study=study,
            series_instance_uid=parsed.series_instance_uid,
            modality=parsed.series.modality[:16],
            series_number=parsed.series.series_number,
            description=parsed.series.series_description[:200],
            body_part_examined=parsed.series.body_part_examined[:16],
            frame_of_reference_uid=parsed.series.frame_of_reference_uid[:64],
            number_of_instances=1,
            analysis_id=analysis_id,
            review=ReviewState.UNREVIEWED,
        )
        series.save(force_insert=True)
        wrapped = vault.seal(study.tenant_id, result.sealed, study.patient.key_id)
        Instance.objects.bulk_create(
            [
                Instance(
                    series=series,
                    study=study,
                    sop_instance_uid=parsed.sop_instance_uid,
                    sop_class_uid=parsed.sop_class_uid,
                    transfer_syntax_uid=parsed.transfer_syntax_uid,
                    instance_number=parsed.acquisition.instance_number,
                    number_of_frames=parsed.image.number_of_frames,
                    rows=parsed.image.rows or 0,
                    columns=parsed.image.columns or 0,
                    facts=imaging_facts(parsed),
                    revision=study.revision,
                    received_at=clock.now(),
                    **stored_columns(result.sealed, study.patient.key_id, wrapped),
                )
            ]
        )
        series_ids[parsed.sop_instance_uid] = series.pk
    return series_ids


def set_result_review(
    *, study_id: UUID, analysis_reviews: Mapping[UUID, ReviewState], study_review: ReviewState, clock: Clock
) -> None:
    """Let what people said of findings decide who sees the series that carry them; every list obeys."""
    for analysis_id, review in analysis_reviews.items():
        Series.objects.filter(analysis_id=analysis_id).update(review=review)
    Study.objects.filter(pk=study_id).update(review=study_review)
    emit(
        ResultsChanged(study_id=study_id, review=study_review), streams=(WORKLIST, study_stream(study_id)), clock=clock
    )


@atomic_service
def count_studies() -> int:
    """Return how many studies the tenant holds; for commands of the platform, never for a request."""
    return Study.objects.count()


@atomic_service
def list_object_ids() -> set[UUID]:
    """Return the objects that the tenant's studies, packs and quarantine refer to; for housekeeping."""
    stored = Instance.objects.values_list("object_id", flat=True)
    quarantined = QuarantinedInstance.objects.values_list("object_id", flat=True)
    packs = SeriesPack.objects.filter(object_id__isnull=False).values_list("object_id", flat=True)
    return set(stored) | set(quarantined) | {object_id for object_id in packs if object_id is not None}
