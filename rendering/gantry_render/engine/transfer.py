"""Transfer functions made ready for a ray: what a step between two values adds to a pixel, worked out beforehand.

Pre-integration (Engel, Kraus, Ertl 2001): a step's colour and opacity depend on the values at its two ends alone if
the value between them runs straight, so that steps may be as long as a voxel without layers showing.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gantry_render.engine.jit import in_bands, kernel
from gantry_render.presets import Preset

LEVELS: Final = 256
"""Values told apart along each side of the tables."""

# Into how many parts a step is cut to integrate it.
_PARTS: Final = 12
_LEAST_SPAN: Final = 0.15
_ROOM: Final = 0.2


@dataclass(frozen=True, slots=True, eq=False)
class StepTables:
    """What a step from one level to another adds.

    Parameters
    ----------
    alpha
        float32 (LEVELS, LEVELS), [value at the end, value at the beginning]: opacity of the step.
    light
        float32 (LEVELS, LEVELS, 4): red, green and blue times opacity, and where along the step, 0 to 1, its
        opacity has its middle.
    low, scale
        Level = (value - low) * scale, cut to the table.
    """

    alpha: NDArray[np.float32]
    light: NDArray[np.float32]
    low: float
    scale: float


def visible_intervals(preset: Preset) -> NDArray[np.float32]:
    """Return the open ranges of values with any opacity, (n, 2)."""
    values = [-np.inf, *(value for value, _ in preset.opacity), np.inf]
    opacities = [preset.opacity[0][1], *(opacity for _, opacity in preset.opacity), preset.opacity[-1][1]]
    found: list[list[float]] = []
    for n in range(len(values) - 1):
        if opacities[n] <= 0 and opacities[n + 1] <= 0:
            continue
        if found and found[-1][1] == values[n]:
            found[-1][1] = values[n + 1]
        else:
            found.append([values[n], values[n + 1]])
    return np.asarray(found, np.float32).reshape(-1, 2)


def build_tables(preset: Preset, step_mm: float, lowest: float, highest: float) -> StepTables:
    """Integrate every possible step of a preset in the volume's units.

    Parameters
    ----------
    lowest, highest
        Range of the volume's values: levels are not wasted on what does not occur, and a ramp that is steep against
        it gets room on both sides.
    """
    values, opacities = (np.array(column, np.float64) for column in zip(*preset.opacity, strict=True))
    colour_at, *channels = (np.array(column, np.float64) for column in zip(*preset.colour, strict=True))
    first = float(values[0])
    span = max(min(float(values[-1]), highest) - first, _LEAST_SPAN * (highest - lowest), 1e-6)
    # A step into tissue begins well below its first visible value, and where it crosses it must be told.
    low, last = first - _ROOM * span, first + span
    levels = np.linspace(low, last, LEVELS * _PARTS)
    opacity = np.clip(np.interp(levels, values, opacities), 0, 0.9999)
    thin = (-np.expm1(np.log1p(-opacity) * step_mm / _PARTS)).astype(np.float32)
    rgb = np.stack([np.interp(levels, colour_at, channel) for channel in channels], axis=1).astype(np.float32)
    alpha = np.empty((LEVELS, LEVELS), np.float32)
    light = np.empty((LEVELS, LEVELS, 4), np.float32)
    in_bands(lambda first, beyond: _integrate(thin, rgb, alpha, light, first, beyond), LEVELS)
    return StepTables(alpha, light, low, (LEVELS - 1) / (last - low))


@kernel
def _integrate(
    thin: NDArray[np.float32],
    rgb: NDArray[np.float32],
    alpha: NDArray[np.float32],
    light: NDArray[np.float32],
    first: int,
    beyond: int,
) -> None:
    whole = np.float32(1)
    for end in range(first, beyond):
        for begin in range(LEVELS):
            through = whole
            red = green = blue = moment = np.float32(0)
            start = np.float32(begin * (LEVELS * _PARTS - 1)) / np.float32(LEVELS - 1)
            rise = np.float32((end - begin) * (LEVELS * _PARTS - 1)) / np.float32((LEVELS - 1) * _PARTS)
            for part in range(_PARTS):
                level = int(start + rise * np.float32(part + 0.5))
                added = through * thin[level]
                red += added * rgb[level, 0]
                green += added * rgb[level, 1]
                blue += added * rgb[level, 2]
                moment += added * np.float32((part + 0.5) / _PARTS)
                through -= added
            alpha[end, begin] = whole - through
            light[end, begin, 0] = red
            light[end, begin, 1] = green
            light[end, begin, 2] = blue
            light[end, begin, 3] = moment / max(whole - through, np.float32(1e-12))
