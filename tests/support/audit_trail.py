"""The audit trail as the auditor's database role sees it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from django.conf import settings
from psycopg.rows import dict_row

from gantry.foundation.context import sign_context
from world import World


@dataclass
class Trail:
    """One tenant's events, oldest first; `new()` are those since the last look."""

    connect: Callable[[str], Any]
    world: World

    def __post_init__(self) -> None:
        self._seen: set[str] = set()
        self.new()

    def all(self) -> list[dict[str, Any]]:
        return self._query("select * from audit_auditevent order by occurred_at, id")

    def count(self, *, role: str, actions: Collection[str]) -> int:
        """Return how many events of these actions somebody of a role has left."""
        query = "select count(*) as n from audit_auditevent where role = %s and action = any(%s)"
        return int(self._query(query, role, list(actions))[0]["n"])

    def _query(self, query: str, *values: object) -> list[dict[str, Any]]:
        with self.connect("auditor") as connection, connection.transaction():
            context = sign_context(
                settings.CONTEXT_KEY,
                tenant_id=self.world.tenant_id,
                actor_id=uuid4(),
                backend_pid=connection.info.backend_pid,
                expires_at=int(time.time()) + 30,
            )
            connection.execute("select set_config('gantry.context', %s, true)", [context])
            with connection.cursor(row_factory=dict_row) as cursor:
                cursor.execute(query, values)
                return list(cursor.fetchall())

    def new(self) -> list[dict[str, Any]]:
        fresh = [event for event in self.all() if str(event["id"]) not in self._seen]
        self._seen |= {str(event["id"]) for event in fresh}
        return fresh

    def actions(self) -> list[str]:
        """Return the actions of the new events."""
        return [event["action"] for event in self.new()]
