"""Planning and confirming erasures: two steps, each with the list of what would be destroyed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from gantry.access.public import require_permission
from gantry.agreements.public import Disposition, load_terms
from gantry.audit.public import Entry, Kind, record
from gantry.foundation.jobs import job
from gantry.foundation.scope import atomic_service, current_scope
from gantry.kernel.actor import Actor
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.kernel.decision import Refused
from gantry.kernel.errors import InvalidInputError, NotFoundError
from gantry.kernel.vocabulary import AdminPermission
from gantry.studies.destruction.domain import (
    PLAN_LIFETIME,
    TENANT_PLAN_LIFETIME,
    ErasureStep,
    HeldError,
    StalePlanError,
)
from gantry.studies.destruction.erasing import (
    Scope,
    advance,
    ask_gate,
    detail_of,
    hash_of,
    holds_in,
    inventory_of,
    kept_scope,
    patient_of,
    plan_of,
    require_unchanged,
    scope_of,
)
from gantry.studies.destruction.execution import AGAIN_AFTER, erase_job, log_erasure
from gantry.studies.domain import ErasureCause, ErasurePart, ErasureState, ErasureTarget
from gantry.studies.models import Erasure, Patient, Study


def _require_within(actor: Actor, scope: Scope) -> None:
    """Refuse what reaches beyond the actor's institutions as if it were not there."""
    if scope.target is ErasureTarget.PATIENT and not (
        scope.patient_id and Patient.objects.filter(pk=scope.patient_id).exists()
    ):
        raise NotFoundError
    if actor.institutions is None:
        return
    outside = Study.objects.filter(pk__in=scope.study_ids).exclude(institution_id__in=actor.institutions)
    if scope.target is ErasureTarget.TENANT or not scope.study_ids or outside.exists():
        raise NotFoundError


@job("studies.plan_end")
def plan_end_job() -> None:
    """Plan the erasure of a tenant whose agreement has ended and asks for it; a person confirms it."""
    plan_end(actor=current_scope().actor)


@atomic_service
def plan_end(*, actor: Actor, clock: Clock = SYSTEM_CLOCK) -> Erasure | None:
    """Plan what the agreement asks for at its end, where that is deletion and nobody has planned it yet.

    Where data are to be returned first, whoever returns them plans it afterwards.
    """
    terms = load_terms()
    if terms is None or terms.is_in_force(clock.now()) or terms.disposition is Disposition.RETURN:
        return None
    known = Erasure.objects.filter(target=ErasureTarget.TENANT).exclude(
        state__in=[ErasureState.WITHDRAWN, ErasureState.STOPPED]
    )
    if known.exists():
        return None
    return plan_erasure(
        actor=actor,
        target=ErasureTarget.TENANT,
        cause=ErasureCause.AGREEMENT_ENDED,
        reference=f"agreement {terms.version}",
        clock=clock,
    )


@atomic_service
def plan_erasure(
    *,
    actor: Actor,
    target: ErasureTarget,
    patient_id: UUID | None = None,
    study_ids: Collection[UUID] = (),
    part: ErasurePart = ErasurePart.WHOLE,
    cause: ErasureCause,
    reference: str = "",
    clock: Clock = SYSTEM_CLOCK,
) -> Erasure:
    """List what an erasure would destroy. Nothing happens until somebody confirms the plan by its hash.

    Raises
    ------
    NotFoundError
        There is no such patient or study for this actor.
    Refused
        The role or the agreement does not allow it. A hold is told by the plan and refused at confirmation.
    """
    allowed = require_permission(actor, AdminPermission.RETENTION_MANAGE)
    scope = scope_of(target, patient_id=patient_id, study_ids=study_ids, part=part)
    _require_within(actor, scope)
    _require_ended_for_tenant(scope, clock)
    decision, subject = ask_gate(actor, scope, cause, has_hold=False, clock=clock)
    if not decision.allowed:
        raise Refused(decision, actor=actor, subject=subject)
    inventory = inventory_of(scope)
    holds = holds_in(scope, patient_of(scope))
    erasure = Erasure.objects.create(
        target=target,
        part=part,
        patient_id=scope.patient_id,
        study_ids=[str(one) for one in scope.study_ids],
        cause=cause,
        reference=reference.strip()[:128],
        plan=plan_of(scope, inventory, holds),
        plan_hash=hash_of(scope, inventory),
        planned_by=actor.id,
        planned_at=clock.now(),
        clause=decision.clause,
        agreement_version=decision.agreement_version,
    )
    entry = Entry(Kind.CONFIGURATION, "erasure.planned", decision=allowed, subject=subject, detail=detail_of(erasure))
    record(actor=actor, entry=entry, clock=clock)
    return erasure


def _require_ended_for_tenant(scope: Scope, clock: Clock) -> None:
    terms = load_terms()
    if scope.target is ErasureTarget.TENANT and terms is not None and terms.is_in_force(clock.now()):
        raise InvalidInputError(
            "The agreement is in force. A tenant's data are erased as a whole after it was terminated or has expired."
        )


@atomic_service
def confirm_erasure(*, actor: Actor, erasure_id: UUID, plan_hash: str, clock: Clock = SYSTEM_CLOCK) -> Erasure:
    """Confirm a plan: the erasure is executed at once, and there is no way back.

    Raises
    ------
    NotFoundError
        There is no such plan.
    StalePlanError
        The hash is not the plan's, the plan is too old, or the data are others than those it lists.
    HeldError
        A legal hold is on them.
    """
    allowed = require_permission(actor, AdminPermission.RETENTION_MANAGE)
    erasure = _locked(erasure_id)
    scope = kept_scope(erasure)
    state = advance(erasure, ErasureStep.CONFIRM)
    if plan_hash != erasure.plan_hash:
        raise StalePlanError("This is not the hash of the plan. Read the plan again before you confirm it.")
    lifetime = TENANT_PLAN_LIFETIME if scope.target is ErasureTarget.TENANT else PLAN_LIFETIME
    if erasure.planned_at + lifetime < clock.now():
        raise StalePlanError(f"The plan is older than {lifetime.days} days. Make a new one.")
    _require_within(actor, scope)
    require_unchanged(erasure, scope)
    if holds_in(scope, patient_of(scope)):
        raise HeldError("A legal hold is on these data. Release it first, or leave them.")
    decision, subject = ask_gate(actor, scope, erasure.cause, has_hold=False, clock=clock)
    if not decision.allowed:
        raise Refused(decision, actor=actor, subject=subject)
    erasure.state, erasure.confirmed_by, erasure.confirmed_at = state, actor.id, clock.now()
    erasure.next_attempt_at = clock.now() + AGAIN_AFTER
    erasure.save(update_fields=["state", "confirmed_by", "confirmed_at", "next_attempt_at"])
    entry = Entry(Kind.CONFIGURATION, "erasure.confirmed", decision=allowed, subject=subject, detail=detail_of(erasure))
    record(actor=actor, entry=entry, clock=clock)
    erase_job.defer(erasure_id=erasure.pk)
    return erasure


@atomic_service
def withdraw_erasure(*, actor: Actor, erasure_id: UUID, clock: Clock = SYSTEM_CLOCK) -> Erasure:
    """Drop a plan before its execution has begun."""
    allowed = require_permission(actor, AdminPermission.RETENTION_MANAGE)
    erasure = _locked(erasure_id)
    was_confirmed = erasure.state == ErasureState.CONFIRMED
    erasure.state = advance(erasure, ErasureStep.WITHDRAW)
    erasure.next_attempt_at = None
    erasure.save(update_fields=["state", "next_attempt_at"])
    if was_confirmed:
        log_erasure(erasure)  # an attempt whose commit failed may have left word there
    entry = Entry(Kind.CONFIGURATION, "erasure.withdrawn", decision=allowed, detail=detail_of(erasure))
    record(actor=actor, entry=entry, clock=clock)
    return erasure


@atomic_service
def list_erasures(
    *, actor: Actor, offset: int = 0, limit: int = 50, clock: Clock = SYSTEM_CLOCK
) -> tuple[int, Sequence[Erasure]]:
    """Return the tenant's erasures, newest first, and how many there are."""
    decision = require_permission(actor, AdminPermission.RETENTION_MANAGE)
    rows = Erasure.objects.order_by("-planned_at", "pk")
    record(actor=actor, entry=Entry(Kind.QUERY, "erasures.listed", decision=decision), clock=clock)
    return rows.count(), list(rows[offset : offset + limit])


@atomic_service
def get_erasure(*, actor: Actor, erasure_id: UUID, clock: Clock = SYSTEM_CLOCK) -> Erasure:
    """Return one erasure: its plan, how far it is, and its certificate."""
    decision = require_permission(actor, AdminPermission.RETENTION_MANAGE)
    erasure = Erasure.objects.filter(pk=erasure_id).first()
    if erasure is None:
        raise NotFoundError
    record(
        actor=actor,
        entry=Entry(Kind.QUERY, "erasures.listed", decision=decision, detail=detail_of(erasure)),
        clock=clock,
    )
    return erasure


@atomic_service
def find_patients(
    *, actor: Actor, patient_id: str = "", study_instance_uid: str = "", clock: Clock = SYSTEM_CLOCK
) -> list[tuple[UUID, int]]:
    """Return the patients who have a number, or the one of a study, with how many studies they have.

    For those who administer erasures and requests; they learn ids, not names.
    """
    decision = require_permission(actor, AdminPermission.RETENTION_MANAGE)
    studies = Study.objects.all()
    if actor.institutions is not None:
        studies = studies.filter(institution_id__in=actor.institutions)
    patients = Patient.objects.all()
    if patient_id:
        patients = patients.filter(patient_id=patient_id)
    if study_instance_uid:
        patients = patients.filter(pk__in=studies.filter(study_instance_uid=study_instance_uid).values("patient_id"))
    found = list(patients.order_by("pk")[:50]) if patient_id or study_instance_uid else []
    counts = {one.pk: studies.filter(patient=one).count() for one in found}
    entry = Entry(
        Kind.QUERY,
        "patients.looked_up",
        decision=decision,
        detail={"patients": ",".join(str(one.pseudonym) for one in found)},
    )
    record(actor=actor, entry=entry, clock=clock)
    return [(one.pk, counts[one.pk]) for one in found if counts[one.pk] or actor.institutions is None]


def _locked(erasure_id: UUID) -> Erasure:
    erasure = Erasure.objects.select_for_update().filter(pk=erasure_id).first()
    if erasure is None:
        raise NotFoundError
    return erasure
