"""Leases: pods name the sessions that they hold, and are told which of them have ended.

Sessions are looked up by a function of the database that tells tenant and session alone, and only of those that the
pod holds; the rest is asked in that tenant's scope.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db import connection
from django.db.models import Q

from gantry.analyses.public import list_shapes
from gantry.audit.public import Entry, Kind, Outcome, record
from gantry.foundation.scope import atomic_service, tenant_scope, unit_of_work
from gantry.kernel.actor import Actor, Subject, system_actor
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.kernel.decision import Refused
from gantry.kernel.errors import NotFoundError
from gantry.kernel.ids import StudyId, TenantId
from gantry.kernel.vocabulary import DataCategory
from gantry.studies.public import Series, result_condition
from gantry.tenancy.public import SignIn
from gantry.viewing.domain import RenderState, RenderStep, states_before
from gantry.viewing.models import RenderSession
from gantry.viewing.readers import GONE, SIGNED_OUT, recall_reader, require_study_drawn, sign_in_of


@dataclass(frozen=True, slots=True)
class Ended:
    """A session that a pod must close now."""

    session_id: UUID
    code: str
    sentence: str


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
    sentence: str = GONE
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
        of_reader.setdefault(sign_in_of(session), []).append(session)
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
    actor, code = recall_reader(kept, clock)
    if actor is None:
        for session in sessions:
            yield session, _Verdict(code, SIGNED_OUT if code == "session.signed_out" else GONE)
        return
    of_study: dict[UUID, list[RenderSession]] = {}
    for session in sessions:
        of_study.setdefault(session.study_id, []).append(session)
    for study_id, in_study in of_study.items():
        try:
            require_study_drawn(actor, study_id, clock)
        except NotFoundError:
            yield from ((session, _Verdict("session.absent", actor=actor)) for session in in_study)
        except Refused as refused:
            is_hidden = refused.decision.is_hidden
            told = ("session.absent", GONE) if is_hidden else (refused.code, str(refused))
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
