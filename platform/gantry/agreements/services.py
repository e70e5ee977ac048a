"""Drafting an agreement and moving its versions through their states."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from gantry.agreements.content import Content, content_from_json, content_to_json, digest_of
from gantry.agreements.domain import CURRENT, NEXT, Disposition, Side, Status, Step
from gantry.agreements.errors import (
    IllegalStepError,
    MaySignError,
    StaleEditError,
    VersionTakenError,
    WrongDocumentError,
)
from gantry.agreements.models import Agreement, AgreementStep, Signature
from gantry.audit.public import Entry, Kind, record
from gantry.foundation.scope import atomic_service
from gantry.kernel.actor import Actor
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.kernel.errors import NotFoundError
from gantry.kernel.ids import AgreementId
from gantry.kernel.vocabulary import ActorKind, Role


@dataclass(frozen=True, slots=True)
class Signatory:
    """Who signs, and how it was made sure that it is they.

    Parameters
    ----------
    method
        `accepted`: signed in and authenticated again; `wet`: the signed paper was uploaded.
    """

    name: str
    function: str = ""
    method: str = "accepted"
    paper_sha256: str = ""
    paper_object_id: UUID | None = None
    paper_size_bytes: int = 0


@atomic_service
def draft_agreement(
    *,
    actor: Actor,
    version: str,
    content: Content,
    amends: AgreementId | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Agreement:
    """Write a new version as a draft; it permits nothing until both sides have signed it.

    Raises
    ------
    VersionTakenError
        The tenant has a version of this name.
    """
    if Agreement.objects.filter(version=version).exists():
        raise VersionTakenError(f"There is a version {version} already; take another name.")
    agreement = Agreement.objects.create(
        version=version,
        title=content.title,
        template=content.template,
        status=Status.DRAFT,
        content=content_to_json(content),
        amends_id=amends,
        created_at=clock.now(),
        created_by=actor.id,
    )
    record(actor=actor, entry=_entry("agreement.drafted", agreement), clock=clock)
    return agreement


@atomic_service
def edit_agreement(
    *, actor: Actor, agreement_id: AgreementId, revision: int, content: Content, clock: Clock = SYSTEM_CLOCK
) -> Agreement:
    """Write a draft again.

    Raises
    ------
    StaleEditError
        The draft is not the `revision` that the edit was made from.
    """
    agreement = _lock(agreement_id)
    status = _require_step(agreement, Step.EDIT)
    if agreement.revision != revision:
        raise StaleEditError("Somebody changed this draft after you read it. Read it again and repeat your change.")
    agreement.content, agreement.title = content_to_json(content), content.title
    agreement.revision += 1
    _advance(actor, agreement, Step.EDIT, status, "", clock)
    return agreement


@atomic_service
def review_agreement(*, actor: Actor, agreement_id: AgreementId, clock: Clock = SYSTEM_CLOCK) -> Agreement:
    """Declare a draft ready to be signed: from here on nothing in it changes."""
    agreement = _lock(agreement_id)
    status = _require_step(agreement, Step.REVIEW)
    agreement.document_sha256 = digest_of(agreement.content)
    _advance(actor, agreement, Step.REVIEW, status, "", clock)
    return agreement


@atomic_service
def sign_agreement(
    *,
    actor: Actor,
    agreement_id: AgreementId,
    side: Side,
    signatory: Signatory,
    document_sha256: str,
    clock: Clock = SYSTEM_CLOCK,
) -> Agreement:
    """Sign a reviewed version for one side. With the second signature it enters into force, or waits for its day.

    Raises
    ------
    MaySignError
        The actor is not of that side.
    WrongDocumentError
        The hash is of another document.
    IllegalStepError
        It is not to be signed, or this side has signed.
    """
    require_can_sign(actor, side)
    agreement = _lock(agreement_id)
    first = Signature.objects.filter(agreement=agreement).first()
    if first is not None and first.side == side:
        raise IllegalStepError("This side has signed already.")
    step = Step.SIGN if first is None else Step.COUNTERSIGN
    status = _require_step(agreement, step)
    if document_sha256 != agreement.document_sha256:
        raise WrongDocumentError("The hash you sent is of another document. Read this version again and sign that.")
    Signature.objects.create(
        agreement=agreement,
        side=side,
        name=signatory.name,
        function=signatory.function,
        method=signatory.method,
        document_sha256=document_sha256,
        signed_at=clock.now(),
        recorded_by=actor.id,
        session=actor.session[:64],
        paper_sha256=signatory.paper_sha256,
        paper_object_id=signatory.paper_object_id,
        paper_size_bytes=signatory.paper_size_bytes,
    )
    if step is Step.COUNTERSIGN:
        content = content_from_json(agreement.content)
        agreement.valid_from = content.effective_from or clock.now()
        if content.duration_days is not None:
            agreement.valid_until = agreement.valid_from + timedelta(days=content.duration_days)
    _advance(actor, agreement, step, status, "", clock, side=side.value)
    if agreement.valid_from is not None and agreement.valid_from <= clock.now():
        enter_agreement(actor=actor, agreement_id=AgreementId(agreement.pk), clock=clock)
        agreement.refresh_from_db()
    return agreement


@atomic_service
def enter_agreement(*, actor: Actor, agreement_id: AgreementId, clock: Clock = SYSTEM_CLOCK) -> Agreement:
    """Put a signed version in the place of the one in force, whose time has come."""
    agreement = _lock(agreement_id)
    before = Agreement.objects.select_for_update().filter(status__in=list(CURRENT)).first()
    step = Step.ENTER_SUSPENDED if before is not None and before.status == Status.SUSPENDED else Step.ENTER
    status = _require_step(agreement, step)
    if agreement.valid_from is None or agreement.valid_from > clock.now():
        raise IllegalStepError("Its day has not come yet.")
    if before is not None:
        before.ended_at = clock.now()
        _advance(actor, before, Step.SUPERSEDE, _require_step(before, Step.SUPERSEDE), "", clock)
    _advance(actor, agreement, step, status, "", clock)
    return agreement


@atomic_service
def advance_agreement(
    *,
    actor: Actor,
    agreement_id: AgreementId,
    step: Step,
    reason: str = "",
    disposition: Disposition | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Agreement:
    """Suspend, resume, terminate, expire or withdraw a version.

    Raises
    ------
    IllegalStepError
        The step does not lead on from the version's state.
    """
    agreement = _lock(agreement_id)
    status = _require_step(agreement, step)
    if step in {Step.TERMINATE, Step.EXPIRE}:
        agreement.ended_at = clock.now()
        agreement.disposition = disposition or Disposition.DELETE
    _advance(actor, agreement, step, status, reason, clock)
    return agreement


def require_can_sign(actor: Actor, side: Side) -> None:
    """Raise `MaySignError` unless the actor may sign for a side.

    The controller's side is signed by a compliance officer of the tenant, in person; the processor's by the
    platform's operator, who is no member of it.
    """
    if side is Side.CONTROLLER:
        is_theirs = actor.kind is ActorKind.PERSON and actor.role is Role.COMPLIANCE
    else:
        is_theirs = actor.role is Role.SYSTEM
    if not is_theirs:
        raise MaySignError("A compliance officer signs for the organisation, the platform's operator for the platform.")


@atomic_service
def list_agreements() -> list[Agreement]:
    """Return every version of the tenant's agreement, newest first."""
    return list(Agreement.objects.order_by("-created_at", "version"))


def _lock(agreement_id: AgreementId) -> Agreement:
    agreement = Agreement.objects.select_for_update().filter(pk=agreement_id).first()
    if agreement is None:
        raise NotFoundError
    return agreement


def _require_step(agreement: Agreement, step: Step) -> Status:
    status = NEXT.get((Status(agreement.status), step))
    if status is None:
        raise IllegalStepError(f"An agreement that is {agreement.status} cannot take the step {step}.")
    return status


def _advance(
    actor: Actor, agreement: Agreement, step: Step, status: Status, reason: str, clock: Clock, **detail: str
) -> None:
    before = agreement.status
    agreement.status = status
    agreement.save()
    AgreementStep.objects.create(
        agreement=agreement,
        step=step,
        from_status=before,
        to_status=status,
        at=clock.now(),
        actor_id=actor.id,
        reason=reason[:500],
    )
    record(actor=actor, entry=_entry(f"agreement.{step}", agreement, **detail), clock=clock)


def _entry(action: str, agreement: Agreement, **detail: str) -> Entry:
    facts = {"agreement_id": str(agreement.pk), "version": agreement.version}
    if agreement.document_sha256:
        facts["document_sha256"] = agreement.document_sha256
    return Entry(kind=Kind.CONFIGURATION, action=action, detail={**facts, **detail})


def supposed(content: Content, version: str, at: datetime) -> Content:
    """Return content as if it were in force at a moment."""
    terms = dataclasses.replace(content.terms, version=version, status=Status.IN_FORCE, valid_from=at, valid_until=None)
    return dataclasses.replace(content, terms=terms)
