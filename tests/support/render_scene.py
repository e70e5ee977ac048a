"""The scene that benchmarks draw: bone under a headlight, seen from the front, slightly from above."""

from __future__ import annotations

from dataclasses import replace

from gantry_imaging.volume import Volume
from gantry_render.presets import Shading, get_preset
from gantry_render.scene import Camera, Scene


def bone_scene(volume: Volume, side: int) -> Scene:
    """Return the bone preset on `side` x `side` pixels, as `bench_render_engine` draws it."""
    preset = replace(get_preset("CT-Bone"), shading=Shading(0.22, 0.78, 0.0, 1.0, (0.0, 0.0, 1.0)))
    camera = Camera.looking_at(volume, (0.0, -1.0, 0.15), (0, 0, 1), zoom=1.35)
    return Scene(camera, side, side, preset)
