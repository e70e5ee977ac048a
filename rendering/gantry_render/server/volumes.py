"""The volume in 3D to a picture, through whichever engine this pod has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from gantry_render import scene
from gantry_render.engine.port import Loaded
from gantry_render.presets import get_preset
from gantry_render.protocol import VolumeState
from gantry_render.scene import Camera, CropBox, LabelOverlay, Scene, SurfaceMesh
from gantry_render.server.pace import Moving
from gantry_render.server.pictures import NO_WINDOW, WHOLE, Drawing, cut

# The engine draws through the halved volume at half of what it is asked for.
_ENGINE_HALVES: Final = 2


def draw_volume(
    loaded: Loaded,
    state: VolumeState,
    moving: Moving | None,
    meshes: Mapping[str, SurfaceMesh],
    overlay: LabelOverlay | None,
    cancelled: Callable[[], bool],
) -> Drawing:
    """Draw the volume; findings and segments lie in the same depth.

    Parameters
    ----------
    moving
        How a moving picture is drawn; None for a settled one of the state's own size.
    meshes
        Of the results that the state names and that could be read.
    cancelled
        Asked while drawing.

    Raises
    ------
    SceneError
        `scene.*` for what cannot be seen.
    EngineError
        `engine.cancelled`, `engine.closed`.
    """
    size, is_halved = state.size, moving is not None and moving.is_halved
    if moving is not None:
        size = cut(*state.size, moving.side)
    if is_halved:
        size = size[0] * _ENGINE_HALVES, size[1] * _ENGINE_HALVES
    picture = loaded.render(to_scene(state, size, is_halved, meshes, overlay), cancelled)
    is_settled = moving is None
    return Drawing(np.ascontiguousarray(picture.rgb), 0.0, WHOLE, NO_WINDOW, is_settled, is_settled)


def halve_crop(state: VolumeState) -> VolumeState:
    """Return a state whose crop box is in voxels of half of the resolution; the middle of two lies between them."""
    if state.crop_low_ijk is None or state.crop_high_ijk is None:
        return state
    low, high = (
        tuple((each + 0.5) / 2 - 0.5 for each in corner) for corner in (state.crop_low_ijk, state.crop_high_ijk)
    )
    return replace(state, crop_low_ijk=low, crop_high_ijk=high)  # type: ignore[arg-type]  # three each


def to_scene(
    state: VolumeState,
    size: tuple[int, int],
    is_halved: bool,
    meshes: Mapping[str, SurfaceMesh],
    overlay: LabelOverlay | None,
) -> Scene:
    """Return the engine's scene for a state in `size` pixels.

    Raises
    ------
    SceneError
        `scene.*`.
    """
    camera = state.camera
    shown = [meshes[each] for each in state.meshes if each in meshes]
    if state.mesh_opacity < 1:
        shown = [replace(mesh, colour=(*mesh.colour[:3], mesh.colour[3] * state.mesh_opacity)) for mesh in shown]
    crop = None
    if state.crop_low_ijk is not None and state.crop_high_ijk is not None:
        crop = CropBox(state.crop_low_ijk, state.crop_high_ijk)
    return Scene(
        Camera(
            camera.position_lps_mm,
            camera.focal_point_lps_mm,
            camera.view_up_lps,
            camera.parallel_scale_mm,
            camera.view_angle_deg,
        ),
        size[0],
        size[1],
        get_preset(state.preset),
        window_shift=state.window_shift,
        window_scale=state.window_scale,
        crop=crop,
        tier=scene.Tier.MOTION if is_halved else scene.Tier.SETTLED,
        overlay=overlay,
        meshes=shown,
    )
