"""Render sessions: opened through the gate, redeemed once, and asked about again every two seconds.

A render pod knows no tenant. What it redeems names one under our signature; what it renews is looked up by a
function of the database that tells tenant and session alone, and only of sessions that this pod holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

import structlog
from django.db import connection
from django.db.models import Q

from gantry.agreements.public import require
from gantry.analyses.public import Shape, list_shapes
from gantry.audit.public import Entry, Kind, Outcome, record, record_access, record_platform
from gantry.foundation.scope import atomic_service, tenant_scope, unit_of_work
from gantry.foundation.web.correlation import correlation_id
from gantry.identity.public import is_session_alive
from gantry.kernel.actor import Actor, Subject, system_actor
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.kernel.decision import Decision, Refused
from gantry.kernel.errors import NotFoundError
from gantry.kernel.ids import StudyId, TenantId, new_uuid
from gantry.kernel.vocabulary import Activity, ActorKind, DataCategory, Role
from gantry.studies.public import (
    PackState,
    PackStatus,
    Series,
    Study,
    get_pack,
    request_pack,
    require_study,
    result_condition,
    stored_ref,
    visible_studies,
)
from gantry.tenancy.public import SignIn, is_token_alive, recall_actor
from gantry.vault.public import KeyDestroyedError, Secret, StoredRef, get_vault
from gantry.viewing.domain import NEXT, RenderState, RenderStep, states_before
from gantry.viewing.errors import RenderUnavailableError, SessionEndedError, TicketRefusedError
from gantry.viewing.models import RenderSession
from gantry.viewing.tickets import open_ticket, sign_ticket
from gantry_render.protocol import LEASE_ENDS_S, TICKET_LIVES_S, TicketClaims

log = structlog.get_logger(__name__)

_GONE = "This series is not, or no longer, yours to see."
_SIGNED_OUT = "The sign-in that opened this has ended. Sign in and open it again."


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


@dataclass(frozen=True, slots=True)
class Ended:
    """A session that a pod must close now."""

    session_id: UUID
    code: str
    sentence: str


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
    series, subject, decision = _require_series(actor, study_id, series_id, clock)
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
    claims = TicketClaims(session.ticket_id, session.pk, session.tenant_id, series.pk, expires_at)
    return Opened("ready", session.pk, sign_ticket(claims))


def _without_pack(series: Series, pack: PackStatus, clock: Clock) -> Opened:
    """Ask for the pack that is missing, and say what the reader waits for or cannot have.

    What was refused or failed is told as that, though it may be tried again from now on: who waits is not kept
    waiting for something that does not come.
    """
    request_pack(series_id=series.pk, clock=clock)
    if pack.state is PackState.PREPARING:
        return Opened("preparing", code="pack.preparing", sentence="The images are being prepared for this viewer.")
    return Opened("refused", code=pack.code, sentence=pack.sentence)


def _record_opening(actor: Actor, series: Series, subject: Subject, decision: Decision, clock: Clock) -> None:
    record_access(
        actor=actor, action="series.rendered", decision=decision, subject=subject, study_id=series.study_id, clock=clock
    )


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
        record_platform(
            kind=Kind.SECURITY_ALERT,
            action="render_ticket.refused",
            outcome=Outcome.REFUSED,
            user_id=None,
            correlation_id=correlation_id(),
            detail={"code": refused.code, "pod": pod},
            clock=clock,
        )
        raise
    platform = system_actor(TenantId(claims.tenant_id))
    try:
        with tenant_scope(platform):
            actor = _reader_of(claims, clock)
            with tenant_scope(actor):
                return _redeem(actor, claims, pod, clock)
    except (TicketRefusedError, SessionEndedError) as refused:
        with tenant_scope(platform):
            _record_refused_ticket(claims, pod, refused.code, clock)
        raise


@atomic_service
def _record_refused_ticket(claims: TicketClaims, pod: str, code: str, clock: Clock) -> None:
    detail = {"code": code, "pod": pod, "session_id": str(claims.session_id), "series_id": str(claims.series_id)}
    entry = Entry(kind=Kind.SECURITY_ALERT, action="render_ticket.refused", outcome=Outcome.REFUSED, detail=detail)
    record(actor=system_actor(TenantId(claims.tenant_id)), entry=entry, clock=clock)


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
    actor, code = _recall(_sign_in(session), clock)
    if actor is None:
        raise SessionEndedError(code, _SIGNED_OUT if code == "session.signed_out" else _GONE)
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
        series, subject, decision = _require_series(actor, session.study_id, session.series_id, clock)
    except NotFoundError:
        raise SessionEndedError("session.absent", _GONE) from None
    pack = get_pack(series)
    if pack.ref is None:
        raise SessionEndedError("pack.preparing", "The images have changed and are being prepared anew.")
    _record_opening(actor, series, subject, decision, clock)
    shapes = list_shapes(actor=actor, series=series)
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


def renew_leases(*, pod: str, session_ids: Sequence[UUID], clock: Clock = SYSTEM_CLOCK) -> list[Ended]:
    """Ask again for each session that a pod holds whether its reader still may, and say which have ended."""
    held = _held(pod, session_ids)
    known = {session_id for ids in held.values() for session_id in ids}
    elsewhere = "This viewing session goes on elsewhere, or is over."
    ended = [Ended(one, "session.superseded", elsewhere) for one in dict.fromkeys(session_ids) if one not in known]
    for tenant_id, ids in held.items():
        with tenant_scope(system_actor(tenant_id)):
            ended += _examine(pod, ids, clock)
    return ended


def _held(pod: str, session_ids: Sequence[UUID]) -> dict[TenantId, list[UUID]]:
    """Return, of some sessions, those that a pod holds, by tenant."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select tenant_id, session_id from gantry.held_render_sessions(%s, %s)", [pod, list(session_ids)]
        )
        rows = cursor.fetchall()
    held: dict[TenantId, list[UUID]] = {}
    for tenant_id, session_id in rows:
        held.setdefault(TenantId(tenant_id), []).append(session_id)
    return held


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What ends a session: the code, a sentence for the reader, and the gate's no where it was that."""

    code: str
    sentence: str = _GONE
    actor: Actor | None = None
    refused: Refused | None = None


@atomic_service
def _examine(pod: str, session_ids: Sequence[UUID], clock: Clock) -> list[Ended]:
    """End the sessions of one tenant whose readers may not go on; each is recorded with what ended it.

    A reader with nine viewports has nine sessions: what is the same for all of them is asked once.
    """
    rows = RenderSession.objects.filter(pk__in=session_ids, pod=pod, state=RenderState.REDEEMED)
    of_reader: dict[SignIn, list[RenderSession]] = {}
    for session in rows.order_by("pk"):
        of_reader.setdefault(_sign_in(session), []).append(session)
    ended = []
    for kept, sessions in of_reader.items():
        for session, verdict in _judge_reader(kept, sessions, clock):
            if _end(session, verdict.code, clock):
                _record_end(session, verdict, clock)
                ended.append(Ended(session.pk, verdict.code, verdict.sentence))
    return ended


def _judge_reader(
    kept: SignIn, sessions: Sequence[RenderSession], clock: Clock
) -> Iterator[tuple[RenderSession, _Verdict]]:
    """Yield those of one reader's sessions that must end, and why."""
    actor, code = _recall(kept, clock)
    if actor is None:
        for session in sessions:
            yield session, _Verdict(code, _SIGNED_OUT if code == "session.signed_out" else _GONE)
        return
    of_study: dict[UUID, list[RenderSession]] = {}
    for session in sessions:
        of_study.setdefault(session.study_id, []).append(session)
    for study_id, in_study in of_study.items():
        try:
            _require_study(actor, study_id, clock)
        except NotFoundError:
            yield from ((session, _Verdict("session.absent", actor=actor)) for session in in_study)
        except Refused as refused:
            is_hidden = refused.decision.is_hidden
            told = ("session.absent", _GONE) if is_hidden else (refused.code, str(refused))
            yield from ((session, _Verdict(*told, actor, refused)) for session in in_study)
        else:
            yield from _judge_series(actor, study_id, in_study)


def _judge_series(
    actor: Actor, study_id: UUID, sessions: Sequence[RenderSession]
) -> Iterator[tuple[RenderSession, _Verdict]]:
    """Yield the sessions whose series, or a result drawn into it, the reader may no longer see."""
    wanted = {session.series_id for session in sessions}
    rows = Series.objects.filter(pk__in=wanted, study_id=study_id).filter(result_condition(actor))
    visible = {series.pk: series for series in rows}
    shown: dict[UUID, set[UUID]] = {}
    for session in sessions:
        series = visible.get(session.series_id)
        if series is None:
            yield session, _Verdict("session.absent", actor=actor)
        elif session.shapes:
            if series.pk not in shown:
                shown[series.pk] = {shape.instance.pk for shape in list_shapes(actor=actor, series=series)}
            if not set(session.shapes) <= shown[series.pk]:
                yield (
                    session,
                    _Verdict("results.changed", "A result that was shown here is no longer available.", actor),
                )


def _end(session: RenderSession, code: str, clock: Clock) -> bool:
    """End a session, unless somebody else just did or another pod took it over."""
    rows = RenderSession.objects.filter(pk=session.pk, pod=session.pod, state__in=states_before(RenderStep.END))
    return bool(
        rows.update(state=RenderState.ENDED, ended_at=clock.now(), end_code=code, ticket_id=None, pod="", shapes=[])
    )


def _record_end(session: RenderSession, verdict: _Verdict, clock: Clock) -> None:
    actor = verdict.actor or system_actor(TenantId(session.tenant_id))
    of_study = Subject(actor.tenant_id, DataCategory.PIXEL_DATA, study_id=StudyId(session.study_id))
    entry = Entry(
        kind=Kind.SECURITY_ALERT,
        action="render_session.ended",
        outcome=Outcome.REFUSED,
        decision=verdict.refused.decision if verdict.refused else None,
        subject=verdict.refused.subject if verdict.refused else of_study,
        detail={"code": verdict.code, "session_id": str(session.pk), "reader_id": str(session.actor_id)},
    )
    record(actor=actor, entry=entry, clock=clock)


def release_sessions(*, pod: str, session_ids: Sequence[UUID]) -> None:
    """Take sessions from a pod that no longer holds them; a new ticket may take each elsewhere."""
    for tenant_id, ids in _held(pod, session_ids).items():
        with tenant_scope(system_actor(tenant_id)), unit_of_work():
            rows = RenderSession.objects.filter(pk__in=ids, pod=pod, state__in=states_before(RenderStep.RELEASE))
            rows.update(state=RenderState.ISSUED, pod="", shapes=[])


def forget_render_sessions(*, older_than: timedelta, clock: Clock = SYSTEM_CLOCK) -> None:
    """Delete the scope's sessions that nobody holds and that were opened long ago; the audit trail keeps what counts."""
    with unit_of_work():
        over = Q(opened_at__lt=clock.now() - older_than) & ~Q(state=RenderState.REDEEMED)
        RenderSession.objects.filter(over).delete()


def _sign_in(session: RenderSession) -> SignIn:
    return SignIn(
        kind=ActorKind(session.actor_kind),
        actor_id=session.actor_id,
        user_id=session.user_id,
        role=Role(session.role),
        address=session.address,
        session=session.login,
    )


def _recall(kept: SignIn, clock: Clock) -> tuple[Actor | None, str]:
    """Return who opened a session as they are now, or `None` and the code of what they are no longer."""
    if not is_session_alive(kept.session, clock=clock) and not is_token_alive(kept.session, clock=clock):
        return None, "session.signed_out"
    actor = recall_actor(kept, clock=clock)
    return actor, "" if actor else "session.absent"


def _require_study(actor: Actor, study_id: UUID, clock: Clock) -> tuple[Study, Subject, Decision]:
    """Return a study that an actor may look at and have drawn by the server."""
    study, subject, decision = require_study(
        actor,
        visible_studies(actor).filter(pk=study_id),
        activity=Activity.VIEW,
        category=DataCategory.PIXEL_DATA,
        clock=clock,
    )
    # Looking is one thing, the server's working on pixels another: an agreement may keep those in the browser.
    require(actor=actor, activity=Activity.RENDER, subject=subject, clock=clock)
    return study, subject, decision


def _require_series(actor: Actor, study_id: UUID, series_id: UUID, clock: Clock) -> tuple[Series, Subject, Decision]:
    study, subject, decision = _require_study(actor, study_id, clock)
    series = Series.objects.filter(pk=series_id, study=study).filter(result_condition(actor)).first()
    if series is None:
        raise NotFoundError
    return series, subject, decision
