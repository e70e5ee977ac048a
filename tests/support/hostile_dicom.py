"""Files that somebody means harm with, or that harm has befallen: generated, each with its outcome.

``corpus()`` yields them. Expecting None means that the file is accepted; a set of codes, that any of them is
right. Nothing here is a real person's.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
RLE = "1.2.840.10008.1.2.5"
JPEG = "1.2.840.10008.1.2.4.50"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
UNDEFINED = 0xFFFFFFFF

_LONG = (b"OB", b"OW", b"OF", b"OD", b"SQ", b"UN", b"UT", b"UC", b"UR")
_PIXELS = 0x7FE00010
Elements = dict[int, tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class HostileFile:
    """A file, and the codes that it may end with; None: it is accepted."""

    name: str
    data: bytes
    codes: frozenset[str] | None


def element(tag: int, vr: bytes, value: bytes, length: int | None = None, order: str = "<") -> bytes:
    """Write one element in explicit VR; `length` lies where it is given."""
    size = len(value) if length is None else length
    head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF) + vr
    if vr in _LONG:
        return head + struct.pack(order + "HI", 0, size) + value
    return head + struct.pack(order + "H", size & 0xFFFF) + value


def text(value: str, pad: bytes = b" ") -> bytes:
    """Encode and pad to an even length."""
    data = value.encode()
    return data + pad[: len(data) % 2]


def uid(value: str) -> bytes:
    """Encode a UID."""
    return text(value, b"\0")


def plain() -> Elements:
    """Return the elements of a sound 4 by 4 Secondary Capture."""
    return {
        0x00080016: (b"UI", uid(SECONDARY_CAPTURE)),
        0x00080018: (b"UI", uid("1.2.3.4.5")),
        0x00080060: (b"CS", b"OT"),
        0x00100010: (b"PN", b"Doe^Jo"),
        0x00100020: (b"LO", b"P1"),
        0x0020000D: (b"UI", uid("1.2.3.4")),
        0x0020000E: (b"UI", uid("1.2.3.4.1")),
        0x00280002: (b"US", b"\1\0"),
        0x00280004: (b"CS", b"MONOCHROME2 "),
        0x00280010: (b"US", b"\4\0"),
        0x00280011: (b"US", b"\4\0"),
        0x00280100: (b"US", b"\x08\0"),
        0x00280101: (b"US", b"\x08\0"),
        0x00280102: (b"US", b"\7\0"),
        0x00280103: (b"US", b"\0\0"),
        _PIXELS: (b"OB", bytes(16)),
    }


def body(changes: Elements | None = None, without: tuple[int, ...] = (), tail: bytes = b"") -> bytes:
    """Write a data set in explicit little endian."""
    elements = plain() | (changes or {})
    kept = sorted((tag, *pair) for tag, pair in elements.items() if tag not in without)
    return b"".join(element(tag, vr, value) for tag, vr, value in kept) + tail


def file(data_set: bytes, syntax: str = EXPLICIT, preamble: bytes = b"", meta_length: int | None = None) -> bytes:
    """Put preamble and file meta information before a data set."""
    rest = (
        element(0x00020001, b"OB", b"\0\1")
        + element(0x00020002, b"UI", uid(SECONDARY_CAPTURE))
        + element(0x00020003, b"UI", uid("1.2.3.4.5"))
        + (element(0x00020010, b"UI", uid(syntax)) if syntax else b"")
    )
    length = struct.pack("<I", len(rest) if meta_length is None else meta_length)
    return preamble.ljust(128, b"\0")[:128] + b"DICM" + element(0x00020000, b"UL", length) + rest + data_set


def implicit_element(tag: int, value: bytes, length: int | None = None) -> bytes:
    """Write one element in implicit VR."""
    size = len(value) if length is None else length
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, size) + value


def item(content: bytes, length: int | None = None) -> bytes:
    """Write a sequence item or fragment of defined length."""
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(content) if length is None else length) + content


ITEM_END = struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
SEQUENCE_END = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
BEFORE_PIXELS = body(without=(_PIXELS,))


def nested(depth: int) -> bytes:
    """Write Content Sequences of undefined length inside each other."""
    opening = element(0x0040A730, b"SQ", b"", UNDEFINED) + item(b"", UNDEFINED)
    return opening * depth + (ITEM_END + SEQUENCE_END) * depth


def nested_defined(depth: int, tag: int = 0x0040A730, vr: bytes = b"SQ") -> bytes:
    """Write sequences of defined length inside each other."""
    content = b""
    for _ in range(depth):
        content = element(tag, vr, item(content))
    return content


def nested_implicit(depth: int, tag: int = 0x0040A730) -> bytes:
    """Write sequences of defined length inside each other in implicit VR, as inside UN."""
    content = b""
    for _ in range(depth):
        content = implicit_element(tag, item(content))
    return content


def deflate(data: bytes, level: int = 9) -> bytes:
    """Compress as the deflated transfer syntax does."""
    compressor = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


def bomb(mebibytes: int) -> bytes:
    """Write a data set of zeros that inflates a thousandfold."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    size = mebibytes << 20
    start = BEFORE_PIXELS + struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, size)
    chunks = [compressor.compress(start)]
    chunks += [compressor.compress(bytes(1 << 20)) for _ in range(mebibytes)]
    return file(b"".join(chunks) + compressor.flush(), DEFLATED)


def encapsulated(*fragments: bytes, table: bytes = b"", end: bytes = SEQUENCE_END) -> bytes:
    """Write Pixel Data of fragments."""
    items = item(table) + b"".join(item(fragment) for fragment in fragments)
    return element(_PIXELS, b"OB", b"", UNDEFINED) + items + end


def corpus() -> Iterator[HostileFile]:
    """Yield the whole corpus; the bomb of 200 MiB takes a second to build."""
    for name, data, codes in (
        *_not_dicom(),
        *_preambles(),
        *_lengths(),
        *_identities(),
        *_images(),
        *_nesting(),
        *_inflation(),
        *_texts(),
        *_odd_but_sound(),
    ):
        yield HostileFile(name, data, None if codes is None else frozenset(codes.split()))


Rows = Iterator[tuple[str, bytes, str | None]]


def _not_dicom() -> Rows:
    yield "empty", b"", "dicom.empty"
    yield "one byte", b"D", "dicom.not_dicom"
    yield "magic alone", bytes(128) + b"DICM", "dicom.missing_uid"
    yield "magic cut", bytes(128) + b"DIC", "dicom.not_dicom"
    yield "zeros", bytes(4096), "dicom.not_dicom"
    yield "noise", zlib.compress(bytes(range(256)) * 40)[2:], "dicom.not_dicom"
    yield "HTML", b"<!doctype html><script>alert(1)</script>" * 20, "dicom.not_dicom"
    yield "PDF", b"%PDF-1.7\n" + bytes(4000), "dicom.not_dicom"
    yield "PNG", b"\x89PNG\r\n\x1a\n" + bytes(400), "dicom.not_dicom"
    yield "ZIP", b"PK\x03\x04" + bytes(400), "dicom.archive"
    yield "gzip", b"\x1f\x8b\x08" + bytes(400), "dicom.archive"
    yield "looks bare, is none", struct.pack("<HHI", 8, 5, 0xFFFFFF) + b"x" * 500, "dicom.not_dicom"
    yield (
        "DICOMDIR",
        file(body()).replace(uid(SECONDARY_CAPTURE), uid("1.2.840.10008.1.3.10").ljust(26, b"\0")),
        ("dicom.dicomdir"),
    )


def _preambles() -> Rows:
    executable = "dicom.preamble_executable"
    for name, preamble in (
        ("MZ", b"MZ" + b"A" * 126),
        ("ELF", b"\x7fELF\2\1\1"),
        ("Mach-O", b"\xcf\xfa\xed\xfe"),
        ("Mach-O fat", b"\xca\xfe\xba\xbe"),
        ("shell", b"#!/bin/sh\nrm -rf /\n"),
        ("HTML preamble", b"  \n<html><script>alert(1)</script>"),
        ("HTML after text", b"GIF89a <script>alert(1)</script>"),
        ("PDF preamble", b"\n\n%PDF-1.4"),
        ("ZIP preamble", b"PK\x03\x04"),
        ("PHP", b"x<?php system($_GET[0]);"),
        ("WebAssembly", b"\0asm\1\0\0\0"),
        ("shortcut", b"L\0\0\0\x01\x14\x02\0"),
    ):
        yield f"preamble {name}", file(body(), preamble=preamble), executable
    yield "preamble TIFF", file(body(), preamble=b"II*\0\x10\0\0\0"), None
    yield "preamble of a vendor", file(body(), preamble=b"Made by ACME"), None


def _lengths() -> Rows:
    whole = file(body())
    for size in (133, 140, 200, 301, len(whole) - 20, len(whole) - 1):
        yield f"cut at {size}", whole[:size], "dicom.truncated"
    bad = "dicom.undefined_length"
    almost = 0xFFFFFFFE
    yield "0xFFFFFFFE pixels", file(BEFORE_PIXELS + element(_PIXELS, b"OB", bytes(10), almost)), bad
    yield "0xFFFFFFFE text", file(BEFORE_PIXELS + element(0x00420011, b"UT", bytes(10), almost)), bad
    yield "0xFFFFFFFE sequence", file(BEFORE_PIXELS + element(0x0040A730, b"SQ", bytes(10), almost)), bad
    yield (
        "0xFFFFFFFE item",
        file(BEFORE_PIXELS + element(0x0040A730, b"SQ", item(b"", almost), UNDEFINED)),
        bad,
    )
    yield "0xFFFFFFFE implicit", file(implicit_element(0x00080016, bytes(10), almost), IMPLICIT), bad
    yield "undefined text", file(BEFORE_PIXELS + element(0x00420011, b"UT", bytes(10), UNDEFINED)), bad
    yield (
        "no end of sequence",
        file(BEFORE_PIXELS + element(0x0040A730, b"SQ", item(b"")[:0], UNDEFINED)),
        ("dicom.truncated"),
    )
    overrun = element(0x0040A730, b"SQ", item(b"12345678", 40)) + element(0x00420011, b"UT", bytes(400))
    yield "item beyond its sequence", file(BEFORE_PIXELS + overrun), "dicom.malformed"
    yield (
        "no item in a sequence",
        file(BEFORE_PIXELS + element(0x0040A730, b"SQ", b"garbage!")),
        "dicom.malformed",
    )
    yield "meta length huge", file(body(), meta_length=almost), None
    yield "meta length zero", file(body(), meta_length=0), None
    yield (
        "meta element beyond the file",
        file(b"")[:-20] + element(0x00020016, b"OB", b"", 1 << 30),
        "dicom.truncated",
    )
    yield "text of 64 KiB in a short VR", file(body({0x00081030: (b"LO", b"x" * 65_534)})), None
    yield (
        "two gigabytes announced",
        file(BEFORE_PIXELS + element(_PIXELS, b"OB", bytes(10), 1 << 31)),
        "dicom.truncated",
    )
    many = struct.pack("<HH2sH", 0x0011, 0x0010, b"LO", 0) * 2_000_100
    yield "two million elements", file(BEFORE_PIXELS + many), "dicom.too_many_elements dicom.parser_timeout"


def _identities() -> Rows:
    for name, tag in (
        ("SOP", 0x00080018),
        ("study", 0x0020000D),
        ("series", 0x0020000E),
        ("class", 0x00080016),
    ):
        yield f"{name} UID absent", file(body(without=(tag,))), "dicom.missing_uid"
        yield f"{name} UID empty", file(body({tag: (b"UI", b"")})), "dicom.missing_uid"
    for value in (
        b"../../evil",
        b"/etc/passwd ",
        b"1.2\x003.4 ",
        b"1.2.3%2e%2e ",
        b"1." * 33 + b"1",
        b"1..2",
        b".1.2",
        b"1.2.",
        b"1.2\n3",
        b"1.2.3;x",
        b"\xd9\xa1.\xd9\xa2 ",
        b"<svg onload=alert(1)>",
        b"1.2\\3.4",
        b"-1.2",
    ):
        yield f"SOP UID {value!r}", file(body({0x00080018: (b"UI", value)})), "dicom.invalid_uid"
    yield "study UID of spaces", file(body({0x0020000D: (b"UI", b"    ")})), "dicom.missing_uid"
    for name, value in (
        ("NUL", b"P\x001 "),
        ("control", b"P\r\n1"),
        ("too long", b"P" * 1000),
        ("huge", b"P" * 60_000),
    ):
        yield f"patient ID with {name}", file(body({0x00100020: (b"LO", value)})), "dicom.invalid_identity"
    reversed_id = "P\u202e1".encode() + b" "
    changes: Elements = {0x00080005: (b"CS", b"ISO_IR 192"), 0x00100020: (b"LO", reversed_id)}
    yield "patient ID turned round", file(body(changes)), "dicom.invalid_identity"
    changes = {0x00080005: (b"CS", b"ISO_IR 192"), 0x00100020: (b"LO", b"P\xff\xfe1")}
    yield "patient ID that does not decode", file(body(changes)), "dicom.invalid_identity"
    yield "patient ID as a path", file(body({0x00100020: (b"LO", b"../../x ")})), None
    twice = element(0x00100020, b"LO", b"P2")
    yield "two patients", file(BEFORE_PIXELS + twice), "dicom.contradictory"
    yield "the same patient twice", file(BEFORE_PIXELS + element(0x00100020, b"LO", b"P1")), None


def _images() -> Rows:
    bad = "dicom.invalid_image"
    for name, changes in (
        ("rows 0", {0x00280010: (b"US", b"\0\0")}),
        ("rows absent", {0x00280010: (b"US", b"")}),
        ("bits 0", {0x00280100: (b"US", b"\0\0")}),
        ("bits 7", {0x00280100: (b"US", b"\7\0")}),
        ("bits 65528", {0x00280100: (b"US", b"\xf8\xff")}),
        ("stored beyond allocated", {0x00280101: (b"US", b"\x10\0")}),
        ("high bit beyond allocated", {0x00280102: (b"US", b"\x08\0")}),
        ("samples 65535", {0x00280002: (b"US", b"\xff\xff")}),
        ("frames 1e9", {0x00280008: (b"IS", b"1e9 ")}),
        ("frames 2^31", {0x00280008: (b"IS", b"2147483648")}),
        ("frames negative", {0x00280008: (b"IS", b"-1")}),
        ("frames text", {0x00280008: (b"IS", b"<b>x")}),
        ("rows as UL of 2^31", {0x00280010: (b"UL", b"\0\0\0\x80")}),
    ):
        yield name, file(body(changes)), bad
    yield "rows as UL of 4", file(body({0x00280010: (b"UL", b"\4\0\0\0")})), None
    yield "rows as UL of zero bytes", file(body({0x00280010: (b"UL", b"")})), bad
    short = {0x00280010: (b"US", b"\xff\xff"), 0x00280011: (b"US", b"\xff\xff"), _PIXELS: (b"OB", bytes(4))}
    yield "65535 square with 4 bytes", file(body(short)), "dicom.truncated"
    yield "a thousand frames with one", file(body({0x00280008: (b"IS", b"1000")})), "dicom.truncated"
    yield "2^31-1 frames", file(body({0x00280008: (b"IS", b"2147483647")})), "dicom.truncated"
    yield "frames 0", file(body({0x00280008: (b"IS", b"0 ")})), None
    yield "no rows, no pixels", file(body(without=(_PIXELS, 0x00280010))), None
    rle = struct.pack("<16I", 1, 0xFFFFFF00, *([0] * 14)) + bytes(16)
    yield (
        "RLE segment past its end",
        file(BEFORE_PIXELS + encapsulated(rle), RLE),
        None,
    )  # the decoder's to refuse
    past = struct.pack("<I", 1 << 20)
    yield "offset table past the end", file(BEFORE_PIXELS + encapsulated(rle, table=past), RLE), bad
    yield "fragment past the end", file(BEFORE_PIXELS + encapsulated(rle)[:-40], RLE), "dicom.truncated"
    yield "no delimiter", file(BEFORE_PIXELS + encapsulated(rle, end=b""), RLE), "dicom.truncated"
    yield "no fragments", file(BEFORE_PIXELS + encapsulated(), JPEG), bad
    yield (
        "garbage between fragments",
        file(BEFORE_PIXELS + encapsulated(rle, end=b"garbage!"), RLE),
        "dicom.malformed",
    )
    lying = item(b"x" * 20, 0xFFFFFFFE)
    fragments = element(_PIXELS, b"OB", b"", UNDEFINED) + item(b"") + lying + SEQUENCE_END
    yield "fragment of 0xFFFFFFFE", file(BEFORE_PIXELS + fragments, JPEG), "dicom.undefined_length"
    few = body({0x00280008: (b"IS", b"9 ")}, without=(_PIXELS,))
    yield "fewer fragments than frames", file(few + encapsulated(rle, rle), RLE), "dicom.truncated"
    offsets = struct.pack("<3I", 0, 200, 100)
    three = body({0x00280008: (b"IS", b"3 ")}, without=(_PIXELS,))
    backwards = file(three + encapsulated(bytes(92), bytes(92), bytes(92), table=offsets), RLE)
    yield "offset table backwards", backwards, bad


def _nesting() -> Rows:
    deep = "dicom.nested_too_deep"
    yield "nested 60", file(BEFORE_PIXELS + nested(60)), None
    for depth in (65, 180, 400, 20_000):
        yield f"nested {depth}", file(BEFORE_PIXELS + nested(depth)), deep
    yield "nested 400 defined", file(BEFORE_PIXELS + nested_defined(400)), deep
    yield "nested 400 private", file(BEFORE_PIXELS + nested_defined(400, tag=0x00991010)), deep
    unknown = element(0x0040A730, b"UN", item(nested_implicit(400)))
    yield "nested 400 inside UN", file(BEFORE_PIXELS + unknown), deep
    private = element(0x00991010, b"UN", item(nested_implicit(400, tag=0x00991010)))
    yield "nested 400 inside private UN", file(BEFORE_PIXELS + private), deep
    undefined = element(0x00991010, b"UN", b"", UNDEFINED) + item(nested_implicit(400)) + SEQUENCE_END
    yield "nested 400 inside undefined UN", file(BEFORE_PIXELS + undefined), deep
    looks = element(0x00991010, b"UN", item(b"not an element at all", 500))
    yield "private UN that looks like a sequence", file(BEFORE_PIXELS + looks), None


def _inflation() -> Rows:
    yield "bomb of 200 MiB", bomb(200), "dicom.inflated_too_large"
    yield "bomb of 8 MiB", bomb(8), "dicom.inflated_too_large"
    yield "deflated", file(deflate(body()), DEFLATED), None
    yield "deflated and cut", file(deflate(body())[:-10], DEFLATED), "dicom.truncated"
    yield "deflated noise", file(b"\xff" * 400, DEFLATED), "dicom.malformed"
    yield "deflated in name alone", file(body(), DEFLATED), "dicom.malformed dicom.truncated"
    yield (
        "deflated twice",
        file(deflate(deflate(body())), DEFLATED),
        "dicom.malformed dicom.truncated dicom.missing_uid",
    )


def _texts() -> Rows:
    for name, terms, value in (
        ("ISO 2022 escapes without end", b"ISO 2022 IR 6\\ISO 2022 IR 87 ", b"\x1b$B" * 500 + b"\x1b"),
        ("unknown escapes", b"ISO 2022 IR 6\\ISO 2022 IR 149", b"\x1b$)Z\xff\xff\x1b(Q\xff^\x1b"),
        ("invalid UTF-8", b"ISO_IR 192", b"\xc3\x28\xed\xa0\x80\xf8\x88^x"),
        ("override of direction", b"ISO_IR 192", "Doe\u202e^\u2066Jo".encode()),
        ("zip as character set", b"zip ", b"Doe^Jo\xff\xfe"),
        ("idna as character set", b"idna", b"xn--" + b"\xfc" * 40),
        ("64 character sets", b"\\".join([b"ISO 2022 IR 87"] * 64), b"\x1b$B;3ED"),
        ("GB18030 half a character", b"GB18030 ", b"\x81\x30\x81"),
        ("script in a name", b"ISO_IR 100", b"<svg onload=alert(1)>^{{7*7}}^=cmd|'/C calc'!A1"),
        ("name of 64 KiB", b"ISO_IR 100", b"A^" * 30_000),
        ("name of equals signs", b"ISO_IR 100", b"=" * 60_000),
        ("control characters", b"ISO_IR 100", b"Doe\r\nSet-Cookie: x\x00\x08^Jo"),
    ):
        padded = value + b" "[: len(value) % 2]
        changes: Elements = {0x00080005: (b"CS", terms + b" "[: len(terms) % 2]), 0x00100010: (b"PN", padded)}
        yield name, file(body(changes)), None
    numbers = b"\\".join([b"1e999", b"nan", b"inf", b"1" * 4000])
    numbers += b" "[: len(numbers) % 2]
    yield (
        "numbers that are none",
        file(body({0x00281050: (b"DS", numbers), 0x00281051: (b"DS", numbers)})),
        None,
    )
    nan = struct.pack("<2d", float("nan"), float("inf"))
    yield "binary NaN as spacing", file(body({0x00280030: (b"FD", nan)})), None
    dates = {
        0x00080020: (b"DA", b"99999999"),
        0x00080030: (b"TM", b"250000"),
        0x00100030: (b"DA", b"0000\\ "),
    }
    yield "dates that are none", file(body(dates)), None


def _odd_but_sound() -> Rows:
    yield "plain", file(body()), None
    yield "no preamble", body(), None
    yield "meta without preamble", file(body())[132:], None
    yield "zero padding at the end", file(body() + bytes(7)), None
    yield "trailing padding element", file(body() + element(0xFFFCFFFC, b"OB", bytes(64))), None
    yield "odd length", file(body({0x00081030: (b"LO", b"odd")})), None
    yield "group lengths", file(element(0x00080000, b"UL", b"\xff\xff\xff\xff") + body()), None
    big = b"".join(
        element(tag, vr, value[::-1] if vr == b"US" else value, order=">")
        for tag, (vr, value) in sorted(plain().items())
    )
    yield "big endian", file(big, BIG_ENDIAN), None
    implicit = b"".join(implicit_element(tag, value) for tag, (_, value) in sorted(plain().items()))
    yield "implicit", file(implicit, IMPLICIT), None
    yield "implicit that says explicit", file(implicit, EXPLICIT), None
    yield "explicit that says implicit", file(body(), IMPLICIT), None
    yield "private transfer syntax", file(body(), "1.2.840.113619.5.2"), None
    yield "no transfer syntax", file(body(), ""), None
    yield "transfer syntax of letters", file(body(), "explicit"), "dicom.unsupported_transfer_syntax"
    yield "unknown syntax, unreadable", file(b"\7" * 400, "1.2.3.4"), "dicom.unsupported_transfer_syntax"
    yield "unknown VR", file(body({0x00091001: (b"ZZ", b"??")})), None
    yield (
        "an implicit element among explicit ones",
        file(BEFORE_PIXELS + implicit_element(0x00990010, b"ACME")),
        None,
    )
    document = element(0x00420011, b"OB", b"%PDF-1.4 /JavaScript")
    yield "document with script", file(BEFORE_PIXELS + document), None
