"""Open a DICOM file (PS3.10) up to its pixel data, under limits."""

import io
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, TypeAlias, cast

import pydicom.config
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.filereader import read_dataset, read_partial
from pydicom.tag import BaseTag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from gantry_imaging.errors import DecodeError, ImagingError

# Decode tolerantly; pydicom's warnings about invalid values quote them, and they may be patient data.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE

Source: TypeAlias = bytes | bytearray | memoryview | BinaryIO

UNDEFINED_LENGTH = 0xFFFFFFFF
_PIXEL_DATA, _DOUBLE_FLOAT_PIXEL_DATA, _FLOAT_PIXEL_DATA = 0x7FE00010, 0x7FE00009, 0x7FE00008
_PIXEL_TAGS = {_PIXEL_DATA, _FLOAT_PIXEL_DATA, _DOUBLE_FLOAT_PIXEL_DATA}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may ask for. The defaults hold the largest mammogram, and a bomb does not pass them."""

    frame_bytes: int = 256 << 20
    decoded_bytes: int = 2 << 30
    inflated_bytes: int = 64 << 20


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True, eq=False)
class OpenedFile:
    """A parsed header and where its pixel data lies.

    `stream` is the file itself or, for a deflated one, its inflated form; `pixel_offset` and `pixel_length`
    locate the element's value in it, and are 0 where `pixel_tag` is None: no pixel data. `is_word_coded` says
    that its VR is OW, which in big endian swaps even the bytes of 8-bit pixels (PS3.5 8.1.1).
    """

    dataset: Dataset
    transfer_syntax_uid: UID
    stream: BinaryIO
    pixel_tag: int | None
    pixel_offset: int
    pixel_length: int
    is_word_coded: bool


def read_header(source: Source, *, limits: Limits = DEFAULT_LIMITS) -> Dataset:
    """Parse a DICOM file without its pixel data; elements behind the pixel data are not read.

    A file without preamble is taken where it begins with a group 2 or 8 element. No value can make this read
    more than the file holds, and a deflated file is inflated only up to the limit.

    Raises
    ------
    DecodeError
        `file.not_dicom`, `file.corrupt`, `file.too_large`.
    """
    return open_file(source, limits=limits).dataset


def open_file(source: Source, *, only_tags: Sequence[int] | None = None, limits: Limits = DEFAULT_LIMITS) -> OpenedFile:
    """Parse up to the pixel data, `only_tags` where given (others are skipped, which is faster)."""
    with refusing("file.corrupt", "The file's header cannot be read"):
        return _open(_as_stream(source), only_tags, limits)


@contextmanager
def refusing(code: str, sentence: str) -> Iterator[None]:
    """Turn whatever a parser or codec raises on bad input into a refusal."""
    try:
        yield
    except ImagingError:
        raise
    except Exception as error:  # the libraries raise any type on bad input, RecursionError included
        raise DecodeError(code, f"{sentence}: {type(error).__name__}.") from error


def _open(stream: BinaryIO, only_tags: Sequence[int] | None, limits: Limits) -> OpenedFile:
    has_preamble = _require_dicom(stream)
    tags: list[BaseTag | int] | None = [BaseTag(tag) for tag in only_tags] if only_tags else None
    found: list[tuple[int, int, int, bool]] = []

    def stop(tag: BaseTag, vr: str | None, length: int) -> bool:
        if tag in _PIXEL_TAGS:
            found.append((int(tag), stream.tell(), length, vr == "OW"))
        return tag in _PIXEL_TAGS

    file_meta = _read_file_meta(stream) if has_preamble else FileMetaDataset()
    if file_meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        # pydicom inflates without a bound (PS3.5 A.5), so the data set is inflated here.
        stream = _inflate(stream, limits)
        dataset = read_dataset(stream, False, True, stop_when=stop, specific_tags=tags)
        dataset.set_original_encoding(False, True)
        dataset.file_meta = file_meta
    else:
        stream.seek(0)
        dataset = read_partial(stream, stop, force=not has_preamble, specific_tags=tags)
    return OpenedFile(dataset, _transfer_syntax_of(dataset), stream, *(found[0] if found else (None, 0, 0, False)))


def _read_file_meta(stream: BinaryIO) -> FileMetaDataset:
    """Read the group 2 elements behind the preamble and leave the stream behind them."""
    return FileMetaDataset(read_dataset(stream, False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2))


def _inflate(stream: BinaryIO, limits: Limits) -> BinaryIO:
    inflated = inflate(stream.read(), limits.inflated_bytes)
    if inflated is None:
        raise DecodeError(
            "file.too_large",
            f"The deflated file holds more than the {limits.inflated_bytes >> 20} MiB allowed.",
        )
    return io.BytesIO(inflated)


def inflate(data: bytes, max_bytes: int) -> bytes | None:
    """Inflate a raw deflate stream (RFC 1951); None where it holds more than `max_bytes`."""
    inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, max_bytes + 1)
    return None if len(inflated) > max_bytes else inflated


def _transfer_syntax_of(dataset: Dataset) -> UID:
    """Return the declared transfer syntax, or that which reading found where none is declared."""
    declared = getattr(dataset, "file_meta", Dataset()).get("TransferSyntaxUID")
    if declared:
        return UID(declared)
    is_implicit, is_little = dataset.original_encoding
    if is_implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if is_little else ExplicitVRBigEndian


def _as_stream(source: Source) -> BinaryIO:
    if isinstance(source, bytes | bytearray | memoryview):
        return io.BytesIO(source)
    return cast(BinaryIO, _ClampedStream(source))


class _ClampedStream(io.RawIOBase):
    """A file that never reads past its end: a length of 4 GiB in a header must not allocate 4 GiB."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file
        self._size = file.seek(0, io.SEEK_END)
        file.seek(0)

    def read(self, size: int | None = -1, /) -> bytes:
        left = max(0, self._size - self._file.tell())
        return self._file.read(left if size is None or size < 0 else min(size, left))

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


def _require_dicom(stream: BinaryIO) -> bool:
    """Say whether the file has a preamble; refuse what is not DICOM."""
    start = stream.read(132)
    if start[128:] == b"DICM":
        return True
    little, big = (int.from_bytes(start[:2], order) for order in ("little", "big"))
    if len(start) < 8 or not ({little, big} & {0x0002, 0x0008}):
        raise DecodeError("file.not_dicom", "The file is not DICOM.")
    return False
