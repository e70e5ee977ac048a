"""Who may look on, and for how long that is known. Pure: time comes in as seconds of any steady clock."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from gantry_render.protocol import LEASE_ENDS_S, LEASE_EVERY_S
from gantry_render.server.errors import SessionError


class Open(Protocol):
    """An open session, as the pod sees it."""

    @property
    def session_id(self) -> str: ...

    async def end(self, error: SessionError) -> None:
        """Say why, close."""


@dataclass(slots=True, eq=False)
class Lease:
    """One open session, and when the platform was asked for the answer that lets it go on."""

    client: Open
    confirmed_at: float


class Leases:
    """Open sessions by name.

    The platform is asked every `LEASE_EVERY_S`, and `lapsed` after each answer or instead of one: none goes on for longer
    than `LEASE_ENDS_S` after the last question that was answered.
    """

    def __init__(self) -> None:
        self._leases: dict[str, Lease] = {}

    def __len__(self) -> int:
        return len(self._leases)

    @property
    def clients(self) -> list[Open]:
        """Who looks on."""
        return [lease.client for lease in self._leases.values()]

    def enter(self, client: Open, asked_at: float) -> Open | None:
        """Note a session whose ticket was sent to be redeemed at `asked_at`; return one of its name, from before."""
        before = self._leases.get(client.session_id)
        self._leases[client.session_id] = Lease(client, asked_at)
        return before.client if before is not None else None

    def leave(self, client: Open) -> bool:
        """Forget a session; False where another has taken its name."""
        lease = self._leases.get(client.session_id)
        if lease is None or lease.client is not client:
            return False
        del self._leases[client.session_id]
        return True

    def ask(self) -> Mapping[str, Lease]:
        """Return what the platform is to be asked about now."""
        return dict(self._leases)

    @staticmethod
    def confirm(asked: Mapping[str, Lease], asked_at: float, ended: Collection[str]) -> None:
        """Take an answer to a question of `asked_at`; those that `ended` are no longer confirmed."""
        for session, lease in asked.items():
            if session not in ended:
                lease.confirmed_at = asked_at

    def lapsed(self, now: float) -> list[Open]:
        """Return those that may not go on."""
        # The next look comes one period later: what would be too old by then has lapsed.
        latest = now - (LEASE_ENDS_S - LEASE_EVERY_S)
        return [lease.client for lease in self._leases.values() if lease.confirmed_at < latest]
