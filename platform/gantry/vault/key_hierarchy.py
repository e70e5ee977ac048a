"""The key hierarchy's one implementation; adapters say where its files lie and what guards a KEK."""

from __future__ import annotations

import json
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, NoReturn, Protocol
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.vault.errors import KeyDestroyedError, VaultCorruptError, VaultNotFoundError
from gantry.vault.keys import INSTALLATION, Deletion, Erasure, KeyReport, general_key_id
from gantry_storage.secret import KEY_BYTES, Secret

MAX_CACHE_TTL_S: Final = 60.0
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_RECORD_HEAD: Final = struct.Struct(">4sI")  # magic, KEK version
_RECORD_MAGIC: Final = b"GKY1"
_WRAPPED_MAGIC: Final = b"\x01"
_WRAPPED_BYTES: Final = len(_WRAPPED_MAGIC) + _NONCE_BYTES + KEY_BYTES + _TAG_BYTES
_CACHE_ENTRIES: Final = 4096
_ROTATION_RETRIES: Final = 5


class Shelf(StrEnum):
    """Where a kind of key file lies under its tenant."""

    TENANT = "tenant"
    KEYS = "keys"
    ERASED = "erased"
    DELETIONS = "deletions"


@dataclass(frozen=True, slots=True)
class KeyPath:
    """Address of one key file; `name` is a UUID or a version number, never a string from a peer."""

    tenant_id: UUID
    shelf: Shelf
    name: str

    @property
    def parts(self) -> tuple[str, str, str]:
        return str(self.tenant_id), self.shelf.value, self.name


class KeyFiles(Protocol):
    """Where key files lie. Writes are atomic and durable."""

    def exclusive(self, tenant_id: UUID) -> AbstractContextManager[None]:
        """Keep other writers of this tenant out, as far as the medium can."""

    def read(self, path: KeyPath) -> bytes | None:
        """Return a file's bytes, or None."""

    def create(self, path: KeyPath, data: bytes) -> bool:
        """Write a new file; False when one is there."""

    def replace(self, path: KeyPath, old: bytes, new: bytes) -> bool:
        """Write `new` if the file still holds `old`; False when it does not."""

    def destroy(self, path: KeyPath) -> None:
        """Remove the file beyond recovery, as far as the medium can; an absent file is fine."""

    def names(self, tenant_id: UUID, shelf: Shelf) -> list[str]:
        """Return the names on one shelf, sorted."""

    def tenants(self) -> list[UUID]:
        """Return the tenants that have or had keys."""


class KekGuard(Protocol):
    """How a KEK is protected where it lies."""

    def seal(self, tenant_id: UUID, version: int, kek: bytes) -> bytes:
        """Return what may be written down for this KEK."""

    def open(self, tenant_id: UUID, version: int, sealed: bytes) -> bytes:
        """Return the KEK."""


class HierarchicalKeyStore:
    """The hierarchy's one implementation, over some `KeyFiles` and some `KekGuard`.

    A tombstone is written before a key is removed and is looked for after one is made, so that on a medium
    without locks (S3) a creation and an erasure that cross still end erased, and a rotation loses no key.

    Parameters
    ----------
    cache_ttl_s
        Seconds, at most 60, for which an opened key may serve without asking the medium; 0 asks each time.
    """

    def __init__(
        self,
        files: KeyFiles,
        guard: KekGuard,
        *,
        cache_ttl_s: float,
        clock: Clock = SYSTEM_CLOCK,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._files = files
        self._guard = guard
        self._clock = clock
        self._cache = _KeyCache(cache_ttl_s, monotonic)

    def create_tenant_key(self, tenant_id: UUID) -> None:
        with self._files.exclusive(tenant_id):
            self._refuse_erased(tenant_id)
            if not self._kek_versions(tenant_id):
                self._create_kek(tenant_id, 1)
            self._create_key(tenant_id, general_key_id(tenant_id))

    def create_key(self, tenant_id: UUID, key_id: UUID) -> None:
        with self._files.exclusive(tenant_id):
            self._create_key(tenant_id, key_id)

    def wrap(self, tenant_id: UUID, key_id: UUID, data_key: Secret, *, object_id: UUID) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        bound = _data_key_aad(tenant_id, key_id, object_id)
        return _WRAPPED_MAGIC + nonce + self._key(tenant_id, key_id).encrypt(nonce, data_key.reveal(), bound)

    def unwrap(self, tenant_id: UUID, key_id: UUID, wrapped: bytes, *, object_id: UUID) -> Secret:
        key = self._key(tenant_id, key_id)
        if len(wrapped) != _WRAPPED_BYTES or not wrapped.startswith(_WRAPPED_MAGIC):
            raise VaultCorruptError("A wrapped data key has not the form of one.")
        body = len(_WRAPPED_MAGIC) + _NONCE_BYTES
        nonce, sealed = wrapped[len(_WRAPPED_MAGIC) : body], wrapped[body:]
        try:
            return Secret(key.decrypt(nonce, sealed, _data_key_aad(tenant_id, key_id, object_id)))
        except InvalidTag:
            _raise_wrong_key()

    def rewrap(self, tenant_id: UUID, from_key_id: UUID, to_key_id: UUID, wrapped: bytes, *, object_id: UUID) -> bytes:
        data_key = self.unwrap(tenant_id, from_key_id, wrapped, object_id=object_id)
        return self.wrap(tenant_id, to_key_id, data_key, object_id=object_id)

    def rotate_tenant_key(self, tenant_id: UUID) -> int:
        with self._files.exclusive(tenant_id):
            self._refuse_erased(tenant_id)
            versions = self._require_kek_versions(tenant_id)
            newest = versions[-1]
            if len(versions) == 1:  # more than one: an earlier rotation was cut short, finish that
                newest += 1
                self._create_kek(tenant_id, newest)
            while self._rewrap_keys(tenant_id, newest):
                pass  # until one pass finds nothing: a key made meanwhile elsewhere is under the old KEK
            for version in range(versions[0], newest):
                self._files.destroy(_kek_path(tenant_id, version))
            self._cache.forget(tenant_id)
        return newest

    def destroy_key(self, tenant_id: UUID, key_id: UUID) -> None:
        if key_id == general_key_id(tenant_id):
            raise ValueError("the general key goes with its tenant: destroy_tenant")
        with self._files.exclusive(tenant_id):
            self._log_erasure(tenant_id, key_id)
            self._cache.forget(tenant_id)
            self._files.destroy(_key_path(tenant_id, key_id))

    def destroy_tenant(self, tenant_id: UUID) -> None:
        with self._files.exclusive(tenant_id):
            self._log_erasure(tenant_id, tenant_id)
            self._cache.forget(tenant_id)
            for shelf in (Shelf.TENANT, Shelf.KEYS):  # the KEK first: without it the rest is noise
                for name in self._files.names(tenant_id, shelf):
                    self._files.destroy(KeyPath(tenant_id, shelf, name))

    def erasures(self, tenant_id: UUID | None = None) -> Iterator[Erasure]:
        for tenant in self._files.tenants() if tenant_id is None else [tenant_id]:
            entries = []
            for name in self._files.names(tenant, Shelf.ERASED):
                entry = self._files.read(KeyPath(tenant, Shelf.ERASED, name))
                if entry is not None:
                    destroyed_at = datetime.fromisoformat(json.loads(entry)["destroyed_at"])
                    key_id = UUID(name)
                    entries.append(Erasure(tenant, None if key_id == tenant else key_id, destroyed_at))
            yield from sorted(entries, key=lambda erasure: erasure.destroyed_at)

    def log_deletion(self, tenant_id: UUID, deletion_id: UUID, entry: bytes) -> None:
        path = KeyPath(tenant_id, Shelf.DELETIONS, str(deletion_id))
        with self._files.exclusive(tenant_id):
            while not self._files.create(path, entry):
                earlier = self._files.read(path)
                if earlier is not None and (earlier == entry or self._files.replace(path, earlier, entry)):
                    return

    def deletions(self, tenant_id: UUID | None = None) -> Iterator[Deletion]:
        for tenant in self._files.tenants() if tenant_id is None else [tenant_id]:
            for name in self._files.names(tenant, Shelf.DELETIONS):
                entry = self._files.read(KeyPath(tenant, Shelf.DELETIONS, name))
                if entry is not None:
                    yield Deletion(tenant, UUID(name), entry)

    def describe(self, tenant_id: UUID) -> KeyReport:
        return KeyReport(
            kek_versions=tuple(self._kek_versions(tenant_id)),
            keys=len(self._files.names(tenant_id, Shelf.KEYS)),
            destroyed=len(self._files.names(tenant_id, Shelf.ERASED)),
            is_destroyed=self._is_erased(tenant_id, tenant_id),
        )

    def sign(self, message: bytes) -> tuple[bytes, bytes]:
        path = _key_path(INSTALLATION, general_key_id(INSTALLATION))
        for _ in range(_ROTATION_RETRIES):
            self.create_tenant_key(INSTALLATION)
            record = self._files.read(path)
            seed = None if record is None else self._open_record(path, record)
            if seed is not None:
                private = Ed25519PrivateKey.from_private_bytes(seed)
                return private.sign(message), private.public_key().public_bytes_raw()
        raise VaultCorruptError("The key that signs for the installation cannot be opened.")

    def _key(self, tenant_id: UUID, key_id: UUID) -> AESGCM:
        """Return the patient key, opened."""
        path = _key_path(tenant_id, key_id)
        cached = self._cache.get(path)
        if cached is not None:
            return cached
        generation = self._cache.generation
        for _ in range(_ROTATION_RETRIES):
            self._refuse_erased(tenant_id, key_id)
            record = self._files.read(path)
            if record is None:
                self._refuse_erased(tenant_id, key_id)
                raise VaultNotFoundError("There is no such key.")
            key = self._open_record(path, record)
            if key is not None:
                opened = AESGCM(key)
                self._cache.put(path, opened, generation)
                return opened
            # The KEK is gone: a rotation ended between the two reads, and the record is a new one by now.
        raise VaultCorruptError("A key is encrypted under a tenant key that is not there.")

    def _kek(self, tenant_id: UUID, version: int) -> AESGCM | None:
        path = _kek_path(tenant_id, version)
        cached = self._cache.get(path)
        if cached is not None:
            return cached
        generation = self._cache.generation
        sealed = self._files.read(path)
        if sealed is None:
            return None
        opened = AESGCM(self._guard.open(tenant_id, version, sealed))
        self._cache.put(path, opened, generation)
        return opened

    def _kek_versions(self, tenant_id: UUID) -> list[int]:
        return [int(name) for name in self._files.names(tenant_id, Shelf.TENANT)]

    def _require_kek_versions(self, tenant_id: UUID) -> list[int]:
        versions = self._kek_versions(tenant_id)
        if not versions:
            raise VaultNotFoundError("The tenant has no key.")
        return versions

    def _create_kek(self, tenant_id: UUID, version: int) -> None:
        sealed = self._guard.seal(tenant_id, version, os.urandom(KEY_BYTES))
        self._files.create(_kek_path(tenant_id, version), sealed)  # one is there: another process was faster

    def _create_key(self, tenant_id: UUID, key_id: UUID) -> None:
        self._refuse_erased(tenant_id, key_id)
        path = _key_path(tenant_id, key_id)
        version = self._require_kek_versions(tenant_id)[-1]
        key = os.urandom(KEY_BYTES)
        record = self._seal_record(path, version, key)
        created = self._files.create(path, record)
        try:
            self._refuse_erased(tenant_id, key_id)
        except KeyDestroyedError:
            self._files.destroy(path)
            raise
        newest = self._require_kek_versions(tenant_id)[-1]
        if created and newest != version:  # a rotation ran meanwhile and may not have seen this key
            self._files.replace(path, record, self._seal_record(path, newest, key))

    def _rewrap_keys(self, tenant_id: UUID, newest: int) -> bool:
        """Put every key that is under an older KEK under the newest; False when there was none."""
        found = False
        for name in self._files.names(tenant_id, Shelf.KEYS):
            path = KeyPath(tenant_id, Shelf.KEYS, name)
            record = self._files.read(path)
            if record is None or _record_version(record) >= newest:
                continue
            found = True
            key = self._open_record(path, record)
            if key is None:
                raise VaultCorruptError("A key is encrypted under a tenant key that is not there.")
            self._files.replace(path, record, self._seal_record(path, newest, key))
            if self._is_erased(tenant_id, UUID(name)):
                self._files.destroy(path)
        return found

    def _seal_record(self, path: KeyPath, version: int, key: bytes) -> bytes:
        kek = self._kek(path.tenant_id, version)
        if kek is None:
            raise VaultCorruptError("A tenant key is missing.")
        head, nonce = _RECORD_HEAD.pack(_RECORD_MAGIC, version), os.urandom(_NONCE_BYTES)
        return head + nonce + kek.encrypt(nonce, key, _record_aad(head, path))

    def _open_record(self, path: KeyPath, record: bytes) -> bytes | None:
        """Return the key in a record, or None when its KEK is not there."""
        kek = self._kek(path.tenant_id, _record_version(record))
        if kek is None:
            return None
        head, body = record[: _RECORD_HEAD.size], record[_RECORD_HEAD.size :]
        try:
            return kek.decrypt(body[:_NONCE_BYTES], body[_NONCE_BYTES:], _record_aad(head, path))
        except InvalidTag:
            _raise_wrong_key()

    def _log_erasure(self, tenant_id: UUID, key_id: UUID) -> None:
        entry = json.dumps({"destroyed_at": self._clock.now().isoformat()}).encode()
        self._files.create(KeyPath(tenant_id, Shelf.ERASED, str(key_id)), entry)

    def _is_erased(self, tenant_id: UUID, key_id: UUID) -> bool:
        return any(
            self._files.read(KeyPath(tenant_id, Shelf.ERASED, str(name))) is not None for name in {tenant_id, key_id}
        )

    def _refuse_erased(self, tenant_id: UUID, key_id: UUID | None = None) -> None:
        if self._is_erased(tenant_id, key_id or tenant_id):
            raise KeyDestroyedError("The key was destroyed.")


class _KeyCache:
    """Opened keys for a short time. A key loaded before an invalidation is not kept after it."""

    def __init__(self, ttl_s: float, monotonic: Callable[[], float]) -> None:
        if not 0 <= ttl_s <= MAX_CACHE_TTL_S:
            raise ValueError(f"keys are cached for at most {MAX_CACHE_TTL_S:.0f} s, not {ttl_s}")
        self._ttl_s = ttl_s
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._entries: dict[KeyPath, tuple[float, AESGCM]] = {}
        self.generation = 0

    def get(self, path: KeyPath) -> AESGCM | None:
        with self._lock:
            expires, key = self._entries.get(path, (0.0, None))
            if key is not None and self._monotonic() >= expires:
                del self._entries[path]
                return None
            return key

    def put(self, path: KeyPath, key: AESGCM, generation: int) -> None:
        with self._lock:
            if not self._ttl_s or generation != self.generation:
                return
            if len(self._entries) >= _CACHE_ENTRIES:
                del self._entries[next(iter(self._entries))]
            self._entries[path] = (self._monotonic() + self._ttl_s, key)

    def forget(self, tenant_id: UUID) -> None:
        with self._lock:
            self.generation += 1
            self._entries = {path: entry for path, entry in self._entries.items() if path.tenant_id != tenant_id}


def _kek_path(tenant_id: UUID, version: int) -> KeyPath:
    return KeyPath(tenant_id, Shelf.TENANT, f"{version:08d}")


def _key_path(tenant_id: UUID, key_id: UUID) -> KeyPath:
    return KeyPath(tenant_id, Shelf.KEYS, str(key_id))


def _record_version(record: bytes) -> int:
    if len(record) != _RECORD_HEAD.size + _NONCE_BYTES + KEY_BYTES + _TAG_BYTES:
        raise VaultCorruptError("A key file has not the size of one.")
    magic, version = _RECORD_HEAD.unpack_from(record)
    if magic != _RECORD_MAGIC:
        raise VaultCorruptError("A key file has not the form of one.")
    return int(version)


def _record_aad(head: bytes, path: KeyPath) -> bytes:
    return b"gantry key\x00" + head + path.tenant_id.bytes + UUID(path.name).bytes


def _data_key_aad(tenant_id: UUID, key_id: UUID, object_id: UUID) -> bytes:
    return b"gantry data key\x00" + tenant_id.bytes + key_id.bytes + object_id.bytes


def _raise_wrong_key() -> NoReturn:
    raise VaultCorruptError("A key does not open with this tenant, key and object.") from None
