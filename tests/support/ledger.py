"""The sequencer for tests: one key and one place for checkpoints for a whole run, as an installation has them."""

from __future__ import annotations

import functools
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from psycopg.types.json import Jsonb

from gantry.audit.checkpoints import log_size
from gantry.audit.copies import DirectoryCopies
from gantry.audit.notes import Signer
from gantry.audit.sequencer import Sequencer, SequencerConfig
from gantry.foundation.context import sign_context

INSTALLATION = "gantry.test"


@functools.cache
def config() -> SequencerConfig:
    """Return how the run's sequencer works."""
    folder = Path(tempfile.mkdtemp(prefix="gantry-checkpoints-", dir=os.environ["GANTRY_STATE_DIR"]))
    return SequencerConfig(INSTALLATION, Signer(Ed25519PrivateKey.generate()), DirectoryCopies(folder))


def connect(role: str = "sequencer") -> psycopg.Connection[Any]:
    """Connect in autocommit mode as one of the database roles."""
    return psycopg.connect(
        host=os.environ["GANTRY_DATABASE__HOST"],
        port=int(os.environ["GANTRY_DATABASE__PORT"]),
        dbname=os.environ["GANTRY_DATABASE__NAME"],
        user=f"gantry_{role}",
        password=os.environ[f"GANTRY_DATABASE__{role.upper()}_PASSWORD"],
        autocommit=True,
    )


@contextmanager
def sequencer() -> Iterator[Sequencer]:
    """Lead for the length of the block."""
    with connect() as connection:
        yield Sequencer(connection, config())


def sequence_all() -> None:
    """Number and sign everything that is committed by now."""
    with sequencer() as leader:
        leader.drain()


_COLUMNS = (
    "session", "correlation_id", "address", "activity", "purpose", "code", "clause", "agreement_version",
    "data_category", "sealed_sha256",
)  # fmt: skip


def enter(connection: psycopg.Connection[Any], tenant_id: UUID) -> None:
    """Enter a tenant's signed context, inside a transaction."""
    context = sign_context(
        settings.CONTEXT_KEY,
        tenant_id=tenant_id,
        actor_id=uuid4(),
        backend_pid=connection.info.backend_pid,
        expires_at=int(time.time()) + 30,
    )
    connection.execute("select set_config('gantry.context', %s, true)", [context])


def insert_event(
    connection: psycopg.Connection[Any], tenant_id: UUID, *, patients: Sequence[UUID] = (), note: str = ""
) -> UUID:
    """Add an event in the transaction in progress, as the application does; return its id."""
    enter(connection, tenant_id)
    event_id = uuid4()
    connection.execute(
        "insert into audit_auditevent (id, tenant_id, occurred_at, kind, action, outcome, actor_kind, actor_id, role, "
        f"place, patients, detail, {', '.join(_COLUMNS)}) values (%s, %s, clock_timestamp(), 'query', "
        "'studies.searched', 'success', 'person', %s, 'radiologist', 'site', %s::uuid[], %s, "
        f"{', '.join(['%s'] * len(_COLUMNS))})",
        [event_id, tenant_id, uuid4(), list(patients), Jsonb({"note": note} if note else {}), *[""] * len(_COLUMNS)],
    )
    return event_id


def places_of(tenant_id: UUID) -> list[tuple[int, UUID, list[int]]]:
    """Return a log's events by index: index, event, its patients' counts."""
    with connect() as connection:
        return connection.execute(
            "select index, event_id, counters from audit_sequence where log_id = %s order by index", [tenant_id]
        ).fetchall()


def size_of(tenant_id: UUID) -> int:
    """Return how many events of a log have their places."""
    with connect() as connection:
        return log_size(connection, tenant_id)


@contextmanager
def as_owner_of(*tables: str) -> Iterator[psycopg.Connection[Any]]:
    """Be the owner with row-level security out of the way, as whoever holds the whole database is."""
    with connect("owner") as connection, connection.transaction():
        for table in tables:
            connection.execute(f"alter table {table} no force row level security")
        yield connection
        for table in tables:
            connection.execute(f"alter table {table} force row level security")
