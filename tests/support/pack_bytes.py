"""Packs in memory: a sink that is a source, and DICOM files as instances."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from gantry_imaging.pack import InstanceSource, Pack, write_pack
from gantry_imaging.part10 import Source


class MemoryPack:
    """Bytes that a pack is written to and read from, and what was read."""

    def __init__(self, data: bytes = b"") -> None:
        self.data = bytearray(data)
        self.reads: list[tuple[int, int]] = []

    def write(self, data: bytes) -> None:
        self.data += data

    @property
    def size_bytes(self) -> int:
        return len(self.data)

    def read(self, offset: int, length: int) -> bytes:
        self.reads.append((offset, length))
        return bytes(self.data[offset : offset + length])


def instances(files: Iterable[bytes]) -> list[InstanceSource]:
    """Return files as instances of a series."""
    return [InstanceSource(f"1.2.3.{number}", _opener(data)) for number, data in enumerate(files)]


def _opener(data: bytes) -> Any:
    @contextmanager
    def open_file() -> Iterator[Source]:
        yield data

    return open_file


def packed(files: Iterable[bytes], **options: Any) -> Pack:
    """Write files as a pack and open it."""
    memory = MemoryPack()
    write_pack(memory, instances(files), **options)
    return Pack.open(memory)
