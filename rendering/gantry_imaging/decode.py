"""DICOM pixel data to stored values and modality units."""

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, uid
from pydicom.encaps import generate_frames, get_frame

from gantry_imaging.codecs import find_codec
from gantry_imaging.errors import DecodeError
from gantry_imaging.modality import to_modality_units
from gantry_imaging.part10 import (
    DEFAULT_LIMITS,
    UNDEFINED_LENGTH,
    Limits,
    OpenedFile,
    Source,
    open_file,
    read_header,
    refusing,
)
from gantry_imaging.pixels import PixelFormat

__all__ = [
    "DEFAULT_LIMITS",
    "Limits",
    "PixelFormat",
    "decode_frames",
    "decoded_photometric",
    "read_header",
    "to_modality_units",
]

# What decoding needs; group 7FE0 holds the extended offset table.
_PIXEL_TAGS: Final = (
    *(0x00280000 | element for element in (0x02, 0x04, 0x06, 0x08, 0x10, 0x11, 0x100, 0x101, 0x102, 0x103)),
    0x7FE00001,
    0x7FE00002,
)
_FLOAT_BITS: Final = {0x7FE00008: 32, 0x7FE00009: 64}
NATIVE: Final = (
    uid.ExplicitVRLittleEndian,
    uid.ImplicitVRLittleEndian,
    uid.DeflatedExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
)
_LOSSY_JPEG: Final = (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit)


def decode_frames(source: Source, frame: int | None = None, *, limits: Limits = DEFAULT_LIMITS) -> NDArray[Any]:
    """Decode stored values: as the modality wrote them, before any rescaling.

    Parameters
    ----------
    source
        A whole DICOM file; of an uncompressed one given as a file, only the frame's bytes are read.
    frame
        Which frame, from 0; None for all.

    Returns
    -------
    NDArray
        (rows, columns) or (rows, columns, samples) for one frame, with the frames in front for all, in the
        native type of Bits Allocated, high bits masked and signs extended; colour interleaved, in the colour
        space that `decoded_photometric` names. May be read-only: of uncompressed data it is a view.

    Raises
    ------
    DecodeError
        As `read_header`; `pixel.absent`, `pixel.unsupported_syntax`, `pixel.too_large` (checked before
        decoding), `pixel.corrupt` (also: a codestream whose size is not the header's).
    IndexError
        `frame` is beyond the frames of the file.
    """
    opened = open_file(source, only_tags=_PIXEL_TAGS, limits=limits)
    pixels = _pixel_format(opened)
    _require_within(pixels, 1 if frame is not None else pixels.frames, limits)
    if frame is not None and not 0 <= frame < pixels.frames:
        raise IndexError(f"frame {frame} of {pixels.frames}")
    if opened.transfer_syntax_uid in NATIVE:
        with refusing("pixel.corrupt", "The pixel data cannot be read"):
            return _decode_native(opened, pixels, frame)
    codec = find_codec(opened.transfer_syntax_uid)
    if frame is not None:
        return codec(_encapsulated_frame(opened, pixels, frame), pixels)
    decoded = [codec(data, pixels) for data in islice(_encapsulated_frames(opened, pixels), pixels.frames)]
    if len(decoded) < pixels.frames:
        raise DecodeError("pixel.corrupt", f"Of {pixels.frames} frames only {len(decoded)} are there.")
    return np.stack(decoded)


def decoded_photometric(dataset: Dataset) -> str:
    """Name the colour space of what `decode_frames` returns.

    JPEG and JPEG 2000 undo their own colour transform while decoding, so that YBR_FULL(_422), YBR_RCT and
    YBR_ICT arrive as RGB; uncompressed YBR_FULL_422 is spread to YBR_FULL.
    """
    photometric = str(dataset.get("PhotometricInterpretation", "MONOCHROME2")).strip()
    if photometric in ("YBR_RCT", "YBR_ICT"):
        return "RGB"
    syntax = str(getattr(dataset, "file_meta", Dataset()).get("TransferSyntaxUID", ""))
    if photometric.startswith("YBR") and syntax in _LOSSY_JPEG:
        return "RGB"
    return photometric.removesuffix("_422")


def _pixel_format(opened: OpenedFile) -> PixelFormat:
    if opened.pixel_tag is None:
        raise DecodeError("pixel.absent", "The file holds no pixel data.")
    with refusing("pixel.corrupt", "The description of the pixel data cannot be read"):
        return PixelFormat.of(opened.dataset, _FLOAT_BITS.get(opened.pixel_tag))


def _require_within(pixels: PixelFormat, frames: int, limits: Limits) -> None:
    if pixels.decoded_bytes > limits.frame_bytes:
        raise DecodeError(
            "pixel.too_large",
            f"A frame of {pixels.columns} x {pixels.rows} takes {pixels.decoded_bytes >> 20} MiB; "
            f"{limits.frame_bytes >> 20} MiB are allowed.",
        )
    if frames * pixels.decoded_bytes > limits.decoded_bytes:
        raise DecodeError(
            "pixel.too_large",
            f"{frames} frames take {frames * pixels.decoded_bytes >> 20} MiB; "
            f"{limits.decoded_bytes >> 20} MiB are allowed.",
        )


def _decode_native(opened: OpenedFile, pixels: PixelFormat, frame: int | None) -> NDArray[Any]:
    first, count = (0, pixels.frames) if frame is None else (frame, 1)
    start, first_bit = divmod(first * pixels.frame_bits, 8)
    data = _read_pixels(opened, pixels, start, (first_bit + count * pixels.frame_bits + 7) // 8)
    is_little = opened.transfer_syntax_uid.is_little_endian
    frames = [pixels.unpack(data, first_bit + n * pixels.frame_bits, is_little=is_little) for n in range(count)]
    if frame is not None:
        return frames[0]
    return np.stack(frames) if count > 1 else frames[0][np.newaxis]


def _read_pixels(opened: OpenedFile, pixels: PixelFormat, start: int, size: int) -> bytes:
    """Read part of the uncompressed pixel data, refusing a file that ends before it."""
    if opened.pixel_length == UNDEFINED_LENGTH:
        raise DecodeError("pixel.corrupt", "Uncompressed pixel data has no length.")
    if start + size > opened.pixel_length:
        raise DecodeError(
            "pixel.corrupt",
            f"The pixel data holds {opened.pixel_length} bytes where {start + size} are needed.",
        )
    swapped = opened.is_word_coded and not opened.transfer_syntax_uid.is_little_endian
    if not swapped or pixels.bits_allocated > 8:
        return _read_at(opened, start, size)
    first, last = start & ~1, (start + size + 1) & ~1
    words = np.frombuffer(_read_at(opened, first, min(last, opened.pixel_length & ~1) - first), ">u2")
    return words.astype("<u2").tobytes()[start - first : start - first + size]


def _read_at(opened: OpenedFile, start: int, size: int) -> bytes:
    opened.stream.seek(opened.pixel_offset + start)
    data = opened.stream.read(size)
    if len(data) < size:
        raise DecodeError("pixel.corrupt", "The file ends before its pixel data does.")
    return data


def _encapsulated_frames(opened: OpenedFile, pixels: PixelFormat) -> Iterator[bytes]:
    opened.stream.seek(opened.pixel_offset)
    with refusing("pixel.corrupt", "The fragments of the pixel data cannot be read"):
        yield from generate_frames(
            opened.stream, number_of_frames=pixels.frames, extended_offsets=_extended_offsets(opened)
        )


def _encapsulated_frame(opened: OpenedFile, pixels: PixelFormat, frame: int) -> bytes:
    opened.stream.seek(opened.pixel_offset)
    with refusing("pixel.corrupt", "The fragments of the pixel data cannot be read"):
        return get_frame(
            opened.stream, frame, number_of_frames=pixels.frames, extended_offsets=_extended_offsets(opened)
        )


def _extended_offsets(opened: OpenedFile) -> tuple[bytes, bytes] | None:
    """Return the Extended Offset Table (PS3.3 C.7.6.3.1.8) where there is one."""
    dataset = opened.dataset
    if "ExtendedOffsetTable" in dataset and "ExtendedOffsetTableLengths" in dataset:
        return dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths
    return None
