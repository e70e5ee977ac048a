"""Objects on disk: whole or absent, closed to others, reached through no link."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from gantry.vault.public import VaultUnavailableError
from gantry_storage.object_directory import DirectoryObjectStore
from gantry_storage.objects import ObjectName

RENDERING = Path(__file__).parents[3] / "rendering"
WRITER = """
import sys, uuid
from pathlib import Path
from gantry_storage.object_directory import DirectoryObjectStore
from gantry_storage.objects import ObjectName
writer = DirectoryObjectStore(Path(sys.argv[1])).create(ObjectName(uuid.UUID(sys.argv[2]), uuid.uuid4()))
"""


def run_child(code: str, *args: str, wrap: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*wrap, sys.executable, "-c", WRITER + code, *args],
        env={**os.environ, "PYTHONPATH": str(RENDERING)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_no_object_is_visible_when_its_writer_is_killed(tmp_path: Path) -> None:
    store, tenant_id = DirectoryObjectStore(tmp_path / "objects"), uuid4()
    code = "writer.write(bytes(1 << 20)); print('written', flush=True); sys.stdin.read()"
    child = subprocess.Popen(
        [sys.executable, "-c", WRITER + code, str(tmp_path / "objects"), str(tenant_id)],
        env={**os.environ, "PYTHONPATH": str(RENDERING)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "written\n"
        assert len(os.listdir(tmp_path / "objects" / "partial")) == 1
        assert store.sweep_partials(timedelta(0)) == 0  # its writer lives
        child.send_signal(signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    assert list(store.list()) == []
    assert store.sweep_partials(timedelta(hours=1)) == 0  # too young
    assert store.sweep_partials(timedelta(0)) == 1
    assert os.listdir(tmp_path / "objects" / "partial") == []


ATTEMPT = """
from gantry.vault.errors import StoreFullError
try:
    writer.write(bytes(4 << 20)); writer.commit()
except StoreFullError as error:
    writer.abort()
    print(error.code, sum(1 for _ in Path(sys.argv[1]).rglob('*') if _.is_file()))
"""


def test_nothing_is_kept_when_a_file_may_not_grow(tmp_path: Path) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
    child = run_child(limit + ATTEMPT, str(tmp_path / "objects"), str(uuid4()))
    out, err = child.communicate(timeout=60)
    assert out == "vault.full 0\n", err


def test_nothing_is_kept_when_the_disk_is_full(tmp_path: Path) -> None:
    mount = f'mount -t tmpfs -o size=1m none {tmp_path} && exec "$@"'
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-rm", "true"], check=False).returncode:
        pytest.skip("this machine gives no mount namespace")
    child = run_child(ATTEMPT, str(tmp_path / "objects"), str(uuid4()), wrap=(unshare, "-rm", "sh", "-c", mount, "sh"))
    out, err = child.communicate(timeout=60)
    assert out == "vault.full 0\n", err


def test_files_are_closed_to_others_when_the_umask_is_open(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store, name = DirectoryObjectStore(tmp_path / "objects"), ObjectName(uuid4(), uuid4())
        writer = store.create(name)
        writer.write(b"x")
        writer.commit()
    finally:
        os.umask(before)
    for path in (tmp_path / "objects", *(tmp_path / "objects").rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


def test_store_refuses_when_its_directory_is_open_to_others_or_a_link(tmp_path: Path) -> None:
    (tmp_path / "wide").mkdir(mode=0o755)
    (tmp_path / "wide").chmod(0o755)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    for name in ("wide", "link"):
        with pytest.raises(VaultUnavailableError):
            DirectoryObjectStore(tmp_path / name)


def test_no_link_is_followed_when_one_is_planted_inside(tmp_path: Path) -> None:
    store, name = DirectoryObjectStore(tmp_path / "objects"), ObjectName(uuid4(), uuid4())
    outside = tmp_path / "outside"
    outside.mkdir()
    last = str(name.object_id)
    (outside / last).write_bytes(b"not yours")
    shard = tmp_path / "objects" / "blobs" / str(name.tenant_id) / last[:2]
    shard.mkdir(parents=True, mode=0o700)

    (shard / last).symlink_to(outside / last)
    with pytest.raises(VaultUnavailableError):
        store.open(name)

    (shard / last).unlink()
    shard.rmdir()
    shard.symlink_to(outside, target_is_directory=True)
    with pytest.raises(VaultUnavailableError):
        store.open(name)
    with pytest.raises(VaultUnavailableError):
        store.delete(name)
    assert (outside / last).read_bytes() == b"not yours"


def test_name_is_refused_when_it_is_not_made_of_uuids() -> None:
    with pytest.raises(TypeError):
        ObjectName("../../etc", uuid4())  # type: ignore[arg-type]  # what a careless caller might try
    with pytest.raises(TypeError):
        ObjectName(uuid4(), "%2e%2e/x")  # type: ignore[arg-type]  # the same
