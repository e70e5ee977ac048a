"""Objects in a directory of this machine."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from uuid import UUID, uuid4

from gantry_storage.errors import ObjectExistsError, ObjectNotFoundError
from gantry_storage.files import PrivateTree, new_file, translate_os_errors, write_all
from gantry_storage.objects import BlobInfo, ObjectName

_BLOBS: Final = "blobs"
_PARTIAL: Final = "partial"


class DirectoryObjectStore:
    """Object store below a directory of mode 0700: `blobs/<tenant>/<first byte>/<object>`.

    A blob is written under a random name in `partial/`, synchronised, linked to its own name (never over
    another) and its directory synchronised: a process killed anywhere leaves a blob that is whole or absent.
    """

    def __init__(self, path: Path) -> None:
        self._tree = PrivateTree(path)

    def create(self, name: ObjectName) -> DirectoryBlobWriter:
        with translate_os_errors():
            return DirectoryBlobWriter(self._tree, name)

    def open(self, name: ObjectName) -> DirectoryBlobReader:
        with translate_os_errors():
            fd = self._tree.open_file(*_parts(name))
        if fd is None:
            raise ObjectNotFoundError("There is no such object.")
        return DirectoryBlobReader(fd)

    def delete(self, name: ObjectName) -> None:
        *above, last = _parts(name)
        with translate_os_errors(), self._tree.directory(*above) as directory:
            if directory is not None:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(last, dir_fd=directory)
                    os.fsync(directory)

    def exists(self, name: ObjectName) -> bool:
        *above, last = _parts(name)
        with translate_os_errors(), self._tree.directory(*above) as directory:
            if directory is None:
                return False
            try:
                os.stat(last, dir_fd=directory, follow_symlinks=False)
            except FileNotFoundError:
                return False
            return True

    def list(self, tenant_id: UUID | None = None) -> Iterator[BlobInfo]:
        with translate_os_errors():
            tenants = self._tree.names(_BLOBS) if tenant_id is None else [str(tenant_id)]
            for tenant in tenants:
                for shard in self._tree.names(_BLOBS, tenant):
                    yield from self._list_shard(tenant, shard)

    def sweep_partials(self, older_than: timedelta) -> int:
        oldest = time.time() - older_than.total_seconds()
        swept = 0
        with translate_os_errors(), self._tree.directory(_PARTIAL) as directory:
            for name in [] if directory is None else os.listdir(directory):
                with contextlib.suppress(FileNotFoundError):  # its writer ended meanwhile
                    swept += _sweep(directory, name, oldest)
        return swept

    def _list_shard(self, tenant: str, shard: str) -> Iterator[BlobInfo]:
        with self._tree.directory(_BLOBS, tenant, shard) as directory:
            for last in [] if directory is None else os.listdir(directory):
                with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                    status = os.stat(last, dir_fd=directory, follow_symlinks=False)
                    name = ObjectName(UUID(tenant), UUID(last))
                    yield BlobInfo(name, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))


class DirectoryBlobWriter:
    """A partial file that becomes a blob."""

    def __init__(self, tree: PrivateTree, name: ObjectName) -> None:
        self._tree = tree
        self._name = name
        self._partial = uuid4().hex
        with tree.directory(_PARTIAL, create=True) as directory:
            assert directory is not None
            self._fd: int | None = new_file(directory, self._partial)
        fcntl.flock(self._fd, fcntl.LOCK_EX)  # tells `sweep_partials` that this writer lives

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._fd is None:
            raise ValueError("the blob is finished")
        with translate_os_errors():
            write_all(self._fd, data)

    def commit(self) -> None:
        if self._fd is None:
            raise ValueError("the blob is finished")
        try:
            with translate_os_errors():
                os.fsync(self._fd)
                self._publish()
        finally:
            self.abort()

    def abort(self) -> None:
        fd, self._fd = self._fd, None
        if fd is None:
            return
        with contextlib.suppress(OSError), self._tree.directory(_PARTIAL) as directory:
            os.unlink(self._partial, dir_fd=directory)  # what stays behind is swept
        os.close(fd)

    def _publish(self) -> None:
        *above, last = _parts(self._name)
        with (
            self._tree.directory(_PARTIAL) as partial,
            self._tree.directory(*above, create=True) as shard,
        ):
            try:
                os.link(self._partial, last, src_dir_fd=partial, dst_dir_fd=shard, follow_symlinks=False)
            except FileExistsError:
                raise ObjectExistsError("An object of this name exists already.") from None
            assert shard is not None
            os.fsync(shard)


class DirectoryBlobReader:
    """An open file."""

    def __init__(self, fd: int) -> None:
        self._fd: int | None = fd
        self.size = os.fstat(fd).st_size

    def read_range(self, offset: int, length: int) -> bytes:
        if self._fd is None:
            raise ValueError("the blob is closed")
        wanted = max(0, min(length, self.size - offset))
        with translate_os_errors():
            data = os.pread(self._fd, wanted, offset)
            while len(data) < wanted and (more := os.pread(self._fd, wanted - len(data), offset + len(data))):
                data += more
        return data

    def close(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()


def _parts(name: ObjectName) -> tuple[str, str, str, str]:
    last = str(name.object_id)
    return _BLOBS, str(name.tenant_id), last[:2], last


def _sweep(directory: int | None, name: str, oldest: float) -> bool:
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        if os.fstat(fd).st_mtime > oldest:
            return False
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(name, dir_fd=directory)
        return True
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
