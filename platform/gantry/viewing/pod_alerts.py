"""What render pods give cause to record: tickets that are worth nothing, and a pod that speaks for another."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import structlog
from django.conf import settings

from gantry.audit.public import Entry, Kind, Outcome, record, record_platform
from gantry.foundation.scope import atomic_service, tenant_scope
from gantry.foundation.web.correlation import correlation_id
from gantry.kernel.actor import system_actor
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.kernel.ids import TenantId
from gantry.viewing.errors import TicketRefusedError
from gantry.viewing.tickets import open_ticket
from gantry_render.protocol import TicketClaims

log = structlog.get_logger(__name__)

#: Alerts that this process records for one key at once, and then each second: nobody fills the trail through a pod.
_BURST: Final = 60
_EACH_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class RefusedTicket:
    """A ticket that a pod refused by itself, and how often since it last said so."""

    ticket: str = field(repr=False)
    code: str
    count: int


class _Allowance:
    """How many alerts may still be recorded; used from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left = float(_BURST)
        self._since: datetime | None = None

    def take(self, now: datetime) -> bool:
        with self._lock:
            if self._since is not None:
                self._left = min(_BURST, self._left + max(0.0, (now - self._since).total_seconds()) * _EACH_S)
            self._since = now
            if self._left < 1:
                return False
            self._left -= 1
            return True


_allowances: defaultdict[str, _Allowance] = defaultdict(_Allowance)


def _may_record(pod: str, clock: Clock) -> bool:
    # Pods with a key of their own have an allowance each; whoever shares a key may call itself anything.
    return _allowances[pod if pod in settings.RENDER_POD_KEYS else ""].take(clock.now())


def record_reported_tickets(*, pod: str, tickets: Sequence[RefusedTicket], clock: Clock = SYSTEM_CLOCK) -> None:
    """Record what a pod refused without asking: with the tenant where we signed it, else with the platform."""
    for number, refused in enumerate(tickets):
        if not _may_record(pod, clock):
            log.warning("pod_alerts.dropped", pod=pod, count=sum(each.count for each in tickets[number:]))
            return
        try:
            claims = open_ticket(refused.ticket)
        except TicketRefusedError:
            claims = None
        record_refused_ticket(claims=claims, pod=pod, code=refused.code, count=refused.count, clock=clock)


def record_refused_ticket(
    *, claims: TicketClaims | None, pod: str, code: str, count: int = 1, clock: Clock = SYSTEM_CLOCK
) -> None:
    """Record that a ticket was worth nothing; without claims nobody knows whose it was to be."""
    detail = {"code": code, "pod": pod, **({"count": str(count)} if count > 1 else {})}
    if claims is None:
        _alert("render_ticket.refused", detail, clock)
        return
    detail |= {"session_id": str(claims.session_id), "series_id": str(claims.series_id)}
    with tenant_scope(system_actor(TenantId(claims.tenant_id))):
        _record_with_tenant(claims, detail, clock)


def record_misnamed_pod(*, owner: str, claimed: str, clock: Clock = SYSTEM_CLOCK) -> None:
    """Record that the key of one pod came with the name of another."""
    if _may_record(owner, clock):
        _alert("render_pod.misnamed", {"pod": owner, "claimed": claimed}, clock)


@atomic_service
def _record_with_tenant(claims: TicketClaims, detail: dict[str, str], clock: Clock) -> None:
    entry = Entry(kind=Kind.SECURITY_ALERT, action="render_ticket.refused", outcome=Outcome.REFUSED, detail=detail)
    record(actor=system_actor(TenantId(claims.tenant_id)), entry=entry, clock=clock)


def _alert(action: str, detail: dict[str, str], clock: Clock) -> None:
    record_platform(
        kind=Kind.SECURITY_ALERT,
        action=action,
        outcome=Outcome.REFUSED,
        user_id=None,
        correlation_id=correlation_id(),
        detail=detail,
        clock=clock,
    )
