"""The bytes of a pack.

    header   magic "GANTRYVP" · version u16 = 1 · 6 bytes of zeros
    chunks   of frames in their order, of bricks, of levels from fine to coarse; each blosc2 (zstd, byte shuffle)
    index    `index.write_index`
    footer   magic "GVPINDEX" · version u16 = 1 · 2 bytes of zeros · offset of the index u64 · its length u32 · its
             CRC-32 u32, all little-endian

The index stands at the end because the pack is encrypted as it is written and nothing behind the writer can be
changed: where the chunks lie is known last. Who knows the size of the object finds footer, index and the coarsest
levels with one read of the last 256 KiB.
"""

import struct
import zlib
from typing import Any, Final, cast

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from gantry_imaging.errors import PackError
from gantry_imaging.pack.index import Chunk
from gantry_imaging.pack.stored_index import MAX_INDEX_BYTES

VERSION: Final = 1
TAIL_BYTES: Final = 256 << 10
HEADER: Final = struct.pack("<8sH6x", b"GANTRYVP", VERSION)
# Measured on chest and pelvis CT against bitshuffle, lz4 and other block sizes: ADR 0011.
_LEVEL: Final = 1
_BLOCK_BYTES: Final = 128 << 10
_ONLY_HEADER: Final = 32
_FOOTER: Final = struct.Struct("<8sH2xQII")
_MAGIC: Final = b"GVPINDEX"
FOOTER_BYTES: Final = _FOOTER.size


def compress(values: NDArray[Any]) -> bytes:
    """Compress little-endian values without loss; colour is shuffled by channel."""
    flat = np.ascontiguousarray(values)
    typesize = flat.shape[-1] if flat.ndim == 3 and flat.dtype == np.uint8 else flat.dtype.itemsize
    packed = _encode(flat, typesize, _LEVEL)
    if len(packed) == _ONLY_HEADER and flat.nbytes % 8:
        # c-blosc2 2.23 writes zeros as a header alone and reads that back only if their bytes are a multiple of 8.
        return _encode(flat, typesize, 0)
    return packed


def _encode(flat: NDArray[Any], typesize: int, level: int) -> bytes:
    return bytes(
        imagecodecs.blosc2_encode(
            cast(bytes, flat.reshape(-1).view(np.uint8)),  # any buffer will do
            level=level,
            compressor="zstd",
            shuffle="shuffle",
            typesize=typesize,
            blocksize=_BLOCK_BYTES,
            numthreads=1,
        )
    )


def decompress(data: bytes | memoryview, chunk: Chunk, out: NDArray[Any], what: str) -> None:
    """Decompress a chunk into an array of exactly its values, C-contiguous; lets other threads run meanwhile.

    Raises
    ------
    PackError
        `pack.corrupt`, naming `what`.
    """
    if len(data) != chunk.length or zlib.crc32(data) != chunk.crc:
        raise damaged(what)
    # Header of a blosc2 chunk: bytes 4 to 8 hold the size of what is in it.
    if len(data) < 16 or int.from_bytes(data[4:8], "little") != out.nbytes:
        raise damaged(what)
    try:
        imagecodecs.blosc2_decode(cast(bytes, data), out=out.reshape(-1).view(np.uint8).data, numthreads=1)
    except Exception as error:  # the codec has types of its own
        raise damaged(what) from error


def damaged(what: str) -> PackError:
    """Return the error that names what is damaged."""
    return PackError("pack.corrupt", f"{what} of the stored volume is damaged.")


def write_footer(offset: int, index: bytes) -> bytes:
    """Return the footer for an index at `offset`."""
    return _FOOTER.pack(_MAGIC, VERSION, offset, len(index), zlib.crc32(index))


def read_footer(footer: bytes, size_bytes: int) -> tuple[int, int, int]:
    """Return offset, length and CRC-32 of the index.

    Raises
    ------
    PackError
        `pack.corrupt`, `pack.unsupported_version`, `pack.too_large`.
    """
    if len(footer) != FOOTER_BYTES or not footer.startswith(_MAGIC):
        raise damaged("The end")
    _, version, offset, length, crc = _FOOTER.unpack(footer)
    if version != VERSION:
        raise PackError("pack.unsupported_version", f"The stored volume has format {version}; this program reads 1.")
    if length > MAX_INDEX_BYTES:
        raise PackError("pack.too_large", "The pack's index is larger than one may be.")
    if offset < len(HEADER) or offset + length + FOOTER_BYTES != size_bytes:
        raise damaged("The end")
    return offset, length, crc
