"""A pack is read as if a stranger had written it: whatever it holds, the answer is a frame or a PackError."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import io
import json
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmwrite, uid
from pydicom.dataset import FileMetaDataset

from gantry_imaging.errors import PackError
from gantry_imaging.pack import FrameEntry, Pack, write_pack
from gantry_imaging.pack.layout import FOOTER_BYTES, read_footer, write_footer
from gantry_imaging.pack.stored_index import _READERS, MAX_INDEX_BYTES
from pack_bytes import MemoryPack, instances


def _file(k: int) -> bytes:
    dataset, file = Dataset(), io.BytesIO()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = uid.CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = uid.UID(f"1.2.{k}")
    dataset.Modality, dataset.PhotometricInterpretation, dataset.SamplesPerPixel = "CT", "MONOCHROME2", 1
    dataset.Rows = dataset.Columns = 100
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [0, 0, k], [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing, dataset.WindowCenter, dataset.WindowWidth = [1, 1], 40, 400
    dataset.PixelData = np.random.default_rng(k).integers(-1000, 1000, (100, 100)).astype("<i2").tobytes()
    dcmwrite(file, dataset, enforce_file_format=True)
    return file.getvalue()


def _build() -> bytes:
    memory = MemoryPack()
    write_pack(memory, instances(_file(k) for k in range(6)))
    return bytes(memory.data)


WHOLE = _build()
OFFSET, LENGTH, _ = read_footer(WHOLE[-FOOTER_BYTES:], len(WHOLE))
DOCUMENT: dict[str, Any] = json.loads(zlib.decompress(WHOLE[OFFSET : OFFSET + LENGTH]))


def _with_index(index: bytes) -> bytes:
    return WHOLE[:OFFSET] + index + write_footer(OFFSET, index)


def _read_all(data: bytes) -> None:
    """Do everything that a reader does."""
    pack = Pack.open(MemoryPack(data))
    for number, frame in enumerate(pack.index.frames):
        frame.default_voi()
        try:
            assert pack.read_frame(number).shape == frame.shape
        except PackError:
            continue
    assert pack.index.volume_bytes >= 0
    for load in (pack.load_volume, pack.preview, pack.read_bricks):
        try:
            load()
        except PackError:
            continue


def _refused_or_read(data: bytes) -> None:
    with contextlib.suppress(PackError):
        _read_all(data)


FAST = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def test_untouched_pack_is_read() -> None:
    _read_all(WHOLE)
    _read_all(_with_index(zlib.compress(json.dumps(DOCUMENT).encode())))


def test_every_field_of_a_frame_has_a_reader() -> None:
    assert {*_READERS, "voi_luts"} == {field.name for field in dataclasses.fields(FrameEntry)}


@FAST
@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(1, 255)), min_size=1, max_size=8))
def test_flipped_bytes_are_refused_or_harmless(flips: list[tuple[int, int]]) -> None:
    data = bytearray(WHOLE)
    for at, mask in flips:
        data[at] ^= mask
    _refused_or_read(bytes(data))


@FAST
@given(st.integers(0, len(WHOLE) - 1))
def test_cut_pack_is_refused(length: int) -> None:
    with pytest.raises(PackError):
        Pack.open(MemoryPack(WHOLE[:length]))


@FAST
@given(st.binary(max_size=4096))
def test_index_of_noise_is_refused(noise: bytes) -> None:
    for index in (noise, zlib.compress(noise)):
        with pytest.raises(PackError):
            Pack.open(MemoryPack(_with_index(index)))


def _places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(place for key, value in items for place in _places(value, (*path, key)))]


PLACES = [place for place in _places(DOCUMENT) if place]
HOSTILE = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 70), 1 << 70)
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.sampled_from(
        ["volume", "stack", "<i2", "<f8", "O", "MONOCHROME1", "RGB", [], {}, [[]], [0] * 16, 1e308, "9" * 5000]
    )
    | st.lists(st.integers(-2, 1 << 40), max_size=5)
)


@settings(FAST, max_examples=400)
@given(st.lists(st.tuples(st.sampled_from(PLACES), HOSTILE), min_size=1, max_size=3))
def test_index_that_lies_is_refused_or_harmless(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    document = copy.deepcopy(DOCUMENT)
    for place, value in changes:
        node = document
        try:
            for key in place[:-1]:
                node = node[key]
            node[place[-1]] = value
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took the place away
    _refused_or_read(_with_index(zlib.compress(json.dumps(document).encode())))


@pytest.mark.parametrize(
    "change",
    [
        {"rows": 65535, "columns": 65535},
        {"rows": 60000, "columns": 60000, "samples": 3},
        {"chunk": [0, 1 << 39, 0, "<f4"]},
    ],
)
def test_nothing_is_allocated_by_a_number_that_cannot_be(change: dict[str, Any]) -> None:
    document = copy.deepcopy(DOCUMENT)
    document["shared"] |= change
    for frame in document["frames"]:
        for key in change:
            frame.pop(key, None)
    with pytest.raises(PackError):
        Pack.open(MemoryPack(_with_index(zlib.compress(json.dumps(document).encode()))))


def test_grid_that_only_its_coarsest_level_bursts_is_refused() -> None:
    document = copy.deepcopy(DOCUMENT)
    assert document["levels"]
    document["lps_from_ijk"][0] = 999_999.0
    with pytest.raises(PackError) as refusal:
        Pack.open(MemoryPack(_with_index(zlib.compress(json.dumps(document).encode()))))
    assert refusal.value.code == "pack.corrupt"


def test_index_that_inflates_without_end_is_refused() -> None:
    with pytest.raises(PackError) as refusal:
        Pack.open(MemoryPack(_with_index(zlib.compress(b" " * (200 << 20), 9))))
    assert refusal.value.code == "pack.too_large"
    footer = write_footer(OFFSET, b"\0" * (MAX_INDEX_BYTES + 1))
    with pytest.raises(PackError) as refusal:
        Pack.open(MemoryPack(WHOLE[:OFFSET] + footer))
    assert refusal.value.code == "pack.too_large"


def test_format_of_the_future_is_refused_by_its_number() -> None:
    data = bytearray(WHOLE)
    data[-FOOTER_BYTES + 8] = 2
    with pytest.raises(PackError) as refusal:
        Pack.open(MemoryPack(bytes(data)))
    assert refusal.value.code == "pack.unsupported_version"


def test_deep_index_is_refused() -> None:
    index = zlib.compress(b"[" * 100_000 + b"]" * 100_000)
    with pytest.raises(PackError):
        Pack.open(MemoryPack(_with_index(index)))
