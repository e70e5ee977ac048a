"""Volume packs: what is read is what the files hold, in the order of the patient, or the reason why not."""

from __future__ import annotations

import threading
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import imagecodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom import Dataset, uid
from pydicom.sequence import Sequence as Items

from gantry_imaging.decode import decode_frames, read_header
from gantry_imaging.errors import DecodeError, PackError
from gantry_imaging.modality import to_modality_units
from gantry_imaging.pack import Chunk, InstanceSource, Pack, write_pack
from gantry_imaging.pack.layout import compress, decompress
from gantry_imaging.pack.pyramid import level_shapes
from gantry_imaging.voi import Voi, VoiFunction, apply_voi
from gantry_storage import ObjectCorruptError, ObjectName, SealedReader, SealedWriter, StoreConfig, open_store
from pack_bytes import MemoryPack, instances, packed

WriteDicom = Callable[..., bytes]
RNG = np.random.default_rng(11)


def slices_of(
    write: WriteDicom, voxels: NDArray[Any], syntax: str = uid.ExplicitVRLittleEndian, **elements: Any
) -> list[bytes]:
    """Return the files of a volume, last slice first, 2.5 mm apart."""
    files = [
        write(
            plane,
            syntax,
            InstanceNumber=len(voxels) - k,
            SOPInstanceUID=f"1.2.3.{k}",
            ImagePositionPatient=[-10, 5, 100 + 2.5 * k],
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            PixelSpacing=[0.8, 0.7],
            **elements,
        )
        for k, plane in enumerate(voxels)
    ]
    return files[::-1]


def noise(shape: tuple[int, ...], dtype: str = "i2", low: int = -1000, high: int = 2000) -> NDArray[Any]:
    return RNG.integers(low, high, shape).astype(dtype)


@given(
    st.integers(1, 2000),
    st.sampled_from(["|u1", "<i2", "<u2", "<f4"]),
    st.sampled_from([0, 1, 255]),
)
def test_values_come_back_whatever_their_number_and_sameness(count: int, dtype: str, most: int) -> None:
    values = np.random.default_rng(count).integers(0, most + 1, count).astype(dtype)
    data = compress(values)
    out = np.empty_like(values)
    decompress(data, Chunk(0, len(data), zlib.crc32(data), dtype), out, "Frame 1")
    np.testing.assert_array_equal(out, values)


def test_volume_comes_back_in_the_order_of_its_positions(write_dicom: WriteDicom) -> None:
    voxels = noise((9, 20, 30))
    pack = packed(slices_of(write_dicom, voxels))
    index = pack.index
    assert (index.kind, index.dtype.name) == ("volume", "int16")
    assert (index.shape_kji, index.volume_bytes) == ((9, 20, 30), 10800)
    volume = pack.load_volume()
    np.testing.assert_array_equal(volume.voxels_kji, voxels)
    np.testing.assert_allclose(volume.lps_from_ijk[:3], [[0.7, 0, 0, -10], [0, 0.8, 0, 5], [0, 0, 2.5, 100]])
    assert [frame.sop_instance_uid for frame in index.frames] == [f"1.2.3.{k}" for k in range(9)]
    assert index.frames[4].image_position_patient == (-10, 5, 110)
    np.testing.assert_array_equal(pack.read_frame(4), voxels[4])
    for read, plane in zip(pack.read_frames(2, 5), voxels[2:7], strict=True):
        np.testing.assert_array_equal(read, plane)


def test_any_run_of_frames_is_one_read_after_the_index(write_dicom: WriteDicom) -> None:
    voxels = noise((40, 128, 128))
    memory = MemoryPack()
    write_pack(memory, instances(slices_of(write_dicom, voxels)))
    pack = Pack.open(memory)
    assert len(memory.reads) == 1
    memory.reads.clear()
    pack.read_frame(3)
    pack.read_frames(5, 8)
    assert len(memory.reads) == 2
    lengths = [frame.chunk.length for frame in pack.index.frames if frame.chunk is not None]
    assert [length for _, length in memory.reads] == [lengths[3], sum(lengths[5:13])]


def test_levels_halve_and_bricks_bound_the_volume(write_dicom: WriteDicom) -> None:
    voxels = noise((33, 200, 113))
    pack = packed(slices_of(write_dicom, voxels), threads=3)
    assert (
        [level.shape_kji for level in pack.index.levels] == level_shapes((33, 200, 113)) == [(16, 100, 56), (8, 50, 28)]
    )
    cubes = voxels[:32, :200, :112].astype(np.int32).reshape(16, 2, 100, 2, 56, 2)
    half = pack.load_level(0)
    np.testing.assert_array_equal(half.voxels_kji, (cubes.sum((1, 3, 5)) + 4) >> 3)
    # The middle of a coarse voxel is the middle of its cube of two.
    np.testing.assert_allclose(half.lps_from_ijk @ [0, 0, 0, 1], pack.load_volume().lps_from_ijk @ [0.5, 0.5, 0.5, 1])
    np.testing.assert_allclose(half.spacing_ijk_mm, [1.4, 1.6, 5.0])
    assert pack.preview().shape_kji == (8, 50, 28)
    low, high = pack.read_bricks()
    assert low.shape == (2, 13, 7)
    for k, j, i in np.ndindex(low.shape):
        cells = voxels[16 * k : 16 * k + 17, 16 * j : 16 * j + 17, 16 * i : 16 * i + 17]
        assert (low[k, j, i], high[k, j, i]) == (cells.min(), cells.max())


ENCODINGS: dict[str, tuple[str, Callable[[NDArray[Any]], Any]]] = {
    "JPEG lossless": (uid.JPEGLosslessSV1, lambda v: imagecodecs.jpeg8_encode(v, lossless=True)),
    "JPEG lossless, process 14": (uid.JPEGLossless, lambda v: imagecodecs.jpeg8_encode(v, lossless=True)),
    "JPEG-LS": (uid.JPEGLSLossless, imagecodecs.jpegls_encode),
    "JPEG 2000": (uid.JPEG2000Lossless, lambda v: imagecodecs.jpeg2k_encode(v, codecformat="j2k")),
    "JPEG 2000, also lossy": (uid.JPEG2000, lambda v: imagecodecs.jpeg2k_encode(v, codecformat="j2k")),
    "HTJ2K": (uid.HTJ2KLossless, imagecodecs.htj2k_encode),
    "HTJ2K, RPCL": (uid.HTJ2KLosslessRPCL, imagecodecs.htj2k_encode),
}


@pytest.mark.parametrize("name", ENCODINGS)
def test_values_are_bit_equal_when_encoded_as(write_dicom: WriteDicom, name: str) -> None:
    syntax, encode = ENCODINGS[name]
    frames = noise((4, 48, 64), "u2", 0, 4096)
    elements = {
        "Rows": 48,
        "Columns": 64,
        "BitsAllocated": 16,
        "BitsStored": 12,
        "HighBit": 11,
        "PixelRepresentation": 0,
    }
    files = [
        write_dicom([bytes(encode(plane))], syntax, InstanceNumber=n, **elements) for n, plane in enumerate(frames)
    ]
    pack = packed(files)
    for number, plane in enumerate(frames):
        np.testing.assert_array_equal(pack.read_frame(number), plane)
    assert pack.index.frames[0].is_lossy_source == (syntax == uid.JPEG2000)


@pytest.mark.parametrize(
    "syntax",
    [uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian],
)
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "i4", "u4"])
def test_values_are_as_written_when_uncompressed(write_dicom: WriteDicom, syntax: str, dtype: str) -> None:
    frames = noise((3, 24, 32), dtype, *{"u": (0, 120), "i": (-120, 120)}[dtype[0]])
    pack = packed(slices_of(write_dicom, frames, syntax))
    assert pack.index.dtype == np.int16
    np.testing.assert_array_equal(pack.load_volume().voxels_kji, frames)


def test_values_beyond_16_bits_become_float(write_dicom: WriteDicom) -> None:
    frames = noise((3, 24, 32), "u2", 0, 65536)
    frames[1] = 7
    pack = packed(slices_of(write_dicom, frames))
    assert pack.index.dtype == np.float32
    assert pack.read_frame(1).dtype == np.int16
    np.testing.assert_array_equal(pack.load_volume().voxels_kji, frames)


def test_rescaling_is_each_frame_s_own(write_dicom: WriteDicom) -> None:
    frames = noise((4, 24, 32), "i2", 0, 30000)
    slopes = [0.5, 0.25, 1.75, 1.0]
    files = [
        slices_of(write_dicom, frames, RescaleSlope=slope, RescaleIntercept=-3.5)[3 - k]
        for k, slope in enumerate(slopes)
    ]
    pack = packed(files)
    expected = [to_modality_units(decode_frames(data, 0), read_header(data), 0) for data in files]
    assert pack.index.dtype == np.float32
    np.testing.assert_array_equal(pack.load_volume().voxels_kji, expected)
    assert [frame.rescale_slope for frame in pack.index.frames] == slopes


def test_ct_stays_whole_when_its_intercept_is(write_dicom: WriteDicom) -> None:
    frames = noise((3, 24, 32), "u2", 0, 4096)
    pack = packed(slices_of(write_dicom, frames, RescaleSlope=1, RescaleIntercept=-1024, PixelPaddingValue=0))
    assert pack.index.dtype == np.int16
    np.testing.assert_array_equal(pack.load_volume().voxels_kji, frames.astype(np.int16) - 1024)
    assert (pack.index.units, pack.index.frames[0].padding) == ("HU", (-1024, -1024))
    assert (pack.index.value_min, pack.index.value_max) == (frames.min() - 1024.0, frames.max() - 1024.0)


@pytest.mark.parametrize(
    ("uids", "expected"),
    [(["1.2.9"] * 3, "1.2.9"), (["1.2.7", "1.2.8", "1.2.9"], ""), ([None] * 3, "")],
    ids=["one for all", "one for each", "none"],
)
def test_frame_of_reference_is_kept_when_all_share_it(
    write_dicom: WriteDicom, uids: list[str | None], expected: str
) -> None:
    voxels = noise((3, 16, 16))
    files = [
        slices_of(write_dicom, voxels, **({} if name is None else {"FrameOfReferenceUID": name}))[k]
        for k, name in enumerate(uids)
    ]
    index = packed(files).index
    assert (index.kind, index.frame_of_reference_uid) == ("volume", expected)


def test_windows_and_tables_come_along(write_dicom: WriteDicom) -> None:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [256, 0, 8])
    item.add_new("LUTData", "OW", np.arange(256, dtype=np.uint16)[::-1].tobytes())
    item.LUTExplanation = "INVERSE"
    frames = noise((2, 16, 16), "u2", 0, 256)
    windowed = slices_of(
        write_dicom,
        frames,
        WindowCenter=[40, 300],
        WindowWidth=[400, 0.5],
        WindowCenterWidthExplanation=["SOFT", "NARROW"],
        VOILUTFunction="SIGMOID",
    )
    entry = packed(windowed).index.frames[0]
    assert [(w.center, w.width, w.explanation, w.function) for w in entry.windows] == [
        (40, 400, "SOFT", "SIGMOID"),
        (300, 0.5, "NARROW", "SIGMOID"),
    ]
    assert entry.default_voi() == Voi(40, 400, VoiFunction.SIGMOID)
    tabled = packed(slices_of(write_dicom, frames, VOILUTSequence=Items([item])))
    voi = tabled.index.frames[0].default_voi()
    assert voi is not None
    np.testing.assert_array_equal(apply_voi(frames[0], voi), 255 - frames[0])
    assert [lut.explanation for lut in tabled.index.frames[0].voi_luts] == ["INVERSE"]


def test_darkness_is_kept_for_monochrome1(write_dicom: WriteDicom) -> None:
    frame = noise((16, 16), "u2", 0, 4096)
    pack = packed([write_dicom(frame, PhotometricInterpretation="MONOCHROME1", Modality="CR")])
    assert (pack.index.kind, pack.index.reason_code) == ("stack", "series.too_few")
    assert pack.index.frames[0].photometric == "MONOCHROME1"
    np.testing.assert_array_equal(pack.read_frame(0), frame)


def test_colour_is_rgb_whatever_it_was(write_dicom: WriteDicom) -> None:
    rgb = RNG.integers(0, 256, (16, 20, 3), np.uint8)
    palette = {
        f"{colour}PaletteColorLookupTable{part}": value
        for colour in ("Red", "Green", "Blue")
        for part, value in (("Descriptor", [256, 0, 8]), ("Data", bytes(range(256))))
    }
    files = [
        write_dicom(rgb, SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0, InstanceNumber=1),
        write_dicom(rgb[..., 0], PhotometricInterpretation="PALETTE COLOR", InstanceNumber=2, **palette),
        write_dicom(
            np.full((8, 8, 3), 128, np.uint8),
            SamplesPerPixel=3,
            PhotometricInterpretation="YBR_FULL",
            PlanarConfiguration=0,
            InstanceNumber=3,
        ),
    ]
    pack = packed(files)
    assert (pack.index.kind, pack.index.reason_code) == ("stack", "series.colour")
    np.testing.assert_array_equal(pack.read_frame(0), rgb)
    np.testing.assert_array_equal(pack.read_frame(1), np.stack([rgb[..., 0]] * 3, axis=-1))
    assert np.abs(pack.read_frame(2).astype(int) - 128).max() <= 1
    assert [frame.shape for frame in pack.index.frames] == [(16, 20, 3), (16, 20, 3), (8, 8, 3)]


def test_sizes_may_differ_in_a_stack(write_dicom: WriteDicom) -> None:
    small, large = noise((8, 8)), noise((60, 20))
    pack = packed([write_dicom(large, InstanceNumber=2), write_dicom(small, InstanceNumber=1)])
    assert pack.index.reason_code == "series.no_geometry"
    np.testing.assert_array_equal(pack.read_frame(0), small)
    np.testing.assert_array_equal(pack.read_frame(1), large)
    assert pack.index.volume_bytes == 2 * (64 + 1200)


@pytest.mark.parametrize(
    ("move", "code"),
    [
        (lambda k: [0, 0, [0, 1, 2, 4, 5, 6][k]], "series.gap"),
        (lambda k: [0, 0.5 * k, k], "series.tilt"),
        (lambda k: [0, 0, k // 2], "series.duplicate_position"),
    ],
)
def test_series_is_a_stack_that_says_why_when_its_slices_lie(
    write_dicom: WriteDicom, move: Callable[[int], list[float]], code: str
) -> None:
    frames = noise((6, 16, 16))
    files = [
        write_dicom(
            plane,
            InstanceNumber=k + 1,
            ImagePositionPatient=move(k),
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            PixelSpacing=[0.5, 0.5],
        )
        for k, plane in enumerate(frames)
    ]
    pack = packed(files[::-1])
    assert (pack.index.kind, pack.index.reason_code) == ("stack", code)
    assert pack.index.reason
    with pytest.raises(PackError) as refusal:
        pack.load_volume()
    assert refusal.value.code == "pack.no_volume"
    for read, plane in zip(pack.read_frames(0, 6), frames, strict=True):
        np.testing.assert_array_equal(read, plane)


def test_enhanced_frames_are_a_volume_with_their_own_rescaling(write_dicom: WriteDicom) -> None:
    frames = noise((5, 16, 24), "u2", 0, 4096)
    groups = []
    for k in range(5):
        group, position, transformation = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = [0, 0, 3.0 * (4 - k)]
        transformation.RescaleSlope, transformation.RescaleIntercept, transformation.RescaleType = k + 1, -10, "HU"
        group.PlanePositionSequence = Items([position])
        group.PixelValueTransformationSequence = Items([transformation])
        groups.append(group)
    shared, orientation, measures = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    measures.PixelSpacing = [0.5, 0.5]
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = Items([orientation]), Items([measures])
    data = write_dicom(
        frames.reshape(-1, 24),
        Rows=16,
        NumberOfFrames=5,
        SharedFunctionalGroupsSequence=Items([shared]),
        PerFrameFunctionalGroupsSequence=Items(groups),
    )
    pack = packed([data])
    assert (pack.index.kind, pack.index.dtype.name) == ("volume", "int16")
    expected = [frames[k].astype(int) * (k + 1) - 10 for k in range(4, -1, -1)]
    np.testing.assert_array_equal(pack.load_volume().voxels_kji, expected)
    assert [frame.frame_number for frame in pack.index.frames] == [5, 4, 3, 2, 1]


@pytest.mark.parametrize(
    ("syntax", "kind"),
    [(uid.MPEG2MPML, "video"), ("1.2.840.10008.1.2.4.107", "video"), ("1.2.840.10008.1.2.4.110", "JPEG XL")],
)
def test_series_is_refused_with_the_reason_when_it_is(write_dicom: WriteDicom, syntax: str, kind: str) -> None:
    elements = {"Rows": 8, "Columns": 8, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelRepresentation": 0}
    data = write_dicom([b"\0" * 32], uid.MPEG2MPML, **elements)
    with pytest.raises(DecodeError) as refusal:
        packed([data.replace(uid.MPEG2MPML.encode(), syntax.encode())])
    assert refusal.value.code == "pixel.unsupported_syntax"
    assert kind in refusal.value.sentence


def test_series_is_refused_when_it_holds_no_images(write_dicom: WriteDicom) -> None:
    with pytest.raises(DecodeError) as refusal:
        packed([write_dicom(None)])
    assert refusal.value.code == "pixel.absent"


def test_frame_that_cannot_be_decoded_is_an_entry_with_the_reason(write_dicom: WriteDicom) -> None:
    frames = noise((5, 32, 32))
    files = slices_of(write_dicom, frames)
    files[3] = files[3][:-100]
    pack = packed(files)
    assert (pack.index.kind, pack.index.reason_code) == ("stack", "series.incomplete")
    assert [frame.code for frame in pack.index.frames] == ["", "pixel.corrupt", "", "", ""]
    with pytest.raises(PackError) as refusal:
        pack.read_frame(1)
    assert (refusal.value.code, "Frame 2" in refusal.value.sentence) == ("pixel.corrupt", True)
    np.testing.assert_array_equal(pack.read_frame(2), frames[2])


def test_damage_is_found_and_named(write_dicom: WriteDicom) -> None:
    memory = MemoryPack()
    write_pack(memory, instances(slices_of(write_dicom, noise((40, 128, 128)))))
    chunk = Pack.open(memory).index.frames[6].chunk
    assert chunk is not None
    memory.data[chunk.offset + chunk.length // 2] ^= 1
    pack = Pack.open(memory)
    pack.read_frame(5)
    for read in (lambda: pack.read_frame(6), lambda: pack.read_frames(3, 8), pack.load_volume):
        with pytest.raises(PackError) as refusal:
            read()
        assert refusal.value.code == "pack.corrupt"
        assert "Frame 7 " in refusal.value.sentence


def test_damage_that_the_sealed_layer_finds_is_named_too(write_dicom: WriteDicom, tmp_path: Path) -> None:
    store, tenant_id = open_store(StoreConfig(kind="directory", path=tmp_path / "objects")), uuid4()
    with SealedWriter(store, tenant_id) as writer:
        write_pack(writer, instances(slices_of(write_dicom, noise((40, 128, 128)))))
        sealed = writer.commit()
    name = ObjectName(tenant_id, sealed.object_id)
    with SealedReader(store, name, sealed.data_key, sealed.size_bytes) as reader:
        whole = Pack.open(reader, damage=(ObjectCorruptError,))
        whole.load_volume()
        chunk = whole.index.frames[9].chunk
        assert chunk is not None
    (path,) = (tmp_path / "objects" / "blobs").rglob(str(sealed.object_id))
    data = bytearray(path.read_bytes())
    data[(chunk.offset + chunk.length // 2) * (65536 + 16) // 65536] ^= 1
    path.write_bytes(data)
    with SealedReader(store, name, sealed.data_key, sealed.size_bytes) as reader:
        broken = Pack.open(reader, damage=(ObjectCorruptError,))
        with pytest.raises(PackError) as refusal:
            broken.load_volume()
    assert refusal.value.code == "pack.corrupt"
    assert "Frame " in refusal.value.sentence


def test_loading_tells_how_far_it_is_and_begins_around_a_slice(write_dicom: WriteDicom) -> None:
    voxels = noise((60, 512, 512))
    pack = packed(slices_of(write_dicom, voxels))
    progress: list[tuple[int, int]] = []
    runs: list[int] = []
    here = threading.get_ident()

    def on_run(first: int, count: int, array: NDArray[Any]) -> None:
        assert threading.get_ident() == here
        np.testing.assert_array_equal(array[first], voxels[first])
        runs.append(first)

    out = np.zeros((60, 512, 512), np.int16)
    pack.load_volume(
        out=out, around=59, threads=1, on_run=on_run, on_progress=lambda done, total: progress.append((done, total))
    )
    np.testing.assert_array_equal(out, voxels)
    assert progress[-1] == (60, 60)
    assert len(runs) > 2
    assert runs == sorted(runs, reverse=True)


class Nowhere:
    def write(self, data: bytes, /) -> None:
        pass


def test_writing_holds_a_few_frames_however_many_there_are(write_dicom: WriteDicom) -> None:
    def peak_bytes(slices: int) -> int:
        # The same bytes for every slice but its place, lest the files themselves fill the memory.
        sources = [_place(first, k) for k in range(slices)]
        tracemalloc.start()
        try:
            assert write_pack(Nowhere(), sources).kind == "volume"
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    first = slices_of(write_dicom, noise((1, 512, 512), low=0, high=200))[0]
    frame_bytes = 512 * 512 * 2
    few, many = peak_bytes(16), peak_bytes(64)
    # Levels in compressed form and a sample of the values are what 48 more slices may add.
    assert many - few < 48 * frame_bytes // 4


def _place(data: bytes, k: int) -> InstanceSource:
    @contextmanager
    def open_file() -> Iterator[bytes]:
        yield data.replace(b"\\100.0", f"\\{100 + k}.0".encode())

    return InstanceSource(f"1.2.3.{k}", open_file)


def test_loading_and_writing_end_when_cancelled(write_dicom: WriteDicom) -> None:
    files = slices_of(write_dicom, noise((5, 32, 32)))
    pack = packed(files)
    for stopped in (lambda: pack.load_volume(cancelled=lambda: True), lambda: packed(files, cancelled=lambda: True)):
        with pytest.raises(PackError) as refusal:
            stopped()
        assert refusal.value.code == "pack.cancelled"


@pytest.mark.parametrize("count", [2, 5])
def test_frames_that_are_not_there_are_an_index_error(write_dicom: WriteDicom, count: int) -> None:
    pack = packed(slices_of(write_dicom, noise((5, 16, 16))))
    with pytest.raises(IndexError):
        pack.read_frames(4, count)
    with pytest.raises(IndexError):
        pack.read_frame(-1)


@pytest.mark.parametrize(
    ("said", "wanted_ms"),
    [
        ({"FrameTime": 40.0}, 40.0),
        ({"FrameTime": 40.0, "CineRate": 20}, 50.0),
        ({"FrameTime": 40.0, "CineRate": 20, "RecommendedDisplayFrameRate": 10}, 100.0),
        ({"FrameTimeVector": [0.0, 30.0, 40.0, 50.0, 40.0, 40.0]}, 40.0),
        ({"FrameTime": 0.0, "CineRate": 0}, None),
        ({}, None),
    ],
)
def test_time_of_frames_is_as_recommended_else_as_recorded_for_a_cine(
    write_dicom: WriteDicom, said: dict[str, object], wanted_ms: float | None
) -> None:
    frames = noise((6, 16, 16), "u1", 0, 255)
    pack = packed([write_dicom(frames.reshape(-1, 16), Rows=16, NumberOfFrames=6, Modality="US", **said)])
    assert (pack.index.kind, pack.index.frame_time_ms) == ("stack", wanted_ms)
    for read, plane in zip(pack.read_frames(0, 6), frames, strict=True):
        np.testing.assert_array_equal(read, plane)
