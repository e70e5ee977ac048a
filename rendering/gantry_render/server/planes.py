"""A plane or slab through a volume to a picture."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gantry_imaging.errors import RenderError
from gantry_imaging.voi import Voi, VoiFunction
from gantry_imaging.volume import Volume
from gantry_render import protocol
from gantry_render.engine.mpr import sample_plane
from gantry_render.errors import SceneError
from gantry_render.protocol import PlaneState, Tier
from gantry_render.scene import Plane
from gantry_render.server.pictures import WHOLE, Drawing, fit
from gantry_render.server.windows import percentile_window, to_grey

# Moving slabs are sampled in layers this much farther apart.
_MOVING_LAYERS: Final = 2.0
_MOST_LAYERS: Final = 1024


def draw_plane(
    volume: Volume,
    state: PlaneState,
    tier: Tier,
    default: Voi,
    labels: tuple[NDArray[Any], dict[int, Any]] | None = None,
) -> Drawing:
    """Sample a plane and window the samples; what lies outside the volume is black.

    Parameters
    ----------
    default
        Window for a state that names none.
    labels
        Label map on the volume's grid with the colours (red, green, blue, opacity) of its labels, drawn over it.

    Raises
    ------
    SceneError
        `scene.bad_plane`.
    RenderError
        `render.bad_window`.
    """
    asked = state.size
    size = fit(*asked, tier) if tier < Tier.T2 else asked
    plane = place_plane(volume, state, size, 1.0 if tier >= Tier.T2 else _MOVING_LAYERS)
    is_nearest = state.interpolation == "nearest" and len(plane.layer_offsets_mm) == 1
    values = sample_nearest(volume, plane) if is_nearest else sample_plane(volume, plane)
    voi = choose_voi(state.voi, values, default)
    pixels = to_grey(values, voi, state.invert)
    if labels is not None:
        pixels = _colour(volume, plane, pixels, *labels)
    place = float(np.dot(state.center_lps_mm, plane.normal_lps))
    is_full = size == asked
    return Drawing(pixels, place, WHOLE, (voi.center, voi.width), is_full, is_full, state.invert)


def place_plane(volume: Volume, state: PlaneState, size: tuple[int, int], layers: float) -> Plane:
    """Return the rectangle that a state asks for in `size` pixels; the same part of the patient for every size.

    Raises
    ------
    SceneError
        `scene.bad_plane`.
    """
    row, column = (np.asarray(direction, np.float64) for direction in (state.row_lps, state.column_lps))
    lengths = float(np.linalg.norm(row)), float(np.linalg.norm(column))
    if min(lengths) < 1e-6:
        raise SceneError("scene.bad_plane", "The plane has no directions.")
    row, column = row / lengths[0], column / lengths[1]
    across = state.spacing_mm * state.size[0] / size[0]
    down = state.spacing_mm * state.size[1] / size[1]
    origin = np.asarray(state.center_lps_mm) - row * across * (size[0] - 1) / 2 - column * down * (size[1] - 1) / 2
    x, y, z = (float(part) for part in origin)
    along = np.abs(volume.direction.T @ np.cross(row, column))
    layer_mm = layers * float(volume.spacing_ijk_mm @ along / max(float(along.sum()), 1e-9))
    return Plane(
        (x, y, z),
        (float(row[0]), float(row[1]), float(row[2])),
        (float(column[0]), float(column[1]), float(column[2])),
        (across, down),
        size[0],
        size[1],
        slab_mm=state.slab_mm,
        mode=state.slab_mode,
        layer_mm=max(layer_mm, state.slab_mm / _MOST_LAYERS),
    )


def choose_voi(asked: protocol.Voi, values: NDArray[Any], default: Voi) -> Voi:
    """Return the window of a plane; it has no lookup tables.

    Raises
    ------
    RenderError
        `render.bad_window`.
    """
    if asked.kind == "window":
        assert asked.center is not None and asked.width is not None
        return Voi(asked.center, asked.width, VoiFunction(asked.function))
    if asked.kind == "lut":
        raise RenderError("render.bad_window", "A plane through a volume has no VOI lookup table.")
    return percentile_window(values) if asked.kind == "auto" else default


def sample_nearest(volume: Volume, plane: Plane) -> NDArray[np.float32]:
    """Return the value of the voxel nearest to each sample, (rows, columns) float32, NaN outside."""
    inside, (i, j, k) = _nearest_voxels(volume, plane)
    values = np.full(inside.shape, np.nan, np.float32)
    values[inside] = volume.voxels_kji[k[inside], j[inside], i[inside]]
    return values


def _nearest_voxels(volume: Volume, plane: Plane) -> tuple[NDArray[np.bool_], tuple[NDArray[np.int32], ...]]:
    """Return which samples lie in the volume, and the indices i, j and k of the voxel nearest to each."""
    inverse = volume.ijk_from_lps
    turn = inverse[:3, :3]
    start = turn @ np.asarray(plane.origin_lps_mm) + inverse[:3, 3]
    across = turn @ np.asarray(plane.row_lps) * plane.spacing_mm[0]
    down = turn @ np.asarray(plane.column_lps) * plane.spacing_mm[1]
    columns, rows = np.arange(plane.columns), np.arange(plane.rows)
    ijk = tuple(
        np.rint(start[axis] + columns[np.newaxis] * across[axis] + rows[:, np.newaxis] * down[axis]).astype(np.int32)
        for axis in range(3)
    )
    inside = np.ones(ijk[0].shape, np.bool_)
    for index, side in zip(ijk, reversed(volume.shape_kji), strict=True):
        inside &= (index >= 0) & (index < side)
    return inside, ijk


def _colour(
    volume: Volume, plane: Plane, grey: NDArray[np.uint8], labels_kji: NDArray[Any], colours: dict[int, Any]
) -> NDArray[np.uint8]:
    """Blend the labels nearest to each sample over the picture."""
    inside, (i, j, k) = _nearest_voxels(volume, plane)
    found = np.zeros(grey.shape, np.uint8)
    found[inside] = labels_kji[k[inside], j[inside], i[inside]]
    table = np.zeros((256, 4), np.float32)
    for label, colour in colours.items():
        table[label] = colour
    paint = table[found]
    opacity = paint[..., 3:]
    blended = grey[..., np.newaxis] * (1 - opacity) + paint[..., :3] * 255 * opacity
    return (blended + 0.5).clip(0, 255).astype(np.uint8)
