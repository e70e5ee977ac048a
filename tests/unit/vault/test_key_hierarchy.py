"""Keys: what one opens, what is left after a crash at any step, and that destroyed means destroyed."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol
from uuid import UUID, uuid4

import pytest

from gantry.kernel.clock import ManualClock
from gantry.vault.key_directory import DirectoryKeyFiles, DirectoryKeyStore
from gantry.vault.key_hierarchy import HierarchicalKeyStore, KeyFiles, KeyPath, Shelf
from gantry.vault.public import (
    KeyDestroyedError,
    Secret,
    Vault,
    VaultCorruptError,
    VaultNotFoundError,
    VaultUnavailableError,
    general_key_id,
)

PLATFORM = Path(__file__).parents[3] / "platform"


class Shelter(Protocol):
    @property
    def vault(self) -> Vault: ...
    @property
    def keys_path(self) -> Path: ...
    @property
    def tenant_id(self) -> UUID: ...
    @property
    def key_id(self) -> UUID: ...
    def key_path(self, key_id: UUID | None = None) -> Path: ...


class Crash(BaseException):
    """The process dies here."""


class CrashingFiles:
    """Real key files of a process that dies before its n-th write, or as soon as it is done."""

    def __init__(self, files: KeyFiles, writes: int, *, after: bool) -> None:
        self._files = files
        self._left = writes
        self._after = after

    def exclusive(self, tenant_id: UUID) -> AbstractContextManager[None]:
        return self._files.exclusive(tenant_id)

    def read(self, path: KeyPath) -> bytes | None:
        return self._files.read(path)

    def names(self, tenant_id: UUID, shelf: Shelf) -> list[str]:
        return self._files.names(tenant_id, shelf)

    def tenants(self) -> list[UUID]:
        return self._files.tenants()

    def create(self, path: KeyPath, data: bytes) -> bool:
        self._die(after=False)
        done = self._files.create(path, data)
        self._die(after=True)
        return done

    def replace(self, path: KeyPath, old: bytes, new: bytes) -> bool:
        self._die(after=False)
        done = self._files.replace(path, old, new)
        self._die(after=True)
        return done

    def destroy(self, path: KeyPath) -> None:
        self._die(after=False)
        self._files.destroy(path)
        self._die(after=True)

    def _die(self, *, after: bool) -> None:
        if after == self._after:
            self._left -= 1
            if self._left < 0:
                raise Crash


class BareGuard:
    def seal(self, tenant_id: UUID, version: int, kek: bytes) -> bytes:
        return kek

    def open(self, tenant_id: UUID, version: int, sealed: bytes) -> bytes:
        return sealed


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("writes", range(9))
def test_every_key_still_opens_when_a_rotation_dies(shelter: Shelter, writes: int, after: bool) -> None:
    keys, tenant_id = shelter.vault.keys, shelter.tenant_id
    ids = [shelter.key_id, uuid4(), uuid4(), general_key_id(tenant_id)]
    for key_id in ids:
        keys.create_key(tenant_id, key_id)
    data_key, object_id = Secret.generate(), uuid4()
    wrapped = {key_id: keys.wrap(tenant_id, key_id, data_key, object_id=object_id) for key_id in ids}

    files = CrashingFiles(DirectoryKeyFiles(shelter.keys_path), writes, after=after)
    dying = HierarchicalKeyStore(files, BareGuard(), cache_ttl_s=0)
    try:
        assert dying.rotate_tenant_key(tenant_id) == 2
        assert writes >= 6  # one new KEK, four keys, one old KEK
    except Crash:
        assert writes < 6

    for key_id in ids:
        assert keys.unwrap(tenant_id, key_id, wrapped[key_id], object_id=object_id) == data_key
    version = keys.rotate_tenant_key(tenant_id)
    assert os.listdir(shelter.keys_path / str(tenant_id) / "tenant") == [f"{version:08d}"]
    for key_id in ids:
        assert keys.unwrap(tenant_id, key_id, wrapped[key_id], object_id=object_id) == data_key


@pytest.mark.parametrize(("writes", "after"), [(0, True), (1, False)])
def test_key_is_destroyed_and_log_replay_finishes_when_the_destruction_dies(
    shelter: Shelter, writes: int, after: bool
) -> None:
    keys, tenant_id, key_id = shelter.vault.keys, shelter.tenant_id, shelter.key_id
    files = CrashingFiles(DirectoryKeyFiles(shelter.keys_path), writes, after=after)
    with pytest.raises(Crash):
        HierarchicalKeyStore(files, BareGuard(), cache_ttl_s=0).destroy_key(tenant_id, key_id)
    assert shelter.key_path().exists()
    with pytest.raises(KeyDestroyedError):
        keys.wrap(tenant_id, key_id, Secret.generate(), object_id=uuid4())
    for erasure in keys.erasures():
        assert erasure.key_id is not None
        keys.destroy_key(erasure.tenant_id, erasure.key_id)
    assert not shelter.key_path().exists()


def test_destruction_holds_when_an_old_copy_of_the_keys_is_restored(shelter: Shelter, tmp_path: Path) -> None:
    vault, tenant_id, key_id = shelter.vault, shelter.tenant_id, shelter.key_id
    ref = vault.put(tenant_id, key_id, b"somebody")
    shutil.copytree(shelter.keys_path, tmp_path / "copy")
    vault.keys.destroy_key(tenant_id, key_id)
    log = list(vault.keys.erasures())

    restored = Vault(DirectoryKeyStore(tmp_path / "copy"), vault.objects)
    with restored.open(ref) as reader:
        assert reader.read() == b"somebody"  # why a restore replays the log before it opens
    for erasure in log:
        assert erasure.key_id is not None
        restored.keys.destroy_key(erasure.tenant_id, erasure.key_id)
    with pytest.raises(KeyDestroyedError):
        restored.open(ref)
    assert not list((tmp_path / "copy").rglob(f"keys/{key_id}"))


def test_files_are_zeroed_before_they_go_when_a_key_is_destroyed(shelter: Shelter, tmp_path: Path) -> None:
    os.link(shelter.key_path(), tmp_path / "same-inode")
    leftover = shelter.key_path().with_name(f".{shelter.key_id}.new")
    leftover.write_bytes(b"left by a rewrite that died")
    shelter.vault.keys.destroy_key(shelter.tenant_id, shelter.key_id)
    zeroed = (tmp_path / "same-inode").read_bytes()
    assert zeroed == bytes(len(zeroed)) != b""
    assert not leftover.exists()


def test_cache_serves_at_most_its_time_when_another_process_destroys_the_key(shelter: Shelter) -> None:
    moment = [0.0]
    other = HierarchicalKeyStore(
        DirectoryKeyFiles(shelter.keys_path), BareGuard(), cache_ttl_s=30, monotonic=lambda: moment[0]
    )
    tenant_id, key_id, object_id = shelter.tenant_id, shelter.key_id, uuid4()
    wrapped = other.wrap(tenant_id, key_id, Secret.generate(), object_id=object_id)
    shelter.vault.keys.destroy_key(tenant_id, key_id)
    moment[0] = 29.9
    other.unwrap(tenant_id, key_id, wrapped, object_id=object_id)
    moment[0] = 30.0
    with pytest.raises(KeyDestroyedError):
        other.unwrap(tenant_id, key_id, wrapped, object_id=object_id)


def test_cache_forgets_at_once_when_its_own_process_destroys_or_rotates(shelter: Shelter) -> None:
    own = HierarchicalKeyStore(DirectoryKeyFiles(shelter.keys_path), BareGuard(), cache_ttl_s=60)
    tenant_id, key_id, object_id = shelter.tenant_id, shelter.key_id, uuid4()
    data_key = Secret.generate()
    wrapped = own.wrap(tenant_id, key_id, data_key, object_id=object_id)
    own.rotate_tenant_key(tenant_id)
    assert own.unwrap(tenant_id, key_id, wrapped, object_id=object_id) == data_key
    own.destroy_key(tenant_id, key_id)
    with pytest.raises(KeyDestroyedError):
        own.unwrap(tenant_id, key_id, wrapped, object_id=object_id)
    with pytest.raises(ValueError, match="60"):
        HierarchicalKeyStore(DirectoryKeyFiles(shelter.keys_path), BareGuard(), cache_ttl_s=61)


class SlowReadFiles(CrashingFiles):
    """Real key files whose reader can be held back between reading a key and going on."""

    def __init__(self, files: KeyFiles, path: KeyPath) -> None:
        super().__init__(files, 10**6, after=False)
        self._path = path
        self.reached, self.released = threading.Event(), threading.Event()

    def read(self, path: KeyPath) -> bytes | None:
        data = super().read(path)
        if path == self._path and not self.released.is_set():
            self.reached.set()
            assert self.released.wait(10)
        return data


def test_key_is_not_kept_in_the_cache_when_it_was_read_before_its_destruction(shelter: Shelter) -> None:
    tenant_id, key_id, object_id = shelter.tenant_id, shelter.key_id, uuid4()
    wrapped = shelter.vault.keys.wrap(tenant_id, key_id, Secret.generate(), object_id=object_id)
    files = SlowReadFiles(DirectoryKeyFiles(shelter.keys_path), KeyPath(tenant_id, Shelf.KEYS, str(key_id)))
    own = HierarchicalKeyStore(files, BareGuard(), cache_ttl_s=60)
    reader = threading.Thread(target=lambda: own.unwrap(tenant_id, key_id, wrapped, object_id=object_id))
    reader.start()
    assert files.reached.wait(10)
    own.destroy_key(tenant_id, key_id)
    files.released.set()
    reader.join(10)
    with pytest.raises(KeyDestroyedError):
        own.unwrap(tenant_id, key_id, wrapped, object_id=object_id)


def test_erasure_log_says_when_under_the_clock_it_was_given(tmp_path: Path) -> None:
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    keys, tenant_id, key_ids = DirectoryKeyStore(tmp_path / "keys", clock=clock), uuid4(), [uuid4(), uuid4()]
    keys.create_tenant_key(tenant_id)
    for key_id in key_ids:
        keys.create_key(tenant_id, key_id)
        keys.destroy_key(tenant_id, key_id)
        clock.advance(timedelta(days=1))
    keys.destroy_key(tenant_id, key_ids[0])  # again: the first date stays
    keys.destroy_tenant(tenant_id)
    assert [(entry.key_id, entry.destroyed_at.day) for entry in keys.erasures(tenant_id)] == [
        (key_ids[0], 1),
        (key_ids[1], 2),
        (None, 3),
    ]


def test_keys_are_closed_to_others_when_the_umask_is_open(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        keys, tenant_id = DirectoryKeyStore(tmp_path / "keys"), uuid4()
        keys.create_tenant_key(tenant_id)
        keys.rotate_tenant_key(tenant_id)
    finally:
        os.umask(before)
    paths = [tmp_path / "keys", *(tmp_path / "keys").rglob("*")]
    assert len(paths) == 6
    for path in paths:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


def test_no_link_is_followed_when_one_stands_for_a_key(shelter: Shelter, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shelter.key_path().rename(moved)
    shelter.key_path().symlink_to(moved)
    before = moved.read_bytes()
    with pytest.raises(VaultUnavailableError):
        shelter.vault.keys.wrap(shelter.tenant_id, shelter.key_id, Secret.generate(), object_id=uuid4())
    with pytest.raises(VaultUnavailableError):
        shelter.vault.keys.destroy_key(shelter.tenant_id, shelter.key_id)
    assert moved.read_bytes() == before


def test_key_does_not_open_when_its_file_is_swapped_cut_or_changed(shelter: Shelter) -> None:
    keys, tenant_id, other = shelter.vault.keys, shelter.tenant_id, uuid4()
    keys.create_key(tenant_id, other)
    original = shelter.key_path().read_bytes()
    changed = bytearray(original)
    changed[-1] ^= 1
    for bad in (shelter.key_path(other).read_bytes(), original[:-1], b"", bytes(changed)):
        shelter.key_path().write_bytes(bad)
        with pytest.raises(VaultCorruptError):
            keys.wrap(tenant_id, shelter.key_id, Secret.generate(), object_id=uuid4())
    shelter.key_path().write_bytes(original)
    keys.wrap(tenant_id, shelter.key_id, Secret.generate(), object_id=uuid4())


CREATE = """
import sys, uuid
from pathlib import Path
from gantry.vault.key_directory import DirectoryKeyStore
from gantry.vault.public import Secret
keys, tenant, object_id = DirectoryKeyStore(Path(sys.argv[1])), uuid.UUID(sys.argv[2]), uuid.UUID(int=1)
print("ready", flush=True); sys.stdin.readline()
for n in range(15):
    keys.create_tenant_key(tenant)
    key_id = uuid.UUID(int=n + 2)
    keys.create_key(tenant, key_id)
    print(keys.wrap(tenant, key_id, Secret(bytes([n]) * 32), object_id=object_id).hex(), flush=True)
"""


def start(path: Path, tenant_id: UUID) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", CREATE, str(path), str(tenant_id)],
        env={**os.environ, "PYTHONPATH": str(PLATFORM)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def test_all_hold_one_key_when_processes_create_it_at_once_during_rotations(tmp_path: Path) -> None:
    path, tenant_id = tmp_path / "keys", uuid4()
    keys = DirectoryKeyStore(path)
    keys.create_tenant_key(tenant_id)
    children = [start(path, tenant_id) for _ in range(3)]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    rotations = 0
    while rotations < 5 and any(child.poll() is None for child in children):
        rotations += 1
        keys.rotate_tenant_key(tenant_id)
    assert rotations
    for child in children:
        wrapped = child.communicate(timeout=60)[0].split()
        assert child.returncode == 0
        assert len(wrapped) == 15
        for n, each in enumerate(wrapped):
            opened = keys.unwrap(tenant_id, UUID(int=n + 2), bytes.fromhex(each), object_id=UUID(int=1))
            assert opened == Secret(bytes([n]) * 32)


def test_store_serves_on_when_a_process_is_killed_in_the_middle(tmp_path: Path) -> None:
    path, tenant_id = tmp_path / "keys", uuid4()
    keys = DirectoryKeyStore(path)
    keys.create_tenant_key(tenant_id)
    for delay_s in (0.001, 0.004, 0.009):
        with start(path, tenant_id) as child:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
            time.sleep(delay_s)  # not a wait for anything: the moment of death is the variable
            child.send_signal(signal.SIGKILL)
        made = keys_made(path, tenant_id)
        for key_id in made:
            keys.wrap(tenant_id, key_id, Secret.generate(), object_id=uuid4())
        keys.create_key(tenant_id, uuid4())


def keys_made(path: Path, tenant_id: UUID) -> list[UUID]:
    return [UUID(name) for name in DirectoryKeyFiles(path).names(tenant_id, Shelf.KEYS)]


def test_key_of_another_tenant_is_not_found_when_asked_for(shelter: Shelter) -> None:
    other = uuid4()
    with pytest.raises(VaultNotFoundError):
        shelter.vault.keys.create_key(other, uuid4())
    shelter.vault.keys.create_tenant_key(other)
    with pytest.raises(VaultNotFoundError):
        shelter.vault.keys.wrap(other, shelter.key_id, Secret.generate(), object_id=uuid4())
    shelter.vault.keys.wrap(shelter.tenant_id, shelter.key_id, Secret.generate(), object_id=uuid4())
