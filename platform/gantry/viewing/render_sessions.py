"""Render sessions: opened through the gate, redeemed once. How they go on and end: `gantry.viewing.leases`.

A render pod knows no tenant: what it redeems names one under our signature.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

from gantry.analyses.public import Shape, list_shapes
from gantry.audit.public import record_access
from gantry.foundation.scope import atomic_service, tenant_scope
from gantry.foundation.tracing import current_trace
from gantry.kernel.actor import Actor, Subject, system_actor
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.kernel.decision import Decision
from gantry.kernel.errors import NotFoundError
from gantry.kernel.ids import TenantId, new_uuid
from gantry.studies.public import (
    PackState,
    PackStatus,
    Series,
    get_pack,
    request_pack,
    stored_ref,
)
from gantry.vault.public import KeyDestroyedError, Secret, StoredRef, get_vault
from gantry.viewing.domain import NEXT, RenderState, RenderStep, states_before
from gantry.viewing.errors import RenderUnavailableError, SessionEndedError, TicketRefusedError
from gantry.viewing.models import RenderSession
from gantry.viewing.pod_alerts import record_refused_ticket
from gantry.viewing.readers import GONE, SIGNED_OUT, recall_reader, require_series_drawn, sign_in_of
from gantry.viewing.tickets import open_ticket, sign_ticket
from gantry_render.protocol import LEASE_ENDS_S, TICKET_LIVES_S, TicketClaims


@dataclass(frozen=True, slots=True)
class Opened:
    """What a viewer is told: `ready` with a ticket, or `preparing`, or `refused` with the reason."""

    state: Literal["ready", "preparing", "refused"]
    session_id: UUID | None = None
    ticket: str = field(default="", repr=False)
    code: str = ""
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """An object in the store and the key that opens it alone."""

    tenant_id: UUID
    object_id: UUID
    size_bytes: int
    data_key: Secret = field(repr=False)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a pod needs to draw one series for one reader."""

    session_id: UUID
    tenant_id: UUID
    study_id: UUID
    series_id: UUID
    modality: str
    pack: ObjectRef
    shapes: tuple[tuple[Shape, ObjectRef], ...]
    lease_ends_s: float = LEASE_ENDS_S


@atomic_service
def open_render_session(
    *,
    actor: Actor,
    study_id: UUID,
    series_id: UUID,
    session_id: UUID | None,
    address: str,
    is_service_there: bool,
    clock: Clock = SYSTEM_CLOCK,
) -> Opened:
    """Decide whether a reader may have a series drawn, and give them a ticket for it.

    Parameters
    ----------
    session_id
        The viewing session that goes on, after a broken connection or on another pod. One that is not the
        reader's own, of another series, or over, counts as none.
    address
        Where the reader is: the place is decided anew from it as long as the session lasts.
    is_service_there
        Whether a render service would answer.

    Raises
    ------
    NotFoundError
        No such study or series for this actor.
    Refused
        Known, but not allowed.
    RenderUnavailableError
        Allowed, but nobody is there to draw.
    """
    series, subject, decision = require_series_drawn(actor, study_id, series_id, clock)
    if not is_service_there:
        raise RenderUnavailableError
    pack = get_pack(series)
    if pack.state is not PackState.READY:
        return _without_pack(series, pack, clock)
    _record_opening(actor, series, subject, decision, clock)
    session = _own_session(actor, series, session_id)
    if session is None:
        session = RenderSession(study_id=study_id, series=series, opened_at=clock.now())
        session.actor_kind, session.actor_id, session.user_id = actor.kind, actor.id, actor.user_id
        session.role, session.login = actor.role, actor.session
    session.state = NEXT[RenderState(session.state), RenderStep.ISSUE]
    session.address = address[:64]
    session.ticket_id = new_uuid()
    expires_at = int(clock.now().timestamp()) + TICKET_LIVES_S
    session.ticket_expires_at = datetime.fromtimestamp(expires_at, tz=UTC)
    session.save()
    claims = TicketClaims(session.ticket_id, session.pk, session.tenant_id, series.pk, expires_at, current_trace())
    return Opened("ready", session.pk, sign_ticket(claims))


def _without_pack(series: Series, pack: PackStatus, clock: Clock) -> Opened:
    """Ask for the pack that is missing, and say what the reader waits for or cannot have.

    What failed is told as that, though it is tried again from now on: who waits is not kept waiting for something that
    does not come. What an agreement refused is waited for once it no longer does.
    """
    asked = request_pack(series_id=series.pk, clock=clock)
    if asked is PackState.PREPARING and pack.state is not PackState.FAILED:
        return Opened("preparing", code="pack.preparing", sentence="The images are being prepared for this viewer.")
    return Opened("refused", code=pack.code, sentence=pack.sentence)


def _record_opening(actor: Actor, series: Series, subject: Subject, decision: Decision, clock: Clock) -> None:
    record_access(
        actor=actor, action="series.rendered", decision=decision, subject=subject, study_id=series.study_id, clock=clock
    )


def _record_results(
    actor: Actor, series: Series, shapes: Sequence[Shape], subject: Subject, decision: Decision, clock: Clock
) -> None:
    """Record which results of AI the pod is given to draw into the series."""
    analyses = ",".join(
        sorted({str(one.instance.series.analysis_id) for one in shapes if one.instance.series.analysis_id})
    )
    if analyses:
        record_access(
            actor=actor, action="ai_results.rendered", decision=decision, subject=subject, study_id=series.study_id,
            detail={"analyses": analyses, "series": str(series.pk)},
            distinct=hashlib.sha256(f"{series.pk}{analyses}".encode()).hexdigest(), clock=clock,
        )  # fmt: skip


def _own_session(actor: Actor, series: Series, session_id: UUID | None) -> RenderSession | None:
    """Return the actor's session of a series, locked, if it is there and can go on."""
    if session_id is None:
        return None
    rows = RenderSession.objects.select_for_update().filter(
        pk=session_id,
        series=series,
        actor_id=actor.id,
        role=actor.role,
        login=actor.session,
        state__in=states_before(RenderStep.ISSUE),
    )
    return rows.first()


def redeem_ticket(*, ticket: str, pod: str, clock: Clock = SYSTEM_CLOCK) -> Manifest:
    """Turn a ticket into what a pod needs to draw the series; it is good for this once.

    The gate is asked again as the reader who opened the session. Whatever is refused is in the audit trail.

    Raises
    ------
    TicketRefusedError
        `ticket.malformed`, `ticket.forged`, `ticket.expired`, `ticket.used`.
    SessionEndedError, Refused
        The ticket is good, and the reader may not (any more).
    """
    try:
        claims = open_ticket(ticket)
    except TicketRefusedError as refused:
        record_refused_ticket(claims=None, pod=pod, code=refused.code, clock=clock)
        raise
    try:
        with tenant_scope(system_actor(TenantId(claims.tenant_id))):
            actor = _reader_of(claims, clock)
            with tenant_scope(actor):
                return _redeem(actor, claims, pod, clock)
    except (TicketRefusedError, SessionEndedError) as refused:
        record_refused_ticket(claims=claims, pod=pod, code=refused.code, clock=clock)
        raise


@atomic_service
def _reader_of(claims: TicketClaims, clock: Clock) -> Actor:
    """Return who opened the session that a ticket speaks of, as they are now; nothing is spent yet."""
    if clock.now().timestamp() >= claims.expires_at:
        raise TicketRefusedError("ticket.expired", "This ticket has run out; the viewer asks for a new one.")
    session = RenderSession.objects.filter(
        pk=claims.session_id, series_id=claims.series_id, ticket_id=claims.ticket_id
    ).first()
    if session is None:
        raise TicketRefusedError("ticket.used", "This ticket was used, or another was issued after it.")
    actor, code = recall_reader(sign_in_of(session), clock)
    if actor is None:
        raise SessionEndedError(code, SIGNED_OUT if code == "session.signed_out" else GONE)
    return actor


@atomic_service
def _redeem(actor: Actor, claims: TicketClaims, pod: str, clock: Clock) -> Manifest:
    # The one statement that makes a ticket good for a single use: whoever comes second finds nothing to change.
    spent = RenderSession.objects.filter(
        pk=claims.session_id,
        series_id=claims.series_id,
        ticket_id=claims.ticket_id,
        ticket_expires_at__gt=clock.now(),
        state__in=states_before(RenderStep.REDEEM),
    ).update(ticket_id=None, state=RenderState.REDEEMED, pod=pod, redeemed_at=clock.now())
    if spent != 1:
        raise TicketRefusedError("ticket.used", "This ticket was used, or another was issued after it.")
    session = RenderSession.objects.get(pk=claims.session_id)
    try:
        series, subject, decision = require_series_drawn(actor, session.study_id, session.series_id, clock)
    except NotFoundError:
        raise SessionEndedError("session.absent", GONE) from None
    pack = get_pack(series)
    if pack.ref is None:
        raise SessionEndedError("pack.preparing", "The images have changed and are being prepared anew.")
    _record_opening(actor, series, subject, decision, clock)
    shapes = list_shapes(actor=actor, series=series)
    _record_results(actor, series, shapes, subject, decision, clock)
    session.shapes = [shape.instance.pk for shape in shapes]
    session.save(update_fields=["shapes"])
    return Manifest(
        session_id=session.pk,
        tenant_id=session.tenant_id,
        study_id=session.study_id,
        series_id=series.pk,
        modality=series.modality,
        pack=_object_ref(pack.ref),
        shapes=tuple((shape, _object_ref(stored_ref(shape.instance, session.tenant_id))) for shape in shapes),
    )


def _object_ref(ref: StoredRef) -> ObjectRef:
    try:
        data_key = get_vault().keys.unwrap(ref.tenant_id, ref.key_id, ref.wrapped_key, object_id=ref.object_id)
    except KeyDestroyedError:
        raise SessionEndedError("session.erased", "This series was erased.") from None
    return ObjectRef(ref.tenant_id, ref.object_id, ref.size_bytes, data_key)
