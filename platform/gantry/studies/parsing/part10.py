"""From bytes to a data set: preamble, file meta information, inflation (PS3.10 §7)."""

import zlib
from dataclasses import dataclass

from pydicom._uid_dict import UID_dictionary

from gantry.studies.parsing.dataset import DataSet
from gantry.studies.parsing.elements import (
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    LONG_VRS,
    Budget,
    Encoding,
    has_vr,
)
from gantry.studies.parsing.limits import ParserLimits
from gantry.studies.parsing.rejections import ParseRefusedError

IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1.99"
EXPLICIT_VR_BIG_ENDIAN = "1.2.840.10008.1.2.2"
JPIP_REFERENCED_DEFLATE = ("1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205")
MEDIA_STORAGE_DIRECTORY = "1.2.840.10008.1.3.10"

_TRANSFER_SYNTAXES = frozenset(uid for uid, entry in UID_dictionary.items() if entry[1] == "Transfer Syntax")
_PREAMBLE_BYTES = 128
_FIRST_ELEMENTS = (b"\0\0", b"\x01\0", b"\x05\0", b"\x08\0", b"\x10\0", b"\x16\0")
_ARCHIVES = (
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"\x1f\x8b",
    b"7z\xbc\xaf",
    b"Rar!",
    b"BZh",
    b"\xfd7zXZ",
    b"\x28\xb5\x2f\xfd",
)
_PROGRAMS = (
    b"MZ",
    b"\x7fELF",
    b"\xfe\xed\xfa\xce",
    b"\xfe\xed\xfa\xcf",
    b"\xce\xfa\xed\xfe",
    b"\xcf\xfa\xed\xfe",
    b"\xca\xfe\xba\xbe",
    b"\xca\xfe\xba\xbf",
    b"\0asm",
    b"dex\n",
    b"#!",
    b"!<arch>",
    b"L\0\0\0\x01\x14\x02\0",  # a Windows shortcut
    b"\xd0\xcf\x11\xe0",  # an OLE document, which may hold macros
    b"{\\rtf",
)
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_MARKUP = (b"%pdf-", b"<html", b"<!doctype", b"<script", b"<?xml", b"<svg", b"<?php", b"<%", b"javascript:")


@dataclass(slots=True)
class Part10:
    """A file's outer structure; `dataset` is not walked yet."""

    preamble: str
    transfer_syntax_uid: str
    media_storage_sop_class_uid: str
    dataset: DataSet
    body: memoryview
    """What the data set's offsets count in: the file, or the inflated data set."""
    start: int
    is_deflated: bool

    def walk(self) -> None:
        """Check the whole data set; see `Walk.run` for what is refused."""
        try:
            self.dataset.walk(self.start, len(self.body))
        except ParseRefusedError as error:
            if error.code not in ("dicom.malformed", "dicom.truncated", "dicom.undefined_length"):
                raise
            if self.preamble == "missing":
                raise ParseRefusedError("dicom.not_dicom") from error
            if self.transfer_syntax_uid not in _TRANSFER_SYNTAXES:
                raise ParseRefusedError("dicom.unsupported_transfer_syntax") from error
            raise


def open_part10(file: memoryview, limits: ParserLimits) -> Part10:
    """Open a file as it came from outside.

    Files without preamble or without meta information are taken where their first element leaves no doubt.

    Raises
    ------
    ParseRefusedError
        ``dicom.empty``, ``dicom.too_large``, ``dicom.not_dicom``, ``dicom.archive``,
        ``dicom.preamble_executable``, ``dicom.dicomdir``, ``dicom.inflated_too_large``, and those of
        `Walk.run` for the meta information.
    """
    if len(file) == 0:
        raise ParseRefusedError("dicom.empty")
    if len(file) > limits.max_file_bytes:
        raise ParseRefusedError("dicom.too_large")
    budget = Budget.of(limits)
    head = bytes(file[: _PREAMBLE_BYTES + 4])
    if head[_PREAMBLE_BYTES:] == b"DICM":
        preamble, start = _judge_preamble(head[:_PREAMBLE_BYTES]), _PREAMBLE_BYTES + 4
    else:
        preamble, start = "missing", 0
        _require_bare_dicom(head)
    meta, start = _read_meta(file, start, budget)
    transfer_syntax_uid = meta.uid(0x00020010)
    if not transfer_syntax_uid:
        if 0x00020010 in meta and meta.raw(0x00020010).strip(b" \0"):
            raise ParseRefusedError("dicom.unsupported_transfer_syntax")
        transfer_syntax_uid = _guess_transfer_syntax(file, start)
    media_storage_sop_class_uid = meta.uid(0x00020002)
    if media_storage_sop_class_uid == MEDIA_STORAGE_DIRECTORY:
        raise ParseRefusedError("dicom.dicomdir")
    is_deflated = transfer_syntax_uid in (DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, *JPIP_REFERENCED_DEFLATE)
    body = file
    if is_deflated:
        body, start = memoryview(inflate(file[start:], limits)), 0
    encoding = _encoding_of(transfer_syntax_uid, body, start)
    dataset = DataSet(body, encoding, budget)
    return Part10(
        preamble,
        transfer_syntax_uid,
        media_storage_sop_class_uid,
        dataset,
        body,
        start,
        is_deflated=is_deflated,
    )


def inflate(data: memoryview, limits: ParserLimits) -> bytearray:
    """Inflate a raw deflate stream within bounds (PS3.5 §A.5).

    Raises
    ------
    ParseRefusedError
        ``dicom.inflated_too_large`` beyond the absolute bound or the ratio; ``dicom.truncated``;
        ``dicom.malformed``.
    """
    step = 64 * 1024
    bound = min(limits.max_inflated_bytes, max(limits.free_inflated_bytes, len(data) * limits.max_inflate_ratio))
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    out = bytearray()
    position = 0
    try:
        while not inflater.eof:
            pending: bytes | memoryview = inflater.unconsumed_tail
            if not pending:
                if position >= len(data):
                    raise ParseRefusedError("dicom.truncated")
                pending = data[position : position + step]
                position += step
            out += inflater.decompress(pending, 1024 * 1024)
            if len(out) > bound:
                raise ParseRefusedError("dicom.inflated_too_large")
    except zlib.error as error:
        raise ParseRefusedError("dicom.malformed") from error
    return out


def _judge_preamble(preamble: bytes) -> str:
    """Say what the 128 bytes are: the sender's to fill, so a file can be two things (CVE-2019-11687)."""
    if not any(preamble):
        return "zero"
    if preamble.startswith(_TIFF):  # PS3.10 §7.1 names TIFF as the use of the preamble
        return "tiff"
    visible = preamble.lstrip(b" \t\r\n\0\xef\xbb\xbf").lower()
    if preamble.startswith(_PROGRAMS + _ARCHIVES) or visible.startswith(b"<"):
        raise ParseRefusedError("dicom.preamble_executable")
    if any(mark in visible for mark in _MARKUP):
        raise ParseRefusedError("dicom.preamble_executable")
    return "other"


def _require_bare_dicom(head: bytes) -> None:
    """Let a file without preamble pass where it begins as data sets do: group 2 or 8, an early element."""
    if head.startswith(_ARCHIVES):
        raise ParseRefusedError("dicom.archive")
    group, element = head[:2], head[2:4]
    little = group in (b"\x02\0", b"\x08\0") and element in _FIRST_ELEMENTS
    big = group == b"\0\x08" and element[::-1] in _FIRST_ELEMENTS
    if len(head) < 12 or not (little or big):
        raise ParseRefusedError("dicom.not_dicom")


def _read_meta(file: memoryview, start: int, budget: Budget) -> tuple[DataSet, int]:
    """Walk group 2 to the first element beyond it; the group length is not believed."""
    meta = DataSet(file, EXPLICIT_LITTLE, budget)
    position = start
    while len(file) - position >= 8 and bytes(file[position : position + 2]) == b"\x02\0":
        vr = bytes(file[position + 4 : position + 6])
        is_long = vr in LONG_VRS or not (b"AA" <= vr <= b"ZZ")
        header = 12 if vr in LONG_VRS else 8
        at, size = (position + header - 4, 4) if is_long else (position + 6, 2)
        length = int.from_bytes(file[at : at + size], "little")
        if length > len(file) - position - header:
            raise ParseRefusedError("dicom.truncated")
        position += header + length
    meta.walk(start, position)
    return meta, position


def _guess_transfer_syntax(file: memoryview, start: int) -> str:
    if not has_vr(file, start):
        return IMPLICIT_VR_LITTLE_ENDIAN
    return EXPLICIT_VR_BIG_ENDIAN if file[start] == 0 else EXPLICIT_VR_LITTLE_ENDIAN


def _encoding_of(transfer_syntax_uid: str, body: memoryview, start: int) -> Encoding:
    """Return how the data set is written, which its first element knows better than the meta information."""
    if transfer_syntax_uid == EXPLICIT_VR_BIG_ENDIAN:
        return EXPLICIT_BIG
    return EXPLICIT_LITTLE if has_vr(body, start) or len(body) - start < 8 else IMPLICIT_LITTLE
