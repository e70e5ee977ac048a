"""Where packs and results are read from: the sealed object store."""

from __future__ import annotations

from typing import Protocol

from gantry_render.server.control import ObjectRef
from gantry_storage import ObjectName, ObjectStore, SealedReader


class Source(Protocol):
    """Bytes of one object. Read from several threads at once."""

    @property
    def size_bytes(self) -> int: ...

    def read(self, offset: int, length: int) -> bytes: ...

    def close(self) -> None: ...


class Objects(Protocol):
    """Opens objects."""

    def open(self, reference: ObjectRef) -> Source:
        """Open one.

        Raises
        ------
        StorageError, OSError
            It is not there, or the store does not answer.
        """


class SealedObjects:
    """Objects of the platform's store, opened with the key that came with the manifest."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def open(self, reference: ObjectRef) -> Source:
        name = ObjectName(reference.tenant_id, reference.object_id)
        return SealedReader(self._store, name, reference.data_key, reference.size_bytes)
