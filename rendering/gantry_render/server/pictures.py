"""What a view's drawing is, before it is encoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gantry_render.protocol import Tier

LONG_SIDE: Final = {Tier.T0: 256, Tier.T1: 512}
"""Most pixels along the longer side of a motion frame."""

WHOLE: Final = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """A picture and what it shows.

    Parameters
    ----------
    pixels
        uint8 (height, width) grey, or (height, width, 3).
    place, region
        As in `protocol.Frame`.
    window
        Centre and width, NaN where there is none.
    is_full
        All pixels that the view can show are there: nothing better comes but a lossless encoding.
    is_exact
        All pixels of the source or of the view are there, so that a lossless encoding may be called lossless.
    is_inverted
        On the reader's wish.
    is_preview
        From half of the volume's resolution.
    """

    pixels: NDArray[np.uint8]
    place: float
    region: tuple[float, float, float, float]
    window: tuple[float, float]
    is_full: bool
    is_exact: bool
    is_inverted: bool = False
    is_preview: bool = False


NO_WINDOW: Final = (float("nan"), float("nan"))


def fit(width: int, height: int, tier: Tier) -> tuple[int, int]:
    """Return the size of a motion frame: the longer side cut to the tier's, proportions kept."""
    most = LONG_SIDE.get(tier)
    return (width, height) if most is None else cut(width, height, most)


def cut(width: int, height: int, most: int) -> tuple[int, int]:
    """Return the size with the longer side at most `most`, proportions kept."""
    if max(width, height) <= most:
        return width, height
    factor = most / max(width, height)
    return max(1, round(width * factor)), max(1, round(height * factor))
