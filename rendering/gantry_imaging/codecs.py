"""One compressed frame to its stored values, by the codecs of imagecodecs."""

from collections.abc import Callable
from typing import Any, TypeAlias

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import uid

from gantry_imaging.codestream import CodestreamHeader, read_jpeg2000_header, read_jpeg_header
from gantry_imaging.errors import DecodeError
from gantry_imaging.part10 import inflate, refusing
from gantry_imaging.pixels import PixelFormat

Frame: TypeAlias = NDArray[Any]


DEFLATED_IMAGE_FRAME = "1.2.840.10008.1.2.8.1"
_REFUSED = {
    "1.2.840.10008.1.2.4.10": "video",
    "1.2.840.10008.1.2.4.11": "JPEG XL",
    "1.2.840.10008.1.2.4.94": "pixels referenced elsewhere by JPIP",
    "1.2.840.10008.1.2.4.95": "pixels referenced elsewhere by JPIP",
    "1.2.840.10008.1.2.4.204": "pixels referenced elsewhere by JPIP",
    "1.2.840.10008.1.2.4.205": "pixels referenced elsewhere by JPIP",
    "1.2.840.10008.1.2.7.": "real-time video",
}


LOSSY_TRANSFER_SYNTAXES = frozenset(
    (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLSNearLossless, uid.JPEG2000, uid.JPEG2000MC, uid.HTJ2K)
)
"""What may have lost something on its way to us, whatever Lossy Image Compression says."""


def find_codec(transfer_syntax_uid: str) -> Callable[[bytes, PixelFormat], Frame]:
    """Return the decoder of an encapsulated transfer syntax (PS3.5 A.4).

    It gives (rows, columns) or (rows, columns, samples) in the native type of Bits Allocated.

    Raises
    ------
    DecodeError
        `pixel.unsupported_syntax` for video, JPEG XL, JPIP and what is unknown. The decoder itself raises
        `pixel.corrupt`.
    """
    decode = _DECODERS.get(transfer_syntax_uid)
    if decode is None:
        kind = next((k for prefix, k in _REFUSED.items() if transfer_syntax_uid.startswith(prefix)), "unknown")
        raise DecodeError(
            "pixel.unsupported_syntax", f"Transfer syntax {transfer_syntax_uid} ({kind}) cannot be decoded."
        )

    def codec(data: bytes, pixels: PixelFormat) -> Frame:
        with refusing("pixel.corrupt", "A compressed frame cannot be decoded"):
            return decode(data, pixels).astype(pixels.dtype, copy=False)

    return codec


def _decode_jpeg(data: bytes, pixels: PixelFormat) -> Frame:
    """Decode lossy JPEG; colour comes out as RGB, whatever was coded."""
    header = read_jpeg_header(data)
    _require_match(header, pixels)
    if header.components == 1:
        return _extend_sign(_jpeg8(data), header, pixels)
    is_ycc = pixels.photometric.startswith("YBR") if header.is_ycc is None else header.is_ycc
    return _jpeg8(data, "YCbCr" if is_ycc else "RGB")


def _decode_lossless_jpeg(data: bytes, pixels: PixelFormat) -> Frame:
    """Decode lossless JPEG (T.81 process 14); colour comes out as coded."""
    header = read_jpeg_header(data)
    _require_match(header, pixels)
    return _extend_sign(_jpeg8(data, None if header.components == 1 else "RGB"), header, pixels)


def _jpeg8(data: bytes, colorspace: str | None = None) -> Frame:
    if colorspace is None:
        return imagecodecs.jpeg8_decode(data)
    return imagecodecs.jpeg8_decode(data, colorspace=colorspace, outcolorspace="RGB")


def _decode_jpeg_ls(data: bytes, pixels: PixelFormat) -> Frame:
    header = read_jpeg_header(data)
    _require_match(header, pixels)
    return _extend_sign(imagecodecs.jpegls_decode(data), header, pixels)


def _decode_jpeg2000(data: bytes, pixels: PixelFormat) -> Frame:
    """Decode (High-Throughput) JPEG 2000; the component transform (RCT, ICT) is undone: RGB."""
    header = read_jpeg2000_header(data)
    _require_match(header, pixels)
    return _extend_sign(imagecodecs.jpeg2k_decode(data, numthreads=1), header, pixels)


def _decode_rle(data: bytes, pixels: PixelFormat) -> Frame:
    """Decode RLE (PS3.5 annex G); its segments are planes, whatever PlanarConfiguration says."""
    coded = pixels.dtype.newbyteorder("<")
    raw = bytes(imagecodecs.dicomrle_decode(data, coded, out=pixels.frame_bytes))
    if pixels.bits_allocated == 1:
        return pixels.unpack(raw)
    values = np.frombuffer(raw, coded).astype(pixels.dtype, copy=False)
    return pixels.shape(pixels.mask_and_extend(values), is_planar=True)


def _decode_deflated(data: bytes, pixels: PixelFormat) -> Frame:
    """Decode Deflated Image Frame Compression (PS3.5 A.4.12): each frame deflated as if uncompressed."""
    raw = inflate(data, pixels.frame_bytes + 1)
    if raw is None or len(raw) < pixels.frame_bytes:
        raise DecodeError("pixel.corrupt", f"A deflated frame does not hold the {pixels.frame_bytes} bytes it must.")
    return pixels.unpack(raw)


def _require_match(header: CodestreamHeader, pixels: PixelFormat) -> None:
    """Refuse a codestream that is not the image its header announced; its size was the one checked."""
    coded = header.rows, header.columns, header.components
    declared = pixels.rows, pixels.columns, pixels.samples
    if coded != declared:
        raise DecodeError(
            "pixel.corrupt",
            f"The compressed image is {coded[1]} x {coded[0]} x {coded[2]}, "
            f"the header says {declared[1]} x {declared[0]} x {declared[2]}.",
        )
    if header.precision > 8 * pixels.dtype.itemsize:
        raise DecodeError(
            "pixel.corrupt",
            f"The compressed image has {header.precision} bits a sample, more than are allocated.",
        )


def _extend_sign(frame: Frame, header: CodestreamHeader, pixels: PixelFormat) -> Frame:
    """Read two's complement out of unsigned samples: these codecs know none, or were not told (PS3.5 8.2)."""
    if not pixels.is_signed or header.is_signed:
        return frame
    unused = 8 * frame.dtype.itemsize - header.precision
    signed = frame.view(np.dtype(f"i{frame.dtype.itemsize}"))
    return (signed << unused) >> unused if unused else signed


_DECODERS: dict[str, Callable[[bytes, PixelFormat], Frame]] = {
    uid.JPEGBaseline8Bit: _decode_jpeg,
    uid.JPEGExtended12Bit: _decode_jpeg,
    uid.JPEGLossless: _decode_lossless_jpeg,
    uid.JPEGLosslessSV1: _decode_lossless_jpeg,
    uid.JPEGLSLossless: _decode_jpeg_ls,
    uid.JPEGLSNearLossless: _decode_jpeg_ls,
    uid.JPEG2000Lossless: _decode_jpeg2000,
    uid.JPEG2000: _decode_jpeg2000,
    uid.JPEG2000MCLossless: _decode_jpeg2000,
    uid.JPEG2000MC: _decode_jpeg2000,
    uid.HTJ2KLossless: _decode_jpeg2000,
    uid.HTJ2KLosslessRPCL: _decode_jpeg2000,
    uid.HTJ2K: _decode_jpeg2000,
    uid.RLELossless: _decode_rle,
    DEFLATED_IMAGE_FRAME: _decode_deflated,
}
