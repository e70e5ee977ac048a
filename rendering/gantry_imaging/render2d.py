"""The 2D pipeline: decoded pixels to a picture, window by window as the standard has it (PS3.4 N.2)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from gantry_imaging.colour import MONOCHROME, to_rgb
from gantry_imaging.decode import decoded_photometric
from gantry_imaging.modality import to_modality_units
from gantry_imaging.part10 import refusing
from gantry_imaging.viewport import Interpolation, Viewport, resample
from gantry_imaging.voi import PRESETS, Voi, VoiFunction, apply_voi, default_voi

__all__ = [
    "PRESETS",
    "Interpolation",
    "Viewport",
    "Voi",
    "VoiFunction",
    "apply_voi",
    "default_voi",
    "render_frame",
    "render_values",
]


def render_frame(
    dataset: Dataset,
    stored: NDArray[Any],
    *,
    frame: int = 0,
    voi: Voi | None = None,
    viewport: Viewport | None = None,
    interpolation: Interpolation = "bilinear",
) -> NDArray[np.uint8]:
    """Render one frame; overlays and annotations stay out.

    Parameters
    ----------
    dataset
        The file's header, from `read_header`.
    stored
        The frame as `decode_frames(source, frame)` returned it.
    frame
        Which frame it is, from 0, for windows and rescaling per frame.
    voi
        How grey is shown; None for `default_voi`. Colour images have no window.
    viewport
        Region and size; None for the image's own pixels.
    interpolation
        Applied to grey values before the window.

    Returns
    -------
    NDArray[uint8]
        (height, width) grey or (height, width, 3) RGB.

    Raises
    ------
    RenderError
        `render.*`.
    DecodeError
        `pixel.corrupt`, `file.corrupt` for a palette, transformation or header that cannot be read.
    """
    with refusing("file.corrupt", "The header's description of the display cannot be read"):
        photometric = decoded_photometric(dataset)
        aspect = pixel_aspect(dataset)
    if photometric not in MONOCHROME:
        rgb = to_rgb(stored, dataset)
        if viewport is None:
            return rgb
        return resample(rgb, viewport, pixel_aspect=aspect, interpolation=interpolation)
    values = to_modality_units(stored, dataset, frame)
    return render_values(
        values,
        default_voi(dataset, values, frame) if voi is None else voi,
        viewport=viewport,
        invert=photometric == "MONOCHROME1",
        aspect=aspect,
        interpolation=interpolation,
    )


def render_values(
    values: NDArray[Any],
    voi: Voi,
    *,
    viewport: Viewport | None = None,
    invert: bool = False,
    aspect: float = 1.0,
    interpolation: Interpolation = "bilinear",
) -> NDArray[np.uint8]:
    """Render grey values in modality units, such as a slice of a volume; see `render_frame`."""
    if viewport is not None:
        values = resample(values, viewport, pixel_aspect=aspect, interpolation=interpolation)
    return apply_voi(values, voi, invert)


def pixel_aspect(dataset: Dataset) -> float:
    """Height of a pixel divided by its width: from spacing, else from Pixel Aspect Ratio, else 1."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "PixelAspectRatio"):
        try:
            vertical, horizontal = (float(number) for number in dataset.get(keyword) or ())
        except (TypeError, ValueError):
            continue
        if 0.1 < vertical / horizontal < 10 if horizontal > 0 else False:
            return vertical / horizontal
    return 1.0
