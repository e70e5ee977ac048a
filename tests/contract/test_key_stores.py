"""One contract for every key store. The bucket is real; KEKs are guarded by a local key in KMS's place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from botocore.stub import Stubber  # type: ignore[import-untyped]  # ships no types
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gantry.vault.key_directory import DirectoryKeyStore
from gantry.vault.key_hierarchy import HierarchicalKeyStore
from gantry.vault.key_kms import KmsGuard, S3KeyFiles
from gantry.vault.keys import KeyStore
from gantry.vault.public import (
    INSTALLATION,
    KeyDestroyedError,
    Secret,
    VaultCorruptError,
    VaultNotFoundError,
    VaultUnavailableError,
    general_key_id,
)
from gantry_storage import s3
from s3_server import S3Server, set_credentials

BUCKET = "keys"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    server = S3Server(tmp_path_factory.mktemp("s3"), BUCKET)
    yield server
    server.kill()


@pytest.fixture(scope="module")
def client(server: S3Server) -> Any:
    return server.client()


class LocalGuard:
    """AES-GCM with tenant and version bound, as KMS binds its encryption context."""

    def __init__(self) -> None:
        self._cipher = AESGCM(bytes(range(32)))

    def seal(self, tenant_id: UUID, version: int, kek: bytes) -> bytes:
        return self._cipher.encrypt(bytes(12), kek, tenant_id.bytes + bytes([version]))

    def open(self, tenant_id: UUID, version: int, sealed: bytes) -> bytes:
        try:
            return self._cipher.decrypt(bytes(12), sealed, tenant_id.bytes + bytes([version]))
        except InvalidTag:
            raise VaultCorruptError("not this tenant's") from None


@pytest.fixture(params=["directory", "s3"])
def keys(request: pytest.FixtureRequest, tmp_path: Path) -> KeyStore:
    if request.param == "directory":
        return DirectoryKeyStore(tmp_path / "keys")
    files = S3KeyFiles(request.getfixturevalue("client"), BUCKET, f"keys-{uuid4()}")
    return HierarchicalKeyStore(files, LocalGuard(), cache_ttl_s=30)


def test_data_key_opens_only_as_wrapped_when_tenant_key_or_object_differ(keys: KeyStore) -> None:
    tenant_id, other_tenant, key_id, other_key, object_id = (uuid4() for _ in range(5))
    for tenant in (tenant_id, other_tenant):
        keys.create_tenant_key(tenant)
        keys.create_tenant_key(tenant)
        for key in (key_id, other_key):
            keys.create_key(tenant, key)
    data_key = Secret.generate()
    wrapped = keys.wrap(tenant_id, key_id, data_key, object_id=object_id)
    keys.create_key(tenant_id, key_id)  # again: nothing changes
    assert keys.unwrap(tenant_id, key_id, wrapped, object_id=object_id) == data_key
    for tenant, key, obj in (
        (other_tenant, key_id, object_id),
        (tenant_id, other_key, object_id),
        (tenant_id, general_key_id(tenant_id), object_id),
        (tenant_id, key_id, uuid4()),
    ):
        with pytest.raises(VaultCorruptError):
            keys.unwrap(tenant, key, wrapped, object_id=obj)
    for at in range(len(wrapped)):
        changed = bytearray(wrapped)
        changed[at] ^= 0x10
        with pytest.raises(VaultCorruptError):
            keys.unwrap(tenant_id, key_id, bytes(changed), object_id=object_id)
    moved = keys.rewrap(tenant_id, key_id, other_key, wrapped, object_id=object_id)
    assert keys.unwrap(tenant_id, other_key, moved, object_id=object_id) == data_key


def test_keys_serve_on_when_the_tenant_key_is_rotated(keys: KeyStore) -> None:
    tenant_id, object_id, data_key = uuid4(), uuid4(), Secret.generate()
    keys.create_tenant_key(tenant_id)
    ids = [uuid4() for _ in range(5)]
    for key_id in ids:
        keys.create_key(tenant_id, key_id)
    wrapped = [keys.wrap(tenant_id, key_id, data_key, object_id=object_id) for key_id in ids]
    assert [keys.rotate_tenant_key(tenant_id) for _ in range(3)] == [2, 3, 4]
    for key_id, each in zip(ids, wrapped, strict=True):
        assert keys.unwrap(tenant_id, key_id, each, object_id=object_id) == data_key


def test_key_is_gone_for_good_when_destroyed(keys: KeyStore) -> None:
    tenant_id, key_id, other, object_id = (uuid4() for _ in range(4))
    keys.create_tenant_key(tenant_id)
    keys.create_key(tenant_id, key_id)
    keys.create_key(tenant_id, other)
    wrapped = keys.wrap(tenant_id, key_id, Secret.generate(), object_id=object_id)
    kept = keys.wrap(tenant_id, other, Secret.generate(), object_id=object_id)
    keys.destroy_key(tenant_id, key_id)
    keys.destroy_key(tenant_id, key_id)
    with pytest.raises(KeyDestroyedError):
        keys.unwrap(tenant_id, key_id, wrapped, object_id=object_id)
    with pytest.raises(KeyDestroyedError):
        keys.create_key(tenant_id, key_id)
    keys.unwrap(tenant_id, other, kept, object_id=object_id)
    assert [(entry.tenant_id, entry.key_id) for entry in keys.erasures()] == [(tenant_id, key_id)]
    keys.destroy_tenant(tenant_id)
    with pytest.raises(KeyDestroyedError):
        keys.unwrap(tenant_id, other, kept, object_id=object_id)
    with pytest.raises(KeyDestroyedError):
        keys.create_tenant_key(tenant_id)
    with pytest.raises(VaultNotFoundError):
        keys.wrap(uuid4(), key_id, Secret.generate(), object_id=object_id)


def test_kms_is_asked_with_its_context_when_a_tenant_key_is_sealed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The requests hold against AWS's own service description; no KMS answered them."""
    set_credentials(monkeypatch)
    kms = s3.build_client("kms", region="eu-central-1")
    tenant_id, context = uuid4(), {"gantry:kek-version": "3"}
    context["gantry:tenant"] = str(tenant_id)
    guard = KmsGuard(kms, "alias/gantry")
    with Stubber(kms) as stub:
        stub.add_response(
            "encrypt",
            {"CiphertextBlob": b"sealed"},
            {"KeyId": "alias/gantry", "Plaintext": bytes(32), "EncryptionContext": context},
        )
        stub.add_response(
            "decrypt",
            {"Plaintext": bytes(32)},
            {"KeyId": "alias/gantry", "CiphertextBlob": b"sealed", "EncryptionContext": context},
        )
        stub.add_client_error("decrypt", "InvalidCiphertextException")
        stub.add_client_error("decrypt", "ThrottlingException")
        assert guard.seal(tenant_id, 3, bytes(32)) == b"sealed"
        assert guard.open(tenant_id, 3, b"sealed") == bytes(32)
        with pytest.raises(VaultCorruptError):
            guard.open(tenant_id, 3, b"sealed")
        with pytest.raises(VaultUnavailableError):
            guard.open(tenant_id, 3, b"sealed")


def test_deletion_log_outlives_the_tenant_s_keys_and_keeps_the_last_word(keys: KeyStore) -> None:
    tenant_id, deletion_id = uuid4(), uuid4()
    keys.create_tenant_key(tenant_id)
    keys.log_deletion(tenant_id, deletion_id, b"begun")
    keys.log_deletion(tenant_id, deletion_id, b"done")
    keys.log_deletion(tenant_id, deletion_id, b"done")
    keys.destroy_tenant(tenant_id)
    (entry,) = keys.deletions(tenant_id)
    assert (entry.tenant_id, entry.deletion_id, entry.entry) == (tenant_id, deletion_id, b"done")
    assert entry in list(keys.deletions())


def test_report_tells_of_keys_and_of_their_destruction(keys: KeyStore) -> None:
    tenant_id, key_id = uuid4(), uuid4()
    keys.create_tenant_key(tenant_id)
    keys.create_key(tenant_id, key_id)
    report = keys.describe(tenant_id)
    assert (report.kek_versions, report.keys, report.destroyed, report.is_destroyed) == ((1,), 2, 0, False)
    keys.rotate_tenant_key(tenant_id)
    keys.destroy_key(tenant_id, key_id)
    report = keys.describe(tenant_id)
    assert (report.kek_versions, report.keys, report.destroyed) == ((2,), 1, 1)
    keys.destroy_tenant(tenant_id)
    assert keys.describe(tenant_id).is_destroyed


def test_installation_signs_with_one_key_that_a_rotation_does_not_change(keys: KeyStore) -> None:
    signature, public_key = keys.sign(b"a statement")
    Ed25519PublicKey.from_public_bytes(public_key).verify(signature, b"a statement")
    keys.rotate_tenant_key(INSTALLATION)
    assert keys.sign(b"a statement") == (signature, public_key)
