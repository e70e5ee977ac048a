"""The scene that benchmarks turn: bone, seen from the front, slightly from above."""

from __future__ import annotations

from gantry_imaging.volume import Volume
from gantry_render.presets import get_preset
from gantry_render.scene import Camera, Scene


def bone_scene(volume: Volume, side: int) -> Scene:
    """Return the bone preset on `side` x `side` pixels."""
    camera = Camera.looking_at(volume, (0.0, -1.0, 0.15), (0, 0, 1), zoom=1.35)
    return Scene(camera, side, side, get_preset("CT-Bone"))
