"""What of a series a pod holds: all of it, its slices and half of its resolution, or its slices alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from gantry_imaging.pack import PackIndex
from gantry_render.engine.port import Engine
from gantry_render.server.trouble import Trouble

_FRAMES_SHARE: Final = 4
"""The frames of what is not held whole get this part of the memory."""
PREVIEWED_FROM_BYTES: Final = 32 << 20
"""Smaller volumes are there before a preview would be."""


@dataclass(frozen=True, slots=True)
class Room:
    """What is admitted.

    Parameters
    ----------
    size_bytes
        The most that it will take, the engine's copies included.
    frames_bytes
        None where all is held; otherwise so much of the frames, least recently used out.
    is_reduced
        Planes and 3D are drawn from half of the resolution.
    refusal
        Why a volume has no planes and no 3D here.
    """

    size_bytes: int
    frames_bytes: int | None = None
    is_reduced: bool = False
    refusal: Trouble | None = None


def plan_room(index: PackIndex, engine: Engine, bound_bytes: int, *, has_segments: bool = False) -> Room:
    """Decide what of a series to hold in a pod of so much memory; its slices can always be shown."""
    whole = predict_bytes(index, engine, has_segments=has_segments)
    frames = max(bound_bytes // _FRAMES_SHARE, 3 * max(math.prod(frame.shape) * 4 for frame in index.frames))
    if index.kind == "stack":
        return Room(whole) if whole <= bound_bytes // _FRAMES_SHARE else Room(frames, frames)
    if whole <= bound_bytes:
        return Room(whole)
    half = frames + half_bytes(index, engine)
    if index.levels and half <= bound_bytes:
        return Room(half, frames, is_reduced=True)
    sentence = (
        f"This series needs {_megabytes(whole)} of memory for planes and 3D; this server has {_megabytes(bound_bytes)}. "
        "Its slices are shown."
    )
    return Room(frames, frames, refusal=Trouble("study.too_large", sentence))


def predict_bytes(index: PackIndex, engine: Engine, *, has_segments: bool = False) -> int:
    """Return the most memory that a series held whole will take, the engine's copies included."""
    size = index.volume_bytes
    if index.kind == "volume" and index.shape_kji is not None:
        size += engine.predicted_bytes(index.shape_kji, index.dtype.itemsize)
        if has_segments:
            # The masks, their union, and the engine's smoothed copy of it.
            size += 3 * math.prod(index.shape_kji)
        if is_previewed(index):
            size += half_bytes(index, engine)
    return size


def is_previewed(index: PackIndex) -> bool:
    """Tell whether planes and 3D move at half of the resolution until the whole is there."""
    return bool(index.levels) and index.volume_bytes >= PREVIEWED_FROM_BYTES


def half_bytes(index: PackIndex, engine: Engine) -> int:
    """Return what the volume takes at half of its resolution, 0 where the pack has no such level."""
    if not index.levels:
        return 0
    shape, item = index.levels[0].shape_kji, index.dtype.itemsize
    return math.prod(shape) * item + engine.predicted_bytes(shape, item)


def _megabytes(size: int) -> str:
    return f"{size / (1 << 20):,.0f} MiB"
