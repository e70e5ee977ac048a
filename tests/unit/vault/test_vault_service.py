"""The vault as other apps use it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID, uuid4

import pytest

from gantry.vault.public import (
    KeyDestroyedError,
    StoredRef,
    Vault,
    VaultConfig,
    VaultCorruptError,
    VaultNotFoundError,
    build_vault,
    general_key_id,
)


class Shelter(Protocol):
    @property
    def vault(self) -> Vault: ...
    @property
    def tenant_id(self) -> UUID: ...
    @property
    def key_id(self) -> UUID: ...


def read(vault: Vault, ref: StoredRef) -> bytes:
    with vault.open(ref) as reader:
        return reader.read()


def test_object_opens_when_sealed_after_its_patient_is_known(shelter: Shelter) -> None:
    vault, tenant_id = shelter.vault, shelter.tenant_id
    with vault.begin(tenant_id) as writer:
        writer.write(b"staged before anybody knew whose it is")
        sealed = writer.commit()
    wrapped = vault.seal(tenant_id, sealed, shelter.key_id)
    ref = StoredRef(tenant_id, sealed.object_id, shelter.key_id, wrapped, sealed.size_bytes, sealed.sha256)
    assert read(vault, ref) == b"staged before anybody knew whose it is"
    assert wrapped.hex() not in repr(ref)
    assert repr(wrapped) not in repr(ref)


def test_sealing_is_refused_when_the_object_is_another_tenants(shelter: Shelter) -> None:
    other = uuid4()
    shelter.vault.keys.create_tenant_key(other)
    with shelter.vault.begin(shelter.tenant_id) as writer:
        sealed = writer.commit()
    with pytest.raises(ValueError, match="another tenant"):
        shelter.vault.seal(other, sealed, general_key_id(other))


def test_row_does_not_open_when_tenant_object_or_key_are_swapped(shelter: Shelter) -> None:
    vault, tenant_id, other_key, other_tenant = shelter.vault, shelter.tenant_id, uuid4(), uuid4()
    vault.keys.create_key(tenant_id, other_key)
    vault.keys.create_tenant_key(other_tenant)
    vault.keys.create_key(other_tenant, shelter.key_id)
    ref = vault.put(tenant_id, shelter.key_id, b"mine")
    other = vault.put(tenant_id, shelter.key_id, b"also mine")
    for forged in (
        replace(ref, key_id=other_key),
        replace(ref, tenant_id=other_tenant),
        replace(ref, object_id=other.object_id),
        replace(ref, wrapped_key=other.wrapped_key),
        replace(ref, wrapped_key=ref.wrapped_key[:-1]),
        replace(ref, wrapped_key=b""),
        replace(ref, size_bytes=ref.size_bytes - 1),
    ):
        with pytest.raises(VaultCorruptError):
            read(vault, forged)
    assert read(vault, ref) == b"mine"


def test_all_of_one_patient_is_unreadable_when_the_key_is_destroyed(shelter: Shelter) -> None:
    vault, tenant_id, neighbour = shelter.vault, shelter.tenant_id, uuid4()
    vault.keys.create_key(tenant_id, neighbour)
    refs = [vault.put(tenant_id, shelter.key_id, bytes([n])) for n in range(20)]
    kept = vault.put(tenant_id, neighbour, b"kept")
    assert all(read(vault, ref) for ref in refs)  # also warms whatever may be cached
    vault.keys.destroy_key(tenant_id, shelter.key_id)
    for ref in refs:
        with pytest.raises(KeyDestroyedError) as caught:
            vault.open(ref)
        assert caught.value.code == "vault.key_destroyed"
    with pytest.raises(KeyDestroyedError):
        vault.keys.create_key(tenant_id, shelter.key_id)
    assert read(vault, kept) == b"kept"


def test_object_moves_to_another_key_when_rewrapped_and_the_old_one_goes(shelter: Shelter) -> None:
    vault, tenant_id = shelter.vault, shelter.tenant_id
    quarantine = uuid4()
    vault.keys.create_key(tenant_id, quarantine)
    held = vault.put(tenant_id, quarantine, b"whose?")
    released = vault.rewrap(held, shelter.key_id)
    vault.keys.destroy_key(tenant_id, quarantine)
    assert read(vault, released) == b"whose?"
    with pytest.raises(KeyDestroyedError):
        vault.open(held)  # the row as a backup has it


def test_discarding_is_harmless_when_the_object_is_gone(shelter: Shelter) -> None:
    ref = shelter.vault.put(shelter.tenant_id, shelter.key_id, b"x")
    shelter.vault.discard(ref)
    shelter.vault.discard(ref)
    with pytest.raises(VaultNotFoundError):
        shelter.vault.open(ref)


def test_nothing_opens_and_nothing_returns_when_the_tenant_is_destroyed(shelter: Shelter) -> None:
    vault, tenant_id = shelter.vault, shelter.tenant_id
    refs = [vault.put(tenant_id, key, b"x") for key in (shelter.key_id, general_key_id(tenant_id))]
    vault.keys.destroy_tenant(tenant_id)
    for ref in refs:
        with pytest.raises(KeyDestroyedError):
            vault.open(ref)
    for again in (vault.keys.create_tenant_key, vault.keys.rotate_tenant_key):
        with pytest.raises(KeyDestroyedError):
            again(tenant_id)
    with pytest.raises(KeyDestroyedError):
        vault.keys.create_key(tenant_id, uuid4())
    with pytest.raises(ValueError, match="destroy_tenant"):
        vault.keys.destroy_key(tenant_id, general_key_id(tenant_id))


def test_vault_is_built_when_the_configuration_is_whole(tmp_path: Path) -> None:
    config = VaultConfig(kind="directory", keys_path=tmp_path / "k", objects_path=tmp_path / "o")
    tenant_id = uuid4()
    vault = build_vault(config)
    vault.keys.create_tenant_key(tenant_id)
    ref = vault.put(tenant_id, general_key_id(tenant_id), b"x")
    assert read(build_vault(config), ref) == b"x"


@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "directory", "keys_path": Path("k")},
        {"kind": "s3", "keys_path": Path("k")},
        {"kind": "s3", "bucket": "b"},
        {"kind": "s3", "bucket": "b", "kms_key_id": "alias/gantry"},
        {"kind": "s3", "bucket": "b", "kms_key_id": "alias/gantry", "key_bucket": "b"},
        {"kind": "s3", "bucket": "b", "kms_key_id": "alias/g", "key_bucket": "c", "keys_path": Path("k")},
    ],
)
def test_configuration_is_refused_when_it_is_not_whole(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="need"):
        VaultConfig(**settings)
