"""The sequencer's process: one leader, which numbers events, signs checkpoints, and answers requests to sign."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import psycopg
import structlog

from gantry.audit.checkpoints import (
    Connection,
    InconsistentLogError,
    LogName,
    log_generation,
    log_size,
    manifest_text,
    patient_count_text,
    sign_checkpoint,
)
from gantry.audit.copies import CheckpointCopies, CopyError
from gantry.audit.merkle import TreeError
from gantry.audit.notes import Signer, fingerprint
from gantry.audit.sequencing import BATCH, Round, Sequencing, WrongClusterError
from gantry.audit.witnesses import Witness, WitnessError, ask_witness

log = structlog.get_logger(__name__)

#: No checkpoint is later than this after its first event, or than so many events (DESIGN.md §5).
LONGEST_INTERVAL_S: Final = 60.0
MOST_EVENTS: Final = 1000
#: Any number that no other advisory lock of the database has.
_LEADER_LOCK: Final = 0x67616E7472792E61
_IDLE_S, _STANDBY_S, _BEAT_S, _RECONNECT_S = 0.25, 1.0, 5.0, 2.0


@dataclass(frozen=True, slots=True)
class SequencerConfig:
    """How a sequencer works.

    Parameters
    ----------
    installation
        First part of every log's origin, a name such as `gantry.example.org`.
    interval_s
        Longest time from an event's place to a checkpoint over it; at most 60.
    """

    installation: str
    signer: Signer
    copies: CheckpointCopies
    interval_s: float = 10.0
    most_events: int = MOST_EVENTS
    witnesses: Sequence[Witness] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.interval_s <= LONGEST_INTERVAL_S or not 0 < self.most_events <= MOST_EVENTS:
            raise ValueError(f"checkpoints come at least every {LONGEST_INTERVAL_S:.0f} s and {MOST_EVENTS} events")


@dataclass(slots=True)
class _Unsigned:
    """A log that has grown since its last checkpoint: when we learned of it, and from which size to which."""

    since: float
    signed: int
    size: int


@dataclass
class Sequencer:
    """The leader's work on one connection of the role `gantry_sequencer`, in autocommit mode.

    Everything it remembers can be read from the database again: after any exception but those it handles itself,
    throw it away and make a new one.
    """

    connection: Connection
    config: SequencerConfig
    monotonic: Callable[[], float] = time.monotonic
    problems: dict[UUID, str] = field(default_factory=dict)
    _unsigned: dict[UUID, _Unsigned] = field(default_factory=dict)
    _names: dict[UUID, LogName] = field(default_factory=dict)
    _beat_at: float = -1e9
    _said: str = ""

    def __post_init__(self) -> None:
        self._sequencing = Sequencing(self.connection)
        public_key = self.config.signer.public_key
        self.connection.execute(
            "insert into audit_logkey (fingerprint, public_key, installation) values (%s, %s, %s) on conflict do nothing",
            [fingerprint(public_key), public_key, self.config.installation],
        )
        for log_id, signed, size in _find_unsigned(self.connection):
            self._unsigned[log_id] = _Unsigned(self.monotonic() - LONGEST_INTERVAL_S, signed, size)

    def step(self, *, batch: int = BATCH) -> Round:
        """Number what is new, sign what is due, answer who asked; return what was numbered."""
        done = self._sequencing.run(batch=batch)
        for log_id, size in done.sizes.items():
            if log_id not in self._unsigned:
                self._unsigned[log_id] = _Unsigned(self.monotonic(), self._signed_size(log_id), size)
            self._unsigned[log_id].size = size
        self._sign_due()
        self._answer()
        self._beat(done)
        return done

    def drain(self) -> None:
        """Number everything that is committed and sign every log: for commands and tests."""
        while self.step().is_full:
            pass
        self.sign_all()

    def sign_all(self) -> None:
        """Sign every log that has grown, due or not."""
        for log_id in list(self._unsigned):
            self._sign(log_id)

    def name_of(self, log_id: UUID) -> LogName:
        """Return a log's name, with its generation."""
        if log_id not in self._names:
            generation = log_generation(self.connection, log_id)
            self._names[log_id] = LogName(self.config.installation, log_id, generation)
        return self._names[log_id]

    def _signed_size(self, log_id: UUID) -> int:
        row = self.connection.execute(
            "select size from audit_checkpoint where log_id = %s order by size desc limit 1", [log_id]
        ).fetchone()
        return row[0] if row else 0

    def _sign_due(self) -> None:
        now = self.monotonic()
        for log_id, grown in list(self._unsigned.items()):
            if grown.size - grown.signed >= self.config.most_events or now - grown.since >= self.config.interval_s:
                self._sign(log_id)

    def _sign(self, log_id: UUID) -> str | None:
        """Sign a log; None, with the reason among `problems`, when that may not be done."""
        name, frontier = self.name_of(log_id), self._sequencing.frontier(log_id)
        try:
            note = sign_checkpoint(
                self.connection,
                name,
                size=frontier.size,
                root=frontier.root(),
                signer=self.config.signer,
                copies=self.config.copies,
            )
        except (InconsistentLogError, CopyError, TreeError) as error:
            if self.problems.get(log_id) != str(error):
                log.error("audit.checkpoint_refused", log=str(log_id), reason=str(error))  # noqa: TRY400 - said in full
            self.problems[log_id] = str(error)
            self._names.pop(log_id, None)  # a person may have it reopened meanwhile
            # Tried again after the interval.
            self._unsigned[log_id] = _Unsigned(self.monotonic(), frontier.size, frontier.size)
            return None
        self.problems.pop(log_id, None)
        self._unsigned.pop(log_id, None)
        self.connection.execute("update audit_sequencer set checkpoint_at = clock_timestamp()")
        self._have_witnessed(name, note)
        return note

    def _have_witnessed(self, name: LogName, note: str) -> None:
        for witness in self.config.witnesses:
            try:
                ask_witness(self.connection, witness, name, note)
            except WitnessError as error:
                # A witness that is away delays its own signature, never ours.
                log.warning("audit.not_witnessed", witness=witness.name, reason=str(error))

    def _answer(self) -> None:
        rows = self.connection.execute(
            "select r.id, r.tenant_id, r.kind, r.digest, r.pseudonym, r.size from audit_signingrequest r "
            "where r.requested_at > now() - interval '1 day' "
            "and not exists (select from audit_signature s where s.request_id = r.id) order by r.requested_at limit 50"
        ).fetchall()
        for request_id, log_id, kind, digest, pseudonym, size in rows:
            note = self._note_for(log_id, kind, digest, pseudonym, size)
            if note:
                self.connection.execute(
                    "insert into audit_signature (request_id, log_id, note) values (%s, %s, %s) on conflict do nothing",
                    [request_id, log_id, note],
                )

    def _note_for(self, log_id: UUID, kind: str, digest: str, pseudonym: UUID | None, size: int | None) -> str:
        name = self.name_of(log_id)
        if kind == "checkpoint":
            if self._sequencing.frontier(log_id).size == 0:
                return ""
            return self._sign(log_id) or ""
        if kind == "manifest" and len(digest) == 64 and set(digest) <= set("0123456789abcdef"):
            return self.config.signer.sign(manifest_text(log_id, digest), name=name.origin)
        if kind == "patient" and pseudonym is not None and size is not None:
            if not 0 < size <= self._sequencing.frontier(log_id).size:
                return ""
            row = self.connection.execute(
                "select counter from audit_patient where log_id = %s and pseudonym = %s and index < %s "
                "order by counter desc limit 1",
                [log_id, pseudonym, size],
            ).fetchone()
            text = patient_count_text(log_id, size, pseudonym, row[0] if row else 0)
            return self.config.signer.sign(text, name=name.origin)
        return ""

    def _beat(self, done: Round) -> None:
        """Tell how it stands, for whoever watches: at least every few seconds."""
        problem = next(iter(self.problems.values()), "")[:500]
        now = self.monotonic()
        if not done.is_full and problem == self._said and now - self._beat_at < _BEAT_S:
            return
        pending, oldest = _pending(self.connection) if done.is_full else (0, None)
        self.connection.execute(
            "update audit_sequencer set beat_at = clock_timestamp(), pending = %s, oldest_at = %s, problem = %s",
            [pending, oldest, problem],
        )
        self._beat_at, self._said = now, problem


def _find_unsigned(connection: Connection) -> list[tuple[UUID, int, int]]:
    """Return the logs whose last checkpoint is not over all their events, with both sizes (a loose index scan)."""
    rows = connection.execute(
        "with recursive logs as ("
        "(select log_id from audit_sequence order by log_id limit 1) union all "
        "select (select s.log_id from audit_sequence s where s.log_id > l.log_id order by s.log_id limit 1) "
        "from logs l where l.log_id is not null) "
        "select l.log_id, coalesce((select c.size from audit_checkpoint c where c.log_id = l.log_id "
        "order by c.size desc limit 1), 0) from logs l where l.log_id is not null"
    ).fetchall()
    return [(log_id, signed, size) for log_id, signed in rows if (size := log_size(connection, log_id)) != signed]


def _pending(connection: Connection) -> tuple[int, Any]:
    """Return how many events wait, up to a limit, and since when."""
    row = connection.execute(
        "select count(*), min(e.recorded_at) from (select recorded_at from audit_auditevent e "
        "where e.xid >= (select horizon from audit_sequencer) "
        "and not exists (select from audit_sequence s where s.event_id = e.id) limit 100000) e"
    ).fetchone()
    assert row is not None
    return row[0], row[1]


def run_sequencer(connect: Callable[[], Connection], config: SequencerConfig, stop: threading.Event) -> None:
    """Lead, or wait until the leader is gone, until told to stop. A lost connection is made again.

    The leader holds an advisory lock of its session, so the database itself ends its reign.
    """
    while not stop.is_set():
        try:
            with connect() as connection:
                _lead(connection, config, stop)
        except (psycopg.Error, WrongClusterError) as error:
            log.warning("audit.sequencer_interrupted", reason=type(error).__name__)
            stop.wait(_RECONNECT_S)


def _lead(connection: Connection, config: SequencerConfig, stop: threading.Event) -> None:
    while not stop.is_set():
        row = connection.execute("select pg_try_advisory_lock(%s)", [_LEADER_LOCK]).fetchone()
        if row and row[0]:
            break
        stop.wait(_STANDBY_S)
    else:
        return
    sequencer = Sequencer(connection, config)
    log.info("audit.sequencer_leads", key=fingerprint(config.signer.public_key))
    while not stop.is_set():
        if not sequencer.step().is_full:
            stop.wait(_IDLE_S)
