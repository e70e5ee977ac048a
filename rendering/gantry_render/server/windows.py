"""Values to grey for the stream: by table where values are whole and short, in double precision elsewhere."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gantry_imaging.pack import VoiLut
from gantry_imaging.voi import Voi, VoiFunction, apply_voi
from gantry_render.server.kernels import look_up, sigmoid_values, window_values

_PERCENTILES: Final = (0.5, 99.5)
_SAMPLED: Final = 50_000


def to_grey(values: NDArray[Any], voi: Voi | VoiLut, is_inverted: bool) -> NDArray[np.uint8]:
    """Map (rows, columns) to grey by PS3.3 C.11.2, rounded to nearest; what is NaN stays black also where inverted."""
    if values.dtype.kind in "iu" and values.dtype.itemsize <= 2:
        table = _grey_table(voi, values.dtype.str, is_inverted)
        grey = np.empty(values.shape, np.uint8)
        look_up(values.view(f"u{values.dtype.itemsize}"), table, grey)
        return grey
    if isinstance(voi, VoiLut):
        looked_up = apply_voi(np.nan_to_num(values), voi.to_voi(0, 1), is_inverted)
        looked_up[np.isnan(values)] = 0
        return looked_up
    grey = np.empty(values.shape, np.uint8)
    if voi.function is VoiFunction.SIGMOID:
        sigmoid_values(values, voi.center, -4.0 / voi.width, is_inverted, grey)
        return grey
    # Of linear the standard takes half a unit off the centre and one off the width (C.11.2.1.2.1).
    is_linear = voi.function is VoiFunction.LINEAR
    center, width = (voi.center - 0.5, voi.width - 1) if is_linear else (voi.center, voi.width)
    window_values(values, center, 0.0 if width == 0 else 255.0 / width, center, is_inverted, grey)
    return grey


def percentile_window(values: NDArray[Any]) -> Voi:
    """Return the window that cuts the darkest and the brightest half percent off."""
    shown = values.ravel()[:: max(1, values.size // _SAMPLED)]
    if shown.dtype.kind == "f":
        shown = shown[np.isfinite(shown)]
    if shown.size == 0:
        return Voi.between(0, 1)
    low, high = (float(value) for value in np.percentile(shown, _PERCENTILES))
    return Voi.between(low, high if high > low else math.nextafter(low, math.inf) + 1)


@lru_cache(maxsize=256)
def _grey_table(voi: Voi | VoiLut, dtype: str, is_inverted: bool) -> NDArray[np.uint8]:
    """Grey of every 8- or 16-bit value, indexed by its bits."""
    size = np.dtype(dtype).itemsize
    every_value = np.arange(1 << (8 * size), dtype=f"u{size}").view(np.dtype(dtype))
    return apply_voi(every_value, voi.to_voi(0, 1) if isinstance(voi, VoiLut) else voi, is_inverted)
