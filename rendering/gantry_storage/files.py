"""Durable files in one private directory: no link is followed, nothing is half-written, all is 0600."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from gantry_storage.errors import StorageUnavailableError, StoreFullError

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@contextlib.contextmanager
def translate_os_errors() -> Iterator[None]:
    """Turn `OSError` into the store's own errors.

    Raises
    ------
    StoreFullError
        The disk or the quota is full.
    StorageUnavailableError
        Anything else: permissions, input/output, a link where a file of ours should be.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise StoreFullError("There is no room left on the storage disk.") from error
        reason = errno.errorcode.get(error.errno or 0, "unknown")
        raise StorageUnavailableError(f"The storage directory cannot be used ({reason}).") from error


def write_all(fd: int, data: bytes | bytearray | memoryview) -> None:
    """Write every byte; `os.write` may take fewer."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


class PrivateTree:
    """A directory that only its owner may enter, addressed by parts that this package made itself.

    Parameters
    ----------
    root
        Created with mode 0700 when absent.

    Raises
    ------
    StorageUnavailableError
        `root` is a link, belongs to somebody else, or is open to others.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        with translate_os_errors():
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(root, _DIRECTORY)
            try:
                status = os.fstat(fd)
            finally:
                os.close(fd)
        if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
            raise StorageUnavailableError(
                "A vault directory must belong to the user that runs Gantry and be closed to all others (mode 0700)."
            )

    @contextlib.contextmanager
    def directory(self, *parts: str, create: bool = False) -> Iterator[int | None]:
        """Open the directory below the root; yields its descriptor, or None when it is absent."""
        fd: int | None = os.open(self._root, _DIRECTORY)
        try:
            for part in parts:
                assert fd is not None
                below = _enter(fd, part, create=create)
                os.close(fd)
                fd = below
                if fd is None:
                    break
            yield fd
        finally:
            if fd is not None:
                os.close(fd)

    @contextlib.contextmanager
    def lock(self, *parts: str) -> Iterator[None]:
        """Hold the exclusive lock of a directory, among threads and processes; creates the directory."""
        with self.directory(*parts, create=True) as directory:
            assert directory is not None
            fcntl.flock(directory, fcntl.LOCK_EX)  # freed when the descriptor closes, also by kill -9
            yield

    def names(self, *parts: str) -> list[str]:
        """Return the names in a directory, sorted; leftovers of interrupted writes are not among them."""
        with self.directory(*parts) as directory:
            entries = [] if directory is None else os.listdir(directory)
        return sorted(name for name in entries if not name.startswith("."))

    def read(self, *parts: str) -> bytes | None:
        """Return a small file's bytes, or None when it is absent."""
        fd = self.open_file(*parts)
        if fd is None:
            return None
        with os.fdopen(fd, "rb") as file:
            return file.read()

    def open_file(self, *parts: str) -> int | None:
        """Open a file for reading; returns a descriptor the caller closes, or None when it is absent."""
        *above, name = parts
        with self.directory(*above) as directory:
            if directory is None:
                return None
            try:
                return os.open(name, _READ, dir_fd=directory)
            except FileNotFoundError:
                return None

    def create(self, *parts: str, data: bytes) -> bool:
        """Write a new file whole and durably; False when one is there. The caller holds the lock."""
        *above, name = parts
        with self.directory(*above, create=True) as directory:
            assert directory is not None
            temporary = _write_temporary(directory, name, data)
            try:
                os.link(temporary, name, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)
            except FileExistsError:
                return False
            finally:
                os.unlink(temporary, dir_fd=directory)
            os.fsync(directory)
        return True

    def replace(self, *parts: str, data: bytes) -> None:
        """Write a file whole and durably over the one that is there. The caller holds the lock."""
        *above, name = parts
        with self.directory(*above) as directory:
            if directory is None:
                raise FileNotFoundError(errno.ENOENT, "no such directory")
            temporary = _write_temporary(directory, name, data)
            os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
            os.fsync(directory)

    def destroy(self, *parts: str) -> None:
        """Overwrite a file and its leftovers with zeros and remove them. The caller holds the lock."""
        *above, name = parts
        with self.directory(*above) as directory:
            if directory is not None:
                for each in (name, _temporary_name(name)):
                    _shred(directory, each)
                os.fsync(directory)


def new_file(directory: int, name: str) -> int:
    """Create a file of mode 0600 that nobody else made; returns its descriptor, open for writing."""
    return os.open(name, _NEW, 0o600, dir_fd=directory)


def _enter(above: int, part: str, *, create: bool) -> int | None:
    try:
        return os.open(part, _DIRECTORY, dir_fd=above)
    except FileNotFoundError:
        if not create:
            return None
    with contextlib.suppress(FileExistsError):  # another process was faster
        os.mkdir(part, 0o700, dir_fd=above)
    os.fsync(above)
    return os.open(part, _DIRECTORY, dir_fd=above)


def _temporary_name(name: str) -> str:
    return f".{name}.new"


def _write_temporary(directory: int, name: str, data: bytes) -> str:
    # One fixed name per file, so that destroying the file also finds what a crash left of a rewrite.
    temporary = _temporary_name(name)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary, dir_fd=directory)
    fd = new_file(directory, temporary)
    try:
        write_all(fd, data)
        os.fsync(fd)
    finally:
        os.close(fd)
    return temporary


def _shred(directory: int, name: str) -> None:
    try:
        fd = os.open(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:
        return
    try:
        write_all(fd, bytes(os.fstat(fd).st_size))
        os.fsync(fd)
    finally:
        os.close(fd)
    os.unlink(name, dir_fd=directory)
