"""Coarser levels and the ranges of bricks, slice by slice as the volume goes by."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gantry_imaging.pack.index import BRICK_EDGE, Chunk, Level, brick_shape, halved

# The coarsest level has sides of about 64; below 4 slices a cube of two is no longer a level of its own.
_COARSEST: Final = 96
_THINNEST: Final = 4
_CHUNK_BYTES: Final = 256 << 10

Compress = Callable[[NDArray[Any]], bytes]


def level_shapes(shape_kji: tuple[int, int, int]) -> list[tuple[int, int, int]]:
    """Return the shapes of the levels of a volume, from fine to coarse."""
    shapes = []
    while max(shape_kji) > _COARSEST and min(shape_kji) >= _THINNEST:
        shape_kji = halved(shape_kji)
        shapes.append(shape_kji)
    return shapes


def add_pairs(plane: NDArray[Any]) -> NDArray[Any]:
    """Add squares of two pixels; whole numbers stay whole."""
    rows, columns = plane.shape[0] & ~1, plane.shape[1] & ~1
    even = plane[:rows:2, :columns].astype(np.int32 if plane.dtype.kind in "iu" else np.float32)
    even += plane[1:rows:2, :columns]
    total: NDArray[Any] = even[:, ::2] + even[:, 1::2]
    return total


@dataclass
class _Growing:
    """A level in the making: planes that wait for their chunk to be full, chunks compressed."""

    shape_kji: tuple[int, int, int]
    per_chunk: int
    odd: NDArray[Any] | None = None
    waiting: list[NDArray[Any]] = field(default_factory=list)
    packed: list[tuple[bytes, str]] = field(default_factory=list)


class Pyramid:
    """Takes the slices of a volume in order; holds the levels compressed, an eighth of the whole.

    A slice with values that int16 cannot hold makes its chunks wider, and no others.
    """

    def __init__(self, shape_kji: tuple[int, int, int], compress: Compress) -> None:
        self._compress = compress
        self._levels = [
            _Growing(shape, max(1, _CHUNK_BYTES // (2 * shape[1] * shape[2]))) for shape in level_shapes(shape_kji)
        ]

    @property
    def is_wanted(self) -> bool:
        """Whether the volume is large enough for levels."""
        return bool(self._levels)

    def add(self, total: NDArray[Any]) -> None:
        """Add the next slice, as `add_pairs` of it."""
        for level in self._levels:
            if level.odd is None:
                level.odd = total
                return
            plane, level.odd = _mean_of_8(level.odd + total), None
            level.waiting.append(plane)
            if len(level.waiting) == level.per_chunk:
                self._flush(level)
            total = add_pairs(plane)

    def write(self, place: Callable[[bytes, str], Chunk]) -> tuple[Level, ...]:
        """Hand out the chunks, level by level, and return what the index says of them."""
        levels = []
        for level in self._levels:
            self._flush(level)
            chunks = tuple(place(data, dtype) for data, dtype in level.packed)
            levels.append(Level(level.shape_kji, level.per_chunk, chunks))
        return tuple(levels)

    def _flush(self, level: _Growing) -> None:
        if level.waiting:
            values = narrowed(np.stack(level.waiting))
            level.packed.append((self._compress(values), values.dtype.str))
            level.waiting.clear()


def _mean_of_8(total: NDArray[Any]) -> NDArray[Any]:
    if total.dtype.kind == "f":
        mean: NDArray[Any] = total * np.float32(0.125)
        return mean
    rounded: NDArray[Any] = (total + 4) >> 3
    return rounded


def narrowed(values: NDArray[Any]) -> NDArray[Any]:
    """Return values in the narrowest type of a chunk that holds them; beyond 16 bits float32, which has 24."""
    if values.dtype.kind == "f":
        return values.astype("<f4", copy=False)
    if values.dtype == np.uint8:
        return values
    low, high = int(values.min()), int(values.max())
    if low >= -32768 and high <= 32767:
        return values.astype("<i2", copy=False)
    return values.astype("<u2" if low >= 0 and high <= 65535 else "<f4", copy=False)


def tile_ranges(plane: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return lowest and highest value of a slice under every brick, faces shared; what is no number is 0."""
    if plane.dtype.kind == "f":
        plane = np.nan_to_num(plane)
    return _tiles(plane, np.minimum), _tiles(plane, np.maximum)


def _tiles(plane: NDArray[Any], better: np.ufunc) -> NDArray[Any]:
    _, rows, columns = brick_shape((2, *plane.shape))
    along = _reduce(plane, better, rows)
    return _reduce(along.T, better, columns).T


def _reduce(plane: NDArray[Any], better: np.ufunc, count: int) -> NDArray[Any]:
    starts = np.arange(count) * BRICK_EDGE
    reduced: NDArray[Any] = better.reduceat(plane, starts, axis=0)
    better(reduced[:-1], plane[starts[1:]], out=reduced[:-1])
    return reduced


class Bricks:
    """Takes the tile ranges of slices in order and joins them to bricks."""

    def __init__(self, shape_kji: tuple[int, int, int]) -> None:
        self.shape_kji = brick_shape(shape_kji)
        self._low: list[NDArray[Any]] = []
        self._high: list[NDArray[Any]] = []
        self._slices = 0

    def add(self, low: NDArray[Any], high: NDArray[Any]) -> None:
        """Add the next slice, as `tile_ranges` of it."""
        place, at_face = divmod(self._slices, BRICK_EDGE)
        self._slices += 1
        # A slice on the face between two bricks belongs to both.
        for at in {place, place - 1} if at_face == 0 else {place}:
            if 0 <= at < self.shape_kji[0]:
                self._join(self._low, at, low, np.minimum)
                self._join(self._high, at, high, np.maximum)

    def ranges(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return lowest and highest of every brick."""
        return narrowed(np.stack(self._low)), narrowed(np.stack(self._high))

    @staticmethod
    def _join(slabs: list[NDArray[Any]], at: int, plane: NDArray[Any], better: np.ufunc) -> None:
        if at == len(slabs):
            slabs.append(plane.copy())
        else:
            slabs[at] = better(slabs[at], plane)
