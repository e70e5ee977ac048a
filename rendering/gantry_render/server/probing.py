"""The value under the cursor."""

from __future__ import annotations

import numpy as np

from gantry_imaging.errors import PackError
from gantry_render.protocol import Probe
from gantry_render.server.loading import Series

_OUTSIDE = None, ""


def probe(series: Series, asked: Probe) -> tuple[float | None, str]:
    """Return the value at a pixel of a frame or a point of the volume, and it as text with its unit."""
    try:
        return _at_point(series, asked.point_lps_mm) if asked.point_lps_mm is not None else _at_pixel(series, asked)
    except PackError:
        return _OUTSIDE


def _at_pixel(series: Series, asked: Probe) -> tuple[float | None, str]:
    if asked.frame is None or asked.frame >= len(series.index.frames) or not series.has(asked.frame):
        return _OUTSIDE
    entry = series.index.frames[asked.frame]
    with series.frame(asked.frame) as values:
        rows, columns = values.shape[:2]
        if asked.row >= rows or asked.column >= columns:
            return _OUTSIDE
        if values.ndim == 3:
            red, green, blue = (int(part) for part in values[asked.row, asked.column])
            return None, f"{red} {green} {blue}"
        value = float(values[asked.row, asked.column])
    return value, describe(value, entry.units or series.index.units)


def _at_point(series: Series, point_lps_mm: tuple[float, float, float]) -> tuple[float | None, str]:
    with series.volume() as volume:
        inverse = volume.ijk_from_lps
        i, j, k = (round(float(part)) for part in inverse[:3, :3] @ np.asarray(point_lps_mm) + inverse[:3, 3])
        slices, rows, columns = volume.shape_kji
        if not (0 <= i < columns and 0 <= j < rows and 0 <= k < slices):
            return _OUTSIDE
        value = float(volume.voxels_kji[k, j, i])
    return value, describe(value, series.index.units)


def describe(value: float, unit: str) -> str:
    """Return a value as it is shown: whole numbers whole, others to four digits."""
    number = f"{value:.0f}" if value == int(value) else f"{value:.4g}"
    return f"{number} {unit}".rstrip()


__all__ = ["describe", "probe"]
