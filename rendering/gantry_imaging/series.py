"""From slices as they lie in a series to one volume: order, geometry, assembly."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gantry_imaging.errors import GeometryError
from gantry_imaging.volume import Affine, Volume

Vector: TypeAlias = NDArray[np.float64]
Point: TypeAlias = tuple[float, float, float]
Orientation: TypeAlias = tuple[float, float, float, float, float, float]

# In-plane disagreement (tilt, orientation, pixel spacing) is judged by where it ends up: nothing may move any
# pixel of the stack by more than half a pixel. Across 512 pixels that is an angle of 0.06 degrees.
_MAX_SHIFT_PIXELS = 0.5
# A slice may lie this far from its place on the even grid between first and last slice, as a part of the
# spacing. Measured against the grid, not the neighbour, so that small errors cannot add up along the stack.
_MAX_OFF_GRID = 0.1
# Positions closer than this part of the usual spacing are the same position.
_SAME_POSITION = 0.01
# Off-grid part up to which a series counts as exactly uniform: what rounded decimal strings explain.
_UNIFORM = 0.01
_ORTHONORMAL_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class SliceHeader:
    """What the geometry of one image plane needs; lengths in millimetres in the patient's LPS frame.

    `frame_index` counts from 0 within the instance. `pixel_spacing_mm` is (between rows, between columns) as
    in PS3.3 10.7.1.3; `image_orientation_patient` holds the direction of a row, then of a column (C.7.6.2).
    """

    sop_instance_uid: str
    instance_number: int | None
    frame_index: int
    image_position_patient: Point | None
    image_orientation_patient: Orientation | None
    pixel_spacing_mm: tuple[float, float] | None
    rows: int
    columns: int
    frame_of_reference_uid: str | None = None
    slice_thickness_mm: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class SeriesGeometry:
    """One regular grid through all slices.

    `order` gives, for each k of the volume, the index into the headers examined; k grows along the slice
    normal (row direction x column direction). `spacing_ijk_mm` is (between columns, rows, slices).
    `uniform` says that every slice lies within 1 % of the spacing of its place; otherwise within 10 %.
    """

    lps_from_ijk: Affine
    spacing_ijk_mm: Point
    order: tuple[int, ...]
    uniform: bool


def sort_slices(headers: Sequence[SliceHeader]) -> list[SliceHeader]:
    """Order slices as they lie in the patient.

    Along the slice normal where every slice has a position and an orientation (slices of one orientation stay
    together, groups in order of appearance); otherwise by InstanceNumber, then frame, then as they came.
    """
    places = [_plane_of(header) for header in headers]
    if any(place is None for place in places):
        return sorted(headers, key=_instance_order)
    groups: list[Vector] = []
    keys: list[tuple[int, float, tuple[bool, int, int]]] = []
    for header, place in zip(headers, places, strict=True):
        assert place is not None  # any() above
        position, axes = place
        group = next((n for n, known in enumerate(groups) if np.abs(known - axes[2]).max() < 1e-2), len(groups))
        if group == len(groups):
            groups.append(axes[2])
        keys.append((group, round(float(position @ groups[group]), 4), _instance_order(header)))
    return [headers[n] for n in sorted(range(len(headers)), key=keys.__getitem__)]


def examine_geometry(headers: Sequence[SliceHeader]) -> SeriesGeometry:
    """Find the one regular grid on which all slices lie, or say why there is none.

    Raises
    ------
    GeometryError
        `series.too_few` (under two), `series.no_geometry` (position, orientation or spacing missing or
        impossible), `series.mixed_size`, `series.mixed_orientation` (also: more than one frame of reference),
        `series.duplicate_position`, `series.gap`, `series.tilt`. A series with gap and tilt says both.
    """
    if len(headers) < 2:
        raise GeometryError("series.too_few", f"A volume needs at least two slices; the series has {len(headers)}.")
    positions, axes = _require_planes(headers)
    spacing_rows_mm, spacing_columns_mm = _require_one_size(headers)
    _require_one_orientation(headers, axes)

    row, column, normal = axes[0]
    along_mm = positions @ normal
    order = np.lexsort((np.arange(len(headers)), along_mm))
    along_mm = along_mm[order]
    steps_mm = np.diff(along_mm)
    usual_mm = _require_distinct(steps_mm)

    reasons: list[tuple[str, str]] = []
    spacing_mm = float(along_mm[-1] - along_mm[0]) / len(steps_mm)
    off_grid = np.abs(along_mm - along_mm[0] - spacing_mm * np.arange(len(along_mm))).max() / spacing_mm
    if off_grid > _MAX_OFF_GRID:
        reasons.append(("series.gap", _describe_gap(steps_mm, usual_mm)))
    shift_mm = (positions[order] - positions[order[0]]) @ np.stack([row, column]).T
    if float(np.abs(shift_mm).max()) > _MAX_SHIFT_PIXELS * min(spacing_rows_mm, spacing_columns_mm):
        reasons.append(("series.tilt", _describe_tilt(shift_mm, along_mm)))
    if reasons:
        raise GeometryError(reasons[0][0], " ".join(sentence for _, sentence in reasons))

    lps_from_ijk = np.eye(4)
    lps_from_ijk[:3, 0] = row * spacing_columns_mm
    lps_from_ijk[:3, 1] = column * spacing_rows_mm
    lps_from_ijk[:3, 2] = normal * spacing_mm
    lps_from_ijk[:3, 3] = positions[order[0]]
    return SeriesGeometry(
        lps_from_ijk=lps_from_ijk,
        spacing_ijk_mm=(spacing_columns_mm, spacing_rows_mm, spacing_mm),
        order=tuple(int(n) for n in order),
        uniform=bool(off_grid <= _UNIFORM),
    )


def assemble_volume(
    headers: Sequence[SliceHeader],
    frames: Callable[[int], NDArray[Any]],
    dtype: DTypeLike = np.int16,
    on_progress: Callable[[int, int], None] | None = None,
) -> Volume:
    """Fill one array slice by slice; never holds more than the volume and the slice at hand.

    Parameters
    ----------
    headers
        The slices in any order.
    frames
        Gives the (rows, columns) plane in modality units for an index into `headers`; called once for each,
        in order of position.
    dtype
        int16 rounds and saturates, which loses nothing of CT; float32 for PET and quantitative MR.
    on_progress
        Called with (slices done, slices in all) after each slice.

    Raises
    ------
    GeometryError
        As `examine_geometry`; `series.mixed_size` when a plane is not as large as its header says.
    """
    geometry = examine_geometry(headers)
    shape_ji = headers[0].rows, headers[0].columns
    voxels_kji = np.empty((len(headers), *shape_ji), dtype=dtype)
    for k, index in enumerate(geometry.order):
        plane = frames(index)
        if plane.shape != shape_ji:
            raise GeometryError(
                "series.mixed_size",
                f"Slice {k + 1} holds {plane.shape} pixels where its header says {shape_ji}.",
            )
        voxels_kji[k] = _fit(plane, voxels_kji.dtype)
        if on_progress is not None:
            on_progress(k + 1, len(headers))
    return Volume(voxels_kji, geometry.lps_from_ijk)


def _fit(plane: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Round and saturate where a plain cast would wrap around."""
    if dtype.kind not in "iu" or np.can_cast(plane.dtype, dtype, "safe"):
        return plane
    limits = np.iinfo(dtype)
    whole = np.rint(plane) if plane.dtype.kind == "f" else plane
    fitted: NDArray[Any] = np.clip(whole, limits.min, limits.max)
    return fitted


def _instance_order(header: SliceHeader) -> tuple[bool, int, int]:
    return header.instance_number is None, header.instance_number or 0, header.frame_index


def _plane_of(header: SliceHeader) -> tuple[Vector, Vector] | None:
    """Position (3,) and axes (row, column, normal) as rows of a matrix; None if not usable."""
    if header.image_position_patient is None or header.image_orientation_patient is None:
        return None
    position = np.array(header.image_position_patient, dtype=np.float64)
    row, column = np.array(header.image_orientation_patient, dtype=np.float64).reshape(2, 3)
    if not (np.isfinite(position).all() and np.isfinite(row).all() and np.isfinite(column).all()):
        return None
    lengths_and_angle = np.array([row @ row - 1, column @ column - 1, row @ column])
    if np.abs(lengths_and_angle).max() > _ORTHONORMAL_TOLERANCE:
        return None
    # Decimal strings round; the volume's axes must be exactly at right angles.
    row = row / np.linalg.norm(row)
    column = column - (column @ row) * row
    column = column / np.linalg.norm(column)
    return position, np.stack([row, column, np.cross(row, column)])


def _require_planes(headers: Sequence[SliceHeader]) -> tuple[Vector, Vector]:
    """Positions (n, 3) and axes (n, 3, 3) of all slices."""
    places = [_plane_of(header) for header in headers]
    found = [place for place in places if place is not None]
    if len(found) < len(headers):
        raise GeometryError(
            "series.no_geometry",
            f"{len(headers) - len(found)} of {len(headers)} slices have no usable position and orientation.",
        )
    return np.stack([position for position, _ in found]), np.stack([axes for _, axes in found])


def _require_one_size(headers: Sequence[SliceHeader]) -> tuple[float, float]:
    """Pixel spacing (rows, columns), one for all to within half a pixel across the image."""
    sizes = sorted({(header.rows, header.columns) for header in headers})
    if len(sizes) > 1:
        listed = ", ".join(f"{columns} x {rows}" for rows, columns in sizes[:4])
        raise GeometryError("series.mixed_size", f"The slices have {len(sizes)} different sizes: {listed} pixels.")
    spacings = np.array([header.pixel_spacing_mm or (np.nan, np.nan) for header in headers])
    usable = np.isfinite(spacings).all(axis=1) & (spacings > 0).all(axis=1)
    if not usable.all():
        raise GeometryError(
            "series.no_geometry",
            f"{int((~usable).sum())} of {len(headers)} slices have no usable pixel spacing.",
        )
    spread = spacings.max(axis=0) - spacings.min(axis=0)
    if (spread * np.array(sizes[0]) > _MAX_SHIFT_PIXELS * spacings[0]).any():
        low, high = float(spacings.min()), float(spacings.max())
        raise GeometryError("series.mixed_size", f"Pixel spacing varies from {low:.4f} to {high:.4f} mm.")
    return float(spacings[0, 0]), float(spacings[0, 1])


def _require_one_orientation(headers: Sequence[SliceHeader], axes: Vector) -> None:
    # A frame of reference for every single slice is what careless de-identification leaves behind and tells
    # nothing; a few among many slices are different coordinate systems.
    frames_of_reference = {header.frame_of_reference_uid for header in headers}
    if 1 < len(frames_of_reference) < len(headers):
        raise GeometryError(
            "series.mixed_orientation",
            f"The slices lie in {len(frames_of_reference)} different frames of reference.",
        )
    deviation = np.linalg.norm(axes - axes[0], axis=2).max(axis=1)
    if float(deviation.max()) * max(headers[0].rows, headers[0].columns) > _MAX_SHIFT_PIXELS:
        degrees = float(np.degrees(2 * np.arcsin(min(1.0, float(deviation.max()) / 2))))
        count = int((deviation * max(headers[0].rows, headers[0].columns) > _MAX_SHIFT_PIXELS).sum())
        raise GeometryError(
            "series.mixed_orientation",
            f"{count} of {len(headers)} slices are turned against the first by up to {degrees:.2f} degrees.",
        )


def _require_distinct(steps_mm: Vector) -> float:
    """Return the usual (median) distance between slices of distinct position."""
    distinct = steps_mm[steps_mm > 1e-3]
    usual_mm = float(np.median(distinct)) if distinct.size else 0.0
    repeated = int((steps_mm <= max(1e-3, _SAME_POSITION * usual_mm)).sum())
    if repeated:
        raise GeometryError(
            "series.duplicate_position",
            f"{repeated} of {len(steps_mm) + 1} slices lie at the position of another slice.",
        )
    return usual_mm


def _describe_gap(steps_mm: Vector, usual_mm: float) -> str:
    worst = int(np.argmax(np.abs(steps_mm - usual_mm)))
    return (
        f"The distance between slices varies from {steps_mm.min():.2f} to {steps_mm.max():.2f} mm, "
        f"{usual_mm:.2f} mm is usual; the farthest from it is {steps_mm[worst]:.2f} mm, "
        f"between slices {worst + 1} and {worst + 2}."
    )


def _describe_tilt(shift_mm: Vector, along_mm: Vector) -> str:
    largest_mm = np.linalg.norm(shift_mm, axis=1)
    worst = int(np.argmax(largest_mm))
    degrees = float(np.degrees(np.arctan2(largest_mm[worst], abs(along_mm[worst] - along_mm[0]))))
    return (
        f"The slices are not stacked along their normal: tilted by {degrees:.2f} degrees, "
        f"which moves slice {worst + 1} sideways by {largest_mm[worst]:.2f} mm."
    )
