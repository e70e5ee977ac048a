"""How large a moving picture in 3D may be, learned from how long the last ones took to draw."""

from __future__ import annotations

from typing import Final

from gantry_render.protocol import Tier
from gantry_render.server.pictures import LONG_SIDE

_BUDGET_S: Final = 0.024
"""With encoding and the way to the screen this leaves room for 25 pictures a second."""

_SIDES: Final = (256, 320, 384, 448, 512)
_KEEPS: Final = 0.7
_UP_AT: Final = 0.8


class Pace:
    """Drawing time of one session's moving pictures in 3D."""

    def __init__(self) -> None:
        self._per_pixel_s: float | None = None
        self._step = 2

    @property
    def side(self) -> int:
        """Most pixels along the longer side of the next picture, if the link bears them."""
        return _SIDES[self._step]

    def learn(self, pixels: int, seconds: float) -> None:
        """Take a picture's size and time."""
        sample = seconds / max(1, pixels)
        # The first picture after a change of preset prepares tables: one slow picture does not make a slow engine.
        known = sample if self._per_pixel_s is None else min(sample, 3 * self._per_pixel_s)
        self._per_pixel_s = known if self._per_pixel_s is None else _KEEPS * self._per_pixel_s + (1 - _KEEPS) * known
        # The shorter side is not known here: a square is the worst that it may be.
        if self._step > 0 and self._seconds(self._step) > _BUDGET_S:
            self._step -= 1
        elif self._step < len(_SIDES) - 1 and self._seconds(self._step + 1) < _UP_AT * _BUDGET_S:
            self._step += 1

    def cut(self, tier: Tier) -> int:
        """Return the longer side for a link's tier."""
        return min(self.side, LONG_SIDE.get(tier, LONG_SIDE[Tier.T1]))

    def _seconds(self, step: int) -> float:
        return _SIDES[step] ** 2 * (self._per_pixel_s or 0.0)
