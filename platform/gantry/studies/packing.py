"""Writing a series' volume pack: from sealed instances to one sealed object, a few frames at a time."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final
from uuid import UUID

from gantry.studies.reading import open_object
from gantry.vault.public import SealedObject, SealedReader, StoredRef, Vault
from gantry_imaging.pack import InstanceSource, PackIndex, write_pack
from gantry_imaging.part10 import Source

#: Larger instances are read frame by frame; smaller ones at once, which saves asking a distant store.
_WHOLE_BYTES: Final = 64 * 1024 * 1024
_READ_AHEAD_BYTES: Final = 256 * 1024
_THREADS: Final = 2


def write_series_pack(
    vault: Vault, tenant_id: UUID, instances: Sequence[tuple[str, StoredRef]]
) -> tuple[SealedObject, PackIndex]:
    """Write the pack of some instances, by SOP Instance UID, and commit its object; nobody refers to it yet.

    Raises
    ------
    ImagingError
        There can be no pack: the code and the sentence say why. Nothing is kept.
    VaultError
        The store could not do this; nothing is kept.
    """
    with vault.begin(tenant_id) as writer:
        index = write_pack(
            writer, [InstanceSource(uid, partial(_open, ref)) for uid, ref in instances], threads=_THREADS
        )
        return writer.commit(), index


@contextmanager
def _open(ref: StoredRef) -> Iterator[Source]:
    with open_object(ref) as reader:
        if ref.size_bytes <= _WHOLE_BYTES:
            yield reader.read()
        else:
            yield io.BufferedReader(_SealedStream(reader), _READ_AHEAD_BYTES)


class _SealedStream(io.RawIOBase):
    """A sealed object as a stream."""

    def __init__(self, reader: SealedReader) -> None:
        super().__init__()
        self._reader = reader
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # of what io hands over
        data = self._reader.read(self._at, len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._reader.size_bytes}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at
