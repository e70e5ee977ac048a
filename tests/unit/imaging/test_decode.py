"""Pixel data of every encoding to stored values."""

import io
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom import uid

from gantry_imaging.decode import Limits, decode_frames, decoded_photometric, read_header
from gantry_imaging.errors import DecodeError

WriteDicom = Callable[..., bytes]

GREY16 = (np.add.outer(np.arange(48), np.arange(64) * 40) + 100).astype(np.uint16)
GREY8 = (np.add.outer(np.arange(48), np.arange(64) * 3)).astype(np.uint8)
SIGNED16 = GREY16.astype(np.int16) - np.int16(1500)
ENCODED: dict[str, Any] = {
    "Rows": 48,
    "Columns": 64,
    "BitsAllocated": 16,
    "BitsStored": 16,
    "HighBit": 15,
    "PixelRepresentation": 0,
}


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian])
@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "u4", "i4"])
def test_values_are_as_written_when_uncompressed(write_dicom: WriteDicom, syntax: str, dtype: str) -> None:
    values = (np.arange(48 * 64).reshape(48, 64) * 7 - 3000).astype(dtype)
    source = write_dicom(values, syntax)
    decoded = decode_frames(source)
    assert decoded.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(decoded, values[np.newaxis])
    np.testing.assert_array_equal(decode_frames(io.BytesIO(source), 0), values)


def test_only_the_stored_bits_count_when_old_overlays_fill_the_rest(write_dicom: WriteDicom) -> None:
    values = np.array([[0x0FFF, 0x0800], [0x07FF, 0x0001]], np.uint16)
    spoilt = values | np.array([[0xF000, 0x1000], [0x8000, 0x4000]], np.uint16)
    unsigned = write_dicom(spoilt, BitsStored=12, HighBit=11)
    assert decode_frames(unsigned, 0).tolist() == values.tolist()
    signed = write_dicom(spoilt, BitsStored=12, HighBit=11, PixelRepresentation=1)
    assert decode_frames(signed, 0).tolist() == [[-1, -2048], [2047, 1]]
    shifted = write_dicom(values << 4, BitsStored=12, HighBit=15)
    assert decode_frames(shifted, 0).tolist() == values.tolist()


def test_bytes_are_swapped_back_when_big_endian_wrote_them_as_words(write_dicom: WriteDicom) -> None:
    values = np.arange(42, dtype=np.uint8).reshape(6, 7)
    swapped = values.ravel().view(np.uint16).byteswap().tobytes()
    source = write_dicom(
        swapped, uid.ExplicitVRBigEndian, Rows=3, Columns=7, NumberOfFrames=2, BitsAllocated=8, BitsStored=8,
        HighBit=7, PixelRepresentation=0,
    ).replace(b"\x7f\xe0\x00\x10OB", b"\x7f\xe0\x00\x10OW")  # fmt: skip
    assert decode_frames(source, 0).tolist() == values[:3].tolist()
    assert decode_frames(source, 1).tolist() == values[3:].tolist()


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian])
def test_bits_are_spread_when_frames_of_one_bit_are_not_byte_aligned(write_dicom: WriteDicom, syntax: str) -> None:
    frames = (np.random.default_rng(4).random((5, 7, 9)) > 0.5).astype(np.uint8)
    packed = np.packbits(frames.ravel(), bitorder="little").tobytes()
    source = write_dicom(
        packed + b"\0" * (len(packed) % 2), syntax, Rows=7, Columns=9, NumberOfFrames=5, BitsAllocated=1,
        BitsStored=1, HighBit=0, PixelRepresentation=0,
    )  # fmt: skip
    np.testing.assert_array_equal(decode_frames(source), frames)
    for n in range(5):
        np.testing.assert_array_equal(decode_frames(io.BytesIO(source), n), frames[n])


def test_colour_is_interleaved_when_planes_were_apart(write_dicom: WriteDicom) -> None:
    rgb = np.random.default_rng(1).integers(0, 255, (4, 6, 3), np.uint8)
    elements = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "Rows": 4, "Columns": 6}
    together = write_dicom(rgb, PlanarConfiguration=0, **elements)
    apart = write_dicom(np.ascontiguousarray(rgb.transpose(2, 0, 1)), PlanarConfiguration=1, **elements)
    np.testing.assert_array_equal(decode_frames(together, 0), rgb)
    np.testing.assert_array_equal(decode_frames(apart, 0), rgb)


def test_chroma_is_shared_by_pairs_when_uncompressed_422(write_dicom: WriteDicom) -> None:
    source = write_dicom(
        bytes([10, 11, 100, 200, 12, 13, 101, 201]), Rows=2, Columns=2, SamplesPerPixel=3, BitsAllocated=8,
        BitsStored=8, HighBit=7, PixelRepresentation=0, PlanarConfiguration=0,
        PhotometricInterpretation="YBR_FULL_422",
    )  # fmt: skip
    assert decode_frames(source, 0).tolist() == [
        [[10, 100, 200], [11, 100, 200]],
        [[12, 101, 201], [13, 101, 201]],
    ]
    assert decoded_photometric(read_header(source)) == "YBR_FULL"


def _rle(values: NDArray[np.uint8]) -> bytes:
    segment = imagecodecs.packbits_encode(values.tobytes())
    return (1).to_bytes(4, "little") + (64).to_bytes(4, "little") + b"\0" * 56 + bytes(segment)


LOSSLESS: dict[str, tuple[str, NDArray[Any], Callable[[NDArray[Any]], bytes | bytearray]]] = {
    "JPEG lossless, 8 bit": (
        uid.JPEGLosslessSV1,
        GREY8,
        lambda v: imagecodecs.jpeg8_encode(v, lossless=True),
    ),
    "JPEG lossless, 16 bit": (uid.JPEGLossless, GREY16, lambda v: imagecodecs.jpeg8_encode(v, lossless=True)),
    "JPEG-LS": (uid.JPEGLSLossless, GREY16, lambda v: imagecodecs.jpegls_encode(v)),
    "JPEG 2000": (uid.JPEG2000Lossless, GREY16, lambda v: imagecodecs.jpeg2k_encode(v, codecformat="j2k")),
    "JPEG 2000, signed": (
        uid.JPEG2000Lossless,
        SIGNED16,
        lambda v: imagecodecs.jpeg2k_encode(v, codecformat="j2k"),
    ),
    "HTJ2K": (uid.HTJ2KLossless, GREY16, lambda v: imagecodecs.htj2k_encode(v)),
    "RLE": (uid.RLELossless, GREY8, _rle),
}


@pytest.mark.parametrize("name", LOSSLESS)
def test_values_are_as_encoded_when_codec_is_lossless(write_dicom: WriteDicom, name: str) -> None:
    syntax, values, encode = LOSSLESS[name]
    bits = 8 * values.dtype.itemsize
    elements = ENCODED | {"BitsAllocated": bits, "BitsStored": bits, "HighBit": bits - 1}
    elements["PixelRepresentation"] = int(values.dtype.kind == "i")
    codestream = bytes(encode(values))
    source = write_dicom([codestream, codestream], syntax, NumberOfFrames=2, **elements)
    decoded = decode_frames(source)
    assert decoded.dtype == values.dtype
    np.testing.assert_array_equal(decoded, np.stack([values, values]))
    np.testing.assert_array_equal(decode_frames(io.BytesIO(source), 1), values)


def test_sign_is_extended_when_codec_knows_none(write_dicom: WriteDicom) -> None:
    codestream = imagecodecs.jpeg8_encode(SIGNED16.view(np.uint16), lossless=True)
    source = write_dicom([codestream], uid.JPEGLosslessSV1, **ENCODED | {"PixelRepresentation": 1})
    np.testing.assert_array_equal(decode_frames(source, 0), SIGNED16)


def test_twelve_bits_arrive_when_jpeg_is_extended(write_dicom: WriteDicom) -> None:
    codestream = imagecodecs.jpeg8_encode(GREY16, level=98, bitspersample=12)
    source = write_dicom([codestream], uid.JPEGExtended12Bit, **ENCODED | {"BitsStored": 12, "HighBit": 11})
    difference = np.abs(decode_frames(source, 0).astype(int) - GREY16)
    assert GREY16.max() > 2000
    assert difference.max() <= 16


@pytest.mark.parametrize(("photometric", "colorspace"), [("YBR_FULL_422", "YCbCr"), ("RGB", "RGB")])
def test_colour_arrives_as_rgb_when_jpeg_is_coded_either_way(
    write_dicom: WriteDicom, photometric: str, colorspace: str
) -> None:
    rgb = np.zeros((48, 64, 3), np.uint8)
    rgb[:, :32] = (200, 40, 60)
    rgb[:, 32:] = (20, 90, 220)
    codestream = imagecodecs.jpeg8_encode(rgb, level=95, outcolorspace=colorspace)
    source = write_dicom(
        [codestream], uid.JPEGBaseline8Bit,
        **ENCODED | {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "SamplesPerPixel": 3,
                     "PlanarConfiguration": 0, "PhotometricInterpretation": photometric},
    )  # fmt: skip
    assert np.abs(decode_frames(source, 0).astype(int) - rgb)[:, 8:24].max() <= 6
    assert decoded_photometric(read_header(source)) == "RGB"


@pytest.mark.parametrize(
    ("syntax", "kind"),
    [
        ("1.2.840.10008.1.2.4.100", "video"),
        ("1.2.840.10008.1.2.4.107", "video"),
        ("1.2.840.10008.1.2.4.110", "JPEG XL"),
        ("1.2.840.10008.1.2.4.204", "JPIP"),
        ("1.2.3.4.5.6.7.8.9.10.11", "unknown"),
    ],
)
def test_pixels_are_refused_with_the_reason_when_syntax_is_no_image(
    write_dicom: WriteDicom, syntax: str, kind: str
) -> None:
    video = write_dicom([b"\0" * 32], uid.MPEG2MPML, **ENCODED)
    with pytest.raises(DecodeError, match=kind) as refusal:
        decode_frames(video.replace(uid.MPEG2MPML.encode(), syntax.encode()))
    assert refusal.value.code == "pixel.unsupported_syntax"


JPEG_LS = bytes(imagecodecs.jpegls_encode(GREY16))
SPOILT: dict[str, tuple[str, bytes, dict[str, Any]]] = {
    "codestream is larger than its header": (uid.JPEGLSLossless, JPEG_LS, {"Rows": 47}),
    "codestream has other samples": (uid.JPEGLSLossless, JPEG_LS, {"SamplesPerPixel": 3}),
    "codestream has more bits": (
        uid.JPEGLSLossless, JPEG_LS, {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
    ),
    "codestream is cut": (uid.JPEGLSLossless, JPEG_LS[: len(JPEG_LS) // 2], {}),
    "codestream is cut before its end marker": (
        uid.JPEGBaseline8Bit, bytes(imagecodecs.jpeg8_encode(GREY8))[:-40],
        {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7},
    ),
    "codestream is noise": (uid.JPEG2000, b"\xff\x4f\xff\x51" + b"\x07" * 200, {}),
    "codestream is empty": (uid.JPEG2000, b"\0\0", {}),
    "RLE segments do not fill the frame": (
        uid.RLELossless, _rle(GREY8[:40]), {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
    ),
    "RLE of bits does not fill the frame": (
        uid.RLELossless, _rle(GREY8[:1]), {"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0}
    ),
    "RLE ends within a value": (uid.RLELossless, _rle(GREY8[:1, :63]), {}),
    "a frame is missing": (uid.JPEGLSLossless, JPEG_LS, {"NumberOfFrames": 2}),
    "bits stored exceed bits allocated": (uid.JPEGLSLossless, JPEG_LS, {"BitsStored": 17}),
    "there are no rows": (uid.JPEGLSLossless, JPEG_LS, {"Rows": 0}),
}  # fmt: skip


@pytest.mark.parametrize("case", SPOILT)
def test_pixels_are_refused_as_corrupt_when(write_dicom: WriteDicom, case: str) -> None:
    syntax, codestream, changes = SPOILT[case]
    with pytest.raises(DecodeError) as refusal:
        decode_frames(write_dicom([codestream], syntax, **ENCODED | changes))
    assert refusal.value.code == "pixel.corrupt"


@pytest.mark.parametrize("name", LOSSLESS)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_frame_is_decoded_or_refused_when_codestream_is_damaged(
    write_dicom: WriteDicom, name: str, data: st.DataObject
) -> None:
    syntax, values, encode = LOSSLESS[name]
    bits = 8 * values.dtype.itemsize
    codestream = bytearray(encode(values))
    for _ in range(data.draw(st.integers(1, 4))):
        codestream[data.draw(st.integers(0, len(codestream) - 1))] = data.draw(st.integers(0, 255))
    codestream = codestream[: data.draw(st.integers(2, len(codestream)))]
    elements = ENCODED | {"BitsAllocated": bits, "BitsStored": bits, "HighBit": bits - 1}
    elements["PixelRepresentation"] = int(values.dtype.kind == "i")
    outcome = "accepted"
    try:
        decoded = decode_frames(write_dicom([bytes(codestream)], syntax, **elements), 0)
        assert (decoded.shape, decoded.dtype) == (values.shape, values.dtype)
    except DecodeError as refusal:
        outcome = refusal.code
    assert outcome in ("accepted", "pixel.corrupt")


def test_pixels_are_refused_when_file_ends_before_them(write_dicom: WriteDicom) -> None:
    source = write_dicom(GREY16)
    with pytest.raises(DecodeError) as refusal:
        decode_frames(source[:-100])
    assert refusal.value.code == "pixel.corrupt"


@pytest.mark.parametrize("frame", [None, 0])
def test_pixels_are_refused_before_decoding_when_header_asks_for_too_much(
    write_dicom: WriteDicom, frame: int | None
) -> None:
    source = write_dicom([JPEG_LS], uid.JPEGLSLossless, **ENCODED | {"Rows": 65535, "Columns": 65535})
    with pytest.raises(DecodeError, match="8191 MiB") as refusal:
        decode_frames(source, frame)
    assert refusal.value.code == "pixel.too_large"


def test_one_frame_is_decoded_when_all_together_are_too_many(write_dicom: WriteDicom) -> None:
    source = write_dicom(np.zeros((48, 64), np.uint16), NumberOfFrames=1)
    limits = Limits(decoded_bytes=48 * 64 * 2)
    assert decode_frames(source, limits=limits).shape == (1, 48, 64)
    many = write_dicom(np.zeros((480, 64), np.uint16), Rows=48, NumberOfFrames=10)
    assert decode_frames(many, 9, limits=limits).shape == (48, 64)
    with pytest.raises(DecodeError) as refusal:
        decode_frames(many, limits=limits)
    assert refusal.value.code == "pixel.too_large"


def test_frame_is_refused_when_there_are_not_so_many(write_dicom: WriteDicom) -> None:
    for frame in (-1, 1):
        with pytest.raises(IndexError):
            decode_frames(write_dicom(GREY16), frame)


def test_pixels_are_absent_when_file_is_no_image(write_dicom: WriteDicom) -> None:
    with pytest.raises(DecodeError) as refusal:
        decode_frames(write_dicom(None))
    assert refusal.value.code == "pixel.absent"
