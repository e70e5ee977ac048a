"""Drafting an agreement and moving its versions through their states."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from gantry.access.public import require_permission
from gantry.agreements.calendar import ISTANBUL, notice_deadline
from gantry.agreements.content import Content, content_from_json, content_to_json
from gantry.agreements.document import Signed, canonical_text, hash_document, write_html
from gantry.agreements.domain import CURRENT, ENDED, NEXT, Disposition, Side, Status, Step, TransferKind
from gantry.agreements.drafting import law_of, list_faults
from gantry.agreements.errors import (
    IllegalStepError,
    MaySignError,
    StaleEditError,
    UnfinishedDraftError,
    VersionTakenError,
    WrongDocumentError,
)
from gantry.agreements.events import AgreementChanged, AgreementEnded
from gantry.agreements.models import Agreement, AgreementStep, Signature, TransferNotice
from gantry.agreements.papers import Paper, discard_paper, read_paper, seal_paper
from gantry.audit.public import Entry, Kind, record
from gantry.foundation.outbox import COMPLIANCE, emit
from gantry.foundation.scope import atomic_service, unit_of_work
from gantry.kernel.actor import SYSTEM_ACTOR_ID, Actor
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.kernel.errors import NotFoundError
from gantry.kernel.ids import AgreementId
from gantry.kernel.vocabulary import ActorKind, AdminPermission, Role


@dataclass(frozen=True, slots=True)
class Signatory:
    """Who signs, and what they are in their organisation."""

    name: str
    function: str = ""


#: How it was made sure that it is they: signed in and authenticated again, or their signed paper was uploaded.
ACCEPTED, WET = "accepted", "wet"


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
    NotFoundError
        It is to amend a version that there is not.
    """
    require_may_manage(actor)
    if Agreement.objects.filter(version=version).exists():
        raise VersionTakenError(f"There is a version {version} already; take another name.")
    if amends is not None and not Agreement.objects.filter(pk=amends).exists():
        raise NotFoundError
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
def amend_agreement(*, actor: Actor, agreement_id: AgreementId, version: str, clock: Clock = SYSTEM_CLOCK) -> Agreement:
    """Draft a new version from another one; that one stays as it is until the new one takes its place."""
    require_may_manage(actor)
    before = _get(agreement_id)
    content = content_from_json(before.content)
    return draft_agreement(actor=actor, version=version, content=content, amends=agreement_id, clock=clock)


@atomic_service
def edit_agreement(
    *, actor: Actor, agreement_id: AgreementId, revision: int, content: Content, clock: Clock = SYSTEM_CLOCK
) -> Agreement:
    """Write a draft again.

    Raises
    ------
    StaleEditError
        The draft is not the `revision` that the edit was made from.
    IllegalStepError
        It is no draft any more.
    """
    require_may_manage(actor)
    agreement = _lock(agreement_id)
    status = _require_step(agreement, Step.EDIT)
    if agreement.revision != revision:
        raise StaleEditError("Somebody changed this draft after you read it. Read it again and repeat your change.")
    agreement.content, agreement.title = content_to_json(content), content.title
    agreement.template = content.template
    agreement.revision += 1
    _advance(actor, agreement, Step.EDIT, status, clock)
    return agreement


@atomic_service
def review_agreement(*, actor: Actor, agreement_id: AgreementId, clock: Clock = SYSTEM_CLOCK) -> Agreement:
    """Declare a draft ready to be signed: from here on nothing in it changes.

    Raises
    ------
    UnfinishedDraftError
        It leaves something open or contradicts itself; the sentence names everything that does.
    """
    require_may_manage(actor)
    agreement = _lock(agreement_id)
    status = _require_step(agreement, Step.REVIEW)
    content = content_from_json(agreement.content)
    if faults := list_faults(content):
        raise UnfinishedDraftError(" ".join(faults))
    agreement.document_sha256 = hash_document(content, version=agreement.version, law=law_of(agreement.template))
    _advance(actor, agreement, Step.REVIEW, status, clock)
    return agreement


@atomic_service
def sign_agreement(
    *,
    actor: Actor,
    agreement_id: AgreementId,
    side: Side,
    signatory: Signatory,
    document_sha256: str,
    paper: Paper | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Agreement:
    """Sign a reviewed version for one side. With the second signature it enters into force, or waits for its day.

    The caller has made sure that it is the actor (`identity.public.confirm_identity`), or hands over the paper.

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
        method=WET if paper else ACCEPTED,
        document_sha256=document_sha256,
        signed_at=clock.now(),
        recorded_by=actor.id,
        session=actor.session[:64],
        paper_sha256=paper.sha256 if paper else "",
        paper_object_id=paper.object_id if paper else None,
        paper_size_bytes=paper.size_bytes if paper else 0,
        paper_wrapped_key=paper.wrapped_key if paper else b"",
    )
    if step is Step.COUNTERSIGN:
        content = content_from_json(agreement.content)
        agreement.valid_from = content.effective_from or clock.now()
        if content.duration_days is not None:
            agreement.valid_until = agreement.valid_from + timedelta(days=content.duration_days)
        _open_notices(agreement, content, clock)
    facts = {"side": side.value, "method": WET if paper else ACCEPTED}
    _advance(actor, agreement, step, status, clock, **facts, **({"paper_sha256": paper.sha256} if paper else {}))
    if agreement.valid_from is not None and agreement.valid_from <= clock.now():
        return _enter(actor, agreement, clock)
    return agreement


def sign_on_paper(
    *,
    actor: Actor,
    agreement_id: AgreementId,
    side: Side,
    signatory: Signatory,
    document_sha256: str,
    paper: bytes,
    clock: Clock = SYSTEM_CLOCK,
) -> Agreement:
    """Record a signature that was made on paper, and keep the paper, a PDF, sealed in the vault.

    Raises
    ------
    PaperRefusedError, PaperTooLargeError
        It is not a plain PDF of a sensible size.
    """
    require_can_sign(actor, side)
    kept = seal_paper(actor.tenant_id, paper)
    try:
        return sign_agreement(
            actor=actor,
            agreement_id=agreement_id,
            side=side,
            signatory=signatory,
            document_sha256=document_sha256,
            paper=kept,
            clock=clock,
        )
    except BaseException:
        discard_paper(actor.tenant_id, kept)
        raise


@atomic_service
def enter_agreement(*, actor: Actor, agreement_id: AgreementId, clock: Clock = SYSTEM_CLOCK) -> Agreement:
    """Put a signed version, whose day has come, in the place of the one in force.

    Raises
    ------
    IllegalStepError
        It is not signed by both, or its day is yet to come.
    """
    require_may_manage(actor)
    agreement = _lock(agreement_id)
    _require_step(agreement, Step.ENTER)
    if agreement.valid_from is None or agreement.valid_from > clock.now():
        raise IllegalStepError("Its day has not come yet.")
    return _enter(actor, agreement, clock)


def _enter(actor: Actor, agreement: Agreement, clock: Clock) -> Agreement:
    before = Agreement.objects.select_for_update().filter(status__in=list(CURRENT)).first()
    # What was stopped stays stopped until somebody resumes it.
    step = Step.ENTER_SUSPENDED if before is not None and before.status == Status.SUSPENDED else Step.ENTER
    status = _require_step(agreement, step)
    if before is not None:
        before.ended_at = clock.now()
        _advance(actor, before, Step.SUPERSEDE, _require_step(before, Step.SUPERSEDE), clock)
    _advance(actor, agreement, step, status, clock)
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

    What is open ends by itself: whoever looks, listens, stores or computes asks the gate again within five seconds.

    Raises
    ------
    IllegalStepError
        The step does not lead on from the version's state.
    MaySignError
        The operator would resume what the organisation suspended.
    """
    require_may_manage(actor)
    agreement = _lock(agreement_id)
    status = _require_step(agreement, step)
    if step is Step.RESUME and actor.role is Role.SYSTEM:
        last = AgreementStep.objects.filter(agreement=agreement, step=Step.SUSPEND).order_by("-at").first()
        if last is not None and last.actor_id != SYSTEM_ACTOR_ID:
            raise MaySignError("The organisation suspended this; its compliance officer resumes it.")
    if step in {Step.TERMINATE, Step.EXPIRE}:
        agreement.ended_at = clock.now()
        agreement.disposition = disposition or ""
    _advance(actor, agreement, step, status, clock, reason=reason)
    return agreement


@atomic_service
def choose_disposition(
    *, actor: Actor, agreement_id: AgreementId, disposition: Disposition, clock: Clock = SYSTEM_CLOCK
) -> Agreement:
    """Say what becomes of the data of an agreement that ended; once. Without a choice they are erased.

    Raises
    ------
    IllegalStepError
        It has not ended, or the choice was made.
    """
    require_may_manage(actor)
    agreement = _lock(agreement_id)
    if agreement.status not in ENDED or agreement.disposition:
        raise IllegalStepError("There is nothing to choose: it has not ended, or the choice was made.")
    agreement.disposition = disposition
    agreement.save(update_fields=["disposition"])
    record(actor=actor, entry=_entry("agreement.end_chosen", agreement, disposition=disposition.value), clock=clock)
    _announce(agreement, clock)
    return agreement


def require_can_sign(actor: Actor, side: Side) -> None:
    """Raise `MaySignError` unless the actor may sign for a side.

    The controller's side is signed by a compliance officer of the tenant, in person; the processor's by the
    platform's operator, who is no member of it.
    """
    if side is Side.CONTROLLER:
        require_permission(actor, AdminPermission.AGREEMENT_MANAGE)
        is_theirs = actor.kind is ActorKind.PERSON and actor.role is Role.COMPLIANCE
    else:
        is_theirs = actor.role is Role.SYSTEM
    if not is_theirs:
        raise MaySignError("A compliance officer signs for the organisation, the platform's operator for the platform.")


@atomic_service
def list_agreements() -> list[Agreement]:
    """Return every version of the tenant's agreement, newest first."""
    return list(_ordered())


@atomic_service
def list_versions(*, actor: Actor, offset: int, limit: int) -> tuple[int, list[Agreement]]:
    """Return how many versions there are, and some of them, newest first."""
    require_may_manage(actor)
    return Agreement.objects.count(), list(_ordered()[offset : offset + limit])


def _ordered() -> QuerySet[Agreement]:
    return Agreement.objects.order_by("-created_at", "version")


@dataclass(frozen=True, slots=True)
class VersionFile:
    """One version with all that belongs to it."""

    agreement: Agreement
    content: Content
    signatures: tuple[Signature, ...]
    steps: tuple[AgreementStep, ...]
    notices: tuple[TransferNotice, ...]
    faults: tuple[str, ...]

    @property
    def law(self) -> str:
        return law_of(self.agreement.template)

    def text(self) -> str:
        """Return the canonical text, which is what is hashed."""
        return canonical_text(self.content, version=self.agreement.version, law=self.law)

    def html(self) -> str:
        """Return the document as a page, with its signatures."""
        signed = [Signed(one.side, one.name, one.function, one.method, one.signed_at) for one in self.signatures]
        return write_html(
            self.content,
            version=self.agreement.version,
            law=self.law,
            status=self.agreement.status,
            digest=self.agreement.document_sha256,
            signed=signed,
        )


@atomic_service
def open_version(
    *, actor: Actor, agreement_id: AgreementId, as_document: bool = False, clock: Clock = SYSTEM_CLOCK
) -> VersionFile:
    """Return one version with its signatures, steps and notices; taking the document away is recorded."""
    require_may_manage(actor)
    agreement = _get(agreement_id)
    if as_document:
        record(actor=actor, entry=_entry("agreement.read", agreement), clock=clock)
    content = content_from_json(agreement.content)
    return VersionFile(
        agreement=agreement,
        content=content,
        signatures=tuple(Signature.objects.filter(agreement=agreement).order_by("signed_at", "side")),
        steps=tuple(AgreementStep.objects.filter(agreement=agreement).order_by("at", "pk")),
        notices=tuple(TransferNotice.objects.filter(agreement=agreement).order_by("due_on")),
        faults=tuple(list_faults(content)) if agreement.status == Status.DRAFT else (),
    )


@atomic_service
def find_version(*, actor: Actor, version: str) -> AgreementId:
    """Return the id of a version by its name."""
    require_may_manage(actor)
    found = Agreement.objects.filter(version=version).values_list("pk", flat=True).first()
    if found is None:
        raise NotFoundError
    return AgreementId(found)


def open_paper(*, actor: Actor, agreement_id: AgreementId, side: Side, clock: Clock = SYSTEM_CLOCK) -> bytes:
    """Return a signed paper as it was uploaded.

    Raises
    ------
    NotFoundError
        That side signed on no paper.
    """
    with unit_of_work():
        require_may_manage(actor)
        agreement = _get(agreement_id)
        row = Signature.objects.filter(agreement=agreement, side=side).exclude(paper_object_id=None).first()
        if row is None or row.paper_object_id is None:
            raise NotFoundError
        record(actor=actor, entry=_entry("agreement.read", agreement, side=side.value), clock=clock)
    paper = Paper(row.paper_object_id, bytes(row.paper_wrapped_key), row.paper_size_bytes, row.paper_sha256)
    return read_paper(actor.tenant_id, paper)


def list_paper_ids() -> set[UUID]:
    """Return the objects of the tenant's papers: what sweeps the store leaves them."""
    ids = Signature.objects.exclude(paper_object_id=None).values_list("paper_object_id", flat=True)
    return {one for one in ids if one is not None}


@atomic_service
def record_notice(
    *, actor: Actor, notice_id: UUID, given_on: Any, reference: str, clock: Clock = SYSTEM_CLOCK
) -> TransferNotice:
    """Record that the authority was notified of a standard contract (KVKK art. 9(5)).

    Raises
    ------
    IllegalStepError
        It was recorded before.
    """
    require_may_manage(actor)
    notice = TransferNotice.objects.select_for_update().filter(pk=notice_id).first()
    if notice is None:
        raise NotFoundError
    if notice.given_on is not None:
        raise IllegalStepError("This notice was recorded before.")
    notice.given_on, notice.reference, notice.recorded_by = given_on, reference, actor.id
    notice.save(update_fields=["given_on", "reference", "recorded_by"])
    detail = {"notice_id": str(notice.pk), "agreement_id": str(notice.agreement_id), "given_on": str(given_on)}
    record(actor=actor, entry=Entry(Kind.CONFIGURATION, "transfer_notice.given", detail=detail), clock=clock)
    return notice


def _open_notices(agreement: Agreement, content: Content, clock: Clock) -> None:
    deadline = notice_deadline(clock.now())
    for basis in content.terms.transfers:
        if basis.kind is TransferKind.KVKK_STANDARD_CONTRACT:
            # A contract that an earlier version of this agreement carried over was notified then.
            if TransferNotice.objects.filter(recipient=basis.recipient, region=basis.region).exists():
                continue
            TransferNotice.objects.create(
                agreement=agreement,
                recipient=basis.recipient,
                region=basis.region,
                signed_on=clock.now().astimezone(ISTANBUL).date(),
                due_on=deadline.day,
            )


def require_may_manage(actor: Actor) -> None:
    """Let those who look after agreements go on; raises `Refused` for everybody else."""
    require_permission(actor, AdminPermission.AGREEMENT_MANAGE)


def _get(agreement_id: AgreementId) -> Agreement:
    agreement = Agreement.objects.filter(pk=agreement_id).first()
    if agreement is None:
        raise NotFoundError
    return agreement


def _lock(agreement_id: AgreementId) -> Agreement:
    # One at a time for a tenant: two versions of an agreement never move past each other.
    with connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(hashtextextended('agreements ' || gantry.current_tenant(), 0))")
    agreement = Agreement.objects.select_for_update().filter(pk=agreement_id).first()
    if agreement is None:
        raise NotFoundError
    return agreement


def _require_step(agreement: Agreement, step: Step) -> Status:
    status = NEXT.get((Status(agreement.status), step))
    if status is None:
        state = agreement.status.replace("_", " ")
        raise IllegalStepError(f"An agreement that is {state} cannot take the step {step.replace('_', ' ')}.")
    return status


def _advance(
    actor: Actor, agreement: Agreement, step: Step, status: Status, clock: Clock, *, reason: str = "", **detail: str
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
    if step is not Step.EDIT:
        _announce(agreement, clock)


def _announce(agreement: Agreement, clock: Clock) -> None:
    changed = AgreementChanged(agreement_id=agreement.pk, version=agreement.version, status=agreement.status)
    emit(changed, streams=(COMPLIANCE,), clock=clock)
    if agreement.status in ENDED:
        ended = AgreementEnded(
            agreement_id=agreement.pk,
            version=agreement.version,
            status=agreement.status,
            disposition=agreement.disposition,
        )
        emit(ended, streams=(COMPLIANCE,), clock=clock)


def _entry(action: str, agreement: Agreement, **detail: str) -> Entry:
    facts = {"agreement_id": str(agreement.pk), "version": agreement.version}
    if agreement.document_sha256:
        facts["document_sha256"] = agreement.document_sha256
    return Entry(kind=Kind.CONFIGURATION, action=action, detail={**facts, **detail})
