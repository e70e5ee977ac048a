"""What lets a ray skip: the lowest and highest value of every brick, and how far the nearest visible one is."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gantry_render.engine.jit import in_bands, kernel

SHIFT: Final = 2
EDGE: Final = 1 << SHIFT
"""Cells along a brick's edge; a cell lies between eight voxel centres, so that neighbours share their voxels."""

FARTHEST: Final = 15
"""Bricks beyond which distances are no longer told apart."""


@dataclass(frozen=True, slots=True, eq=False)
class Bricks:
    """Range of the voxels that any sample inside a brick may touch.

    Parameters
    ----------
    low_kji, high_kji
        int16, one value a brick.
    """

    low_kji: NDArray[np.int16]
    high_kji: NDArray[np.int16]

    @property
    def size_bytes(self) -> int:
        """Memory held."""
        return self.low_kji.nbytes + self.high_kji.nbytes


def brick_shape(shape_kji: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return how many bricks cover a volume of at least two voxels a side."""
    slices, rows, columns = (max(1, -(-(side - 1) // EDGE)) for side in shape_kji)
    return slices, rows, columns


def build_bricks(voxels_kji: NDArray[np.int16]) -> Bricks:
    """Find the range of every brick."""
    slices, rows, columns = voxels_kji.shape
    shape = brick_shape((slices, rows, columns))
    low, high = np.empty(shape, np.int16), np.empty(shape, np.int16)
    in_bands(lambda first, beyond: _ranges(voxels_kji, low, high, first, beyond), shape[0], band=4)
    return Bricks(low, high)


def measure_distances(
    bricks: Bricks, intervals: NDArray[np.float32], marked: NDArray[np.bool_] | None
) -> NDArray[np.uint8]:
    """Count, for each brick, the bricks to the nearest that may show something: 0 itself, 1 a neighbour.

    Parameters
    ----------
    intervals
        (n, 2) open ranges of values that are visible.
    marked
        Bricks that show something whatever their values are, as segments do.

    Returns
    -------
    NDArray
        uint8 of the bricks' shape, chessboard distance, at most `FARTHEST`.
    """
    hidden = np.empty(bricks.low_kji.shape, np.uint8)
    _hide(bricks.low_kji, bricks.high_kji, intervals, np.uint8(FARTHEST), hidden)
    if marked is not None:
        hidden[marked] = 0
    _sweep(hidden)
    return _spread(_spread(hidden, 1), 0)


def halve(voxels_kji: NDArray[np.int16]) -> NDArray[np.int16]:
    """Average cubes of two voxels a side; a last odd slice, row or column is left out. Needs four a side."""
    slices, rows, columns = (side // 2 for side in voxels_kji.shape)
    half = np.empty((slices, rows, columns), np.int16)
    in_bands(lambda first, beyond: _average(voxels_kji, half, first, beyond), slices, band=8)
    return half


def mark_bricks(mask_kji: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Say which bricks touch a voxel that is not 0."""
    marks = np.zeros(brick_shape(mask_kji.shape), np.bool_)
    _mark(mask_kji, marks)
    return marks


def predict_bytes(shape_kji: tuple[int, int, int]) -> int:
    """Return the memory of the bricks and of one distance field."""
    return 5 * int(np.prod(brick_shape(shape_kji)))


def _spread(distances: NDArray[np.uint8], axis: int) -> NDArray[np.uint8]:
    """Carry distances along an axis: d(p) = min over q of max(|p - q|, d(q)), which a row of bytes does at once."""
    nearest = distances.copy()
    size = distances.shape[axis]
    ahead: list[Any] = [slice(None)] * 3
    behind: list[Any] = [slice(None)] * 3
    for step in range(1, min(FARTHEST, size)):
        ahead[axis], behind[axis] = slice(step, None), slice(None, -step)
        shifted = np.maximum(distances, np.uint8(step))
        np.minimum(nearest[tuple(behind)], shifted[tuple(ahead)], out=nearest[tuple(behind)])
        np.minimum(nearest[tuple(ahead)], shifted[tuple(behind)], out=nearest[tuple(ahead)])
    return nearest


@kernel
def _ranges(
    voxels: NDArray[np.int16], low: NDArray[np.int16], high: NDArray[np.int16], first: int, beyond: int
) -> None:
    slices, rows, columns = voxels.shape
    lowest = np.empty(columns, np.int16)
    highest = np.empty(columns, np.int16)
    for bk in range(first, beyond):
        for bj in range(low.shape[1]):
            k0, j0 = bk * EDGE, bj * EDGE
            lowest[:] = voxels[k0, j0]
            highest[:] = voxels[k0, j0]
            for k in range(k0, min(k0 + EDGE + 1, slices)):
                for j in range(j0, min(j0 + EDGE + 1, rows)):
                    line = voxels[k, j]
                    for i in range(columns):
                        value = line[i]
                        lowest[i] = min(lowest[i], value)
                        highest[i] = max(highest[i], value)
            for bi in range(low.shape[2]):
                i0 = bi * EDGE
                least, most = lowest[i0], highest[i0]
                for i in range(i0 + 1, min(i0 + EDGE + 1, columns)):
                    least = min(least, lowest[i])
                    most = max(most, highest[i])
                low[bk, bj, bi] = least
                high[bk, bj, bi] = most


@kernel
def _average(voxels: NDArray[np.int16], half: NDArray[np.int16], first: int, beyond: int) -> None:
    for k in range(first, beyond):
        for j in range(half.shape[1]):
            a, b = voxels[2 * k, 2 * j], voxels[2 * k, 2 * j + 1]
            c, d = voxels[2 * k + 1, 2 * j], voxels[2 * k + 1, 2 * j + 1]
            for i in range(half.shape[2]):
                total = np.int32(a[2 * i]) + np.int32(b[2 * i]) + np.int32(c[2 * i]) + np.int32(d[2 * i])
                total += np.int32(a[2 * i + 1]) + np.int32(b[2 * i + 1])
                total += np.int32(c[2 * i + 1]) + np.int32(d[2 * i + 1])
                half[k, j, i] = (total + np.int32(4)) >> np.int32(3)


@kernel
def _hide(
    low: NDArray[np.int16],
    high: NDArray[np.int16],
    intervals: NDArray[np.float32],
    far: np.uint8,
    out: NDArray[np.uint8],
) -> None:
    for k in range(low.shape[0]):
        for j in range(low.shape[1]):
            for i in range(low.shape[2]):
                out[k, j, i] = far
                for n in range(intervals.shape[0]):
                    if np.float32(high[k, j, i]) > intervals[n, 0] and np.float32(low[k, j, i]) < intervals[n, 1]:
                        out[k, j, i] = 0


@kernel
def _sweep(distances: NDArray[np.uint8]) -> None:
    columns = distances.shape[2]
    for k in range(distances.shape[0]):
        for j in range(distances.shape[1]):
            line = distances[k, j]
            for i in range(1, columns):
                line[i] = min(line[i], line[i - 1] + 1)
            for i in range(columns - 2, -1, -1):
                line[i] = min(line[i], line[i + 1] + 1)


@kernel
def _mark(mask: NDArray[np.uint8], marks: NDArray[np.bool_]) -> None:
    for k in range(mask.shape[0]):
        for j in range(mask.shape[1]):
            line = mask[k, j]
            for i in range(mask.shape[2]):
                if line[i]:
                    # A voxel on a brick's first face belongs to the brick before it, too.
                    for bk in range(max(0, (k - 1) // EDGE), min(k // EDGE, marks.shape[0] - 1) + 1):
                        for bj in range(max(0, (j - 1) // EDGE), min(j // EDGE, marks.shape[1] - 1) + 1):
                            for bi in range(max(0, (i - 1) // EDGE), min(i // EDGE, marks.shape[2] - 1) + 1):
                                marks[bk, bj, bi] = True
