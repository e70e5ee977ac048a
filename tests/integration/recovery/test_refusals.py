"""What a restore refuses, with a sentence, leaving nothing behind; and what a backup refuses to write."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from gantry.embedded.state import StateFolder
from gantry.recovery.backup import Source, open_target, prune, run_backup
from gantry.recovery.checking import check_backup
from gantry.recovery.custody import mirror_custody, read_backup_key
from gantry.recovery.errors import RecoveryError
from gantry.recovery.restore import Wanted, restore
from gantry.recovery.sealing import Piece
from gantry.recovery.target import Target, require_apart

pytestmark = pytest.mark.usefixtures("database")


def say(_what: str, _done: int) -> None:
    pass


def piece_file(target: Target, piece: Piece) -> Path:
    (found,) = [path for path in (target.root / "pieces").rglob("*") if path.name == str(piece.object_id)]
    return found


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at % len(data)] ^= 1
    path.write_bytes(bytes(data))


def cut_base(target: Target) -> None:
    path = piece_file(target, target.read_backup().base)
    path.write_bytes(path.read_bytes()[:-5000])


def flip_base(target: Target) -> None:
    flip(piece_file(target, target.read_backup().base), 200_000)


def flip_list(target: Target) -> None:
    (path,) = target.backups.glob("*.json")
    document = json.loads(path.read_text())
    document["body"]["counts"]["objects"] = 10**6
    path.write_text(json.dumps(document))


def cut_list(target: Target) -> None:
    (path,) = target.backups.glob("*.json")
    path.write_text(path.read_text()[:-20])


def lose_base(target: Target) -> None:
    piece_file(target, target.read_backup().base).unlink()


def swap_pieces(target: Target) -> None:
    backup = target.read_backup()
    first, second = piece_file(target, backup.log), piece_file(target, backup.objects)
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


def test_damaged_backup_is_refused_and_nothing_is_left(
    source: Source, target: Target, custody: Path, folder: Path
) -> None:
    run_backup(source, target, custody, say, with_objects=False)
    pristine = folder / "pristine"
    shutil.copytree(target.root, pristine)
    damages: list[Callable[[Target], None]] = [cut_base, flip_base, flip_list, cut_list, lose_base, swap_pieces]
    for number, damage in enumerate(damages):
        broken = folder / f"broken-{number}"
        shutil.copytree(pristine, broken)
        damaged = Target(broken, read_backup_key(custody))
        damage(damaged)
        with pytest.raises(RecoveryError) as refused:
            restore(wanted=Wanted(broken, custody), state=StateFolder(folder / "again"), say=say)
        assert str(refused.value).endswith("."), damage
        assert not (folder / "again").exists(), damage
        assert not (folder / "again.restoring").exists(), damage
        with pytest.raises(RecoveryError):
            check_backup(damaged, "", say)


def test_another_key_is_refused(source: Source, target: Target, custody: Path, folder: Path) -> None:
    run_backup(source, target, custody, say, with_objects=False)
    (custody / "backup.key").write_text(secrets.token_hex(32))
    with pytest.raises(RecoveryError, match="another backup key"):
        restore(wanted=Wanted(target.root, custody), state=StateFolder(folder / "again"), say=say)
    (custody / "backup.key").unlink()
    with pytest.raises(RecoveryError, match="no backup key"):
        restore(wanted=Wanted(target.root, custody), state=StateFolder(folder / "again"), say=say)
    assert not (folder / "again").exists()


def test_custody_without_the_secrets_is_refused(source: Source, target: Target, custody: Path, folder: Path) -> None:
    run_backup(source, target, custody, say, with_objects=False)
    (custody / "secrets.json").unlink()
    with pytest.raises(RecoveryError, match="not whole"):
        restore(wanted=Wanted(target.root, custody), state=StateFolder(folder / "again"), say=say)


def test_folder_with_something_in_it_is_not_written_over(
    source: Source, target: Target, custody: Path, folder: Path
) -> None:
    run_backup(source, target, custody, say, with_objects=False)
    (folder / "again").mkdir()
    (folder / "again" / "mine").write_text("mine")
    with pytest.raises(RecoveryError, match="not empty"):
        restore(wanted=Wanted(target.root, custody), state=StateFolder(folder / "again"), say=say)
    assert (folder / "again" / "mine").read_text() == "mine"


def test_keys_and_backups_are_kept_apart(folder: Path) -> None:
    state = folder / "state"
    for target, custody in (
        (folder / "one", folder / "one"), (folder / "one", folder / "one/keys"), (folder / "two/backups", folder / "two"),
        (state / "backups", folder / "keys"), (folder / "backups", state / "keys"),
    ):  # fmt: skip
        with pytest.raises(RecoveryError, match="kept apart"):
            require_apart(target, custody, state)
    require_apart(folder / "backups", folder / "keys", state)


def test_no_name_of_a_patient_lies_in_a_target(source: Source, custody: Path, folder: Path) -> None:
    from analysed import load_study
    from ct_files import Patient
    from world import make_world

    name = f"Canary{secrets.token_hex(4)}"
    load_study(make_world(), 2, patient=Patient(name=f"{name}^Ficta"))
    target = open_target(folder / "target", custody, source.state)
    run_backup(source, target, custody, say)
    needles = [name.encode(), name.upper().encode(), name.lower().encode(), name.encode("utf-16-le")]
    for path in target.root.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not any(needle in content for needle in needles), path


def test_custody_loses_a_key_that_was_destroyed(source: Source, custody: Path) -> None:
    from uuid import uuid4

    tenant_id, key_id = uuid4(), uuid4()
    source.keys.create_tenant_key(tenant_id)
    source.keys.create_key(tenant_id, key_id)
    mirror_custody(source.state, custody, keys=source.keys_path)
    kept = custody / "keys" / str(tenant_id) / "keys" / str(key_id)
    assert kept.is_file()
    source.keys.destroy_key(tenant_id, key_id)
    mirror_custody(source.state, custody, keys=source.keys_path)
    assert not kept.exists()
    assert (custody / "keys" / str(tenant_id) / "erased" / str(key_id)).is_file()


def test_old_backups_are_removed_with_their_pieces(source: Source, target: Target, custody: Path) -> None:
    from datetime import timedelta

    from gantry.kernel.clock import SYSTEM_CLOCK, ManualClock

    clock = ManualClock(SYSTEM_CLOCK.now())
    for _ in range(3):
        run_backup(source, target, custody, say, with_objects=False, clock=clock)
        clock.advance(timedelta(minutes=1))
    assert prune(target, keep=1)[0] == 2
    assert len(target.list_backups()) == 1
    check_backup(target, "", say)
    # Of the one that stays: base, list of objects, log; and the newest log.
    assert len([path for path in (target.root / "pieces").rglob("*") if path.is_file()]) == 4
