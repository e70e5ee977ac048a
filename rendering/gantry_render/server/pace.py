"""How large a moving picture in 3D may be, learned from how long the last ones took to draw."""

from __future__ import annotations

from typing import Final

from gantry_render.protocol import Tier
from gantry_render.server.pictures import LONG_SIDE

_BUDGET_S: Final = 0.028
"""With encoding and the way to the screen this leaves room for 25 pictures a second."""

_KEEPS: Final = 0.7
_UP_AT: Final = 0.7


class Pace:
    """Drawing time of one session's moving pictures in 3D."""

    def __init__(self) -> None:
        self._per_pixel_s: float | None = None
        self._tier = Tier.T1

    def tier(self, pixels: int, seconds: float) -> Tier:
        """Take a picture's size and time; return the tier for the next one."""
        sample = seconds / max(1, pixels)
        # The first picture after a change of preset prepares tables: one slow picture does not make a slow engine.
        known = sample if self._per_pixel_s is None else min(sample, 3 * self._per_pixel_s)
        self._per_pixel_s = known if self._per_pixel_s is None else _KEEPS * self._per_pixel_s + (1 - _KEEPS) * known
        large = LONG_SIDE[Tier.T1] ** 2 * self._per_pixel_s
        if self._tier is Tier.T1 and large > _BUDGET_S:
            self._tier = Tier.T0
        elif self._tier is Tier.T0 and large < _UP_AT * _BUDGET_S:
            self._tier = Tier.T1
        return self._tier
