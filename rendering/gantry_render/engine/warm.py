"""Draws a little of everything, so that what draws is compiled."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from gantry_imaging.volume import Volume
from gantry_render.engine.cpu import CpuEngine
from gantry_render.engine.mpr import orthogonal_plane, sample_plane
from gantry_render.presets import get_preset
from gantry_render.protocol import SlabMode
from gantry_render.scene import Camera, LabelOverlay, Plane, Scene, SurfaceMesh, Tier

_SIDE = 20


def warm_engine() -> Iterator[str]:
    """Run every kernel of the ray caster and of planes for every kind of argument; say what comes next."""
    voxels = np.zeros((_SIDE, _SIDE, _SIDE), np.int16)
    voxels[5:15, 5:15, 5:15] = 1500
    volume = Volume(voxels, np.eye(4))
    labels = (voxels > 0).astype(np.uint8)
    corners = np.array([[0, 0, 0], [9, 0, 0], [0, 9, 0]], np.float32)
    mesh = SurfaceMesh(corners, np.array([[0, 1, 2]], np.int32), (1.0, 0.0, 0.0, 1.0))
    scene = Scene(Camera.looking_at(volume, (0.3, 1.0, 0.1), (0, 0, 1)), 32, 32, get_preset("CT-Bone"))
    yield "volumes"
    loaded = CpuEngine().load(volume)
    for tier in Tier:
        loaded.render(replace(scene, tier=tier))
    yield "segments and findings"
    overlay = LabelOverlay(labels, {1: (1.0, 0.0, 0.0, 0.8)})
    for tier in Tier:
        loaded.render(replace(scene, tier=tier, overlay=overlay, meshes=[mesh]))
    yield "projections"
    for name in ("CT-MIP", "CT-MinIP"):
        loaded.render(replace(scene, preset=get_preset(name)))
    loaded.close()
    yield "planes"
    for dtype in (np.int8, np.uint8, np.int16, np.uint16, np.float32):
        typed = volume.with_voxels((voxels // 100).astype(dtype))
        own = orthogonal_plane(typed, "axial", (5.0, 5.0, 5.0))
        sample_plane(typed, own)
        sample_plane(typed, Plane((0.5, 0.5, 0.5), own.row_lps, own.column_lps, (0.7, 0.7), 20, 20, 4.0, SlabMode.MIP))
