"""One contract for every object store; S3 is a real server on loopback."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # ships no types

from gantry.vault.key_directory import DirectoryKeyStore
from gantry.vault.public import (
    StoreFullError,
    Vault,
    VaultConfig,
    VaultCorruptError,
    VaultExistsError,
    VaultNotFoundError,
    VaultUnavailableError,
    build_vault,
    general_key_id,
)
from gantry_storage import s3
from gantry_storage.object_directory import DirectoryObjectStore
from gantry_storage.object_s3 import PART_BYTES, S3ObjectStore
from gantry_storage.objects import ObjectName, ObjectStore
from s3_server import S3Server, set_credentials

BUCKET = "objects"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    server = S3Server(tmp_path_factory.mktemp("s3"), BUCKET)
    yield server
    server.kill()


@pytest.fixture(scope="module")
def client(server: S3Server) -> Any:
    return server.client()


@dataclass(frozen=True)
class Case:
    """A store, and a way to damage what it holds behind its back."""

    store: ObjectStore
    overwrite: Callable[[ObjectName, bytes], object]


@pytest.fixture(params=["directory", "s3"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    if request.param == "directory":
        blobs = tmp_path / "objects" / "blobs"

        def overwrite_file(name: ObjectName, data: bytes) -> None:
            (blobs / str(name.tenant_id) / str(name.object_id)[:2] / str(name.object_id)).write_bytes(data)

        return Case(DirectoryObjectStore(tmp_path / "objects"), overwrite_file)
    client = request.getfixturevalue("client")
    prefix = f"a/{uuid4()}"

    def overwrite_key(name: ObjectName, data: bytes) -> None:
        client.put_object(Bucket=BUCKET, Key=f"{prefix}/{name}", Body=data)

    return Case(S3ObjectStore(client, BUCKET, prefix), overwrite_key)


def new_name(tenant_id: UUID | None = None) -> ObjectName:
    return ObjectName(tenant_id or uuid4(), uuid4())


def write(store: ObjectStore, name: ObjectName, data: bytes, step: int = 1 << 20) -> None:
    writer = store.create(name)
    for start in range(0, len(data), step):
        writer.write(memoryview(data)[start : start + step])
    writer.commit()


SIZES = [0, 1, 65_536, 65_537, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES + 12_345]


@pytest.mark.parametrize("size", SIZES)
def test_ranges_equal_plain_slices_when_an_object_is_read(case: Case, size: int) -> None:
    data, name = random.Random(size).randbytes(size), new_name()
    write(case.store, name, data, step=3_000_001)
    with case.store.open(name) as reader:
        assert reader.size == size
        assert reader.read_range(0, size) == data
        for offset, length in ((0, 12), (1, 0), (65_530, 20), (size // 2, 70_000), (size - 1, 5), (size, 5)):
            if offset >= 0:
                assert reader.read_range(offset, length) == data[offset : offset + length]


def test_object_is_invisible_when_not_committed(case: Case) -> None:
    for size in (10, PART_BYTES + 1):
        name = new_name()
        writer = case.store.create(name)
        writer.write(bytes(size))
        assert not case.store.exists(name)
        writer.abort()
        writer.abort()
        assert not case.store.exists(name)
        assert list(case.store.list(name.tenant_id)) == []
        with pytest.raises(ValueError, match="finished"):
            writer.write(b"x")
        with pytest.raises(ValueError, match="finished"):
            writer.commit()


def test_absent_object_is_not_found_when_asked_for(case: Case) -> None:
    name = new_name()
    assert not case.store.exists(name)
    with pytest.raises(VaultNotFoundError) as caught:
        case.store.open(name)
    assert caught.value.code == "vault.not_found"
    case.store.delete(name)
    write(case.store, name, b"now it is there")
    assert case.store.exists(name)
    case.store.delete(name)
    assert not case.store.exists(name)


@pytest.mark.parametrize("size", [10, PART_BYTES + 1])
def test_object_is_unchanged_when_it_would_be_overwritten(case: Case, size: int) -> None:
    name = new_name()
    write(case.store, name, b"first")
    with pytest.raises(VaultExistsError):
        write(case.store, name, bytes(size))
    with case.store.open(name) as reader:
        assert reader.read_range(0, reader.size) == b"first"


def test_listing_names_each_tenants_own_when_there_are_many(case: Case) -> None:
    mine, other = uuid4(), uuid4()
    names = {new_name(mine): n for n in range(25)}
    for name, size in names.items():
        write(case.store, name, bytes(size))
    write(case.store, new_name(other), b"x")
    listed = list(case.store.list(mine))
    assert {info.name: info.size_bytes for info in listed} == names
    assert all(abs(datetime.now(UTC) - info.modified) < timedelta(minutes=5) for info in listed)
    assert {mine, other} <= {info.name.tenant_id for info in case.store.list()}


def test_sweep_removes_partials_when_their_writers_are_gone(case: Case) -> None:
    kept = new_name()
    write(case.store, kept, b"kept")
    for _ in range(2):
        writer = case.store.create(new_name())
        writer.write(bytes(PART_BYTES + 1))
        # Forget the writer as a killed process would: its descriptor closes, nothing else is tidied.
        if (fd := getattr(writer, "_fd", None)) is not None:
            writer._fd = None  # type: ignore[attr-defined]  # the directory adapter alone has one
            os.close(fd)
    assert case.store.sweep_partials(timedelta(hours=1)) == 0
    assert case.store.sweep_partials(timedelta(0)) == 2
    assert case.store.sweep_partials(timedelta(0)) == 0
    assert case.store.exists(kept)


def test_sealed_object_is_corrupt_when_the_store_lost_its_tail(case: Case, tmp_path: Path) -> None:
    tenant_id = uuid4()
    vault = Vault(DirectoryKeyStore(tmp_path / "vault-keys"), case.store)
    vault.keys.create_tenant_key(tenant_id)
    data = random.Random(7).randbytes(300_000)
    ref = vault.put(tenant_id, general_key_id(tenant_id), data)
    with vault.open(ref) as reader:
        assert reader.read(100_000, 150_000) == data[100_000:250_000]
    name = ObjectName(tenant_id, ref.object_id)
    with case.store.open(name) as blob:
        whole = blob.read_range(0, blob.size)
    case.overwrite(name, whole[:-1])
    with pytest.raises(VaultCorruptError):
        vault.open(ref)
    case.overwrite(name, whole[:-1] + bytes([whole[-1] ^ 1]))
    with vault.open(ref) as reader, pytest.raises(VaultCorruptError):
        reader.read()


def test_all_objects_return_when_many_threads_write_and_read(case: Case) -> None:
    def cycle(n: int) -> bool:
        name, data = new_name(), random.Random(n).randbytes(50_000 + n)
        write(case.store, name, data)
        with case.store.open(name) as reader:
            return reader.read_range(0, reader.size) == data

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(cycle, range(40)))


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[tuple[S3Server, S3ObjectStore]]:
    """A server of its own, to be killed, and a store that does not wait long for it."""
    server = S3Server(tmp_path / "mortal", BUCKET)
    yield server, S3ObjectStore(server.client(), BUCKET)
    server.kill()


@pytest.mark.parametrize("size", [100_000, 2 * PART_BYTES])
def test_nothing_is_visible_when_the_server_is_killed_in_the_middle_of_a_write(
    mortal: tuple[S3Server, S3ObjectStore], size: int
) -> None:
    server, store = mortal
    name, before = new_name(), new_name()
    write(store, before, b"before")
    writer = store.create(name)
    writer.write(bytes(size))
    server.kill()
    with pytest.raises(VaultUnavailableError) as caught:  # noqa: PT012 - whichever of the two notices
        writer.write(bytes(PART_BYTES))
        writer.commit()
    assert caught.value.code == "vault.unavailable"
    with pytest.raises(VaultUnavailableError):
        store.exists(before)
    server.start()
    assert not store.exists(name)
    write(store, name, b"again")
    assert {info.name for info in store.list()} == {name, before}


def test_reading_fails_cleanly_when_the_server_is_killed(mortal: tuple[S3Server, S3ObjectStore]) -> None:
    server, store = mortal
    name = new_name()
    data = random.Random(8).randbytes(1_000_000)
    write(store, name, data)
    reader = store.open(name)
    server.kill()
    with pytest.raises(VaultUnavailableError):
        reader.read_range(500_000, 400_000)
    server.start()
    assert reader.read_range(500_000, 400_000) == data[500_000:900_000]


def test_store_is_unavailable_when_credentials_or_bucket_are_wrong(
    server: S3Server, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(VaultUnavailableError):
        S3ObjectStore(client, "no-such-bucket").open(new_name())
    set_credentials(monkeypatch, secret_key="wrong")
    stranger = s3.build_client("s3", region="us-east-1", endpoint_url=server.url)
    name = new_name()
    with pytest.raises(VaultUnavailableError):
        write(S3ObjectStore(stranger, BUCKET), name, b"x")
    assert not S3ObjectStore(client, BUCKET).exists(name)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("PreconditionFailed", VaultExistsError),
        ("ConditionalRequestConflict", VaultExistsError),
        ("NoSuchKey", VaultNotFoundError),
        ("QuotaExceeded", StoreFullError),
        ("SlowDown", VaultUnavailableError),
        ("AccessDenied", VaultUnavailableError),
    ],
)
def test_refusal_has_its_meaning_when_the_test_server_never_gives_it(code: str, expected: type[Exception]) -> None:
    assert type(s3.translate(ClientError({"Error": {"Code": code}}, "PutObject"))) is expected


def test_vault_is_built_on_s3_when_configured_so(
    server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    set_credentials(monkeypatch)
    config = VaultConfig(
        kind="s3", keys_path=tmp_path / "k", bucket=BUCKET, endpoint_url=server.url, region="us-east-1"
    )
    vault, tenant_id = build_vault(config), uuid4()
    vault.keys.create_tenant_key(tenant_id)
    ref = vault.put(tenant_id, general_key_id(tenant_id), b"over the wire")
    with build_vault(config).open(ref) as reader:
        assert reader.read() == b"over the wire"
    vault.discard(ref)
    assert list(vault.objects.list(tenant_id)) == []
