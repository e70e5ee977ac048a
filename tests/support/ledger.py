"""The sequencer for tests: one key and one place for checkpoints for a whole run, as an installation has them."""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gantry.audit.copies import DirectoryCopies
from gantry.audit.notes import Signer
from gantry.audit.sequencer import Sequencer, SequencerConfig

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
