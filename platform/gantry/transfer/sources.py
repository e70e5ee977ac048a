"""The files of a folder or ZIP, one after the other, without unpacking anything to disk."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

#: A member that claims to inflate beyond this, or by more than this factor, is left out.
MAX_MEMBER_BYTES, MAX_RATIO = 2 * 1024**3, 200
_PART10_PREFIX_BYTES = 132


@dataclass(frozen=True, slots=True)
class Source:
    """A file to send: where it lies, and how large it is."""

    name: str
    size_bytes: int
    path: Path
    member: str = ""

    def read(self) -> bytes:
        """Return the file's bytes.

        Raises
        ------
        ValueError
            A ZIP member is larger than its entry said.
        """
        if not self.member:
            return self.path.read_bytes()
        with zipfile.ZipFile(self.path) as archive, archive.open(self.member) as file:
            data = file.read(self.size_bytes + 1)
        if len(data) != self.size_bytes:
            raise ValueError("the ZIP entry has another size than it says")
        return data


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that is not sent, and why."""

    name: str
    reason: str


def list_sources(paths: Sequence[Path]) -> Iterator[Source | Skipped]:
    """Walk folders, ZIP files and files; yields what is to be sent and what is left out."""
    for path in paths:
        if path.is_dir():
            for file in sorted(path.rglob("*")):
                if file.is_file() and not file.is_symlink():
                    yield from _list_file(file, str(file.relative_to(path)))
        else:
            yield from _list_file(path, path.name)


def _list_file(path: Path, name: str) -> Iterator[Source | Skipped]:
    if zipfile.is_zipfile(path):
        yield from _list_zip(path, name)
        return
    with path.open("rb") as file:
        head = file.read(_PART10_PREFIX_BYTES)
    yield _judge(Source(name, path.stat().st_size, path), head)


def _list_zip(path: Path, name: str) -> Iterator[Source | Skipped]:
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile:
        yield Skipped(name, "the ZIP is damaged")
        return
    with archive:
        for entry in archive.infolist():
            if entry.is_dir():
                continue
            member = f"{name}/{entry.filename}"
            if entry.flag_bits & 1:
                yield Skipped(member, "the ZIP entry is encrypted")
            elif entry.file_size > MAX_MEMBER_BYTES or entry.file_size > MAX_RATIO * max(entry.compress_size, 1024):
                yield Skipped(member, "the ZIP entry inflates suspiciously")
            else:
                with archive.open(entry) as file:
                    head = file.read(_PART10_PREFIX_BYTES)
                yield _judge(Source(member, entry.file_size, path, entry.filename), head)


def _judge(source: Source, head: bytes) -> Source | Skipped:
    if head[128:132] != b"DICM":
        return Skipped(source.name, "not a DICOM file")
    if source.name.rsplit("/", 1)[-1].upper() == "DICOMDIR":
        return Skipped(source.name, "an index of a medium, not an image")
    return source
