"""Verbatim content: opened for its own event alone, and not given away by its hash."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from gantry.audit.sealing import MAX_SEALED_BYTES, Sealed, audit_key_id, seal, unseal
from gantry.vault.key_directory import DirectoryKeyStore
from gantry.vault.public import KeyDestroyedError, KeyStore, VaultCorruptError

TENANT, EVENT, MOMENT = uuid4(), uuid4(), datetime(2026, 11, 25, tzinfo=UTC)
CONTENT = b"PatientName=Smith*"


@pytest.fixture
def keys(tmp_path: Path) -> KeyStore:
    keys = DirectoryKeyStore(tmp_path / "keys")
    keys.create_tenant_key(TENANT)
    return keys


def sealed_by(keys: KeyStore, content: bytes = CONTENT, *, tenant_id: UUID = TENANT) -> Sealed:
    from gantry.audit import sealing

    sealing._made.clear()  # another store than the last test's
    return seal(keys, content, tenant_id=tenant_id, event_id=EVENT, moment=MOMENT)


def opened(keys: KeyStore, sealed: Sealed, *, event_id: UUID = EVENT, tenant_id: UUID = TENANT) -> bytes:
    return unseal(keys, sealed.box, tenant_id=tenant_id, event_id=event_id, key_id=sealed.key_id, sha256=sealed.sha256)


@pytest.mark.parametrize("content", [b"", b"x", CONTENT, bytes(range(256)) * 16])
def test_content_is_returned(keys: KeyStore, content: bytes) -> None:
    assert opened(keys, sealed_by(keys, content)) == content


def test_content_is_cut_at_its_limit(keys: KeyStore) -> None:
    assert len(opened(keys, sealed_by(keys, b"x" * (MAX_SEALED_BYTES + 5)))) == MAX_SEALED_BYTES


def test_hash_cannot_be_guessed_from_the_content(keys: KeyStore) -> None:
    first, second = sealed_by(keys), sealed_by(keys)
    assert first.sha256 != second.sha256
    assert first.sha256 != hashlib.sha256(CONTENT).hexdigest()
    assert CONTENT not in first.box


def test_content_of_another_event_or_tenant_does_not_open(keys: KeyStore) -> None:
    sealed = sealed_by(keys)
    with pytest.raises(VaultCorruptError):
        opened(keys, sealed, event_id=uuid4())
    other = uuid4()
    keys.create_tenant_key(other)
    keys.create_key(other, sealed.key_id)
    with pytest.raises(VaultCorruptError):
        opened(keys, sealed, tenant_id=other)


@pytest.mark.parametrize("at", [0, 1, 5, 40, 70, 90, -1])
def test_flipped_bit_is_noticed(keys: KeyStore, at: int) -> None:
    sealed = sealed_by(keys)
    box = bytearray(sealed.box)
    box[at] ^= 1
    with pytest.raises(VaultCorruptError):
        opened(keys, Sealed(bytes(box), sealed.sha256, sealed.key_id))
    with pytest.raises(VaultCorruptError):
        opened(keys, Sealed(sealed.box, "0" * 64, sealed.key_id))


def test_month_has_its_own_key(keys: KeyStore) -> None:
    assert audit_key_id(TENANT, MOMENT) == audit_key_id(TENANT, MOMENT.replace(day=1))
    assert audit_key_id(TENANT, MOMENT) != audit_key_id(TENANT, MOMENT.replace(month=12))
    sealed = sealed_by(keys)
    keys.destroy_key(TENANT, sealed.key_id)
    with pytest.raises(KeyDestroyedError):
        opened(keys, sealed)
    with pytest.raises(KeyDestroyedError):
        sealed_by(keys)
