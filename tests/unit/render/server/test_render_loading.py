"""A series read from a store that is slow, gone or damaged."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from ct_files import SIZE, make_ct, slice_pixels, to_files
from gantry_imaging.errors import PackError
from gantry_imaging.pack import InstanceSource, Pack, write_pack
from gantry_render.engine.cpu import CpuEngine
from gantry_render.protocol import CameraState, VolumeState
from gantry_render.server.loading import Series
from gantry_render.server.room import PREVIEWED_FROM_BYTES, Room, plan_room
from gantry_render.server.volumes import halve_crop
from gantry_storage import ObjectCorruptError, StorageUnavailableError

SLICES = 20
WITHIN_S = 20.0


class Shelf:
    """A pack in memory behind a door that can be shut, taken away, or lead to broken bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size_bytes = len(data)
        self.door = threading.Event()
        self.door.set()
        self.is_gone = False
        self.damaged: tuple[int, int] = (0, 0)
        self.reads = 0

    def read(self, offset: int, length: int) -> bytes:
        assert self.door.wait(WITHIN_S)
        self.reads += 1
        if self.is_gone:
            raise StorageUnavailableError("told so")
        if offset < self.damaged[1] and offset + length > self.damaged[0]:
            raise ObjectCorruptError("told so")
        return self._data[offset : offset + length]


class Sink:
    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes, /) -> None:
        self.data += data


class Watch:
    """Waits for what a series tells."""

    def __init__(self, series: Series) -> None:
        self._told = threading.Condition()
        series.listen(self._tell)

    def _tell(self) -> None:
        with self._told:
            self._told.notify_all()

    def until(self, is_so: Callable[[], bool]) -> None:
        with self._told:
            assert self._told.wait_for(is_so, WITHIN_S)


def _opener(file: bytes) -> Callable[[], contextlib.AbstractContextManager[bytes]]:
    return lambda: contextlib.nullcontext(file)


@pytest.fixture(scope="module")
def data() -> bytes:
    sink = Sink()
    instances = [InstanceSource(str(n), _opener(file)) for n, file in enumerate(to_files(make_ct(SLICES)))]
    write_pack(sink, instances)
    return bytes(sink.data)


@pytest.fixture
def shelf(data: bytes) -> Shelf:
    # So much that its end, which is read on opening, does not hold the slices.
    return Shelf(data)


@contextlib.contextmanager
def opened(shelf: Shelf, room: int | None = None) -> Iterator[tuple[Series, Watch]]:
    pack = Pack.open(shelf, damage=(ObjectCorruptError,))
    # A pack this small lies in the end that was read on opening; a real one does not.
    pack._tail, pack._tail_offset = b"", shelf.size_bytes
    series = Series(pack, CpuEngine(), None if room is None else Room(room, room))
    try:
        yield series, Watch(series)
    finally:
        shelf.is_gone = False
        shelf.door.set()
        series.close()


def test_the_frame_asked_for_comes_first_then_the_rest_and_the_volume(shelf: Shelf) -> None:
    with opened(shelf) as (series, watch):
        series.want(7)
        watch.until(lambda: series.has(7))
        assert series.loaded_ranges() == ((7, 8),)
        with series.frame(7) as values:
            np.testing.assert_array_equal(values, slice_pixels(7))
        series.load()
        watch.until(lambda: series.is_volume_ready)
        assert series.loaded_ranges() == ((0, SLICES),)
        with series.volume() as volume:
            assert volume.shape_kji == (SLICES, SIZE, SIZE)
        watch.until(lambda: series.is_engine_ready)


def test_waiting_is_told_while_the_store_is_slow(shelf: Shelf) -> None:
    with opened(shelf) as (series, watch):
        shelf.door.clear()
        series.want(3)
        assert not series.has(3)
        assert series.waiting_s() > 0
        shelf.door.set()
        watch.until(lambda: series.has(3) and series.waiting_s() == 0)


def test_trouble_is_told_and_passes_when_the_store_comes_back(shelf: Shelf) -> None:
    with opened(shelf) as (series, watch):
        shelf.is_gone = True
        series.want(3)
        watch.until(lambda: series.store_trouble is not None)
        assert series.store_trouble is not None and series.store_trouble.code == "store.unavailable"
        assert series.trouble(3) is None
        shelf.is_gone = False
        watch.until(lambda: series.has(3) and series.store_trouble is None)


def test_closing_does_not_wait_for_a_store_that_is_gone(shelf: Shelf) -> None:
    with opened(shelf) as (series, watch):
        shelf.is_gone = True
        series.want(3)
        watch.until(lambda: series.store_trouble is not None)
        series.close()
        with pytest.raises(PackError) as absent, series.volume():
            pass
        assert absent.value.code == "pack.absent"


def test_a_damaged_slice_is_named_when_everything_is_loaded(shelf: Shelf) -> None:
    with opened(shelf) as (series, watch):
        chunk = series.index.frames[4].chunk
        assert chunk is not None
        shelf.damaged = chunk.offset, chunk.offset + chunk.length
        series.load()
        watch.until(lambda: all(series.has(number) for number in range(SLICES)))
        trouble = series.trouble(4)
        assert trouble is not None and trouble.code == "pack.corrupt" and "Frame 5" in trouble.sentence
        assert series.loaded_ranges() == ((0, 4), (5, SLICES))
        assert series.is_volume_settled and not series.is_volume_ready
        with pytest.raises(PackError) as damaged, series.volume():
            pass
        assert damaged.value.code == "pack.corrupt"


def test_frames_go_when_the_room_is_for_a_few(shelf: Shelf) -> None:
    with opened(shelf, room=3 * SIZE * SIZE * 2) as (series, watch):
        lent = None
        for number in range(6):
            series.want(number)
            watch.until(lambda number=number: series.has(number))  # type: ignore[misc]  # default
            if number == 0:
                with series.frame(0) as lent:
                    pass
        assert series.loaded_ranges() == ((3, 6),)
        # What we owned was overwritten.
        assert lent is not None and not lent.any()


def test_pixels_are_overwritten_when_a_series_is_closed(shelf: Shelf) -> None:
    with opened(shelf) as (series, watch):
        series.load()
        watch.until(lambda: series.is_engine_ready)
        with series.volume() as volume:
            voxels = volume.voxels_kji
            series.close()
            # It is lent: it stays until it is given back.
            np.testing.assert_array_equal(voxels[2], slice_pixels(2))
        until = threading.Event()
        for _ in range(int(WITHIN_S * 100)):
            if not voxels.any():
                break
            until.wait(0.01)
        assert not voxels.any()


# Half of the resolution.


SIDE = 160


@pytest.fixture(scope="module")
def large() -> bytes:
    """A volume that has levels."""
    sink = Sink()
    datasets = make_ct(40, Rows=SIDE, Columns=SIDE)
    for number, dataset in enumerate(datasets):
        dataset.PixelData = np.full((SIDE, SIDE), number * 10, np.int16).tobytes()
    write_pack(sink, [InstanceSource(str(n), _opener(file)) for n, file in enumerate(to_files(datasets))])
    return bytes(sink.data)


def test_planes_and_3d_come_from_half_of_the_resolution_when_the_volume_does_not_fit(large: bytes) -> None:
    pack = Pack.open(Shelf(large))
    series = Series(pack, CpuEngine(), Room(1 << 20, 1 << 20, is_reduced=True))
    watch = Watch(series)
    try:
        for in_3d in (False, True):
            watch.until(lambda in_3d=in_3d: series.can_draw(in_3d=in_3d, is_moving=False))  # type: ignore[misc]  # default
        with series.shown() as (half, is_preview), series.drawn() as (_, is_drawn_from_half):
            assert is_preview and is_drawn_from_half
            assert half.shape_kji == (20, SIDE // 2, SIDE // 2)
            assert half.voxels_kji[3, 5, 5] == 65
            voxels = half.voxels_kji
        # A value under the cursor is a voxel's, never a mean of eight.
        with pytest.raises(PackError), series.volume():
            pass
        series.want(7)
        watch.until(lambda: series.has(7))
        assert series.loaded_ranges() == ((7, 8),)
    finally:
        series.close()
    until = threading.Event()
    for _ in range(int(WITHIN_S * 100)):
        if not voxels.any():
            break
        until.wait(0.01)
    assert not voxels.any()


def test_what_moves_is_drawn_from_half_until_the_whole_is_there(large: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gantry_render.server.room.PREVIEWED_FROM_BYTES", 1)
    shelf = Shelf(large)
    pack = Pack.open(shelf)
    level = pack.index.levels[0].chunks[0]
    # The levels lie in the end that was read on opening; the slices are behind the door.
    pack._tail, pack._tail_offset = large[level.offset :], level.offset
    shelf.door.clear()
    series = Series(pack, CpuEngine())
    watch = Watch(series)
    try:
        watch.until(lambda: series.can_draw(in_3d=True, is_moving=True))
        assert series.can_draw(in_3d=False, is_moving=True)
        assert not series.can_draw(in_3d=True, is_moving=False)
        assert not series.can_draw(in_3d=False, is_moving=False)
        assert not series.is_volume_ready
        shelf.door.set()
        watch.until(lambda: series.can_draw(in_3d=True, is_moving=False))
        with series.shown() as (volume, is_preview), series.drawn() as (_, is_drawn_from_half):
            assert volume.shape_kji == (40, SIDE, SIDE)
            assert not is_preview and not is_drawn_from_half
    finally:
        shelf.door.set()
        series.close()


def test_crop_box_keeps_its_place_when_voxels_are_twice_as_large() -> None:
    camera = CameraState((0, -500, 0), (0, 0, 0), (0, 0, 1))
    whole = VolumeState(camera, (64, 64), "CT-Bone", crop_low_ijk=(-0.5, 3.5, 0.0), crop_high_ijk=(9.5, 7.5, 1.0))
    half = halve_crop(whole)
    # Edges of voxels stay edges: two of the whole's are one of the half's.
    assert (half.crop_low_ijk, half.crop_high_ijk) == ((-0.5, 1.5, -0.25), (4.5, 3.5, 0.25))
    assert halve_crop(replace(whole, crop_low_ijk=None)).crop_high_ijk == whole.crop_high_ijk


def test_slices_can_be_shown_whatever_the_memory(large: bytes) -> None:
    index, engine = Pack.open(Shelf(large)).index, CpuEngine()
    assert index.volume_bytes < PREVIEWED_FROM_BYTES
    whole = plan_room(index, engine, 1 << 30)
    assert (whole.frames_bytes, whole.is_reduced, whole.refusal) == (None, False, None)
    assert plan_room(index, engine, whole.size_bytes) == whole
    reduced = plan_room(index, engine, whole.size_bytes - 1)
    assert reduced.is_reduced and reduced.refusal is None
    assert reduced.frames_bytes is not None and reduced.size_bytes < whole.size_bytes
    slices = plan_room(index, engine, reduced.size_bytes // 2)
    assert slices.refusal is not None and slices.refusal.code == "study.too_large"
    assert not slices.is_reduced
    assert slices.size_bytes == slices.frames_bytes
