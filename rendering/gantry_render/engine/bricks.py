"""What lets a ray skip: the lowest and highest value of every brick, and how far the nearest visible one is."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gantry_render.engine.jit import in_bands, kernel, plain

SHIFT: Final = 2
EDGE: Final = 1 << SHIFT
"""Cells along a brick's edge; a cell lies between eight voxel centres, so that neighbours share their voxels."""

FARTHEST: Final = 15
"""Bricks beyond which distances are no longer told apart."""


def make_roomy(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Return a contiguous array of zeros with room behind, so that four bytes may be read from any element on."""
    size = int(np.prod(shape))
    return np.zeros(size + 4, dtype)[:size].reshape(shape)


@dataclass(frozen=True, slots=True, eq=False)
class Bricks:
    """Range of the voxels that any sample inside a brick may touch.

    Parameters
    ----------
    low_kji, high_kji
        int16, one value a brick; made with `make_roomy`.
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
    low, high = make_roomy(shape, np.int16), make_roomy(shape, np.int16)
    flat = plain(voxels_kji).reshape(voxels_kji.shape)
    in_bands(lambda first, beyond: _ranges(flat, low, high, first, beyond), shape[0], band=4)
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
        uint8 of the bricks' shape, chessboard distance, at most `FARTHEST`; made with `make_roomy`.
    """
    hidden: NDArray[np.uint8] = np.empty(bricks.low_kji.shape, np.uint8)
    low, high = bricks.low_kji, bricks.high_kji
    given = np.zeros((0, 0, 0), np.bool_) if marked is None else marked
    found = make_roomy(hidden.shape, np.uint8)

    def along_a_slice(first: int, beyond: int) -> None:
        _hide(low, high, intervals, given, np.uint8(FARTHEST), hidden, first, beyond)
        _sweep(hidden, first, beyond)
        hidden[first:beyond] = _spread(hidden[first:beyond], 1)

    def across_slices(first: int, beyond: int) -> None:
        found[:, first:beyond] = _spread(hidden[:, first:beyond], 0)

    slices, rows, _ = hidden.shape
    in_bands(along_a_slice, slices)
    in_bands(across_slices, rows)
    return found


def mark_cells(
    voxels_kji: NDArray[np.int16],
    distances: NDArray[np.uint8],
    intervals: NDArray[np.float32],
    marked: NDArray[np.bool_] | None,
) -> NDArray[np.uint64]:
    """Say for each cell of the bricks at distance 0 whether a sample inside may show something.

    Returns
    -------
    NDArray
        uint64 of the bricks' shape; bit 16 k + 4 j + i is that of a brick's cell (i, j, k); made with `make_roomy`.
    """
    cells = make_roomy(distances.shape, np.uint64)
    flat = plain(voxels_kji).reshape(voxels_kji.shape)
    # Open ranges of whole numbers: a > lo and a < hi hold for integers as for the numbers themselves.
    bounds = np.clip(np.stack([np.floor(intervals[:, 0]), np.ceil(intervals[:, 1])], axis=1), -40000, 40000)
    whole = bounds.astype(np.int32)
    in_bands(lambda first, beyond: _cells(flat, distances, whole, cells, first, beyond), cells.shape[0], band=2)
    if marked is not None:
        cells[marked] = np.uint64(0xFFFFFFFFFFFFFFFF)
    return cells


def halve(voxels_kji: NDArray[np.int16]) -> NDArray[np.int16]:
    """Average cubes of two voxels a side; a last odd slice, row or column is left out. Needs four a side."""
    slices, rows, columns = (side // 2 for side in voxels_kji.shape)
    half = np.empty((slices, rows, columns), np.int16)
    flat = plain(voxels_kji).reshape(voxels_kji.shape)
    in_bands(lambda first, beyond: _average(flat, half, first, beyond), slices, band=8)
    return half


def mark_bricks(mask_kji: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Say which bricks touch a voxel that is not 0."""
    marks = np.zeros(brick_shape(mask_kji.shape), np.bool_)
    flat = plain(mask_kji).reshape(mask_kji.shape)
    in_bands(lambda first, beyond: _mark(flat, marks, first, beyond), marks.shape[0], band=4)
    return marks


def soften_labels(labels_kji: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the share of the 27 voxels around each that carry a label, 0 to 255; made with `make_roomy`."""
    soft = make_roomy(labels_kji.shape, np.uint8)
    flat = plain(labels_kji).reshape(labels_kji.shape)
    in_bands(lambda first, beyond: _soften(flat, soft, first, beyond), soft.shape[0], band=8)
    return soft


def halve_labels(labels_kji: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Take the highest label of cubes of two voxels a side, as `halve` cuts them: thin segments stay whole."""
    slices, rows, columns = (side // 2 for side in labels_kji.shape)
    half = np.empty((slices, rows, columns), np.uint8)
    flat = plain(labels_kji).reshape(labels_kji.shape)
    in_bands(lambda first, beyond: _highest(flat, half, first, beyond), slices, band=8)
    return half


def predict_bytes(shape_kji: tuple[int, int, int]) -> int:
    """Return the memory of the bricks, of one distance field and of one set of cells."""
    return 13 * int(np.prod(brick_shape(shape_kji)))


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
def _hide(  # noqa: PLR0917  # kernels take no objects
    low: NDArray[np.int16],
    high: NDArray[np.int16],
    intervals: NDArray[np.float32],
    marked: NDArray[np.bool_],
    far: np.uint8,
    out: NDArray[np.uint8],
    first: int,
    beyond: int,
) -> None:
    for k in range(first, beyond):
        for j in range(low.shape[1]):
            for i in range(low.shape[2]):
                out[k, j, i] = far
                for n in range(intervals.shape[0]):
                    if np.float32(high[k, j, i]) > intervals[n, 0] and np.float32(low[k, j, i]) < intervals[n, 1]:
                        out[k, j, i] = 0
                if marked.size and marked[k, j, i]:
                    out[k, j, i] = 0


@kernel
def _sweep(distances: NDArray[np.uint8], first: int, beyond: int) -> None:
    columns = distances.shape[2]
    for k in range(first, beyond):
        for j in range(distances.shape[1]):
            line = distances[k, j]
            for i in range(1, columns):
                line[i] = min(line[i], line[i - 1] + 1)
            for i in range(columns - 2, -1, -1):
                line[i] = min(line[i], line[i + 1] + 1)


@kernel
def _mark(mask: NDArray[np.uint8], marks: NDArray[np.bool_], first: int, beyond: int) -> None:
    slices, rows, columns = mask.shape
    any_of = np.empty(columns, np.uint8)
    for bk in range(first, beyond):
        for bj in range(marks.shape[1]):
            any_of[:] = 0
            for k in range(bk * EDGE, min(bk * EDGE + EDGE + 1, slices)):
                for j in range(bj * EDGE, min(bj * EDGE + EDGE + 1, rows)):
                    line = mask[k, j]
                    for i in range(columns):
                        any_of[i] |= line[i]
            for bi in range(marks.shape[2]):
                for i in range(bi * EDGE, min(bi * EDGE + EDGE + 1, columns)):
                    if any_of[i]:
                        marks[bk, bj, bi] = True


@kernel
def _soften(labels: NDArray[np.uint8], soft: NDArray[np.uint8], first: int, beyond: int) -> None:
    slices, rows, columns = labels.shape
    # One more at either end: what lies beyond the edge is as the edge.
    count = np.empty(columns + 2, np.uint8)
    for k in range(first, beyond):
        for j in range(rows):
            count[:] = 0
            inner = count[1 : columns + 1]
            for dk in range(-1, 2):
                for dj in range(-1, 2):
                    line = labels[min(max(k + dk, 0), slices - 1), min(max(j + dj, 0), rows - 1)]
                    for i in range(columns):
                        inner[i] += np.uint8(line[i] > 0)
            count[0], count[columns + 1] = count[1], count[columns]
            target = soft[k, j]
            for i in range(columns):
                # 255 of 27 neighbours.
                target[i] = (np.uint32(count[i]) + np.uint32(count[i + 1]) + np.uint32(count[i + 2])) * 2418 >> 8


@kernel
def _highest(labels: NDArray[np.uint8], half: NDArray[np.uint8], first: int, beyond: int) -> None:
    for k in range(first, beyond):
        for j in range(half.shape[1]):
            a, b = labels[2 * k, 2 * j], labels[2 * k, 2 * j + 1]
            c, d = labels[2 * k + 1, 2 * j], labels[2 * k + 1, 2 * j + 1]
            for i in range(half.shape[2]):
                left = max(a[2 * i], b[2 * i], c[2 * i], d[2 * i])
                half[k, j, i] = max(left, a[2 * i + 1], b[2 * i + 1], c[2 * i + 1], d[2 * i + 1])


@kernel
def _cells(
    voxels: NDArray[np.int16],
    distances: NDArray[np.uint8],
    bounds: NDArray[np.int32],
    cells: NDArray[np.uint64],
    first: int,
    beyond: int,
) -> None:
    slices, rows, columns = voxels.shape
    bricks = cells.shape[2]
    most = np.empty(columns, np.int16)
    least = np.empty(columns, np.int16)
    shown = np.zeros(bricks * EDGE, np.uint8)
    for bk in range(first, beyond):
        for bj in range(cells.shape[1]):
            left, right = bricks, -1
            for bi in range(bricks):
                if distances[bk, bj, bi] == 0:
                    left = min(left, bi)
                    right = bi
            if right < 0:
                continue
            begin = left * EDGE
            end = min((right + 1) * EDGE, columns - 1)
            for cell in range(EDGE * EDGE):
                k, j = bk * EDGE + (cell >> SHIFT), bj * EDGE + (cell & (EDGE - 1))
                if k >= slices - 1 or j >= rows - 1:
                    continue
                a, b = voxels[k, j, begin : end + 1], voxels[k, j + 1, begin : end + 1]
                c, d = voxels[k + 1, j, begin : end + 1], voxels[k + 1, j + 1, begin : end + 1]
                for i in range(end + 1 - begin):
                    most[i] = max(a[i], b[i], c[i], d[i])
                for i in range(end + 1 - begin):
                    least[i] = min(a[i], b[i], c[i], d[i])
                shown[: end - begin] = 0
                for n in range(bounds.shape[0]):
                    low, high = bounds[n, 0], bounds[n, 1]
                    for i in range(end - begin):
                        top, bottom = max(most[i], most[i + 1]), min(least[i], least[i + 1])
                        shown[i] |= np.uint8(np.int32(top) > low) & np.uint8(np.int32(bottom) < high)
                shown[end - begin : (right + 1 - left) * EDGE] = 0
                place = np.uint64(cell * EDGE)
                for bi in range(left, right + 1):
                    i = (bi - left) * EDGE
                    four = shown[i] | shown[i + 1] << 1 | shown[i + 2] << 2 | shown[i + 3] << 3
                    cells[bk, bj, bi] |= np.uint64(four) << place
