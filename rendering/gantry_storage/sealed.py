"""Encrypted objects of which any byte range can be read and verified alone.

Format, all integers big-endian:

    header   magic "GANTRY" · version u16 = 1 · chunk size u32 (bytes of plaintext)
    chunk i  AES-256-GCM(data key, nonce = i as 96 bits, plaintext, AAD) = ciphertext · 16-byte tag
    AAD      header · tenant UUID · object UUID · i as u64 · 1 if this is the last chunk, else 0

Every chunk but the last holds exactly the chunk size; an empty object is one empty last chunk. Each object
has a data key of its own, so a counter never repeats under one key. The last flag betrays truncation, the
index reordering, the UUIDs an object moved to another name. The construction is STREAM (Hoang, Reyhanitabar,
Rogaway, Vizár 2015, https://eprint.iacr.org/2015/189), with random access.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self
from uuid import UUID, uuid4

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gantry_storage.errors import ObjectCorruptError
from gantry_storage.objects import ObjectName, ObjectStore
from gantry_storage.secret import Secret

CHUNK_BYTES: Final = 64 * 1024
TAG_BYTES: Final = 16
_HEADER: Final = struct.Struct(">6sHI")
_MAGIC: Final = b"GANTRY"
_VERSION: Final = 1
_MIN_CHUNK_BYTES: Final = 1024
_MAX_CHUNK_BYTES: Final = 4 * 1024 * 1024
_POSITION: Final = struct.Struct(">QB")
_BATCH_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class SealedObject:
    """A committed object whose data key is still in memory alone: `Vault.seal` wraps it."""

    tenant_id: UUID
    object_id: UUID
    data_key: Secret = field(repr=False)
    size_bytes: int
    stored_bytes: int
    sha256: str
    """Of the plaintext, in hexadecimal."""


def stored_size(size_bytes: int, chunk_bytes: int = CHUNK_BYTES) -> int:
    """Return the size of a sealed object in the store for `size_bytes` of plaintext."""
    return _HEADER.size + size_bytes + TAG_BYTES * _chunk_count(size_bytes, chunk_bytes)


class SealedWriter:
    """Encrypts as it is written; holds one chunk in memory. A context manager that aborts unless committed.

    Parameters
    ----------
    store, tenant_id, object_id
        Where the object goes; a random id when none is given.
    chunk_bytes
        Plaintext per chunk.
    """

    def __init__(
        self,
        store: ObjectStore,
        tenant_id: UUID,
        object_id: UUID | None = None,
        *,
        chunk_bytes: int = CHUNK_BYTES,
    ) -> None:
        if not _MIN_CHUNK_BYTES <= chunk_bytes <= _MAX_CHUNK_BYTES:
            raise ValueError(f"a chunk has {_MIN_CHUNK_BYTES} to {_MAX_CHUNK_BYTES} bytes")
        self.name = ObjectName(tenant_id, object_id or uuid4())
        self.size_bytes = 0
        self._data_key = Secret.generate()
        header = _HEADER.pack(_MAGIC, _VERSION, chunk_bytes)
        self._chunks = _Chunks(self.name, self._data_key, header)
        self._chunk_bytes = chunk_bytes
        self._digest = hashlib.sha256()
        self._held = bytearray(chunk_bytes)  # the tail, kept back because only `commit` knows the last chunk
        self._held_bytes = 0
        self._out = memoryview(bytearray(chunk_bytes + TAG_BYTES))
        self._index = 0
        self._finished = False
        self._blob = store.create(self.name)
        try:
            self._blob.write(header)
        except BaseException:
            self.abort()  # nobody holds us yet who could
            raise

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append plaintext. Whole chunks are encrypted straight from `data`, which may then be reused."""
        self._require_open()
        view = memoryview(data).cast("B")
        self._digest.update(view)
        self.size_bytes += len(view)
        size = self._chunk_bytes
        if self._held_bytes and self._held_bytes + len(view) > size:
            room = size - self._held_bytes
            self._held[self._held_bytes :] = view[:room]
            self._emit(memoryview(self._held), last=False)
            self._held_bytes = 0
            view = view[room:]
        if not self._held_bytes:
            while len(view) > size:
                self._emit(view[:size], last=False)
                view = view[size:]
        self._held[self._held_bytes : self._held_bytes + len(view)] = view
        self._held_bytes += len(view)

    def commit(self) -> SealedObject:
        """Make the object durable and visible, and return what `Vault.seal` needs.

        Raises
        ------
        ObjectExistsError
            An object of this name exists; it is unchanged.
        StoreFullError, StorageUnavailableError
            Nothing was kept.
        """
        self._require_open()
        try:
            self._emit(memoryview(self._held)[: self._held_bytes], last=True)
            self._blob.commit()
        except BaseException:
            self.abort()
            raise
        self._finished = True
        return SealedObject(
            tenant_id=self.name.tenant_id,
            object_id=self.name.object_id,
            data_key=self._data_key,
            size_bytes=self.size_bytes,
            stored_bytes=stored_size(self.size_bytes, self._chunk_bytes),
            sha256=self._digest.hexdigest(),
        )

    def abort(self) -> None:
        """Drop what was written; does nothing once committed."""
        if not self._finished:
            self._finished = True
            self._blob.abort()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()

    def _require_open(self) -> None:
        if self._finished:
            raise ValueError("the object is finished")

    def _emit(self, plain: memoryview, *, last: bool) -> None:
        out = self._out[: len(plain) + TAG_BYTES]
        try:
            self._chunks.encrypt(self._index, plain, out, last=last)
            self._blob.write(out)
        except BaseException:
            self.abort()  # a part of a chunk may be out: nothing may follow it
            raise
        self._index += 1


class SealedReader:
    """Reads plaintext ranges of a sealed object; nothing unverified is ever returned. A context manager.

    Parameters
    ----------
    data_key, size_bytes
        From the object's database row, which thereby also vouches for the length.

    Raises
    ------
    ObjectNotFoundError
        There is no such object.
    ObjectCorruptError
        Its size or header is not the one of a sealed object of `size_bytes`.
    """

    def __init__(self, store: ObjectStore, name: ObjectName, data_key: Secret, size_bytes: int) -> None:
        self.name = name
        self.size_bytes = size_bytes
        self._blob = store.open(name)
        try:
            header = self._blob.read_range(0, _HEADER.size)
            self._chunk_bytes = _parse_header(header)
            if self._blob.size != stored_size(size_bytes, self._chunk_bytes):
                raise ObjectCorruptError("A stored object has not the size it was written with.")
        except BaseException:
            self._blob.close()
            raise
        self._chunks = _Chunks(name, data_key, header)
        self._count = _chunk_count(size_bytes, self._chunk_bytes)

    def read(self, offset: int = 0, length: int | None = None) -> bytes:
        """Return `plaintext[offset:offset + length]`, to the end when `length` is None.

        Raises
        ------
        ObjectCorruptError
            A chunk that holds a part of the range failed its check.
        """
        start, stop = self._bounds(offset, length)
        return self._read(start, stop)

    def iter_chunks(self, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield the same range in pieces of about 1 MiB, each verified before it is yielded."""
        start, stop = self._bounds(offset, length)
        batch = max(_BATCH_BYTES // self._chunk_bytes, 1) * self._chunk_bytes
        while start < stop:
            end = min(stop, (start // batch + 1) * batch)
            yield self._read(start, end)
            start = end

    def close(self) -> None:
        """Release the object."""
        self._blob.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _bounds(self, offset: int, length: int | None) -> tuple[int, int]:
        if offset < 0 or (length is not None and length < 0):
            raise ValueError("offset and length are not negative")
        start = min(offset, self.size_bytes)
        return start, self.size_bytes if length is None else min(start + length, self.size_bytes)

    def _read(self, start: int, stop: int) -> bytes:
        if start >= stop and self.size_bytes:
            return b""
        size, sealed_size = self._chunk_bytes, self._chunk_bytes + TAG_BYTES
        first, last = start // size, max(stop - 1, 0) // size
        plain_bytes = min((last + 1) * size, self.size_bytes) - first * size
        wanted = plain_bytes + (last - first + 1) * TAG_BYTES
        sealed = memoryview(self._blob.read_range(_HEADER.size + first * sealed_size, wanted))
        if len(sealed) != wanted:
            raise ObjectCorruptError("A stored object ends before its end.")
        plain = memoryview(bytearray(plain_bytes))
        for index in range(first, last + 1):
            at = index - first
            self._chunks.decrypt(
                index,
                sealed[at * sealed_size : (at + 1) * sealed_size],
                plain[at * size : (at + 1) * size],
                last=index == self._count - 1,
            )
        return bytes(plain[start - first * size : stop - first * size])


class _Chunks:
    """AES-GCM of one object's chunks."""

    def __init__(self, name: ObjectName, data_key: Secret, header: bytes) -> None:
        self._cipher = AESGCM(data_key.reveal())
        self._bound = header + name.tenant_id.bytes + name.object_id.bytes

    def encrypt(self, index: int, plain: memoryview, out: memoryview, *, last: bool) -> None:
        self._cipher.encrypt_into(_nonce(index), plain, self._bound + _POSITION.pack(index, last), out)

    def decrypt(self, index: int, sealed: memoryview, out: memoryview, *, last: bool) -> None:
        bound = self._bound + _POSITION.pack(index, last)
        try:
            self._cipher.decrypt_into(_nonce(index), sealed, bound, out)
        except InvalidTag:
            raise ObjectCorruptError("A stored object failed its integrity check.") from None


def _nonce(index: int) -> bytes:
    return index.to_bytes(12, "big")


def _chunk_count(size_bytes: int, chunk_bytes: int) -> int:
    return max(1, -(-size_bytes // chunk_bytes))


def _parse_header(header: bytes) -> int:
    if len(header) == _HEADER.size:
        magic, version, chunk_bytes = _HEADER.unpack(header)
        if (magic, version) == (_MAGIC, _VERSION) and _MIN_CHUNK_BYTES <= chunk_bytes <= _MAX_CHUNK_BYTES:
            return int(chunk_bytes)
    raise ObjectCorruptError("A stored object has not the header of one.")
