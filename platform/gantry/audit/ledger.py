"""Reading one log of the ledger, as far as its last checkpoint: by the auditor's role, one signed context at a time.

Nothing is decided here: whoever opens a ledger has asked the gate and recorded that the trail is read.
"""

from __future__ import annotations

import base64
import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import connections, transaction

from gantry.audit.checkpoints import Connection, open_tree
from gantry.audit.domain import LedgerFilter
from gantry.audit.errors import LedgerEmptyError
from gantry.audit.line import PLATFORM_LOG, LedgerEvent, format_line
from gantry.audit.merkle import Tree, decompose
from gantry.audit.models import SigningRequest
from gantry.audit.notes import COSIGNATURE, ED25519, Checkpoint, fingerprint, format_verifier_key
from gantry.audit.rows import PLATFORM_COLUMNS, TENANT_COLUMNS, platform_event, tenant_event
from gantry.audit.sealing import unseal
from gantry.foundation.context import enter_context
from gantry.foundation.scope import atomic_service
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.vault.public import KeyDestroyedError, get_vault

AUDITOR: Final = "auditor"
PAGE: Final = 2000
EVERYTHING: Final = LedgerFilter()


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A log as it was signed: the whole note with witnesses' lines, how many events, which root."""

    note: str
    origin: str
    size: int
    root: bytes
    signed_at: datetime


@dataclass(frozen=True, slots=True)
class Ledger:
    """One log up to a checkpoint, which stays the same however the log grows meanwhile.

    Every call reads in transactions of its own, page by page, so that a reader may be as slow as it likes.
    """

    log: UUID
    actor_id: UUID
    checkpoint: SignedCheckpoint

    @property
    def size(self) -> int:
        """How many events it has."""
        return self.checkpoint.size

    def iter_events(
        self, wanted: LedgerFilter = EVERYTHING, *, after_index: int = -1, first: int = 0, end: int | None = None
    ) -> Iterator[tuple[bytes, LedgerEvent]]:
        """Yield the exact lines of the events of `[first, end)` that are wanted, with what they say, by index.

        Parameters
        ----------
        after_index
            Go on behind this event, where an earlier reading stopped.
        """
        first, end = self._narrow(wanted, first, end)
        at = max(first, after_index + 1)
        while at < end:
            rows = self._page(wanted, at, end)
            for row in rows:
                event = self._event(row)
                yield format_line(event), event
            if len(rows) < PAGE:
                return
            at = rows[-1][0] + 1

    def count(self, wanted: LedgerFilter = EVERYTHING) -> int:
        """Return how many events are wanted."""
        first, end = self._narrow(wanted, 0, None)
        if first >= end:
            return 0
        source, where, values = self._source(wanted, first, end)
        with self._reading() as connection:
            row = connection.execute(f"select count(*) {source} where {where}", values).fetchone()
        assert row is not None
        return int(row[0])

    def range_of(self, since: datetime | None, until: datetime | None) -> tuple[int, int]:
        """Return the smallest stretch of indices, as (first, end), with every event that occurred in a time."""
        if since is None and until is None:
            return 0, self.size
        table, owned = ("audit_platformevent", "") if self.log == PLATFORM_LOG else ("audit_auditevent", "tenant_id")
        conditions = [f"e.{owned} = %s"] if owned else []
        values: list[Any] = [self.log] if owned else []
        for operator, moment in ((">=", since), ("<", until)):
            if moment is not None:
                conditions.append(f"e.occurred_at {operator} %s::timestamptz")
                values.append(moment)
        query = (
            f"select min(s.index), max(s.index) from {table} e join audit_sequence s on s.event_id = e.id "  # noqa: S608 - our own names
            f"where {' and '.join(conditions)} and s.log_id = %s and s.index < %s"
        )
        with self._reading() as connection:
            row = connection.execute(query, [*values, self.log, self.size]).fetchone()
        assert row is not None
        return (0, 0) if row[0] is None else (row[0], row[1] + 1)

    def iter_subtree_hashes(self, first: int, after: int) -> Iterator[bytes]:
        """Yield the hashes of the fewest complete subtrees that cover `[first, after)`, in order."""
        tree = self._tree()
        for level, index in decompose(first, after):
            yield tree.subtree(level, index)

    def gaps(self) -> Gaps:
        """Return the tree for the many stretches that a filtered export leaves out; it reads each run once."""
        return Gaps(self._tree())

    def consistency(self, from_size: int) -> list[bytes]:
        """Return the proof that the log of `from_size` events is a prefix of this one."""
        return self._tree().prove_consistency(from_size, self.size)

    def earlier_checkpoints(self, *, limit: int = 1000) -> list[SignedCheckpoint]:
        """Return checkpoints before this one, newest first."""
        with self._reading() as connection:
            rows = connection.execute(
                "select note, created_at from audit_checkpoint where log_id = %s and size < %s "
                "order by size desc limit %s",
                [self.log, self.size, limit],
            ).fetchall()
        return [_signed(note, moment, "") for note, moment in rows]

    def verbatim(self, event: LedgerEvent) -> bytes | None:
        """Return an event's sealed content, decrypted; None when it has none.

        Raises
        ------
        KeyDestroyedError
            Its month's key is gone.
        """
        rows = self._sealed([event])
        return self._unseal(event, rows[event.id]) if event.id in rows else None

    def verbatims(self, events: Sequence[LedgerEvent]) -> dict[UUID, bytes]:
        """Return the sealed content of some events by event, read at once; what has none, or no key any more, is left out."""
        found = {}
        rows = self._sealed(events)
        for event in events:
            if event.id in rows:
                with contextlib.suppress(KeyDestroyedError):
                    found[event.id] = self._unseal(event, rows[event.id])
        return found

    def _sealed(self, events: Sequence[LedgerEvent]) -> dict[UUID, tuple[bytes, UUID]]:
        ids = [event.id for event in events if event.sealed_sha256]
        if not ids:
            return {}
        with self._reading() as connection:
            rows = connection.execute(
                "select id, sealed, sealed_key_id from audit_auditevent "
                "where tenant_id = %s and id = any(%s::uuid[]) and sealed is not null",
                [self.log, ids],
            ).fetchall()
        return {row[0]: (bytes(row[1]), row[2]) for row in rows}

    def _unseal(self, event: LedgerEvent, row: tuple[bytes, UUID]) -> bytes:
        box, key_id = row
        return unseal(
            get_vault().keys, box, tenant_id=self.log, event_id=event.id, key_id=key_id, sha256=event.sealed_sha256
        )

    def keys_json(self) -> bytes:
        """Return the public keys of the installation's logs and of their witnesses' lines, as `keys.json`."""
        with self._reading() as connection:
            rows = connection.execute("select public_key, since from audit_logkey order by since").fetchall()
        keys = [
            {
                "name": self.checkpoint.origin,
                "verifier_key": format_verifier_key(self.checkpoint.origin, bytes(key), ED25519),
                "public_key": base64.b64encode(bytes(key)).decode(),
                "fingerprint": fingerprint(bytes(key)),
                "since": since.isoformat(),
            }
            for key, since in rows
        ]
        content = {"v": 1, "kinds": {"checkpoint": ED25519, "cosignature": COSIGNATURE}, "keys": keys}
        return (json.dumps(content, indent=2, sort_keys=True) + "\n").encode()

    def _narrow(self, wanted: LedgerFilter, first: int, end: int | None) -> tuple[int, int]:
        end = self.size if end is None else min(end, self.size)
        if wanted.patient is None and (wanted.since or wanted.until):
            low, high = self.range_of(wanted.since, wanted.until)
            return max(first, low), min(end, high)
        return first, end

    def _source(self, wanted: LedgerFilter, first: int, end: int) -> tuple[str, str, list[Any]]:
        conditions, values = ["s.log_id = %s", "s.index >= %s", "s.index < %s"], [self.log, first, end]
        is_platform = self.log == PLATFORM_LOG
        source = "from audit_sequence s "
        if wanted.patient is not None:
            # From the patient's own events, however many the log has.
            source = "from audit_patient p join audit_sequence s on s.log_id = p.log_id and s.index = p.index "
            conditions += ["p.log_id = %s", "p.pseudonym = %s"]
            values += [self.log, wanted.patient]
        source += (
            "join audit_platformevent e on e.id = s.event_id"
            if is_platform
            else "join audit_auditevent e on e.tenant_id = s.log_id and e.id = s.event_id"
        )
        equal: list[tuple[str, object]] = [("e.user_id" if is_platform else "e.actor_id", wanted.actor_id)]
        if not is_platform:
            equal += [
                ("e.role", wanted.role),
                ("e.study_id", wanted.study_id),
                ("e.activity", wanted.activity),
                ("e.purpose", wanted.purpose),
                ("e.address", wanted.address),
            ]
        for column, value in equal:
            if value:
                conditions.append(f"{column} = %s")
                values.append(value)
        for column, many in (("kind", wanted.kinds), ("action", wanted.actions), ("outcome", wanted.outcomes)):
            if many:
                conditions.append(f"e.{column} = any(%s::text[])")
                values.append(sorted(map(str, many)))
        for operator, moment in ((">=", wanted.since), ("<", wanted.until)):
            if moment is not None:
                conditions.append(f"e.occurred_at {operator} %s::timestamptz")
                values.append(moment)
        return source, " and ".join(conditions), values

    def _page(self, wanted: LedgerFilter, first: int, end: int) -> list[Any]:
        source, where, values = self._source(wanted, first, end)
        columns = PLATFORM_COLUMNS if self.log == PLATFORM_LOG else TENANT_COLUMNS
        query = f"select s.index, s.counters, {columns} {source} where {where} order by s.index limit {PAGE}"
        with self._reading() as connection:
            return connection.execute(query, values).fetchall()

    def _event(self, row: Sequence[Any]) -> LedgerEvent:
        if self.log == PLATFORM_LOG:
            return platform_event(row[2:], index=row[0])
        return tenant_event(row[2:], index=row[0], counters=row[1])

    def _tree(self) -> Tree:
        def read(level: int, start: int, end: int) -> Sequence[bytes]:
            with self._reading() as connection:
                return open_tree(connection, self.log, self.size).read(level, start, end)

        return Tree(self.size, read)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Connection]:
        with _context(self.log, self.actor_id) as connection:
            yield connection


@dataclass(frozen=True, slots=True)
class Gaps:
    """Hashes of what an export leaves out."""

    tree: Tree

    def cover(self, first: int, after: int) -> bytes:
        """Return the hashes that cover `[first, after)`, one after another."""
        return b"".join(self.tree.subtree(level, index) for level, index in decompose(first, after))


def open_ledger(log: UUID, *, actor_id: UUID, size: int | None = None) -> Ledger:
    """Open a log at its last checkpoint, or at the checkpoint of an earlier size.

    Raises
    ------
    LedgerEmptyError
        Nothing of it is signed yet, or not at that size.
    """
    with _context(log, actor_id) as connection:
        row = connection.execute(
            "select c.note, c.created_at, coalesce((select string_agg(w.line, '' order by w.witness) "
            "from audit_cosignature w where w.log_id = c.log_id and w.size = c.size), '') "
            "from audit_checkpoint c where c.log_id = %s and c.size = coalesce(%s, c.size) "
            "order by c.size desc limit 1",
            [log, size],
        ).fetchone()
    if row is None:
        raise LedgerEmptyError("Nothing of this log has been signed yet. Is the sequencer running?")
    return Ledger(log, actor_id, _signed(*row))


def _signed(note: str, moment: datetime, cosignatures: str) -> SignedCheckpoint:
    checkpoint = Checkpoint.parse(note)
    return SignedCheckpoint(note + cosignatures, checkpoint.origin, checkpoint.size, checkpoint.root, moment)


@contextlib.contextmanager
def _context(log: UUID, actor_id: UUID) -> Iterator[Connection]:
    """Open a transaction as the auditor, in the signed context of one log."""
    wrapper = connections[AUDITOR]
    with transaction.atomic(using=AUDITOR):
        enter_context(wrapper, settings.CONTEXT_KEY, tenant_id=log, actor_id=actor_id)
        raw: Connection = wrapper.connection
        with wrapper.wrap_database_errors:
            yield raw


@atomic_service
def request_signature(digest: str, *, clock: Clock = SYSTEM_CLOCK) -> UUID:
    """Ask for the signature over an export's manifest, by its SHA-256 in hexadecimal; see `find_signature`."""
    return _request(SigningRequest(kind="manifest", digest=digest, requested_at=clock.now()))


@atomic_service
def request_patient_count(pseudonym: UUID, *, size: int, clock: Clock = SYSTEM_CLOCK) -> UUID:
    """Ask for the sequencer's word on how many of the first `size` events concern a patient."""
    return _request(SigningRequest(kind="patient", pseudonym=pseudonym, size=size, requested_at=clock.now()))


@atomic_service
def request_checkpoint(*, clock: Clock = SYSTEM_CLOCK) -> UUID:
    """Ask for a checkpoint over everything of the scope's tenant that is committed before this request is."""
    return _request(SigningRequest(kind="checkpoint", requested_at=clock.now()))


def _request(request: SigningRequest) -> UUID:
    SigningRequest.objects.bulk_create([request])
    return request.id


@atomic_service
def find_signature(request_id: UUID) -> str | None:
    """Return the note that answers a request of the scope's tenant; None until the sequencer has answered."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("select note from audit_signature where request_id = %s", [request_id])
        row = cursor.fetchone()
    return row[0] if row else None


def wait_for_signature(request_id: UUID, *, timeout_s: float, pause_s: float = 0.2) -> str | None:
    """Wait for the sequencer's answer; None when it does not come in time. Not inside a unit of work."""
    deadline = time.monotonic() + timeout_s
    while (note := find_signature(request_id)) is None and time.monotonic() < deadline:
        time.sleep(pause_s)
    return note


def verifier_source() -> bytes:
    """Return the stand-alone verifier, to be put beside an export."""
    return (Path(__file__).parent / "verify.py").read_bytes()
