"""Pictures to bytes for the network."""

from typing import Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from gantry_imaging.errors import RenderError

MEDIA_TYPES: Final = ("image/jpeg", "image/png", "image/webp")

# From here on colour keeps its full resolution in JPEG: who asks for so much wants no coloured edges.
_FULL_CHROMA_QUALITY = 90


def encode_image(picture: NDArray[np.uint8], media_type: str, quality: int = 85) -> bytes:
    """Encode a rendered picture; grey stays one channel in JPEG and PNG (WebP knows only colour).

    Parameters
    ----------
    picture
        (height, width) or (height, width, 3), uint8.
    media_type
        One of `MEDIA_TYPES`.
    quality
        1 to 100 for JPEG and WebP; PNG is exact and tuned for speed, not size.

    Raises
    ------
    RenderError
        `render.bad_media_type` for any other type, `render.bad_quality` out of range.
    """
    if not 1 <= quality <= 100:
        raise RenderError("render.bad_quality", f"Quality goes from 1 to 100, not {quality}.")
    if media_type == "image/jpeg":
        subsampling = "444" if picture.ndim == 2 or quality >= _FULL_CHROMA_QUALITY else "420"
        return bytes(imagecodecs.jpeg8_encode(picture, level=quality, subsampling=subsampling))
    if media_type == "image/png":
        fast = imagecodecs.PNG.STRATEGY.RLE, imagecodecs.PNG.FILTER.SUB
        return bytes(imagecodecs.png_encode(picture, level=1, strategy=fast[0], filter=fast[1]))
    if media_type == "image/webp":
        colour = picture if picture.ndim == 3 else np.repeat(picture[..., np.newaxis], 3, axis=2)
        return bytes(imagecodecs.webp_encode(colour, level=quality, lossless=False, method=0))
    raise RenderError("render.bad_media_type", f"Pictures come as {', '.join(MEDIA_TYPES)}, not {media_type}.")
