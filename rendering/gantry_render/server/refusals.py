"""Tickets that this pod refused by itself: told to the control plane, which keeps the audit trail, in few messages."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Final

import structlog

from gantry_render.protocol import MAX_REPORTED_TICKETS
from gantry_render.server.control import ControlError, ControlPlane, RefusedTicket

log = structlog.get_logger(__name__)

REPORT_EVERY_S: Final = 2.0
_LONGEST_TICKET: Final = 1024
"""Ours have some 350 characters."""


@dataclass(slots=True)
class Refusals:
    """Counts refused tickets, and tells them: the first at once, others every few seconds. On the loop's thread.

    Forged ones say nothing of where they come from and are counted together; of those that we signed each is told.

    Parameters
    ----------
    control
        Is told.
    every_s
        Least time between two reports.
    """

    control: ControlPlane
    every_s: float = REPORT_EVERY_S
    _waiting: dict[str, RefusedTicket] = field(default_factory=dict)
    _telling: asyncio.Task[None] | None = None

    def note(self, ticket: str, code: str) -> None:
        """Take a refused ticket."""
        key = code if code == "ticket.forged" else ticket[:_LONGEST_TICKET]
        if key not in self._waiting and len(self._waiting) >= MAX_REPORTED_TICKETS:
            key = next((one for one, each in self._waiting.items() if each.code == code), next(iter(self._waiting)))
        before = self._waiting.get(key)
        if before is None:
            self._waiting[key] = RefusedTicket(ticket[:_LONGEST_TICKET], code, 1)
        else:
            self._waiting[key] = RefusedTicket(before.ticket, before.code, before.count + 1)
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell())

    async def close(self) -> None:
        """Tell what is left, once."""
        if self._telling is not None:
            self._telling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._telling
        await self._tell_once()

    async def _tell(self) -> None:
        while self._waiting:
            await self._tell_once()
            await asyncio.sleep(self.every_s)

    async def _tell_once(self) -> None:
        told, self._waiting = self._waiting, {}
        if not told:
            return
        try:
            await self.control.report(tuple(told.values()))
        except ControlError as error:
            log.warning("refusals_not_told", why=str(error), count=sum(each.count for each in told.values()))
            # They go with the next report.
            for key, each in told.items():
                later = self._waiting.get(key)
                if later is not None or len(self._waiting) < MAX_REPORTED_TICKETS:
                    count = each.count + (later.count if later else 0)
                    self._waiting[key] = RefusedTicket(each.ticket, each.code, count)
