"""Opening files, hostile ones among them."""

import io
import tracemalloc
import zlib
from collections.abc import Callable
from struct import pack

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import uid

from gantry_imaging.decode import Limits, decode_frames, read_header
from gantry_imaging.errors import DecodeError

WriteDicom = Callable[..., bytes]

ROWS_TAG = b"\x28\x00\x10\x00"


def deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


def test_header_stops_at_pixels_when_source_is_bytes_or_file(write_dicom: WriteDicom) -> None:
    source = write_dicom(np.zeros((4, 5), np.int16), PatientID="P1")
    for opened in (source, memoryview(source), io.BytesIO(source)):
        dataset = read_header(opened)
        assert dataset.PatientID == "P1"
        assert dataset.Rows == 4
        assert "PixelData" not in dataset


def test_file_is_read_when_it_has_no_preamble(write_dicom: WriteDicom) -> None:
    source = write_dicom(np.arange(20, dtype=np.uint16).reshape(4, 5))
    assert decode_frames(source[132:])[0, 3, 4] == 19


@pytest.mark.parametrize("source", [b"", b"DICM", b"MZ" + b"\0" * 200, b"%PDF-1.7" * 40, b"\x89PNG\r\n" * 30])
def test_file_is_refused_when_it_is_not_dicom(source: bytes) -> None:
    with pytest.raises(DecodeError) as refusal:
        read_header(source)
    assert refusal.value.code == "file.not_dicom"


def _deflated(write_dicom: WriteDicom, trailing: int) -> bytes:
    plain = write_dicom(np.full((8, 8), 7, np.uint8), uid.ExplicitVRLittleEndian)
    group_length = int.from_bytes(plain[140:144], "little")
    start = 144 + group_length
    meta = plain[:start].replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99")
    meta = meta.replace(b"\x02\x00\x10\x00UI\x14\x00", b"\x02\x00\x10\x00UI\x16\x00")
    meta = meta[:140] + pack("<I", group_length + 2) + meta[144:]
    padding = b"\xfc\xff\xfc\xffOB\0\0" + pack("<I", trailing) + b"\0" * trailing if trailing else b""
    return meta + deflate(plain[start:] + padding)


def test_pixels_are_read_when_file_is_deflated(write_dicom: WriteDicom) -> None:
    source = _deflated(write_dicom, 0)
    assert read_header(source).file_meta.TransferSyntaxUID == uid.DeflatedExplicitVRLittleEndian
    assert decode_frames(source).tolist() == np.full((1, 8, 8), 7).tolist()


def test_memory_stays_bounded_when_file_is_a_deflate_bomb(write_dicom: WriteDicom) -> None:
    bomb = _deflated(write_dicom, 200 << 20)
    assert len(bomb) < 300_000
    tracemalloc.start()
    with pytest.raises(DecodeError) as refusal:
        read_header(bomb)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert refusal.value.code == "file.too_large"
    assert peak_bytes < 200 << 20
    assert read_header(bomb, limits=Limits(inflated_bytes=256 << 20)).Rows == 8


def test_memory_stays_bounded_when_an_element_claims_four_gigabytes(write_dicom: WriteDicom) -> None:
    source = write_dicom(np.zeros((4, 4), np.uint8), PixelSpacing=[1.0, 1.0])
    at = source.index(ROWS_TAG)
    spoilt = source[:at] + b"\x28\x00\x09\x00UN\0\0\xfe\xff\xff\xff" + source[at:]
    for opened in (spoilt, io.BytesIO(spoilt)):
        tracemalloc.start()
        with pytest.raises(DecodeError):
            decode_frames(opened)
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak_bytes < 8 << 20


def test_file_is_refused_when_sequences_nest_without_end(write_dicom: WriteDicom) -> None:
    source = write_dicom(None)
    nested = (b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff") * 4000
    with pytest.raises(DecodeError) as refusal:
        read_header(source + nested)
    assert refusal.value.code == "file.corrupt"


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_file_is_read_or_refused_when_bytes_are_changed_or_cut(write_dicom: WriteDicom, data: st.DataObject) -> None:
    source = bytearray(write_dicom(np.arange(64, dtype=np.int16).reshape(8, 8), PixelSpacing=[1.0, 1.0]))
    for _ in range(data.draw(st.integers(0, 6))):
        source[data.draw(st.integers(0, len(source) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(source[: data.draw(st.integers(0, len(source)))])
    code = "accepted"
    try:
        decode_frames(cut, limits=Limits(1 << 20, 1 << 20, 1 << 20))
    except DecodeError as refusal:
        code = refusal.code
    assert code == "accepted" or code.startswith(("file.", "pixel."))
