"""Object store port: immutable blobs of ciphertext, named by two UUIDs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import Protocol, Self
from uuid import UUID


@dataclass(frozen=True, slots=True)
class ObjectName:
    """Name of a blob. Built from UUIDs alone, so that no text from a peer forms a path or an object key."""

    tenant_id: UUID
    object_id: UUID

    def __post_init__(self) -> None:
        if not isinstance(self.tenant_id, UUID) or not isinstance(self.object_id, UUID):
            raise TypeError("an object is named by two UUIDs")

    def __str__(self) -> str:
        return f"{self.tenant_id}/{self.object_id}"


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """One entry of a listing."""

    name: ObjectName
    size_bytes: int
    modified: datetime


class BlobWriter(Protocol):
    """A blob in the making; nobody sees it before `commit`."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append bytes; `data` may be reused by the caller once this returns."""

    def commit(self) -> None:
        """Make the blob durable and visible.

        Raises
        ------
        ObjectExistsError
            A blob of this name exists; it is unchanged.
        StoreFullError, StorageUnavailableError
            Nothing of this blob is visible.
        """

    def abort(self) -> None:
        """Drop what was written. Does nothing after `commit` or a second time; raises nothing."""


class BlobReader(Protocol):
    """An open blob."""

    @property
    def size(self) -> int:
        """Size in bytes."""

    def read_range(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes from `offset`; fewer only where the blob ends."""

    def close(self) -> None:
        """Release the blob."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class ObjectStore(Protocol):
    """Blobs of ciphertext, made and deleted but never changed. Safe among threads and processes."""

    def create(self, name: ObjectName) -> BlobWriter:
        """Begin a blob. The name is claimed at `commit`, not here."""

    def open(self, name: ObjectName) -> BlobReader:
        """Open a blob; `ObjectNotFoundError` when there is none."""

    def delete(self, name: ObjectName) -> None:
        """Delete a blob; an absent one is fine."""

    def exists(self, name: ObjectName) -> bool:
        """Tell whether the blob is there."""

    def list(self, tenant_id: UUID | None = None) -> Iterator[BlobInfo]:
        """Yield the blobs of one tenant or of all, in no order."""

    def sweep_partials(self, older_than: timedelta) -> int:
        """Remove what interrupted writers left and return how many.

        On disk a writer that still lives keeps its own; on S3 `older_than` must exceed the longest upload.
        """
