"""Compiles, or takes from the disk, what a first picture would wait for."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gantry_imaging.encode import encode_image
from gantry_imaging.voi import Voi, VoiFunction
from gantry_imaging.volume import Volume
from gantry_render.engine.mpr import orthogonal_plane, sample_plane
from gantry_render.protocol import SlabMode
from gantry_render.server.kernels import average_area
from gantry_render.server.windows import to_grey


def warm_up() -> None:
    """Run every kernel and codec of 2D and planes once; the engine's own are its own to run."""
    for dtype in (np.int16, np.uint8, np.float32):
        values: NDArray[Any] = np.zeros((12, 12), dtype)
        for function in VoiFunction:
            to_grey(values, Voi(40, 400, function), False)
        # Parts of an image are not contiguous, and compiled apart.
        to_grey(values[2:8, 2:8], Voi(40, 400), False)
        for side in (6, 5):
            average_area(values, side, side)
            average_area(values[2:12, 2:12], 5, min(side, 5))
    for dtype in (np.int16, np.float32):
        volume = Volume(np.zeros((4, 4, 4), dtype), np.eye(4))
        sample_plane(volume, orthogonal_plane(volume, "axial", (1.0, 1.0, 1.0), slab_mm=1.0, mode=SlabMode.MIP))
    for media_type in ("image/jpeg", "image/png", "image/webp", "image/avif"):
        encode_image(np.zeros((16, 16), np.uint8), media_type)
        encode_image(np.zeros((16, 16, 3), np.uint8), media_type)
