"""How good a moving picture in 3D may be, learned from how long the last ones took to draw."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from gantry_render.protocol import Tier
from gantry_render.server.pictures import LONG_SIDE

_BUDGET_S: Final = 0.030
"""The next picture is drawn while this one travels and is painted: with encoding that leaves room for 25 a second."""


@dataclass(frozen=True, slots=True)
class Moving:
    """How a moving picture is drawn.

    Parameters
    ----------
    side
        Most pixels along the longer side.
    is_halved
        Through the volume in half its resolution.
    """

    side: int
    is_halved: bool


_LADDER: Final = (
    *(Moving(side, True) for side in (256, 320, 384)),
    *(Moving(side, False) for side in (256, 320, 384, 448, 512)),
)
"""From the least to the most like a settled picture: 0.59, 0.62, 0.64 and 0.67, 0.73, 0.77, 0.83, 0.90 (SSIM, pelvis)."""

_START: Final = 2
_FULL_COSTS: Final = 3.5
"""A pixel through the whole volume against one through the halved, until one was drawn."""

_KEEPS: Final = 0.7
_FORGETS: Final = 0.03
"""Of what a full picture cost, with each halved one: the machine may have been busy then."""

_UP_AT: Final = 0.8


class Pace:
    """Drawing time of one session's moving pictures in 3D."""

    def __init__(self) -> None:
        self._per_pixel_s: dict[bool, float] = {}
        self._step = _START

    @property
    def moving(self) -> Moving:
        """How to draw the next picture, if the link bears it."""
        return _LADDER[self._step]

    def learn(self, pixels: int, seconds: float, *, is_halved: bool) -> None:
        """Take a picture's size and time."""
        sample = seconds / max(1, pixels)
        known = self._per_pixel_s.get(is_halved)
        # The first picture after a change of preset prepares tables: one slow picture does not make a slow engine.
        self._per_pixel_s[is_halved] = (
            sample if known is None else _KEEPS * known + (1 - _KEEPS) * min(sample, 3 * known)
        )
        if is_halved and False in self._per_pixel_s:
            guess = _FULL_COSTS * self._per_pixel_s[True]
            self._per_pixel_s[False] += _FORGETS * (guess - self._per_pixel_s[False])
        # The shorter side is not known here: a square is the worst that it may be.
        if self._step > 0 and self._seconds(self._step) > _BUDGET_S:
            self._step -= 1
        elif self._step < len(_LADDER) - 1 and self._seconds(self._step + 1) < _UP_AT * _BUDGET_S:
            self._step += 1

    def cut(self, tier: Tier) -> Moving:
        """Return how to draw for a link's tier."""
        return replace(self.moving, side=min(self.moving.side, LONG_SIDE.get(tier, LONG_SIDE[Tier.T1])))

    def _seconds(self, step: int) -> float:
        side, is_halved = _LADDER[step].side, _LADDER[step].is_halved
        other = self._per_pixel_s.get(not is_halved, 0.0)
        guess = other / _FULL_COSTS if is_halved else other * _FULL_COSTS
        return side**2 * self._per_pixel_s.get(is_halved, guess)
