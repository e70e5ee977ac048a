"""Where packs and results are read from: the sealed object store, or plain files in a folder."""

from __future__ import annotations

import os
from pathlib import Path
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


class FolderObjects:
    """Plain files named by object id: for tests, benchmarks and looking at packs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def open(self, reference: ObjectRef) -> Source:
        return _File(self._folder / str(reference.object_id))


class _File:
    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDONLY)
        self.size_bytes = os.fstat(self._file).st_size

    def read(self, offset: int, length: int) -> bytes:
        return os.pread(self._file, length, offset)

    def close(self) -> None:
        os.close(self._file)
