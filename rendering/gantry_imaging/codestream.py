"""Read what a compressed codestream says of itself, before anything is decoded."""

from collections.abc import Iterator
from dataclasses import dataclass

from gantry_imaging.errors import DecodeError

_JP2_SIGNATURE = b"\x00\x00\x00\x0cjP  "
_J2K_START = b"\xff\x4f\xff\x51"
# Start-of-frame markers: C0-CF but for DHT (C4), JPG (C8) and DAC (CC); F7 is JPEG-LS.
_START_OF_FRAME = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
_STANDALONE = {0x01, *range(0xD0, 0xD9)}


@dataclass(frozen=True, slots=True)
class CodestreamHeader:
    """Dimensions and sample format as coded; `is_ycc` is None where a JPEG does not say."""

    rows: int
    columns: int
    components: int
    precision: int
    is_signed: bool = False
    is_ycc: bool | None = None


def read_jpeg_header(data: bytes) -> CodestreamHeader:
    """Parse the markers of a JPEG (T.81) or JPEG-LS (T.87) stream up to its frame header.

    Raises
    ------
    DecodeError
        `pixel.corrupt` where there is no frame header or no end: libjpeg would fill the rest with grey.
    """
    if data.rfind(b"\xff\xd9") < 0:
        raise DecodeError("pixel.corrupt", "The JPEG data ends early: its end marker is missing.")
    has_jfif, adobe_transform = False, None
    for marker, body in _segments(data):
        if marker == 0xE0 and body.startswith(b"JFIF"):
            has_jfif = True
        elif marker == 0xEE and body.startswith(b"Adobe") and len(body) >= 12:
            adobe_transform = body[11]
        elif marker in _START_OF_FRAME and len(body) >= 6:
            components = body[5]
            identifiers = body[6::3][:components]
            is_ycc: bool | None = None
            if adobe_transform is not None:
                is_ycc = adobe_transform == 1
            elif has_jfif:
                is_ycc = True
            elif identifiers == b"RGB":
                is_ycc = False
            rows, columns = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
            return CodestreamHeader(rows, columns, components, body[0], is_ycc=is_ycc)
    raise DecodeError("pixel.corrupt", "The JPEG data has no frame header.")


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (marker, body) of the segments in front of the first scan."""
    at = data.find(b"\xff\xd8")
    while 0 <= at < len(data) - 1:
        if data[at] != 0xFF:
            return
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker in _STANDALONE:
            at += 2
        elif marker == 0xDA:
            return
        else:
            length = int.from_bytes(data[at + 2 : at + 4], "big")
            yield marker, data[at + 4 : at + 2 + length]
            at += 2 + max(length, 2)


def read_jpeg2000_header(data: bytes) -> CodestreamHeader:
    """Parse the SIZ segment of a JPEG 2000 codestream (T.800 A.5.1), bare or in a JP2 box.

    Raises
    ------
    DecodeError
        `pixel.corrupt` where there is none, and where components differ in size or depth.
    """
    at = data.find(_J2K_START) if data.startswith(_JP2_SIGNATURE) else 0
    size = data[at + 4 :]
    if at < 0 or not data.startswith(_J2K_START, at) or len(size) < 39:
        raise DecodeError("pixel.corrupt", "The JPEG 2000 data has no size segment.")
    columns, rows, left, top = (int.from_bytes(size[n : n + 4], "big") for n in (4, 8, 12, 16))
    components = int.from_bytes(size[36:38], "big")
    formats = size[38 : 38 + 3 * components]
    if len(formats) < 3 * components or len({formats[n : n + 3] for n in range(0, len(formats), 3)}) != 1:
        raise DecodeError("pixel.corrupt", "The JPEG 2000 data has components of different size or depth.")
    return CodestreamHeader(
        rows=rows - top,
        columns=columns - left,
        components=components,
        precision=(formats[0] & 0x7F) + 1,
        is_signed=bool(formats[0] & 0x80),
    )
