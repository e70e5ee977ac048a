"""The custody of keys: the key store, the installation's secrets and the backup key, apart from what they open.

It mirrors: a key that was destroyed is destroyed here as well, at the next run. An old copy of a key store would open
what was erased, so there is one custody and no history of it.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from gantry.recovery.errors import RecoveryError
from gantry.recovery.sealing import BackupKey
from gantry.recovery.target import write_durably

#: Files and folders of a state folder that belong to the custody.
SECRETS: Final = ("secrets.json", "backup.key")
FOLDERS: Final = ("sequencer", "checkpoints")
_KEYS: Final = "keys"


def mirror_custody(state: Path, custody: Path, *, keys: Path | None) -> int:
    """Bring the custody up to date with the keys; returns how many files were written or destroyed.

    Parameters
    ----------
    keys
        The key directory; None where KMS keeps the keys.
    """
    custody.mkdir(mode=0o700, parents=True, exist_ok=True)
    custody.chmod(0o700)
    changed = 0
    for name in SECRETS:
        source = state / name
        if source.is_file():
            text = source.read_text(encoding="utf-8")
            kept = custody / name
            if not kept.is_file() or kept.read_text(encoding="utf-8") != text:
                write_durably(kept, text)
                changed += 1
    for name in FOLDERS:
        if (state / name).is_dir():
            changed += _mirror(state / name, custody / name, is_kept=True)
    if keys is not None:
        changed += _mirror(keys, custody / _KEYS, is_kept=False)
    return changed


def _mirror(source: Path, copy: Path, *, is_kept: bool) -> int:
    copy.mkdir(mode=0o700, parents=True, exist_ok=True)
    changed = 0
    # What was destroyed goes first: a crash in between leaves too little, never too much.
    there = {path.relative_to(source) for path in source.rglob("*") if path.is_file() and not path.name.startswith(".")}
    for path in list(copy.rglob("*")):
        inner = path.relative_to(copy)
        is_log = "erased" in inner.parts or "deletions" in inner.parts
        if path.is_file() and inner not in there and not is_kept and not is_log:
            _shred(path)
            changed += 1
    for inner in sorted(there):
        try:
            data = (source / inner).read_bytes()
        except FileNotFoundError:
            continue  # destroyed while we looked: the next step takes it from here, too
        target = copy / inner
        if target.is_file() and target.read_bytes() == data:
            continue
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = target.with_name(f".{target.name}.new")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
        changed += 1
    return changed


def _shred(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
        file.flush()
        os.fsync(file.fileno())
    path.unlink()


def read_backup_key(custody: Path) -> BackupKey:
    """Return the backup key that a custody keeps."""
    if not custody.is_dir():
        raise RecoveryError(f"There is no custody folder {custody}. Without the keys a backup cannot be read.")
    return BackupKey.read(custody / "backup.key")


def restore_custody(custody: Path, state: Path) -> None:
    """Put keys and secrets into a new state folder."""
    for name in SECRETS:
        if not (custody / name).is_file():
            raise RecoveryError(f"The custody {custody} holds no {name}. It is not whole.")
        write_durably(state / name, (custody / name).read_text(encoding="utf-8"))
    for name in (*FOLDERS, _KEYS):
        if (custody / name).is_dir():
            shutil.copytree(custody / name, state / name, dirs_exist_ok=True)
            for path in (state / name, *(state / name).rglob("*")):
                path.chmod(0o700 if path.is_dir() else 0o600)
