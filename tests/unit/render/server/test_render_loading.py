"""A series read from a store that is slow, gone or damaged."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from ct_files import SIZE, make_ct, slice_pixels, to_files
from gantry_imaging.errors import PackError
from gantry_imaging.pack import InstanceSource, Pack, write_pack
from gantry_render.engine.cpu import CpuEngine
from gantry_render.server.loading import Series
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
    series = Series(pack, CpuEngine(), room)
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
