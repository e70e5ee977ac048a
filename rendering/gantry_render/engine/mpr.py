"""Planes through a volume at any angle, thin or as slabs. Values stay values: windowing is `gantry_imaging.voi`'s."""

from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gantry_imaging.volume import Volume
from gantry_render.engine.jit import in_bands, kernel, plain
from gantry_render.engine.lanes import (
    WIDTH,
    either,
    floats,
    least,
    most,
    numbers,
    pick,
    take_pair,
    to_floats,
    to_ints,
    write,
)
from gantry_render.errors import EngineError
from gantry_render.protocol import SlabMode
from gantry_render.scene import Plane, Vector

Orientation: TypeAlias = Literal["axial", "coronal", "sagittal"]

# Row and column directions as a reader expects them: the patient's left at the right, the head at the top.
_DIRECTIONS: Final[dict[Orientation, tuple[Vector, Vector]]] = {
    "axial": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
    "coronal": ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0)),
    "sagittal": ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0)),
}
_CODES: Final = {SlabMode.NONE: 0, SlabMode.MIP: 1, SlabMode.MINIP: 2, SlabMode.AVERAGE: 3}
# A sample this near to a voxel's centre, in voxels, is that voxel: rounding moves it less, and its value must not move.
_SNAP: Final = 1e-5
_ALIGNED: Final = 1 - 1e-9
# What is read where it lies.
_KINDS: Final = ("int8", "uint8", "int16", "uint16", "float32")


def sample_plane(volume: Volume, plane: Plane) -> NDArray[Any]:
    """Sample a plane or slab, linear between voxels.

    Returns
    -------
    NDArray
        (rows, columns). The voxels themselves, in their own type, where every sample is a voxel's centre inside the
        volume and nothing is averaged; otherwise float32, NaN where the plane leaves the volume.

    Raises
    ------
    EngineError
        `engine.too_large`.
    """
    inverse = volume.ijk_from_lps
    turn = inverse[:3, :3]
    steps = np.stack(
        [
            turn @ np.asarray(plane.origin_lps_mm) + inverse[:3, 3],
            turn @ np.asarray(plane.row_lps) * plane.spacing_mm[0],
            turn @ np.asarray(plane.column_lps) * plane.spacing_mm[1],
        ]
    )
    layers = plane.layer_offsets_mm[:, np.newaxis] * (turn @ plane.normal_lps) + steps[0]
    on_centres = None if plane.mode is SlabMode.AVERAGE else _centres(steps, layers, plane, volume.shape_kji)
    if on_centres is not None and volume.voxels_kji.dtype.name in _KINDS:
        return _copy(volume.voxels_kji, *on_centres, plane)
    voxels = volume.voxels_kji
    if voxels.dtype.name not in _KINDS or not voxels.dtype.isnative:
        voxels = voxels.astype(np.float32)
    thin = [(0, max(0, 2 - side)) for side in voxels.shape]
    if any(pad for _, pad in thin):
        voxels = np.pad(voxels, thin, mode="edge")
    if voxels.size >= 2**31:
        raise EngineError("engine.too_large", "Planes are cut through volumes of fewer than 2**31 voxels.")
    values = np.empty((plane.rows, plane.columns), np.float32)
    flat, shape, sides, code = plain(voxels), voxels.shape, volume.shape_kji, _CODES[plane.mode]
    in_bands(
        lambda first, beyond: _blend_rows(flat, shape, sides, steps, layers, code, first, beyond, values), plane.rows
    )
    return values


def _centres(
    steps: NDArray[np.float64], layers: NDArray[np.float64], plane: Plane, shape_kji: tuple[int, int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Return first voxels of the layers, (n, 3), and steps along a row and from row to row, (2, 3), as (i, j, k).

    None where a sample is not a voxel's centre, or where a layer lies partly outside or all do.
    """
    far = np.array([plane.columns - 1, plane.rows - 1])[:, np.newaxis]
    whole = np.rint(steps[1:])
    if np.abs((steps[1:] - whole) * far).max() > _SNAP or np.abs(layers - np.rint(layers)).max() > _SNAP:
        return None
    whole = whole.astype(np.int64)
    reach = np.stack([0 * whole[0], whole[0] * far[0], whole[1] * far[1], whole[0] * far[0] + whole[1] * far[1]])
    last = np.array(shape_kji[::-1]) - 1
    kept = []
    for first in np.rint(layers).astype(np.int64):
        corners = first + reach
        if (corners >= 0).all() and (corners <= last).all():
            kept.append(first)
        elif not ((corners < 0).all(axis=0) | (corners > last).all(axis=0)).any():
            return None
    return (np.stack(kept), whole) if kept else None


def _copy(voxels_kji: NDArray[Any], firsts: NDArray[np.int64], steps: NDArray[np.int64], plane: Plane) -> NDArray[Any]:
    _, rows, columns = voxels_kji.shape
    strides = np.array([1, columns, columns * rows])
    values = np.empty((plane.rows, plane.columns), voxels_kji.dtype)
    starts, along, down = firsts @ strides, int(steps[0] @ strides), int(steps[1] @ strides)
    flat, is_most = plain(voxels_kji), plane.mode is not SlabMode.MINIP
    in_bands(
        lambda first, beyond: _copy_rows(flat, starts, along, down, is_most, first, beyond, values), plane.rows, band=64
    )
    return values


def orthogonal_plane(
    volume: Volume,
    orientation: Orientation,
    through_lps_mm: Vector,
    *,
    slab_mm: float = 0.0,
    mode: SlabMode = SlabMode.NONE,
) -> Plane:
    """Return the axial, coronal or sagittal plane through a point that covers the volume.

    Its pixels are the volume's own voxels where the volume's axes run that way, so that nothing is interpolated
    within the plane; otherwise they are squares of the smallest voxel spacing.

    Raises
    ------
    SceneError
        `scene.bad_plane`.
    """
    row, column = (np.array(direction) for direction in _DIRECTIONS[orientation])
    normal = np.cross(row, column)
    spacing_ijk_mm = volume.spacing_ijk_mm
    corners_ijk = np.array(np.meshgrid(*[(0, side - 1) for side in volume.shape_kji[::-1]], indexing="ij")).reshape(
        3, -1
    )
    corners_mm = (volume.lps_from_ijk[:3, :3] @ corners_ijk).T + volume.origin_lps_mm
    spacings, counts, origin = [], [], normal * (np.asarray(through_lps_mm) @ normal)
    for direction in (row, column):
        along = np.abs(volume.direction.T @ direction)
        own = int(along.argmax())
        spacing_mm = float(spacing_ijk_mm[own] if along[own] > _ALIGNED else spacing_ijk_mm.min())
        reach = corners_mm @ direction
        spacings.append(spacing_mm)
        counts.append(int(np.floor((reach.max() - reach.min()) / spacing_mm + 1e-6)) + 1)
        origin = origin + direction * reach.min()
    x, y, z = (float(part) for part in origin)
    layer_mm = float(spacing_ijk_mm[int(np.abs(volume.direction.T @ normal).argmax())])
    return Plane(
        (x, y, z),
        *_DIRECTIONS[orientation],
        (spacings[0], spacings[1]),
        counts[0],
        counts[1],
        slab_mm=slab_mm,
        mode=mode,
        layer_mm=layer_mm,
    )


@kernel
def _copy_rows(  # noqa: PLR0917  # kernels take no objects
    voxels: Any, starts: Any, along: Any, down: Any, is_most: Any, first: Any, beyond: Any, values: Any
) -> None:
    for row in range(first, beyond):
        line = values[row]
        for layer in range(starts.size):
            place = starts[layer] + row * down
            for column in range(line.size):
                value = voxels[np.uint64(place)]
                place += along
                if layer == 0:
                    line[column] = value
                elif is_most:
                    line[column] = max(line[column], value)
                else:
                    line[column] = min(line[column], value)


@kernel
def _place(relative: Any, origin: Any, side: Any, sides: Any) -> tuple[Any, Any, Any]:
    """Return the voxel before a place, how far behind it the place is, and whether it lies in the volume."""
    snap = np.float32(_SNAP)
    inside = (relative >= np.float32(-origin) - snap) & (relative <= np.float32(side - 1 - origin) + snap)
    voxel = to_ints(relative)
    voxel = voxel - pick(to_floats(voxel) > relative, 1, 0) + origin
    voxel = pick(voxel < 0, 0, voxel)
    voxel = pick(voxel > sides - 2, sides - 2, voxel)
    behind = relative - to_floats(voxel - origin)
    behind = pick(behind < snap, np.float32(0), behind)
    return voxel, pick(behind > np.float32(1) - snap, np.float32(1), behind), inside


@kernel
def _blend_rows(  # noqa: PLR0917  # kernels take no objects
    voxels: Any,
    shape: Any,
    sides: Any,
    steps: Any,
    layers: Any,
    code: Any,
    first: Any,
    beyond: Any,
    values: Any,
) -> None:
    """Interpolate rows of a plane; `shape` is the array's, `sides` the volume's, which may be thinner."""
    _, rows, columns = shape
    line, layer_size = columns, columns * rows
    lane = to_floats(numbers())
    width = values.shape[1]
    out = np.empty(WIDTH, np.float32)
    nothing = np.float32(np.nan)
    dx = lane * np.float32(steps[1, 0])
    dy = lane * np.float32(steps[1, 1])
    dz = lane * np.float32(steps[1, 2])
    for row in range(first, beyond):
        for left in range(0, width, WIDTH):
            best, seen = floats(np.float32(0)), floats(np.float32(0))
            for layer in range(layers.shape[0]):
                # Far from the origin single precision is too coarse: places are told from a voxel near by.
                x = layers[layer, 0] + row * steps[2, 0] + left * steps[1, 0]
                y = layers[layer, 1] + row * steps[2, 1] + left * steps[1, 1]
                z = layers[layer, 2] + row * steps[2, 2] + left * steps[1, 2]
                i0 = int(np.floor(min(max(x, -1e6), 1e6)))
                j0 = int(np.floor(min(max(y, -1e6), 1e6)))
                k0 = int(np.floor(min(max(z, -1e6), 1e6)))
                i, u, in_i = _place(dx + np.float32(x - i0), i0, sides[2], columns)
                j, v, in_j = _place(dy + np.float32(y - j0), j0, sides[1], rows)
                k, w, in_k = _place(dz + np.float32(z - k0), k0, sides[0], shape[0])
                inside = in_i & in_j & in_k
                if not either(inside):
                    continue
                base = (k * rows + j) * columns + i
                a, other = take_pair(voxels, base, inside)
                a = a + u * (other - a)
                b, other = take_pair(voxels, base + line, inside)
                b = b + u * (other - b)
                a = a + v * (b - a)
                b, other = take_pair(voxels, base + layer_size, inside)
                b = b + u * (other - b)
                c, other = take_pair(voxels, base + (layer_size + line), inside)
                c = c + u * (other - c)
                b = b + v * (c - b)
                value = a + w * (b - a)
                if code == 1:
                    best = pick(inside, pick(seen > np.float32(0), most(best, value), value), best)
                elif code == 2:
                    best = pick(inside, pick(seen > np.float32(0), least(best, value), value), best)
                else:
                    best = best + pick(inside, value, np.float32(0))
                seen = seen + to_floats(inside)
            if code == 3:
                best = best / most(seen, np.float32(1))
            write(out, 0, pick(seen > np.float32(0), best, nothing))
            for slot in range(min(WIDTH, width - left)):
                values[row, left + slot] = out[slot]
