"""Giving committed events their places: one transaction takes what is new, and nothing is ever taken twice.

Which events are new is asked of the database's own snapshot. An event that commits late is not visible, and so is
left for a later round; it cannot be missed, because the horizon below which nobody looks any more never passes the
oldest transaction still running. Nothing gets a place before it is committed, since what is not cannot be seen.
Within a round events are ordered by when they were recorded; so an event whose transaction began after another's
was committed always comes after it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import psycopg

from gantry.audit.checkpoints import Connection, log_size, open_tree
from gantry.audit.line import PLATFORM_LOG, LedgerEvent, format_line, leaf_hash
from gantry.audit.merkle import Frontier
from gantry.audit.rows import PLATFORM_COLUMNS, TENANT_COLUMNS, patients_of, platform_event, tenant_event

BATCH: Final = 4000
_CACHED_LOGS: Final = 10_000
_HORIZON_LAG: Final = 1000


class WrongClusterError(RuntimeError):
    """The rows came here from another cluster, whose transaction numbers mean nothing in this one."""


@dataclass(frozen=True, slots=True)
class Round:
    """What one round did. `sizes` are the new sizes of the logs that grew."""

    sizes: Mapping[UUID, int]
    events: int
    is_full: bool


@dataclass(slots=True)
class _Growth:
    """One log in a round."""

    frontier: Frontier
    rows: list[tuple[UUID, int, UUID, bytes, str]] = field(default_factory=list)
    patients: list[tuple[UUID, UUID, int, int]] = field(default_factory=list)
    nodes: list[tuple[UUID, int, int, bytes]] = field(default_factory=list)


class Sequencing:
    """Rounds over one connection of the role `gantry_sequencer`, in autocommit mode.

    It remembers the right edge of the trees it grew, which holds only as long as nobody else grows them: whoever
    is told by an exception that a round failed throws it away.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._frontiers: dict[UUID, Frontier] = {}

    def frontier(self, log: UUID) -> Frontier:
        """Return the right edge of a log's tree."""
        if log not in self._frontiers:
            self._frontiers[log] = self._load(log)
        return self._frontiers[log]

    def run(self, *, batch: int = BATCH) -> Round:
        """Take up to `batch` new events of the tenants, and as many of the platform.

        Raises
        ------
        WrongClusterError
            The database was loaded from a dump; `gantry migrate` makes it this cluster's.
        """
        connection = self._connection
        with connection.transaction():
            # One snapshot for everything, so that a second sequencer fails at the lock below instead of repeating our
            # work. What is new is few among many: never by reading a whole table, whatever the statistics say.
            connection.execute(
                "set transaction isolation level repeatable read; set local enable_hashjoin = off; "
                "set local enable_mergejoin = off; set local enable_seqscan = off"
            )
            row = connection.execute(
                "select s.horizon::text, s.system_identifier, c.system_identifier, "
                "pg_snapshot_xmin(pg_current_snapshot())::text from audit_sequencer s, pg_control_system() c"
            ).fetchone()
            assert row is not None
            horizon, known, here, running = row
            if known is not None and known != here:
                raise WrongClusterError("The ledger was loaded from another cluster: run `gantry migrate`.")
            tenants = _new_rows(connection, "audit_auditevent", TENANT_COLUMNS, horizon, batch)
            platform = _new_rows(connection, "audit_platformevent", PLATFORM_COLUMNS, horizon, batch)
            # Of a full batch the last transaction may have more, and so may every later one.
            full = [int(rows[-1][0]) for rows in (tenants, platform) if len(rows) == batch]
            reached = min([int(running), *full])
            growths: dict[UUID, _Growth] = {}
            # Where nothing happens nothing is written: the horizon may lag behind by a few transactions.
            if tenants or platform or known is None or reached - int(horizon) > _HORIZON_LAG:
                connection.execute("select from audit_sequencer for update")
                growths = self._grow(tenants, platform)
                _store(connection, growths)
                connection.execute(
                    "update audit_sequencer set horizon = %s::text::xid8, system_identifier = %s", [str(reached), here]
                )
        for log, growth in growths.items():
            self._frontiers[log] = growth.frontier
        while len(self._frontiers) > _CACHED_LOGS:
            del self._frontiers[next(iter(self._frontiers))]
        events = sum(len(growth.rows) for growth in growths.values())
        return Round({log: growth.frontier.size for log, growth in growths.items()}, events, is_full=bool(full))

    def _grow(self, tenants: list[Any], platform: list[Any]) -> dict[UUID, _Growth]:
        wanted = {(row[2], pseudonym) for row in tenants for pseudonym in patients_of(row[23], row[24])}
        heads = _patient_heads(self._connection, wanted)
        growths: dict[UUID, _Growth] = {}
        order: list[tuple[datetime, UUID, Any, bool]] = [(row[4], row[1], row[1:], True) for row in tenants]
        order += [(row[3], row[1], row[1:], False) for row in platform]
        order.sort(key=lambda item: item[:2])
        for _, _, row, is_tenants in order:
            log = row[1] if is_tenants else PLATFORM_LOG
            if log not in growths:
                known = self._frontiers.pop(log, None)  # back at the end: the least used are forgotten first
                growths[log] = _Growth(Frontier(known.size, known.peaks) if known else self._load(log))
                if known:
                    self._frontiers[log] = known
            growth = growths[log]
            index = growth.frontier.size
            if is_tenants:
                counters = []
                for pseudonym in patients_of(row[22], row[23]):
                    heads[log, pseudonym] += 1
                    counters.append(heads[log, pseudonym])
                    growth.patients.append((log, pseudonym, counters[-1], index))
                event = tenant_event(row, index=index, counters=counters)
            else:
                event, counters = platform_event(row, index=index), []
            _append(growth, event, counters)
        return growths

    def _load(self, log: UUID) -> Frontier:
        size = log_size(self._connection, log)
        return open_tree(self._connection, log, size).frontier()


def _append(growth: _Growth, event: LedgerEvent, counters: list[int]) -> None:
    leaf = leaf_hash(format_line(event))
    growth.rows.append((event.log, event.index, event.id, leaf, f"{{{','.join(map(str, counters))}}}"))
    growth.nodes += [(event.log, level, at, digest) for level, at, digest in growth.frontier.append(leaf)]


def _new_rows(connection: Connection, table: str, columns: str, horizon: str, batch: int) -> list[Any]:
    query = psycopg.sql.SQL(
        "select e.xid::text, {columns} from {table} e where e.xid >= %s::text::xid8 "
        "and not exists (select from audit_sequence s where s.event_id = e.id) "
        "order by e.xid, e.recorded_at, e.id limit %s"
    ).format(columns=psycopg.sql.SQL(columns), table=psycopg.sql.Identifier(table))
    return connection.execute(query, [horizon, batch]).fetchall()


def _patient_heads(connection: Connection, wanted: Iterable[tuple[UUID, UUID]]) -> defaultdict[tuple[UUID, UUID], int]:
    """Return how many events each patient has had."""
    pairs = list(wanted)
    rows = connection.execute(
        "select p.log_id, p.pseudonym, h.counter from unnest(%s::uuid[], %s::uuid[]) p (log_id, pseudonym) "
        "cross join lateral (select a.counter from audit_patient a where a.log_id = p.log_id "
        "and a.pseudonym = p.pseudonym order by a.counter desc limit 1) h",
        [[log for log, _ in pairs], [pseudonym for _, pseudonym in pairs]],
    )
    return defaultdict(int, {(log, pseudonym): counter for log, pseudonym, counter in rows})


_INSERTS: Final = {
    "rows": (
        "insert into audit_sequence (log_id, index, event_id, leaf, counters) "
        "select a, b, c, d, e::bigint[] from unnest(%s::uuid[], %s::int8[], %s::uuid[], %s::bytea[], %s::text[]) "
        "t (a, b, c, d, e)"
    ),
    "patients": (
        "insert into audit_patient (log_id, pseudonym, counter, index) "
        "select * from unnest(%s::uuid[], %s::uuid[], %s::int8[], %s::int8[])"
    ),
    "nodes": (
        "insert into audit_node (log_id, level, index, hash) "
        "select * from unnest(%s::uuid[], %s::int2[], %s::int8[], %s::bytea[])"
    ),
}


def _store(connection: Connection, growths: Mapping[UUID, _Growth]) -> None:
    # Not COPY, which row-level security does not allow: one statement a table, over columns as arrays.
    for name, query in _INSERTS.items():
        rows = [row for growth in growths.values() for row in getattr(growth, name)]
        if rows:
            connection.execute(query, [list(column) for column in zip(*rows, strict=True)])
