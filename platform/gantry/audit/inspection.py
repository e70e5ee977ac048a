"""Looking whether the ledger in a database is what was signed: after a restore, and whenever an operator asks."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

import psycopg

from gantry.audit.checkpoints import Connection, InconsistentLogError, LogName, log_generation, log_size, open_tree
from gantry.audit.checkpoints import require_continues as _require_continues
from gantry.audit.copies import CheckpointCopies
from gantry.audit.line import PLATFORM_LOG, format_line, leaf_hash
from gantry.audit.merkle import Frontier, TreeError
from gantry.audit.notes import Checkpoint, NoteError, require_signature
from gantry.audit.rows import PLATFORM_COLUMNS, TENANT_COLUMNS, platform_event, tenant_event

_PAGE: Final = 2000


@dataclass(frozen=True, slots=True)
class TreeVerdict:
    """How it stands with one log.

    Parameters
    ----------
    size
        Events that the database has of it.
    proven
        Size of the largest kept checkpoint that the database agrees with; 0 where none was kept.
    lost
        Events that were signed and are not in the database: those after the backup that was restored.
    """

    log: UUID
    size: int
    proven: int
    lost: int
    is_intact: bool
    sentence: str


def inspect_logs(
    connection: Connection,
    *,
    installation: str,
    public_key: bytes,
    copies: CheckpointCopies,
    only: Collection[UUID] = (),
) -> list[TreeVerdict]:
    """Recompute every log, or only some, from its events and compare it with its stored tree and its kept checkpoints.

    Reads as `gantry_sequencer`. A log that ends before its last kept checkpoint is intact as far as it goes; how much
    is lost is said, and the sequencer signs nothing more of it until `reopen_log`.
    """
    logs = sorted(only)
    if not logs:
        rows = connection.execute("select distinct log_id from audit_sequence").fetchall()
        logs = sorted({log for (log,) in rows} | {log for log, _ in copies.logs()})
    return [_inspect(connection, log, installation, public_key, copies) for log in logs]


def _inspect(
    connection: Connection, log: UUID, installation: str, public_key: bytes, copies: CheckpointCopies
) -> TreeVerdict:
    size = log_size(connection, log)
    name = LogName(installation, log, log_generation(connection, log))
    proven = lost = 0
    try:
        root = _recompute(connection, log, size)
        newest = copies.newest(log, name.generation)
        last = Checkpoint.parse(newest) if newest else None
        if newest and last and last.size > size:
            require_signature(newest, name=name.origin, public_key=public_key)
            lost = last.size - size
        usable = copies.newest(log, name.generation, at_most=size)
        if usable is None and name.generation:  # reopened, and not signed since: as far as the last one goes
            name = replace(name, generation=name.generation - 1)
            usable = copies.newest(log, name.generation, at_most=_reopened_at(connection, log))
        if usable:
            tree = open_tree(connection, log, size)
            _require_continues(tree, name, usable, size=size, root=root, public_key=public_key)
            proven = Checkpoint.parse(usable).size
    except (InconsistentLogError, NoteError, TreeError) as error:
        return TreeVerdict(log, size, proven, lost, is_intact=False, sentence=str(error))
    sentence = f"{size} events, as they were signed at {proven}."
    if lost:
        sentence += f" {lost} later events were signed and are not here."
    return TreeVerdict(log, size, proven, lost, is_intact=True, sentence=sentence)


def _reopened_at(connection: Connection, log: UUID) -> int:
    query = "select size from audit_generation where log_id = %s order by generation desc limit 1"
    row = connection.execute(query, [log]).fetchone()
    return row[0] if row else 0


def _recompute(connection: Connection, log: UUID, size: int) -> bytes:
    """Return the root over a log's lines, made from the events again; `TreeError` where the stored tree differs."""
    frontier = Frontier()
    stored = {
        (level, index): bytes(digest)
        for level, index, digest in connection.execute(
            "select level, index, hash from audit_node where log_id = %s", [log]
        )
    }
    for row in _rows(connection, log):
        index, leaf, counters = row[0], bytes(row[1]), row[2]
        if index != frontier.size:
            raise TreeError(f"event {frontier.size} is missing")
        try:
            event = (
                platform_event(row[3:], index=index)
                if log == PLATFORM_LOG
                else tenant_event(row[3:], index=index, counters=counters)
            )
        except ValueError as error:
            raise TreeError(f"event {index}: {error}") from None
        if leaf_hash(format_line(event)) != leaf:
            raise TreeError(f"event {index} was changed after it was numbered")
        for level, at, digest in frontier.append(leaf):
            if stored.pop((level, at), None) != digest:
                raise TreeError(f"the stored tree was changed at level {level}, index {at}")
    if frontier.size != size or stored:
        raise TreeError("the stored tree has more than the events give")
    return frontier.root()


def _rows(connection: Connection, log: UUID) -> Iterator[Any]:
    is_platform = log == PLATFORM_LOG
    query = psycopg.sql.SQL(
        "select s.index, s.leaf, s.counters, {columns} from audit_sequence s left join {table} e on e.id = s.event_id "
        "where s.log_id = %s and s.index >= %s order by s.index limit %s"
    ).format(
        columns=psycopg.sql.SQL(PLATFORM_COLUMNS if is_platform else TENANT_COLUMNS),
        table=psycopg.sql.Identifier("audit_platformevent" if is_platform else "audit_auditevent"),
    )
    at = 0
    while True:
        rows = connection.execute(query, [log, at, _PAGE]).fetchall()
        for row in rows:
            if row[3] is None:
                raise TreeError(f"event {row[0]} is numbered and is not there")
            yield row
        if len(rows) < _PAGE:
            return
        at = rows[-1][0] + 1


def reopen_log(
    connection: Connection, log: UUID, *, installation: str, public_key: bytes, copies: CheckpointCopies, reason: str
) -> LogName:
    """Let a log that lost events to a restore go on, under a new name that shows it.

    What is there must agree with the largest kept checkpoint that it reaches. Whoever holds a later checkpoint of the
    old name learns from the new one that, and between which sizes, events were lost.

    Raises
    ------
    InconsistentLogError
        The log has lost nothing, or differs from what was signed: that is no restore.
    """
    verdict = _inspect(connection, log, installation, public_key, copies)
    if not verdict.is_intact or not verdict.lost:
        raise InconsistentLogError(verdict.sentence)
    generation = log_generation(connection, log) + 1
    connection.execute(
        "insert into audit_generation (log_id, generation, size, lost_size, reason) values (%s, %s, %s, %s, %s)",
        [log, generation, verdict.size, verdict.size + verdict.lost, reason[:500]],
    )
    return LogName(installation, log, generation)


def adopt_cluster(connection: Connection) -> bool:
    """Make a ledger that was loaded from a dump this cluster's own; return whether there was need. Runs as the owner.

    Transaction numbers begin anew in a new cluster, so what the rows say of theirs means nothing there. Only that
    column is touched, which no line holds.
    """
    with connection.transaction():
        row = connection.execute(
            "select s.system_identifier, c.system_identifier from audit_sequencer s, pg_control_system() c for update of s"
        ).fetchone()
        if row is None or row[0] is None or row[0] == row[1]:
            return False
        for table, forced in (("audit_auditevent", True), ("audit_platformevent", False)):
            name = psycopg.sql.Identifier(table)
            connection.execute(psycopg.sql.SQL("alter table {} no force row level security").format(name))
            connection.execute(psycopg.sql.SQL("update {} set xid = '3'").format(name))
            if forced:
                connection.execute(psycopg.sql.SQL("alter table {} force row level security").format(name))
        connection.execute("update audit_sequencer set horizon = '0', system_identifier = null")
    return True
