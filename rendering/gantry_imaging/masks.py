"""Masks to contours that a client draws, and to figures that a report states."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, cast

import contourpy
import numpy as np
from numpy.typing import NDArray

from gantry_imaging.errors import GeometryError
from gantry_imaging.volume import Volume

CONTOUR_ENCODING: Final = "quarter-pixel-delta-v1"
_UNITS_PER_PIXEL: Final = 4


def trace_contours(mask_ji: NDArray[np.bool_]) -> list[NDArray[np.float32]]:
    """Trace the borders of a mask, half-way between inside and outside pixel centres.

    Points along straight lines are left out. To simplify further within a quarter of a pixel saves under 1 %
    more on bone, since the stairs of a digital border are higher than that; so the rings stay exact.

    Parameters
    ----------
    mask_ji
        (rows, columns).

    Returns
    -------
    list of NDArray
        Closed rings of shape (n, 2), float32 (column, row), pixel centres at integers, the first point not
        repeated. Filled by the even-odd rule they give the mask back, holes included.
    """
    box = _bounding_box(mask_ji)
    if box is None:
        return []
    rows, columns = box
    # A border of background closes the rings of what touches the edge.
    padded = np.pad(mask_ji[rows, columns], 1).astype(np.float32)
    generator = contourpy.contour_generator(z=padded, line_type=contourpy.LineType.ChunkCombinedOffset)
    # With this line type contourpy gives one chunk: all points, and where each ring begins and ends in them.
    chunk = cast(tuple[list[NDArray[np.float64]], list[NDArray[np.uint32]]], generator.lines(0.5))
    points, ring_bounds = chunk[0][0], chunk[1][0].astype(np.intp)
    corner = np.array([columns.start - 1, rows.start - 1], dtype=np.float64)
    shifted = (points + corner).astype(np.float32)
    keep = _turning_points(points, ring_bounds)
    return [shifted[start:end][keep[start:end]] for start, end in pairwise(ring_bounds)]


def contours_to_json(rings: Iterable[NDArray[np.float32]]) -> list[list[int]]:
    """Write rings as `quarter-pixel-delta-v1`: for each a flat list x0, y0, dx1, dy1, dx2, dy2, ...

    Integers in quarters of a pixel, pixel centres at integers, x the column; the first pair is absolute, each
    further pair is added to the one before; the last point joins the first. To draw: for every ring `moveTo`
    the first, `lineTo` the running sums, `closePath`; then fill all rings of a slice at once with "evenodd".
    """
    encoded: list[list[int]] = []
    for ring in rings:
        points = np.rint(ring * _UNITS_PER_PIXEL).astype(np.int32)
        steps = np.diff(points, axis=0, prepend=np.zeros((1, 2), np.int32))
        encoded.append(steps.ravel().tolist())
    return encoded


def contours_from_json(encoded: Sequence[Sequence[int]]) -> list[NDArray[np.float32]]:
    """Read what `contours_to_json` wrote."""
    rings: list[NDArray[np.float32]] = []
    for flat in encoded:
        steps = np.asarray(flat, dtype=np.float32).reshape(-1, 2)
        rings.append(np.cumsum(steps, axis=0, dtype=np.float32) / np.float32(_UNITS_PER_PIXEL))
    return rings


def _turning_points(points: NDArray[np.float64], ring_bounds: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Mark the points at which a ring turns; the repetition of the first point at its end is not one.

    Around a mask all steps of one direction have one length, so equal steps say straight on.
    """
    starts, last = ring_bounds[:-1], ring_bounds[1:] - 1
    leaving = np.diff(points, axis=0, append=0)
    arriving = np.roll(leaving, 1, axis=0)
    arriving[starts] = leaving[last - 1]
    keep: NDArray[np.bool_] = (leaving != arriving).any(axis=1)
    keep[last] = False
    return keep


@dataclass(frozen=True, slots=True)
class MaskStatistics:
    """What a mask covers of a volume.

    `mean`, `standard_deviation`, `minimum` and `maximum` are in the volume's units and None for an empty
    mask, as are the centroid and the bounding box: first and last voxel in (i, j, k), both inside.
    """

    voxels: int
    volume_ml: float
    mean: float | None
    standard_deviation: float | None
    minimum: float | None
    maximum: float | None
    centroid_lps_mm: tuple[float, float, float] | None
    first_ijk: tuple[int, int, int] | None
    last_ijk: tuple[int, int, int] | None


def mask_statistics(mask_kji: NDArray[np.bool_], volume: Volume) -> MaskStatistics:
    """Measure a mask on the grid of a volume.

    Raises
    ------
    GeometryError
        `volume.bad_voxels` when the mask does not lie on the volume's grid.
    """
    if mask_kji.shape != volume.shape_kji:
        raise GeometryError(
            "volume.bad_voxels",
            f"A mask of shape {mask_kji.shape} does not lie on a grid of {volume.shape_kji}.",
        )
    box = _bounding_box(mask_kji)
    if box is None:
        return MaskStatistics(0, 0.0, None, None, None, None, None, None, None)
    inside = mask_kji[box]
    values = volume.voxels_kji[box][inside].astype(np.float64)
    # Count each plane once for each axis: the centroid without an index array of the mask's size.
    counts = [inside.sum(axis=tuple(a for a in range(3) if a != axis), dtype=np.float64) for axis in (2, 1, 0)]
    starts = np.array([box[axis].start for axis in (2, 1, 0)], dtype=np.float64)
    centroid_ijk = starts + [float(c @ np.arange(len(c))) / values.size for c in counts]
    centroid_mm = volume.lps_from_ijk[:3, :3] @ centroid_ijk + volume.origin_lps_mm
    return MaskStatistics(
        voxels=values.size,
        volume_ml=values.size * volume.voxel_volume_mm3 / 1000,
        mean=float(values.mean()),
        standard_deviation=float(values.std()),
        minimum=float(values.min()),
        maximum=float(values.max()),
        centroid_lps_mm=(float(centroid_mm[0]), float(centroid_mm[1]), float(centroid_mm[2])),
        first_ijk=(box[2].start, box[1].start, box[0].start),
        last_ijk=(box[2].stop - 1, box[1].stop - 1, box[0].stop - 1),
    )


def _bounding_box(mask: NDArray[np.bool_]) -> tuple[slice, ...] | None:
    """Slices that hold all of the mask; None for an empty one."""
    box: list[slice] = []
    for axis in range(mask.ndim):
        hit = np.flatnonzero(mask.any(axis=tuple(a for a in range(mask.ndim) if a != axis)))
        if hit.size == 0:
            return None
        box.append(slice(int(hit[0]), int(hit[-1]) + 1))
    return tuple(box)
