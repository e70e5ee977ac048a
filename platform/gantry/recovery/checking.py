"""Reading a backup to its end without restoring it."""

from __future__ import annotations

from dataclasses import dataclass

from gantry.recovery.backup import listed_objects
from gantry.recovery.database import Say
from gantry.recovery.target import Target


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a backup holds."""

    backup: str
    base_bytes: int
    segments: int
    objects: int
    missing: int


def check_backup(target: Target, backup_id: str, say: Say) -> CheckReport:
    """Open every piece of a backup, and look whether the copies of its objects are there.

    Raises
    ------
    RecoveryError
        A piece is missing, cut short, changed, or of another key.
    """
    backup = target.read_backup(backup_id)
    done = 0
    for chunk in target.pieces.chunks(backup.base, "The base backup"):
        done += len(chunk)
        say("database", done)
    segments = 0
    for name, piece in target.segments(backup.system_identifier, since=backup.start_wal):
        for _ in target.pieces.chunks(piece, f"The log segment {name}"):
            pass
        segments += 1
    target.pieces.read(backup.log, "The deletion log")
    there = {blob.name: blob.size_bytes for blob in target.objects.list()}
    objects = missing = 0
    for listed, size in listed_objects(target, backup):
        objects += 1
        missing += bool(there) and there.get(listed) != size
    return CheckReport(backup.id, done, segments, objects, missing)
