"""Keys under AWS KMS, wrapped patient keys in a bucket of their own."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol
from uuid import UUID

from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.vault.errors import VaultCorruptError, VaultNotFoundError, VaultUnavailableError
from gantry.vault.key_hierarchy import HierarchicalKeyStore, KeyPath, Shelf
from gantry_storage.s3 import FAILURES, S3Client, list_all, translate, translate_s3_errors

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

_CACHE_TTL_S: Final = 30.0


class KmsClient(Protocol):
    """The operations of a boto3 KMS client that the vault calls."""

    def encrypt(self, **request: object) -> Mapping[str, Any]: ...

    def decrypt(self, **request: object) -> Mapping[str, Any]: ...


class KmsKeyStore(HierarchicalKeyStore):
    """Key store whose KEKs are encrypted by a KMS key and whose files lie in a key bucket.

    Opened keys are cached for 30 s, so an erasure by one process holds in the others within that time.
    The bucket must not be versioned, replicated or backed up further than an erasure may lag: an old version
    of a key would survive its destruction. `If-Match` keeps a rotation from bringing back a key that was
    destroyed meanwhile; a server that ignores it leaves a file that the tombstone makes useless and that
    replaying the erasure log removes.

    The bucket half is tested against a real S3 server. The KMS half is written from the AWS interface and
    has run against no KMS.

    Parameters
    ----------
    kms_key_id
        Id, ARN or alias of the KMS key. Tenant and version go along as encryption context, which shows in
        CloudTrail and can be bound in a key policy.
    """

    def __init__(
        self,
        kms_client: KmsClient,
        s3_client: S3Client,
        bucket: str,
        kms_key_id: str,
        prefix: str = "keys",
        *,
        clock: Clock = SYSTEM_CLOCK,
        cache_ttl_s: float = _CACHE_TTL_S,
    ) -> None:
        super().__init__(
            S3KeyFiles(s3_client, bucket, prefix),
            KmsGuard(kms_client, kms_key_id),
            cache_ttl_s=cache_ttl_s,
            clock=clock,
        )


class KmsGuard:
    """KEKs encrypted by KMS."""

    def __init__(self, client: KmsClient, key_id: str) -> None:
        self._client = client
        self._key_id = key_id

    def seal(self, tenant_id: UUID, version: int, kek: bytes) -> bytes:
        try:
            answer = self._client.encrypt(
                KeyId=self._key_id, Plaintext=kek, EncryptionContext=_context(tenant_id, version)
            )
        except FAILURES as error:
            raise VaultUnavailableError("The key service did not encrypt a tenant key.") from error
        return bytes(answer["CiphertextBlob"])

    def open(self, tenant_id: UUID, version: int, sealed: bytes) -> bytes:
        try:
            answer = self._client.decrypt(
                KeyId=self._key_id, CiphertextBlob=sealed, EncryptionContext=_context(tenant_id, version)
            )
        except FAILURES as error:
            if getattr(error, "response", {}).get("Error", {}).get("Code") == "InvalidCiphertextException":
                raise VaultCorruptError("The key service does not recognise a tenant key.") from error
            raise VaultUnavailableError("The key service did not decrypt a tenant key.") from error
        return bytes(answer["Plaintext"])


class S3KeyFiles:
    """Key files in a bucket that keeps no versions."""

    def __init__(self, client: S3Client, bucket: str, prefix: str) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix.strip("/")
        with translate_s3_errors():
            versioning = client.get_bucket_versioning(Bucket=bucket).get("Status")
        if versioning:
            raise VaultUnavailableError("The key bucket is versioned: a destroyed key would survive as an old version.")

    def exclusive(self, tenant_id: UUID) -> AbstractContextManager[None]:
        return contextlib.nullcontext()  # S3 has no lock; HierarchicalKeyStore looks again after each write

    def read(self, path: KeyPath) -> bytes | None:
        found = self._read(path)
        return None if found is None else found[0]

    def create(self, path: KeyPath, data: bytes) -> bool:
        if self._read(path) is not None:  # for servers that ignore If-None-Match
            return False
        try:
            self._client.put_object(**self._at(path), Body=data, IfNoneMatch="*")
        except FAILURES as error:
            if self.read(path) == data:
                return True  # the first attempt got through and its answer was lost
            if _is_conflict(error):
                return False
            raise translate(error) from error
        return True

    def replace(self, path: KeyPath, old: bytes, new: bytes) -> bool:
        found = self._read(path)
        if found is None or found[0] != old:
            return False
        try:
            self._client.put_object(**self._at(path), Body=new, IfMatch=found[1])
        except FAILURES as error:
            if self.read(path) == new:
                return True
            if _is_conflict(error):
                return False
            raise translate(error) from error
        return True

    def destroy(self, path: KeyPath) -> None:
        with translate_s3_errors():
            self._client.delete_object(**self._at(path))

    def names(self, tenant_id: UUID, shelf: Shelf) -> list[str]:
        prefix = f"{self._prefix}/{tenant_id}/{shelf.value}/"
        pages = list_all(self._client, Bucket=self._bucket, Prefix=prefix)
        return sorted(entry["Key"].removeprefix(prefix) for page in pages for entry in page.get("Contents", ()))

    def tenants(self) -> list[UUID]:
        prefix = f"{self._prefix}/"
        pages = list_all(self._client, Bucket=self._bucket, Prefix=prefix, Delimiter="/")
        return sorted(
            UUID(entry["Prefix"].removeprefix(prefix).rstrip("/"))
            for page in pages
            for entry in page.get("CommonPrefixes", ())
        )

    def _read(self, path: KeyPath) -> tuple[bytes, str] | None:
        try:
            with translate_s3_errors():
                answer = self._client.get_object(**self._at(path))
                return answer["Body"].read(), answer["ETag"]
        except VaultNotFoundError:
            return None

    def _at(self, path: KeyPath) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": "/".join((self._prefix, *path.parts))}


def _context(tenant_id: UUID, version: int) -> dict[str, str]:
    return {"gantry:tenant": str(tenant_id), "gantry:kek-version": str(version)}


def _is_conflict(error: Exception) -> bool:
    code = getattr(error, "response", {}).get("Error", {}).get("Code")
    return code in ("412", "PreconditionFailed", "409", "ConditionalRequestConflict", "404", "NoSuchKey")
