"""Which part of an image, how large, and mirrored or not (PS3.18 8.3.5.1.3)."""

import math
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gantry_imaging.errors import RenderError

Interpolation: TypeAlias = Literal["nearest", "bilinear"]

_MAX_SIDE_PIXELS = 8192
_MAX_PIXELS = 1 << 24
_RESAMPLING = {"nearest": Image.Resampling.NEAREST, "bilinear": Image.Resampling.BILINEAR}


@dataclass(frozen=True, slots=True)
class Viewport:
    """Fit a region of the source into `width` x `height` pixels, keeping its proportions.

    The region begins at (`left`, `top`) and is `region_width` x `region_height` source pixels, pixel edges at
    integers; None means: to the far edge. Negative extents mirror the picture; the region stays the same.

    Raises
    ------
    RenderError
        `render.bad_viewport` for what is not positive, finite, within 8192 a side and 16 megapixels.
    """

    width: int
    height: int
    left: float = 0.0
    top: float = 0.0
    region_width: float | None = None
    region_height: float | None = None

    def __post_init__(self) -> None:
        fits = 0 < self.width <= _MAX_SIDE_PIXELS and 0 < self.height <= _MAX_SIDE_PIXELS
        region = [self.left, self.top, *(e for e in (self.region_width, self.region_height) if e is not None)]
        if (
            not fits
            or self.width * self.height > _MAX_PIXELS
            or not all(map(math.isfinite, region))
            or 0 in (self.region_width, self.region_height)
        ):
            raise RenderError("render.bad_viewport", f"A viewport of {self.width} x {self.height} is not possible.")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the `viewport` query parameter `vw,vh[,sx,sy[,sw,sh]]`; single values may be left empty.

        Raises
        ------
        RenderError
            `render.bad_viewport`.
        """
        parts = [part.strip() for part in text.split(",")]
        try:
            if len(parts) not in (2, 4, 6):
                raise ValueError
            width, height = int(parts[0]), int(parts[1])
            left, top, region_width, region_height = (float(p) if p else None for p in [*parts[2:], *[""] * 4][:4])
        except ValueError:
            raise RenderError("render.bad_viewport", "A viewport is vw,vh[,sx,sy,sw,sh] in numbers.") from None
        return cls(width, height, abs(left or 0.0), abs(top or 0.0), region_width, region_height)


def resample(
    image: NDArray[Any],
    viewport: Viewport,
    *,
    pixel_aspect: float = 1.0,
    interpolation: Interpolation = "bilinear",
) -> NDArray[Any]:
    """Cut, scale and mirror.

    Parameters
    ----------
    image
        Grey values (rows, columns) of any number type, or (rows, columns, 3) uint8.
    viewport
        Region and target size.
    pixel_aspect
        Height of a source pixel divided by its width.
    interpolation
        Bilinear averages over the covered area when it shrinks; nearest invents no value.

    Returns
    -------
    NDArray
        float32 for grey and bilinear, so that a window applied afterwards is exact; otherwise the source's
        type.

    Raises
    ------
    RenderError
        `render.bad_viewport` where the region lies outside the image.
    """
    rows, columns = image.shape[:2]
    left, top = viewport.left, viewport.top
    region_width = columns - left if viewport.region_width is None else abs(viewport.region_width)
    region_height = rows - top if viewport.region_height is None else abs(viewport.region_height)
    right, bottom = min(columns, left + region_width), min(rows, top + region_height)
    left, top = max(0.0, left), max(0.0, top)
    if right <= left or bottom <= top:
        raise RenderError("render.bad_viewport", "The viewport's region lies outside the image.")
    box = left, top, right, bottom
    scale = min(viewport.width / (right - left), viewport.height / ((bottom - top) * pixel_aspect))
    size = (
        min(viewport.width, max(1, round((right - left) * scale))),
        min(viewport.height, max(1, round((bottom - top) * pixel_aspect * scale))),
    )
    resampled = _resize(image, size, box, interpolation)
    if viewport.region_width is not None and viewport.region_width < 0:
        resampled = resampled[:, ::-1]
    if viewport.region_height is not None and viewport.region_height < 0:
        resampled = resampled[::-1]
    return np.ascontiguousarray(resampled)


def _resize(
    image: NDArray[Any],
    size: tuple[int, int],
    box: tuple[float, float, float, float],
    interpolation: Interpolation,
) -> NDArray[Any]:
    rows, columns = image.shape[:2]
    if size == (columns, rows) and box == (0, 0, columns, rows):
        return image
    if interpolation == "nearest":
        left, top, right, bottom = box
        i = (left + (np.arange(size[0]) + 0.5) * (right - left) / size[0]).astype(np.intp)
        j = (top + (np.arange(size[1]) + 0.5) * (bottom - top) / size[1]).astype(np.intp)
        picked: NDArray[Any] = image[j[:, np.newaxis], i]
        return picked
    source = Image.fromarray(image if image.ndim == 3 else image.astype(np.float32))
    return np.asarray(source.resize(size, Image.Resampling.BILINEAR, box=box))
