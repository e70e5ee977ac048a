"""Where backups lie: the target (database and objects) and, apart from it, the custody (keys and secrets)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from gantry.recovery.errors import RecoveryError
from gantry.recovery.sealing import BackupKey, Piece, PieceStore
from gantry.vault.public import DirectoryObjectStore, ObjectStore

BACKUP_ID: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_SEGMENT: Final = re.compile(r"[0-9A-F]{24}(\.partial)?|[0-9A-F]{8}\.history")
VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Backup:
    """One base backup of the database, with the list of the objects there were."""

    id: str
    started_at: datetime
    finished_at: datetime
    system_identifier: str
    start_wal: str
    base: Piece
    objects: Piece
    log: Piece
    counts: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "v": VERSION,
            "id": self.id,
            "started_at": self.started_at.isoformat(),
            "finished_at": self.finished_at.isoformat(),
            "system_identifier": self.system_identifier,
            "start_wal": self.start_wal,
            "base": self.base.to_json(),
            "objects": self.objects.to_json(),
            "log": self.log.to_json(),
            "counts": self.counts,
        }

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> Backup:
        if body.get("v") != VERSION:
            raise RecoveryError("This backup was written by a newer version of Gantry; restore it with that one.")
        return cls(
            id=body["id"],
            started_at=datetime.fromisoformat(body["started_at"]),
            finished_at=datetime.fromisoformat(body["finished_at"]),
            system_identifier=body["system_identifier"],
            start_wal=body["start_wal"],
            base=Piece.from_json(body["base"]),
            objects=Piece.from_json(body["objects"]),
            log=Piece.from_json(body["log"]),
            counts=body["counts"],
        )


class Target:
    """A folder with sealed pieces, the lists that name them, and copies of objects (which are sealed already)."""

    def __init__(self, root: Path, key: BackupKey) -> None:
        self.root = root
        self.key = key
        self.backups = root / "backups"
        self.wal = root / "wal"
        for folder in (root, self.backups, self.wal):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.pieces = PieceStore(DirectoryObjectStore(root / "pieces"), key)
        self.objects: ObjectStore = DirectoryObjectStore(root / "objects")

    def write_backup(self, backup: Backup) -> None:
        """Make a backup known; until then nobody sees it."""
        write_durably(self.backups / f"{backup.id}.json", self.key.sign(backup.to_json()))

    def list_backups(self) -> list[str]:
        """Return the ids of the backups, oldest first."""
        return sorted(path.stem for path in self.backups.glob("*.json") if BACKUP_ID.fullmatch(path.stem))

    def read_backup(self, backup_id: str = "") -> Backup:
        """Return a backup, the newest unless one is named.

        Raises
        ------
        RecoveryError
            There is none of this name, it does not open with our key, or it was changed.
        """
        known = self.list_backups()
        if not known:
            raise RecoveryError(f"There is no backup in {self.root}. `gantry backup run` makes one.")
        chosen = backup_id or known[-1]
        if chosen not in known:
            raise RecoveryError(f"There is no backup {chosen!r} in {self.root}; the newest is {known[-1]}.")
        text = (self.backups / f"{chosen}.json").read_text(encoding="utf-8", errors="replace")
        return Backup.from_json(self.key.verify(text, f"The list of the backup {chosen}"))

    def write_segment(self, system_identifier: str, name: str, piece: Piece) -> None:
        """Make a segment of the write-ahead log known, in place of an earlier state of it."""
        assert _SEGMENT.fullmatch(name), name
        folder = self.wal / system_identifier
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / f"{name}.json"
        earlier = None
        if path.exists():
            earlier = Piece.from_json(
                self.key.verify(path.read_text(encoding="utf-8"), f"The log segment {name}")["piece"]
            )
        write_durably(path, self.key.sign({"name": name, "system": system_identifier, "piece": piece.to_json()}))
        if earlier is not None:
            self.pieces.discard(earlier)

    def drop_segment(self, system_identifier: str, name: str) -> None:
        """Forget a segment, if it is known."""
        path = self.wal / system_identifier / f"{name}.json"
        if path.exists():
            body = self.key.verify(path.read_text(encoding="utf-8"), f"The log segment {name}")
            path.unlink()
            self.pieces.discard(Piece.from_json(body["piece"]))

    def segments(self, system_identifier: str, *, since: str) -> Iterator[tuple[str, Piece]]:
        """Yield the segments of the write-ahead log from `since` on, in order, and timeline histories.

        Raises
        ------
        RecoveryError
            One was changed, or stands under another's name.
        """
        folder = self.wal / system_identifier
        names = sorted(path.name.removesuffix(".json") for path in folder.glob("*.json")) if folder.is_dir() else []
        for name in names:
            if _SEGMENT.fullmatch(name) and (name.endswith(".history") or name[8:24] >= since[8:24]):
                text = (folder / f"{name}.json").read_text(encoding="utf-8", errors="replace")
                body = self.key.verify(text, f"The log segment {name}")
                if body["name"] != name or body["system"] != system_identifier:
                    raise RecoveryError(
                        f"The log segment {name} stands under another's name; this backup cannot be used."
                    )
                yield name, Piece.from_json(body["piece"])


def require_apart(target: Path, custody: Path, state: Path) -> None:
    """Refuse folders that lie in one another: whoever takes one must not have the other.

    Raises
    ------
    RecoveryError
        They do.
    """
    places = {"target": target.resolve(), "custody": custody.resolve(), "state folder": state.resolve()}
    for one, first in places.items():
        for other, second in places.items():
            if one != other and (first == second or first.is_relative_to(second)):
                raise RecoveryError(
                    f"The {one} lies in the {other}. Keys, backups and the running system are kept apart: give each a "
                    "place of its own, the keys best on another medium."
                )


def write_durably(path: Path, text: str) -> None:
    """Replace a file whole, for its owner alone."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
