"""Planes through a volume at any angle, thin or as slabs. Values stay values: windowing is `gantry_imaging.voi`'s."""

from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gantry_imaging.volume import Volume
from gantry_render.engine.jit import in_bands, kernel
from gantry_render.scene import Plane, SlabMode, Vector

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


def sample_plane(volume: Volume, plane: Plane) -> NDArray[Any]:
    """Sample a plane or slab, linear between voxels.

    Returns
    -------
    NDArray
        (rows, columns). The voxels themselves, in their own type, where every sample is a voxel's centre inside the
        volume and nothing is averaged; otherwise float32, NaN where the plane leaves the volume.
    """
    inverse = volume.ijk_from_lps
    turn = inverse[:3, :3]
    normal = turn @ plane.normal_lps
    steps = np.stack(
        [
            turn @ np.asarray(plane.origin_lps_mm) + inverse[:3, 3],
            turn @ np.asarray(plane.row_lps) * plane.spacing_mm[0],
            turn @ np.asarray(plane.column_lps) * plane.spacing_mm[1],
        ]
    )
    offsets = plane.layer_offsets_mm[:, np.newaxis] * normal
    values = np.empty((plane.rows, plane.columns), np.float32)
    exact = np.ones(plane.rows, np.bool_)
    voxels = np.ascontiguousarray(volume.voxels_kji)
    code = _CODES[plane.mode]
    if voxels.dtype.itemsize > 4 or voxels.dtype.kind == "b" or not voxels.dtype.isnative:
        voxels = voxels.astype(np.float32)
    in_bands(lambda first, beyond: _sample_rows(voxels, steps, offsets, code, first, beyond, values, exact), plane.rows)
    # Integers up to 24 bits pass through float32 unchanged.
    if exact.all() and code != _CODES[SlabMode.AVERAGE] and volume.voxels_kji.dtype.itemsize <= 2:
        return values.astype(volume.voxels_kji.dtype)
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
def _sample_rows(  # noqa: PLR0917  # kernels take no objects
    voxels: Any,
    steps: Any,
    offsets: Any,
    code: Any,
    first: Any,
    beyond: Any,
    values: Any,
    exact: Any,
) -> Any:
    slices, rows, columns = voxels.shape
    for row in range(first, beyond):
        whole = True
        for column in range(values.shape[1]):
            best = 0.0
            seen = 0
            for layer in range(offsets.shape[0]):
                x = steps[0, 0] + row * steps[2, 0] + column * steps[1, 0] + offsets[layer, 0]
                y = steps[0, 1] + row * steps[2, 1] + column * steps[1, 1] + offsets[layer, 1]
                z = steps[0, 2] + row * steps[2, 2] + column * steps[1, 2] + offsets[layer, 2]
                near_x, near_y, near_z = np.rint(x), np.rint(y), np.rint(z)
                x = near_x if abs(x - near_x) < _SNAP else x
                y = near_y if abs(y - near_y) < _SNAP else y
                z = near_z if abs(z - near_z) < _SNAP else z
                if x < 0 or y < 0 or z < 0 or x > columns - 1 or y > rows - 1 or z > slices - 1:
                    continue
                i, j, k = int(x), int(y), int(z)
                u, v, w = x - i, y - j, z - k
                i_next, j_next, k_next = min(i + 1, columns - 1), min(j + 1, rows - 1), min(k + 1, slices - 1)
                if u == 0 and v == 0 and w == 0:
                    value = float(voxels[k, j, i])
                else:
                    whole = False
                    value = (1 - w) * (
                        (1 - v) * ((1 - u) * voxels[k, j, i] + u * voxels[k, j, i_next])
                        + v * ((1 - u) * voxels[k, j_next, i] + u * voxels[k, j_next, i_next])
                    ) + w * (
                        (1 - v) * ((1 - u) * voxels[k_next, j, i] + u * voxels[k_next, j, i_next])
                        + v * ((1 - u) * voxels[k_next, j_next, i] + u * voxels[k_next, j_next, i_next])
                    )
                if seen == 0:
                    best = value
                elif code == 1:
                    best = max(best, value)
                elif code == 2:
                    best = min(best, value)
                else:
                    best += value
                seen += 1
            if seen == 0:
                values[row, column] = np.nan
                whole = False
            else:
                values[row, column] = best / seen if code == 3 else best
        exact[row] = whole
