"""Taking a backup: the database online, the objects by copy, the keys into a custody of their own."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.recovery.custody import mirror_custody
from gantry.recovery.database import Say, WalReceiver, identify, seal_segment, take_base_backup
from gantry.recovery.errors import RecoveryError
from gantry.recovery.sealing import BackupKey, Piece
from gantry.recovery.target import Backup, Target, require_apart, write_durably
from gantry.vault.public import KeyStore, ObjectName, ObjectStore, VaultExistsError, VaultNotFoundError

#: The log is sealed into the target at least so often: what a disaster can take is younger (RPO).
FOLLOW_EVERY_S: Final = 30.0
_COPY_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Source:
    """What is backed up."""

    state: Path
    connection: Mapping[str, Any]
    """How the database's superuser signs in."""
    keys: KeyStore
    keys_path: Path | None
    objects: ObjectStore


def open_target(target: Path, custody: Path, state: Path) -> Target:
    """Open a target with the installation's backup key, which is drawn at the first backup."""
    require_apart(target, custody, state)
    return Target(target, BackupKey.ensure(state / "backup.key"))


def run_backup(
    source: Source, target: Target, custody: Path, say: Say, *, with_objects: bool = True, clock: Clock = SYSTEM_CLOCK
) -> Backup:
    """Take one backup. Until its list is written, at the very end, nothing of it counts.

    Raises
    ------
    RecoveryError
        The database did not give itself whole, or an object cannot be read.
    """
    started = clock.now()
    backup_id = started.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    system, segment = identify(source.connection)
    # Keys first: what the database will tell of must be openable.
    mirror_custody(source.state, custody, keys=source.keys_path)
    base = take_base_backup(source.connection, target.pieces, say)
    # Objects after rows: an object without a row does no harm, a row without its object does.
    listed, copied = _copy_objects(source.objects, target, say, copy=with_objects)
    log, entries = _write_log(source.keys, target, system)
    changed = mirror_custody(source.state, custody, keys=source.keys_path)
    objects, count, size = listed
    backup = Backup(
        id=backup_id,
        started_at=started,
        finished_at=clock.now(),
        system_identifier=system,
        start_wal=segment,
        base=base,
        objects=objects,
        log=log,
        counts={
            "objects": count, "object_bytes": size, "copied": copied, "log_entries": entries, "key_files": changed,
            "base_bytes": base.size_bytes,
        },
    )  # fmt: skip
    target.write_backup(backup)
    return backup


def _copy_objects(store: ObjectStore, target: Target, say: Say, *, copy: bool) -> tuple[tuple[Piece, int, int], int]:
    """Copy what the target has not; return the sealed list of all, and how many were copied."""
    there = {blob.name: blob.size_bytes for blob in target.objects.list()} if copy else {}
    count = size = copied = done = 0
    with target.pieces.writer() as writer:
        for blob in store.list():
            if copy and there.get(blob.name) != blob.size_bytes:
                try:
                    done += copy_object(store, target.objects, blob.name)
                except VaultNotFoundError:
                    continue  # erased while we listed
                copied += 1
                say("objects", done)
            count, size = count + 1, size + blob.size_bytes
            line = {"t": str(blob.name.tenant_id), "o": str(blob.name.object_id), "b": blob.size_bytes}
            writer.write(json.dumps(line).encode() + b"\n")
        return (target.pieces.commit(writer), count, size), copied


def copy_object(source: ObjectStore, target: ObjectStore, name: ObjectName) -> int:
    """Copy one sealed object as it is; returns its size."""
    with source.open(name) as reader:
        writer = target.create(name)
        try:
            offset = 0
            while offset < reader.size:
                chunk = reader.read_range(offset, _COPY_BYTES)
                writer.write(chunk)
                offset += len(chunk)
            writer.commit()
        except VaultExistsError:
            writer.abort()  # of another size: an interrupted copy cannot be, for names appear when whole
            target.delete(name)
            return copy_object(source, target, name)
        except BaseException:
            writer.abort()
            raise
        return reader.size


def log_document(keys: KeyStore) -> dict[str, Any]:
    """Return the deletion log and the tombstones of keys, as they are kept with a backup. No secret is in it."""
    return {
        "erasures": [
            [str(one.tenant_id), str(one.key_id) if one.key_id else None, one.destroyed_at.isoformat()]
            for one in keys.erasures()
        ],
        "deletions": [[str(one.tenant_id), str(one.deletion_id), one.entry.decode()] for one in keys.deletions()],
    }


def _write_log(keys: KeyStore, target: Target, system: str) -> tuple[Piece, int]:
    document = log_document(keys)
    piece = target.pieces.put(json.dumps(document).encode())
    newest = target.pieces.put(json.dumps(document).encode())
    path = target.root / f"log-{system}.json"
    earlier = None
    if path.is_file():
        earlier = Piece.from_json(target.key.verify(path.read_text(encoding="utf-8"), "The deletion log")["piece"])
    write_durably(path, target.key.sign({"system": system, "piece": newest.to_json()}))
    if earlier is not None:
        target.pieces.discard(earlier)
    return piece, len(document["erasures"]) + len(document["deletions"])


def read_newest_log(target: Target, system: str) -> dict[str, Any] | None:
    """Return the newest deletion log that a target keeps of an installation."""
    path = target.root / f"log-{system}.json"
    if not path.is_file():
        return None
    body = target.key.verify(path.read_text(encoding="utf-8", errors="replace"), "The deletion log")
    document: dict[str, Any] = json.loads(target.pieces.read(Piece.from_json(body["piece"]), "The deletion log"))
    return document


class Follower:
    """Keeps the target no further behind than `FOLLOW_EVERY_S`: log, objects, deletion log, custody."""

    def __init__(self, source: Source, target: Target, custody: Path, *, with_objects: bool = True) -> None:
        self._copied = {blob.name for blob in target.objects.list()} if with_objects else None
        self._source = source
        self._target = target
        self._custody = custody
        self._receiver = WalReceiver(source.connection, source.state / "wal")
        self._system, _ = identify(source.connection)
        self._sealed_partial: tuple[str, int] = ("", 0)

    @property
    def connection(self) -> Mapping[str, Any]:
        """How the database that is followed is reached."""
        return self._source.connection

    def __enter__(self) -> Follower:
        self._receiver.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._receiver.stop()

    def step(self) -> int:
        """Seal what came since the last step; returns how many segments were sealed.

        Raises
        ------
        RecoveryError
            The log is no longer received.
        """
        if not self._receiver.is_running:
            raise RecoveryError(
                "The database no longer sends its log; is it running? `gantry backup follow` goes on later."
            )
        sealed = 0
        for path in self._receiver.complete_segments():
            self._target.write_segment(self._system, path.name, seal_segment(path, self._target.pieces))
            self._target.drop_segment(self._system, f"{path.name}.partial")
            path.unlink()
            sealed += 1
        partial = self._receiver.partial_segment()
        if partial is not None:
            state = partial.name, partial.stat().st_mtime_ns
            if state != self._sealed_partial:
                try:
                    piece = seal_segment(partial, self._target.pieces)
                except FileNotFoundError:
                    return sealed  # completed this moment: the next step takes it
                self._target.write_segment(self._system, partial.name, piece)
                self._sealed_partial = state
                sealed += 1
        self._copy_new_objects()
        _write_log(self._source.keys, self._target, self._system)
        mirror_custody(self._source.state, self._custody, keys=self._source.keys_path)
        return sealed

    def _copy_new_objects(self) -> None:
        """Copy what the log sealed before speaks of: its objects are older than it."""
        if self._copied is None:
            return
        for blob in self._source.objects.list():
            if blob.name not in self._copied:
                try:
                    copy_object(self._source.objects, self._target.objects, blob.name)
                except VaultNotFoundError:
                    continue  # erased while we listed
                self._copied.add(blob.name)

    def run(
        self, is_over: Callable[[], bool], *, every_s: float = FOLLOW_EVERY_S, tick_s: float = 0.5
    ) -> Iterator[int]:
        """Step until it is over, and once more at the end; yields what each step sealed."""
        due = 0.0
        while not is_over():
            if time.monotonic() >= due:
                yield self.step()
                due = time.monotonic() + every_s
            time.sleep(tick_s)
        yield self.step()


def prune(target: Target, *, keep: int) -> tuple[int, int]:
    """Remove all but the newest backups, and copies of objects that the newest one does not list.

    Returns how many backups and how many objects went.
    """
    ids = target.list_backups()
    if not ids or keep < 1:
        return 0, 0
    newest = target.read_backup(ids[-1])
    listed = {name for name, _ in listed_objects(target, newest)}
    objects = 0
    for blob in list(target.objects.list()):
        if blob.name not in listed:
            target.objects.delete(blob.name)
            objects += 1
    gone = ids[:-keep]
    oldest = target.read_backup(ids[-keep] if len(ids) >= keep else ids[0])
    for backup_id in gone:
        backup = target.read_backup(backup_id)
        (target.backups / f"{backup_id}.json").unlink()
        for piece in (backup.base, backup.objects, backup.log):
            target.pieces.discard(piece)
    folder = target.wal / oldest.system_identifier
    for path in list(folder.glob("*.json")) if folder.is_dir() else []:
        name = path.name.removesuffix(".json")
        if not name.endswith(".history") and name[8:24] < oldest.start_wal[8:24]:
            target.drop_segment(oldest.system_identifier, name)
    return len(gone), objects


def listed_objects(target: Target, backup: Backup) -> Iterator[tuple[ObjectName, int]]:
    """Yield the objects of a backup's list, with their sizes."""
    held = b""
    for chunk in target.pieces.chunks(backup.objects, "The list of objects"):
        *lines, held = (held + chunk).split(b"\n")
        for line in lines:
            item = json.loads(line)
            yield ObjectName(UUID(item["t"]), UUID(item["o"])), int(item["b"])


def age_s(moment: datetime, clock: Clock = SYSTEM_CLOCK) -> float:
    """Return how long ago something was."""
    return (clock.now() - moment).total_seconds()
