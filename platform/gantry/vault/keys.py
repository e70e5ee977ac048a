"""Key store port. Hierarchy: tenant key-encryption key (KEK) -> patient key -> data key of one object.

The store keeps KEKs and patient keys. It never keeps a data key: `wrap` returns it encrypted, and the
caller keeps that in the object's database row. So destroying one patient key makes every object of the
patient unreadable, in this database and in each of its backups.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

from gantry_storage.secret import Secret


@dataclass(frozen=True, slots=True)
class Erasure:
    """One entry of the erasure log: a key that is gone for good; the whole tenant when `key_id` is None."""

    tenant_id: UUID
    key_id: UUID | None
    destroyed_at: datetime


@dataclass(frozen=True, slots=True)
class Deletion:
    """One entry of the deletion log: what was destroyed, as its writer put it down."""

    tenant_id: UUID
    deletion_id: UUID
    entry: bytes


@dataclass(frozen=True, slots=True)
class KeyReport:
    """How it stands with a tenant's keys; no key is in it."""

    kek_versions: tuple[int, ...]
    """More than one: a rotation was cut short. None: the tenant was erased, or never had a key."""
    keys: int
    destroyed: int
    is_destroyed: bool


#: Whose key signs what the installation itself says, such as certificates of erasure; no tenant has this id.
INSTALLATION: Final = UUID(int=0)


def general_key_id(tenant_id: UUID) -> UUID:
    """Return the id of the tenant's general key, for what belongs to no patient.

    It lives as long as the tenant. What will later belong to a patient (quarantine) takes a key of its
    own instead, destroyed when the data key moves: else old backups would still open it with this one.
    """
    return tenant_id


class KeyStore(Protocol):
    """Keys of tenants and patients, outside every database backup. Safe among threads and processes."""

    def create_tenant_key(self, tenant_id: UUID) -> None:
        """Make the tenant's KEK and general key; does nothing when they exist."""

    def create_key(self, tenant_id: UUID, key_id: UUID) -> None:
        """Make a patient key; does nothing when it exists, raises `KeyDestroyedError` when it did."""

    def wrap(self, tenant_id: UUID, key_id: UUID, data_key: Secret, *, object_id: UUID) -> bytes:
        """Return the data key encrypted under the patient key, for this tenant, key and object alone."""

    def unwrap(self, tenant_id: UUID, key_id: UUID, wrapped: bytes, *, object_id: UUID) -> Secret:
        """Return the data key; `VaultCorruptError` when tenant, key or object are not the ones of `wrap`."""

    def rewrap(self, tenant_id: UUID, from_key_id: UUID, to_key_id: UUID, wrapped: bytes, *, object_id: UUID) -> bytes:
        """Return the data key wrapped under another key of the tenant; the object is not touched."""

    def rotate_tenant_key(self, tenant_id: UUID) -> int:
        """Put a new KEK in place of the old one and return its version; finishes an interrupted rotation."""

    def destroy_key(self, tenant_id: UUID, key_id: UUID) -> None:
        """Log the erasure, then destroy the key for good. Repeating it finishes an interrupted one."""

    def destroy_tenant(self, tenant_id: UUID) -> None:
        """Log the erasure, then destroy every key of the tenant for good."""

    def erasures(self, tenant_id: UUID | None = None) -> Iterator[Erasure]:
        """Yield the erasure log, oldest first within a tenant, for one tenant or for all."""

    def log_deletion(self, tenant_id: UUID, deletion_id: UUID, entry: bytes) -> None:
        """Write an entry of the deletion log, or put a later word on the same deletion in its place."""

    def deletions(self, tenant_id: UUID | None = None) -> Iterator[Deletion]:
        """Yield the deletion log, in no order, for one tenant or for all. It outlives every key."""

    def describe(self, tenant_id: UUID) -> KeyReport:
        """Return how it stands with a tenant's keys."""

    def sign(self, message: bytes) -> tuple[bytes, bytes]:
        """Sign in the name of the installation; returns the Ed25519 signature and the public key.

        The key is made at first use, wrapped like every other, and never leaves the store.
        """
