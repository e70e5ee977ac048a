"""Signing what a log has come to, never against what was signed before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import psycopg

from gantry.audit.copies import CheckpointCopies
from gantry.audit.merkle import Tree, TreeError, check_consistency
from gantry.audit.notes import Checkpoint, NoteError, Signer, log_origin, require_signature

Connection = psycopg.Connection[Any]
MANIFEST: Final = "gantry-audit-export-manifest/v1"
PATIENT_COUNT: Final = "gantry-audit-patient-count/v1"


class InconsistentLogError(RuntimeError):
    """The ledger contradicts a checkpoint that was signed: nothing more is signed until a person has looked."""


@dataclass(frozen=True, slots=True)
class LogName:
    """A log of an installation; the generation grows when a restore had to give up events."""

    installation: str
    log: UUID
    generation: int = 0

    @property
    def origin(self) -> str:
        """The checkpoint's origin line, and the name of the key for this log."""
        origin = log_origin(self.installation, self.log)
        return f"{origin}/{self.generation}" if self.generation else origin


def open_tree(connection: Connection, log: UUID, size: int) -> Tree:
    """Return a log's stored tree."""

    def read(level: int, start: int, end: int) -> Sequence[bytes]:
        if level == 0:
            query = (
                "select index, leaf from audit_sequence where log_id = %s and index >= %s and index < %s order by index"
            )
            rows = connection.execute(query, [log, start, end]).fetchall()
        else:
            query = (
                "select index, hash from audit_node where log_id = %s and level = %s and index >= %s and index < %s "
                "order by index"
            )
            rows = connection.execute(query, [log, level, start, end]).fetchall()
        if [row[0] for row in rows] != list(range(start, end)):
            raise TreeError(f"level {level} of the stored tree has gaps between {start} and {end}")
        return [bytes(row[1]) for row in rows]

    return Tree(size, read)


def log_size(connection: Connection, log: UUID) -> int:
    """Return how many events a log has."""
    query = "select index + 1 from audit_sequence where log_id = %s order by index desc limit 1"
    row = connection.execute(query, [log]).fetchone()
    return row[0] if row else 0


def log_generation(connection: Connection, log: UUID) -> int:
    """Return how often a log was reopened after a restore."""
    query = "select generation from audit_generation where log_id = %s order by generation desc limit 1"
    row = connection.execute(query, [log]).fetchone()
    return row[0] if row else 0


def sign_checkpoint(
    connection: Connection, name: LogName, *, size: int, root: bytes, signer: Signer, copies: CheckpointCopies
) -> str:
    """Sign a log's tree, copy the checkpoint, then note it in the database; return it.

    The tree is read back from the database and checked against the last checkpoint of the copied place, and of the
    database. Whatever step a crash falls on, doing it again ends with the same bytes in the same places.

    Raises
    ------
    InconsistentLogError
        The ledger is shorter than, or differs from, what was signed before.
    CopyError
        The place of the copies does not answer.
    """
    tree = open_tree(connection, name.log, size)
    row = connection.execute(
        "select note from audit_checkpoint where log_id = %s order by size desc limit 1", [name.log]
    ).fetchone()
    own = row[0] if row and Checkpoint.parse(row[0]).origin == name.origin else None
    for kept in (copies.newest(name.log, name.generation), own):
        if kept is not None:
            require_continues(tree, name, kept, size=size, root=root, public_key=signer.public_key)
    note = signer.sign(Checkpoint(name.origin, size, root).text(), name=name.origin)
    copies.put(name.log, name.generation, size, note)
    connection.execute(
        "insert into audit_checkpoint (log_id, size, note) values (%s, %s, %s) on conflict do nothing",
        [name.log, size, note],
    )
    return note


def require_continues(tree: Tree, name: LogName, kept: str, *, size: int, root: bytes, public_key: bytes) -> None:
    """Check that the tree of `size` leaves has this root and continues a kept checkpoint.

    Raises
    ------
    InconsistentLogError
        It does not.
    """
    try:
        require_signature(kept, name=name.origin, public_key=public_key)
        last = Checkpoint.parse(kept)
    except NoteError as error:
        raise InconsistentLogError(f"A kept checkpoint of {name.origin} is not signed by this key: {error}.") from None
    if last.size > size:
        raise InconsistentLogError(
            f"{name.origin} has {size} events; a checkpoint was signed over {last.size}. Was an older backup restored?"
        )
    try:
        if tree.root(size) != root:
            raise TreeError("the stored tree has another root than the one that grew")
        check_consistency(last.size, size, last.root, root, tree.prove_consistency(last.size, size))
    except TreeError as error:
        raise InconsistentLogError(f"{name.origin} contradicts its checkpoint over {last.size}: {error}.") from None


def manifest_text(log: UUID, digest: str) -> str:
    """Return what is signed for an export's manifest."""
    return f"{MANIFEST}\n{log}\n{digest}\n"


def patient_count_text(log: UUID, size: int, pseudonym: UUID, count: int) -> str:
    """Return what is signed for how many events of a patient there are among a log's first `size`."""
    return f"{PATIENT_COUNT}\n{log}\n{size}\n{pseudonym}\n{count}\n"
