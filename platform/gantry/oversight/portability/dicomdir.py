"""A DICOMDIR written in one go (PS3.3 F, PS3.10): records are small, so they are kept while the files stream by.

pydicom's `FileSet` makes the records, but writes the files itself, to a disk; ours never lie on one in the clear.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from io import BytesIO
from itertools import zip_longest
from typing import Any, Final

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.fileset import DIRECTORY_RECORDERS, _four_level_record_type
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.uid import ExplicitVRLittleEndian, MediaStorageDirectoryStorage, generate_uid

_IMPLEMENTATION: Final = "1.2.826.0.1.3680043.8.498.45787841905188114249812132171244178187"
_ITEM: Final = struct.Struct("<HHI")
_SEQUENCE: Final = struct.pack("<HH2sH", 0x0004, 0x1220, b"SQ", 0)
_IN_USE: Final = 0xFFFF


@dataclass(eq=False)
class _Node:
    """A record with those below it."""

    record: Dataset
    children: dict[str, _Node] = field(default_factory=dict)


def file_id(study: int, series: int, instance: int) -> tuple[str, ...]:
    """Return the File ID of an instance by its place: components of at most eight of A-Z, 0-9, _ (PS3.10 §8.2)."""
    return "IMAGES", f"ST{study:06d}", f"SE{series:06d}", f"IM{instance:06d}"


class Dicomdir:
    """The directory of a file-set in the making."""

    def __init__(self) -> None:
        self._root = _Node(Dataset())

    def add(self, header: Dataset, where: tuple[str, ...]) -> bool:
        """Add a file by its header; False where its kind has no record, or lacks what the record needs."""
        try:
            kind = _four_level_record_type(header)
            leaf = _record(kind, header)
        except (KeyError, AttributeError, ValueError, TypeError):
            return False
        meta = header.file_meta
        leaf.ReferencedFileID = list(where)
        leaf.ReferencedSOPClassUIDInFile = str(header.SOPClassUID)
        leaf.ReferencedSOPInstanceUIDInFile = str(header.SOPInstanceUID)
        leaf.ReferencedTransferSyntaxUIDInFile = str(meta.TransferSyntaxUID)
        node = self._root
        try:
            for name, key in (
                ("PATIENT", f"{header.get('PatientID', '')}"),
                ("STUDY", str(header.StudyInstanceUID)),
                ("SERIES", str(header.SeriesInstanceUID)),
            ):
                if key not in node.children:
                    node.children[key] = _Node(_record(name, header))
                node = node.children[key]
        except (KeyError, AttributeError, ValueError, TypeError):
            return False
        node.children[str(header.SOPInstanceUID)] = _Node(leaf)
        return True

    def to_bytes(self) -> bytes:
        """Return the DICOMDIR."""
        ordered: list[_Node] = []
        links: list[tuple[_Node, _Node | None, _Node | None]] = []
        top = list(self._root.children.values())

        def walk(siblings: list[_Node]) -> None:
            for node, following in zip_longest(siblings, siblings[1:]):
                children = list(node.children.values())
                ordered.append(node)
                links.append((node, following, children[0] if children else None))
                walk(children)

        walk(top)
        # Offsets are of fixed length, so where each record lies is known before they are filled in.
        head = _preamble()
        start = len(head) + len(_encode(_directory(0, 0))) + len(_SEQUENCE) + 4
        places: dict[int, int] = {}
        at = start
        for node in ordered:
            places[id(node)] = at
            at += _ITEM.size + len(_encode(node.record))
        for node, following, below in links:
            node.record.OffsetOfTheNextDirectoryRecord = places[id(following)] if following else 0
            node.record.OffsetOfReferencedLowerLevelDirectoryEntity = places[id(below)] if below else 0
        first, last = (places[id(top[0])], places[id(top[-1])]) if top else (0, 0)
        out = BytesIO()
        out.write(head)
        out.write(_encode(_directory(first, last)))
        out.write(_SEQUENCE)
        out.write(struct.pack("<I", at - start))
        for node in ordered:
            body = _encode(node.record)
            out.write(_ITEM.pack(0xFFFE, 0xE000, len(body)))
            out.write(body)
        return out.getvalue()


def _record(kind: str, header: Dataset) -> Dataset:
    record: Dataset = DIRECTORY_RECORDERS[kind](header)
    record.OffsetOfTheNextDirectoryRecord = 0
    record.RecordInUseFlag = _IN_USE
    record.OffsetOfReferencedLowerLevelDirectoryEntity = 0
    record.DirectoryRecordType = kind
    if "SpecificCharacterSet" in header:
        record.SpecificCharacterSet = header.SpecificCharacterSet
    return record


def _directory(first: int, last: int) -> Dataset:
    directory = Dataset()
    directory.FileSetID = "GANTRY"
    directory.OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity = first
    directory.OffsetOfTheLastDirectoryRecordOfTheRootDirectoryEntity = last
    directory.FileSetConsistencyFlag = 0
    return directory


def _encode(dataset: Dataset) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    written: Any = dataset
    write_dataset(buffer, written)
    return bytes(buffer.getvalue())


def _preamble() -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = _IMPLEMENTATION  # type: ignore[assignment]  # a UID as text
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_file_meta_info(buffer, meta, enforce_standard=True)
    return b"\0" * 128 + b"DICM" + bytes(buffer.getvalue())
