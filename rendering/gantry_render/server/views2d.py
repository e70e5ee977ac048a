"""One frame of a stack to a picture: the part on the screen, never more pixels than the source has there."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gantry_imaging.errors import RenderError
from gantry_imaging.pack import FrameEntry, VoiLut
from gantry_imaging.voi import Voi, VoiFunction
from gantry_render import protocol
from gantry_render.protocol import StackState, Tier
from gantry_render.server.kernels import average_area
from gantry_render.server.pictures import NO_WINDOW, Drawing, fit
from gantry_render.server.windows import percentile_window, to_grey

# Shrinking by less than this saves little and softens: the source's own pixels are sent.
_WORTH_SHRINKING: Final = 0.8


def draw_frame(values: NDArray[Any], entry: FrameEntry, state: StackState, tier: Tier) -> Drawing:
    """Draw what `state` shows of one frame.

    Parameters
    ----------
    values
        (rows, columns) in modality units, or (rows, columns, 3) uint8.
    entry
        What the pack says of the frame.
    tier
        T0 and T1 cut the longer side, T2 sends what the view can show, T3 every pixel of the source.

    Raises
    ------
    RenderError
        `render.bad_viewport` where the region lies outside the image, `render.bad_window`.
    """
    rows, columns = values.shape[:2]
    left, top, right, bottom = cut_region(state, columns, rows)
    source = values[top:bottom, left:right]
    width, height = right - left, bottom - top
    target = _target(state, width, height, tier)
    is_exact = target == (width, height)
    shown = source if is_exact else _shrink(source, *target)
    region = float(left), float(top), float(width), float(height)
    is_full = tier >= Tier.T2 or target == _target(state, width, height, Tier.T2)
    place = float(state.frame)
    if values.ndim == 3:
        pixels = np.ascontiguousarray(shown)
        pixels = np.invert(pixels) if state.invert else pixels
        return Drawing(pixels, place, region, NO_WINDOW, is_full, is_exact, state.invert)
    voi = choose_voi(state.voi, entry, source)
    pixels = to_grey(shown, voi, state.invert != (entry.photometric == "MONOCHROME1"))
    return Drawing(pixels, place, region, window_of(voi), is_full, is_exact, state.invert)


def choose_voi(asked: protocol.Voi, entry: FrameEntry, values: NDArray[Any]) -> Voi | VoiLut:
    """Return the window or table that a state asks for.

    Raises
    ------
    RenderError
        `render.bad_window` for a table that the image does not have.
    """
    if asked.kind == "window":
        assert asked.center is not None and asked.width is not None
        return Voi(asked.center, asked.width, VoiFunction(asked.function))
    if asked.kind == "lut":
        if asked.index >= len(entry.voi_luts):
            raise RenderError("render.bad_window", "The image has no VOI lookup table of this number.")
        return entry.voi_luts[asked.index]
    if asked.kind == "auto":
        # Of the whole frame, so that panning does not change the grey of a place.
        return entry.auto_voi() if entry.chunk is not None else percentile_window(values)
    if entry.default_lut is not None:
        return entry.voi_luts[entry.default_lut]
    return entry.default_voi() or percentile_window(values)


def window_of(voi: Voi | VoiLut) -> tuple[float, float]:
    """Return centre and width; NaN for a table."""
    return NO_WINDOW if isinstance(voi, VoiLut) else (voi.center, voi.width)


def cut_region(state: StackState, columns: int, rows: int) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom in whole pixels: the region widened outward, then cut to the image.

    Raises
    ------
    RenderError
        `render.bad_viewport`.
    """
    if state.region is None:
        return 0, 0, columns, rows
    x, y, across, down = state.region
    left, top = max(0, math.floor(x)), max(0, math.floor(y))
    right, bottom = min(columns, math.ceil(x + across)), min(rows, math.ceil(y + down))
    if right <= left or bottom <= top:
        raise RenderError("render.bad_viewport", "The region lies outside the image.")
    return left, top, right, bottom


def _target(state: StackState, width: int, height: int, tier: Tier) -> tuple[int, int]:
    """Return the picture's size for a region of width x height source pixels."""
    if tier is Tier.T3:
        return width, height
    asked_across, asked_down = (width, height) if state.region is None else state.region[2:]
    factor = min(1.0, max(state.size[0] / asked_across, state.size[1] / asked_down))
    if factor > _WORTH_SHRINKING:
        factor = 1.0
    return fit(max(1, round(width * factor)), max(1, round(height * factor)), tier)


def _shrink(source: NDArray[Any], width: int, height: int) -> NDArray[Any]:
    if source.ndim == 3:
        image = Image.fromarray(np.ascontiguousarray(source))
        return np.asarray(image.resize((width, height), Image.Resampling.BOX))
    return average_area(source, width, height)
