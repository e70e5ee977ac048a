"""A ZIP archive written as a stream, from members that were deflated beforehand.

Members are written at the same time, each into a sealed object of its own, while the ledger is read once; the archive is
then their bytes one after another with the headers of APPNOTE 6.3.10, always in ZIP64 form, since sizes of 4 GiB are
no exception here. Every date is the same, so that equal content gives equal bytes.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

_DEFLATED, _VERSION, _UTF8 = 8, 45, 0x800
#: 1 January 1980, which stands for no date.
_DATE: Final = (1 << 5) | 1
_MANY: Final = 0xFFFFFFFF


class Sink(Protocol):
    """Where bytes go."""

    def write(self, data: bytes) -> None:
        """Append."""


@dataclass(frozen=True, slots=True)
class Deflated:
    """A member that was written: its name and what its headers say."""

    name: str
    crc: int
    size_bytes: int
    deflated_bytes: int
    sha256: str


class Deflater:
    """Deflates one member into a sink and keeps what its headers need.

    Parameters
    ----------
    level
        1 (fast) to 9; hashes and other noise are best left at 1.
    """

    def __init__(self, name: str, sink: Sink, *, level: int = 1) -> None:
        self.name = name
        self._sink = sink
        self._compress = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS, 8)
        self._digest = hashlib.sha256()
        self._crc = self._size = self._deflated = 0
        self._pending: list[bytes] = []
        self._pending_bytes = 0

    def write(self, data: bytes) -> None:
        """Append plain bytes; they are deflated in pieces of about 64 KiB."""
        self._pending.append(data)
        self._pending_bytes += len(data)
        if self._pending_bytes >= 1 << 16:
            self._flush()

    def close(self) -> Deflated:
        """Write what is left, and return what the headers say."""
        self._flush()
        self._emit(self._compress.flush())
        return Deflated(self.name, self._crc, self._size, self._deflated, self._digest.hexdigest())

    def _flush(self) -> None:
        data = b"".join(self._pending)
        self._pending, self._pending_bytes = [], 0
        self._size += len(data)
        self._crc = zlib.crc32(data, self._crc)
        self._digest.update(data)
        self._emit(self._compress.compress(data))

    def _emit(self, data: bytes) -> None:
        if data:
            self._deflated += len(data)
            self._sink.write(data)


def iter_archive(members: Sequence[tuple[Deflated, Callable[[], Iterable[bytes]]]]) -> Iterator[bytes]:
    """Yield an archive of members, each with a function that gives its deflated bytes."""
    offset, directory = 0, []
    for member, read in members:
        header = _local_header(member)
        directory.append(_directory_entry(member, offset))
        yield header
        sent = 0
        for piece in read():
            sent += len(piece)
            yield piece
        if sent != member.deflated_bytes:
            raise ValueError(f"{member.name} has not the size it was written with")
        offset += len(header) + sent
    entries = b"".join(directory)
    yield entries
    yield _end(len(members), len(entries), offset)


def deflate(name: str, data: bytes) -> tuple[Deflated, Callable[[], Iterable[bytes]]]:
    """Return a small member that is at hand."""
    kept: list[bytes] = []
    deflater = Deflater(name, _Kept(kept), level=6)
    deflater.write(data)
    return deflater.close(), lambda: kept


@dataclass(frozen=True, slots=True)
class _Kept:
    pieces: list[bytes]

    def write(self, data: bytes) -> None:
        self.pieces.append(data)


def _local_header(member: Deflated) -> bytes:
    name = member.name.encode()
    extra = struct.pack("<HHQQ", 1, 16, member.size_bytes, member.deflated_bytes)
    return struct.pack(
        "<4s5H3L2H", b"PK\x03\x04", _VERSION, _UTF8, _DEFLATED, 0, _DATE, member.crc, _MANY, _MANY, len(name), len(extra)
    ) + name + extra  # fmt: skip


def _directory_entry(member: Deflated, offset: int) -> bytes:
    name = member.name.encode()
    extra = struct.pack("<HHQQQ", 1, 24, member.size_bytes, member.deflated_bytes, offset)
    # Made on Unix (3), a plain file that everybody may read.
    return struct.pack(
        "<4s6H3L5H2L", b"PK\x01\x02", 3 << 8 | _VERSION, _VERSION, _UTF8, _DEFLATED, 0, _DATE, member.crc, _MANY, _MANY,
        len(name), len(extra), 0, 0, 0, 0o100644 << 16, _MANY,
    ) + name + extra  # fmt: skip


def _end(count: int, directory_bytes: int, directory_at: int) -> bytes:
    zip64 = struct.pack(
        "<4sQ2H2L4Q", b"PK\x06\x06", 44, 3 << 8 | _VERSION, _VERSION, 0, 0, count, count, directory_bytes, directory_at
    )
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, directory_at + directory_bytes, 1)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, min(count, 0xFFFF), min(count, 0xFFFF), _MANY, _MANY, 0)
    return zip64 + locator + end
