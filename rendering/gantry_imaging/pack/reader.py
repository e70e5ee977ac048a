"""Reading a pack: a frame, a run of frames, or the whole volume into one array."""

import os
import threading
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, Final, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from gantry_imaging.errors import PackError
from gantry_imaging.pack.index import Chunk, FrameEntry, PackIndex
from gantry_imaging.pack.layout import FOOTER_BYTES, TAIL_BYTES, damaged, decompress, read_footer
from gantry_imaging.pack.stored_index import parse_index
from gantry_imaging.volume import Volume

# Compressed bytes that one thread fetches at once when a volume is loaded.
_RUN_BYTES: Final = 4 << 20
_MAX_THREADS: Final = 8


class PackSource(Protocol):
    """Where a pack lies. Read from several threads at once."""

    @property
    def size_bytes(self) -> int:
        """Size of the whole pack."""

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`."""


class Pack:
    """An open pack. Safe among threads; holds nothing but its index and the end of the file.

    Use `Pack.open`.
    """

    def __init__(
        self,
        source: PackSource,
        index: PackIndex,
        tail: tuple[int, bytes],
        damage: tuple[type[Exception], ...],
    ) -> None:
        self._source = source
        self._tail_offset, self._tail = tail
        self._damage = damage
        self.index = index

    @classmethod
    def open(cls, source: PackSource, *, damage: tuple[type[Exception], ...] = ()) -> Self:
        """Read the index: one read, of the last 256 KiB, where it is not unusually large.

        Parameters
        ----------
        damage
            What `source` raises for bytes that fail its own check; it becomes `pack.corrupt` with the place named.

        Raises
        ------
        PackError
            `pack.corrupt`, `pack.unsupported_version`, `pack.too_large`.
        """
        size_bytes = source.size_bytes
        start = max(0, size_bytes - TAIL_BYTES)
        with _naming("The end", damage):
            tail = bytes(source.read(start, size_bytes - start))
            offset, length, crc = read_footer(tail[-FOOTER_BYTES:], size_bytes)
            if offset < start:
                start, tail = offset, bytes(source.read(offset, size_bytes - offset))
        data = tail[offset - start : offset - start + length]
        if len(data) != length or zlib.crc32(data) != crc:
            raise damaged("The index")
        return cls(source, parse_index(data, offset), (start, tail), damage)

    def read_frame(self, number: int) -> NDArray[Any]:
        """Return a frame by one range read.

        Returns
        -------
        NDArray
            (rows, columns) in modality units, int16 where that is exact, else float32; of colour
            (rows, columns, 3) uint8.

        Raises
        ------
        PackError
            `pack.corrupt` with the frame's number, from 1; the frame's own code where it could never be decoded.
        """
        return self.read_frames(number, 1)[0]

    def read_frames(self, first: int, count: int) -> list[NDArray[Any]]:
        """Return frames that follow each other, as `read_frame`; one range read.

        Raises
        ------
        PackError
            As `read_frame`.
        IndexError
            There are not so many.
        """
        frames = self._frames(first, count)
        data = self._read_run(first, frames)
        return [self._decode(first + n, frame, part) for n, (frame, part) in enumerate(zip(frames, data, strict=True))]

    def load_volume(
        self,
        *,
        out: NDArray[Any] | None = None,
        around: int = 0,
        threads: int | None = None,
        on_progress: Callable[[int, int], None] | None = None,
        on_run: Callable[[int, int, NDArray[Any]], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Volume:
        """Decompress every slice into one array, on several threads.

        Parameters
        ----------
        out
            Where to: C-contiguous, of `index.shape_kji` and `index.dtype`; None for a new array.
        around
            The slice from which to load outwards.
        on_progress
            Called by this thread with (slices done, slices in all).
        on_run
            Called by this thread with (first slice, how many, the array) when these slices are there.
        cancelled
            Asked between runs of slices.

        Raises
        ------
        PackError
            `pack.no_volume` with the reason, `pack.corrupt` with the slice, `pack.too_large`, `pack.cancelled`.
        """
        shape, affine = self.index.shape_kji, self.index.affine
        if shape is None or affine is None:
            raise PackError("pack.no_volume", f"The series is no volume: {self.index.reason}")
        try:
            voxels = np.empty(shape, self.index.dtype) if out is None else out
        except MemoryError:
            size_gib = self.index.volume_bytes >> 30
            raise PackError("pack.too_large", f"The volume takes {size_gib} GiB, more than there is.") from None
        if voxels.shape != shape or voxels.dtype != self.index.dtype or not voxels.flags.c_contiguous:
            raise ValueError(f"the array must be {shape} of {self.index.dtype}, in C order")
        stop = threading.Event()

        def load(run: tuple[int, int]) -> tuple[int, int]:
            if not stop.is_set():
                self._load_run(run, voxels)
            return run

        runs = sorted(self._runs(), key=lambda run: abs(run[0] + run[1] / 2 - around))
        done = 0
        with ThreadPoolExecutor(_thread_count(threads), "pack") as pool:
            pending: set[Future[tuple[int, int]]] = {pool.submit(load, run) for run in runs}
            try:
                while pending:
                    if cancelled is not None and cancelled():
                        raise PackError("pack.cancelled", "Loading was stopped.")
                    finished, pending = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
                    for first, count in (future.result() for future in finished):
                        done += count
                        if on_run is not None:
                            on_run(first, count, voxels)
                        if on_progress is not None:
                            on_progress(done, len(self.index.frames))
            finally:
                stop.set()
                for future in pending:
                    future.cancel()
        return Volume(voxels, affine)

    def load_level(self, number: int, *, out: NDArray[Any] | None = None) -> Volume:
        """Return a level of the pyramid: 0 is half the volume's resolution. One range read.

        Parameters
        ----------
        out
            Where to: C-contiguous, of the level's `shape_kji` and `index.dtype`; None for a new array.

        Raises
        ------
        PackError
            `pack.no_volume`, `pack.corrupt`.
        IndexError
            There is no such level.
        """
        affine = self.index.affine
        if affine is None:
            raise PackError("pack.no_volume", f"The series is no volume: {self.index.reason}")
        level = self.index.levels[number]
        voxels = np.empty(level.shape_kji, self.index.dtype) if out is None else out
        if voxels.shape != level.shape_kji or voxels.dtype != self.index.dtype or not voxels.flags.c_contiguous:
            raise ValueError(f"the array must be {level.shape_kji} of {self.index.dtype}, in C order")
        start = level.chunks[0].offset
        end = max(chunk.offset + chunk.length for chunk in level.chunks)
        what = f"Level {number + 1}"
        if end - start > sum(chunk.length for chunk in level.chunks):
            raise damaged(what)
        with _naming(what, self._damage):
            data = memoryview(self._read(start, end - start))
        for at, chunk in enumerate(level.chunks):
            target = voxels[at * level.slices_per_chunk : (at + 1) * level.slices_per_chunk]
            _decompress_as(data[chunk.offset - start : chunk.offset - start + chunk.length], chunk, target, what)
        # The middle of the first cube of two lies half a voxel beyond the first voxel, at each halving.
        coarse = affine.copy()
        scale = 2 ** (number + 1)
        coarse[:3, :3] = affine[:3, :3] * scale
        coarse[:3, 3] = affine[:3, 3] + affine[:3, :3] @ np.full(3, (scale - 1) / 2)
        return Volume(voxels, coarse)

    def preview(self) -> Volume:
        """Return the coarsest level, or the whole volume where it is too small for levels."""
        return self.load_level(len(self.index.levels) - 1) if self.index.levels else self.load_volume(threads=1)

    def read_bricks(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the lowest and the highest value of every brick of 16 cells a side, in `index.dtype`.

        Raises
        ------
        PackError
            `pack.no_volume`, `pack.corrupt`.
        """
        bricks = self.index.bricks
        if bricks is None:
            raise PackError("pack.no_volume", f"The series is no volume: {self.index.reason}")
        ranges = []
        for chunk in (bricks.low, bricks.high):
            values = np.empty(bricks.shape_kji, self.index.dtype)
            with _naming("The range of bricks", self._damage):
                data = self._read(chunk.offset, chunk.length)
            _decompress_as(data, chunk, values, "The range of bricks")
            ranges.append(values)
        return ranges[0], ranges[1]

    def _frames(self, first: int, count: int) -> tuple[FrameEntry, ...]:
        if first < 0 or count < 1 or first + count > len(self.index.frames):
            raise IndexError(f"frames {first} to {first + count - 1} of {len(self.index.frames)}")
        return self.index.frames[first : first + count]

    def _runs(self) -> Iterator[tuple[int, int]]:
        """Yield (first frame, count) such that a run has about `_RUN_BYTES` when compressed."""
        first, size = 0, 0
        for number, frame in enumerate(self.index.frames):
            size += frame.chunk.length if frame.chunk else 0
            if size >= _RUN_BYTES or number == len(self.index.frames) - 1:
                yield first, number + 1 - first
                first, size = number + 1, 0

    def _load_run(self, run: tuple[int, int], voxels: NDArray[Any]) -> None:
        first, count = run
        frames = self._frames(first, count)
        for at, (frame, data) in enumerate(zip(frames, self._read_run(first, frames), strict=True), start=first):
            assert frame.chunk is not None  # of a volume every frame has one
            if frame.is_in_units:
                _decompress_as(data, frame.chunk, voxels[at], _name(at))
            else:
                voxels[at] = self._decode(at, frame, data)

    def _read_run(self, first: int, frames: tuple[FrameEntry, ...]) -> list[memoryview]:
        """Return the compressed bytes of frames that follow each other, by one read where they lie together."""
        chunks = []
        for at, frame in enumerate(frames, start=first):
            if frame.chunk is None:
                raise PackError(frame.code, f"Frame {at + 1} cannot be shown: {frame.sentence}")
            chunks.append(frame.chunk)
        start, end = min(one.offset for one in chunks), max(one.offset + one.length for one in chunks)
        if end - start > sum(one.length for one in chunks):
            # Not as we write them: an index that was tampered with must not have us read what lies between.
            return [self._read_chunk(at, one) for at, one in enumerate(chunks, start=first)]
        try:
            data = memoryview(self._read(start, end - start))
        except self._damage:
            # Some part of the run is broken: one by one, so that the frame can be named.
            return [self._read_chunk(at, one) for at, one in enumerate(chunks, start=first)]
        return [data[one.offset - start : one.offset - start + one.length] for one in chunks]

    def _read_chunk(self, number: int, chunk: Chunk) -> memoryview:
        with _naming(_name(number), self._damage):
            return memoryview(self._read(chunk.offset, chunk.length))

    def _read(self, offset: int, length: int) -> bytes:
        if offset >= self._tail_offset:
            return self._tail[offset - self._tail_offset : offset - self._tail_offset + length]
        return self._source.read(offset, length)

    def _decode(self, number: int, frame: FrameEntry, data: memoryview) -> NDArray[Any]:
        assert frame.chunk is not None  # `_read_run` saw to it
        stored = np.empty(frame.shape, np.dtype(frame.chunk.dtype))
        decompress(data, frame.chunk, stored, _name(number))
        if not frame.is_in_units:
            return stored.astype(np.float32) * np.float32(frame.slope) + np.float32(frame.intercept)
        return stored.astype(frame.value_type, copy=False)


def _name(number: int) -> str:
    return f"Frame {number + 1}"


@contextmanager
def _naming(what: str, damage: tuple[type[Exception], ...]) -> Iterator[None]:
    try:
        yield
    except damage as error:
        raise damaged(what) from error


def _decompress_as(data: bytes | memoryview, chunk: Chunk, out: NDArray[Any], what: str) -> None:
    """Decompress into an array that may be of a wider type."""
    if out.dtype == np.dtype(chunk.dtype):
        decompress(data, chunk, out, what)
        return
    stored = np.empty(out.shape, np.dtype(chunk.dtype))
    decompress(data, chunk, stored, what)
    out[...] = stored


def _thread_count(asked: int | None) -> int:
    return max(1, min(asked or len(os.sched_getaffinity(0)), _MAX_THREADS))
