"""Files that live in memory alone, so that plain pixels from outside never touch a disk."""

import fcntl
import hashlib
import mmap
import os
from types import TracebackType
from typing import Self

_WRITE_STEP = 1024 * 1024


class MemFileFullError(Exception):
    """More was written than the file may hold; code ``dicom.too_large``."""

    code = "dicom.too_large"


class MemFile:
    """An anonymous file with a bound on its size; sealed before anybody else sees it.

    Needs Linux (``memfd_create``). Close it, or use it as a context manager: the kernel keeps the bytes until
    the last descriptor and view are gone.

    Parameters
    ----------
    max_bytes : int
        More than this is refused by `write`.
    """

    def __init__(self, max_bytes: int) -> None:
        if not hasattr(os, "memfd_create"):
            raise OSError("files in memory need Linux; run the server there or in a container")
        self._fd = os.memfd_create("instance", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        self._max_bytes = max_bytes
        self._size = 0
        self._sha256 = hashlib.sha256()
        self._map: mmap.mmap | None = None
        self._is_sealed = False

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._size

    @property
    def sha256(self) -> bytes:
        """Digest of the bytes written so far."""
        return self._sha256.digest()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append bytes.

        Raises
        ------
        MemFileFullError
            They would go beyond the bound; nothing of them is written.
        ValueError
            The file is sealed or closed.
        """
        if self._is_sealed or self._fd < 0:
            raise ValueError("the file is sealed or closed")
        view = memoryview(data)
        if self._size + len(view) > self._max_bytes:
            raise MemFileFullError("the file is larger than allowed")
        self._sha256.update(view)
        while view:
            written = os.write(self._fd, view[:_WRITE_STEP])
            self._size += written
            view = view[written:]

    def seal(self) -> None:
        """Make the bytes unchangeable for every holder of the file, this process included."""
        if self._fd < 0:
            raise ValueError("the file is closed")
        if not self._is_sealed:
            seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
            fcntl.fcntl(self._fd, fcntl.F_ADD_SEALS, seals)
            # Private, for before Linux 6.7 a sealed file may not be mapped shared, not even to read it.
            if self._size:
                self._map = mmap.mmap(self._fd, self._size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)
            self._is_sealed = True

    def view(self) -> memoryview:
        """Return the bytes without copying them; seals the file."""
        self.seal()
        return memoryview(self._map) if self._map is not None else memoryview(b"")

    def fileno(self) -> int:
        """Return the descriptor, to pass it on; seals the file."""
        self.seal()
        return self._fd

    def close(self) -> None:
        """Give the memory back, once no view is left."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._map = None  # unmapped with the last view of it

    def __enter__(self) -> Self:
        """Return the file itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()
