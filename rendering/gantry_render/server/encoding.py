"""Which codec a drawing travels in."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gantry_imaging.encode import encode_image
from gantry_render.protocol import MediaType, Tier

_QUALITY: Final = {Tier.T0: 40, Tier.T1: 50, Tier.T2: 90}
_AVIF_QUALITY: Final = 75
"""A third fewer bytes than JPEG q90 for 12 ms at 512 x 512 (AVIF speed 10)."""
_AVIF_MOVING_QUALITY: Final = 44
"""At 256 x 256 of chest CT as good as JPEG q40 (PSNR) in a third fewer bytes, for 3 ms: 20 ms of a 750 kbit/s link."""

_AVIF_FROM_PIXELS: Final = 128 * 128
_WEBP_QUALITY: Final = 90


def encode(
    pixels: NDArray[np.uint8], tier: Tier, *, accept: tuple[str, ...], is_lossless: bool, is_low: bool
) -> tuple[MediaType, bytes]:
    """Encode a picture.

    Parameters
    ----------
    tier
        T0 and T1 move, T2 is settled, T3 exact.
    accept
        Media types that the client reads, JPEG and PNG always; WebP before JPEG means that it asks for WebP.
    is_lossless
        Exact to the bit.
    is_low
        The link bears so little that a slower, smaller codec is worth its time.
    """
    if is_lossless:
        if prefers_webp(accept):
            return MediaType.WEBP, encode_image(pixels, "image/webp", lossless=True)
        return MediaType.PNG, encode_image(pixels, "image/png")
    quality = _QUALITY.get(tier, _QUALITY[Tier.T2])
    if is_low and "image/avif" in accept and pixels.size >= _AVIF_FROM_PIXELS:
        if tier >= Tier.T2:
            return MediaType.AVIF, encode_image(pixels, "image/avif", _AVIF_QUALITY)
        if tier is Tier.T0 and pixels.ndim == 2:
            return MediaType.AVIF, encode_image(pixels, "image/avif", _AVIF_MOVING_QUALITY)
    if prefers_webp(accept) and tier >= Tier.T2:
        return MediaType.WEBP, encode_image(pixels, "image/webp", _WEBP_QUALITY)
    return MediaType.JPEG, encode_image(pixels, "image/jpeg", quality)


def prefers_webp(accept: tuple[str, ...]) -> bool:
    """Whether a client lists WebP before JPEG."""
    return "image/webp" in accept and accept.index("image/webp") < (
        accept.index("image/jpeg") if "image/jpeg" in accept else len(accept)
    )
