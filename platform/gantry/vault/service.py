"""The vault: sealed objects, and the keys that open them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal
from uuid import UUID

from gantry.vault.key_directory import DirectoryKeyStore
from gantry.vault.keys import KeyStore
from gantry_storage.objects import ObjectName, ObjectStore
from gantry_storage.sealed import SealedObject, SealedReader, SealedWriter
from gantry_storage.store import StoreConfig, open_store


@dataclass(frozen=True, slots=True)
class StoredRef:
    """What a database row keeps of an object."""

    tenant_id: UUID
    object_id: UUID
    key_id: UUID
    wrapped_key: bytes = field(repr=False)
    size_bytes: int
    sha256: str
    """Of the plaintext, in hexadecimal."""


@dataclass(frozen=True, slots=True)
class Vault:
    """Keys and objects together. Every method blocks; asynchronous callers run it in a thread."""

    keys: KeyStore
    objects: ObjectStore

    def begin(self, tenant_id: UUID, object_id: UUID | None = None) -> SealedWriter:
        """Start a sealed object, before it need be known whose key will open it."""
        return SealedWriter(self.objects, tenant_id, object_id)

    def seal(self, tenant_id: UUID, sealed: SealedObject, key_id: UUID) -> bytes:
        """Return the object's data key wrapped under one of the tenant's keys, for its database row.

        Raises
        ------
        VaultNotFoundError
            The tenant has no such key.
        KeyDestroyedError
            It had.
        """
        if tenant_id != sealed.tenant_id:
            raise ValueError("the object was written for another tenant")
        return self.keys.wrap(tenant_id, key_id, sealed.data_key, object_id=sealed.object_id)

    def put(self, tenant_id: UUID, key_id: UUID, data: bytes | bytearray | memoryview) -> StoredRef:
        """Seal bytes that are at hand and return what their row keeps."""
        with self.begin(tenant_id) as writer:
            writer.write(data)
            sealed = writer.commit()
        wrapped = self.seal(tenant_id, sealed, key_id)
        return StoredRef(tenant_id, sealed.object_id, key_id, wrapped, sealed.size_bytes, sealed.sha256)

    def open(self, ref: StoredRef) -> SealedReader:
        """Open an object for ranged reading.

        Raises
        ------
        KeyDestroyedError
            It was erased.
        VaultNotFoundError, VaultCorruptError
            It is not there, or is not what the row says.
        """
        data_key = self.keys.unwrap(ref.tenant_id, ref.key_id, ref.wrapped_key, object_id=ref.object_id)
        return SealedReader(self.objects, ObjectName(ref.tenant_id, ref.object_id), data_key, ref.size_bytes)

    def rewrap(self, ref: StoredRef, key_id: UUID) -> StoredRef:
        """Return the row for the same object under another key of its tenant (merge, unmerge, release)."""
        wrapped = self.keys.rewrap(ref.tenant_id, ref.key_id, key_id, ref.wrapped_key, object_id=ref.object_id)
        return replace(ref, key_id=key_id, wrapped_key=wrapped)

    def discard(self, ref: StoredRef | SealedObject) -> None:
        """Delete an object; an absent one is fine."""
        self.objects.delete(ObjectName(ref.tenant_id, ref.object_id))


@dataclass(frozen=True, slots=True)
class VaultConfig:
    """Where keys and objects lie. S3 and KMS take credentials from boto3's own chain.

    Objects: `kind` "directory" needs `objects_path`; "s3" needs `bucket`. Keys: `kms_key_id` and
    `key_bucket` where KMS keeps them, else `keys_path`.
    """

    kind: Literal["directory", "s3"]
    keys_path: Path | None = None
    objects_path: Path | None = None
    endpoint_url: str | None = None
    region: str | None = None
    bucket: str | None = None
    prefix: str = "objects"
    kms_key_id: str | None = None
    kms_endpoint_url: str | None = None
    key_bucket: str | None = None
    key_prefix: str = "keys"

    def __post_init__(self) -> None:
        if self.kind == "directory" and self.objects_path is None:
            raise ValueError("a vault of kind directory needs objects_path")
        if self.kind == "s3" and self.bucket is None:
            raise ValueError("a vault of kind s3 needs bucket")
        if (self.kms_key_id is None) != (self.key_bucket is None):
            raise ValueError("keys under KMS need both kms_key_id and key_bucket")
        if (self.kms_key_id is None) == (self.keys_path is None):
            raise ValueError("a vault needs either keys_path or kms_key_id with key_bucket")
        if self.key_bucket is not None and self.key_bucket == self.bucket:
            raise ValueError("keys and objects need buckets of their own: a backup of one must not hold both")


def build_vault(config: VaultConfig) -> Vault:
    """Return the vault that a configuration describes; creates directories, but no buckets."""
    return Vault(keys=_build_keys(config), objects=_build_objects(config))


def _build_keys(config: VaultConfig) -> KeyStore:
    if config.keys_path is not None:
        return DirectoryKeyStore(config.keys_path)
    from gantry.vault.key_kms import KmsKeyStore  # boto3 is loaded only where it is used
    from gantry_storage.s3 import build_client

    assert config.key_bucket is not None
    assert config.kms_key_id is not None
    return KmsKeyStore(
        build_client("kms", region=config.region, endpoint_url=config.kms_endpoint_url),
        build_client("s3", region=config.region, endpoint_url=config.endpoint_url),
        config.key_bucket,
        config.kms_key_id,
        config.key_prefix,
    )


def _build_objects(config: VaultConfig) -> ObjectStore:
    return open_store(
        StoreConfig(
            kind=config.kind,
            path=config.objects_path,
            endpoint_url=config.endpoint_url,
            region=config.region,
            bucket=config.bucket,
            prefix=config.prefix,
        )
    )
