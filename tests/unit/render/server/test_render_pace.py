"""How good a moving picture in 3D is drawn, on engines of several speeds."""

from __future__ import annotations

import pytest

from gantry_render.protocol import Tier
from gantry_render.server.pace import Moving, Pace


def settle(pace: Pace, halved_s: float, full_s: float, pictures: int = 60) -> Moving:
    """Draw at so many seconds a pixel, through the halved volume and the whole one; return how the last was drawn."""
    for _ in range(pictures):
        pixels = pace.moving.side**2
        pace.learn(pixels, pixels * (halved_s if pace.moving.is_halved else full_s), is_halved=pace.moving.is_halved)
    return pace.moving


@pytest.mark.parametrize(
    ("halved_ns", "full_ns", "wanted"),
    [
        (1, 2, Moving(512, is_halved=False)),
        (33, 100, Moving(448, is_halved=False)),
        (90, 300, Moving(256, is_halved=False)),
        (150, 600, Moving(384, is_halved=True)),
        (2000, 8000, Moving(256, is_halved=True)),
    ],
)
def test_pictures_are_as_good_as_time_allows_when_an_engine_was_seen_to_draw(
    halved_ns: float, full_ns: float, wanted: Moving
) -> None:
    assert settle(Pace(), halved_ns * 1e-9, full_ns * 1e-9) == wanted


def test_one_slow_picture_changes_little_when_tables_are_prepared_for_it() -> None:
    pace = Pace()
    before = settle(pace, 33e-9, 100e-9)
    pace.learn(before.side**2, 1.0, is_halved=before.is_halved)
    assert settle(pace, 33e-9, 100e-9) == before


def test_better_pictures_come_back_when_the_machine_is_no_longer_busy() -> None:
    pace = Pace()
    assert settle(pace, 1000e-9, 4000e-9).is_halved
    assert settle(pace, 10e-9, 30e-9, 200) == Moving(512, is_halved=False)


def test_no_more_pixels_are_sent_than_a_slow_link_bears_when_drawing_is_fast() -> None:
    pace = Pace()
    settle(pace, 1e-9, 2e-9)
    assert pace.cut(Tier.T0) == Moving(256, is_halved=False)
    assert pace.cut(Tier.T1) == Moving(512, is_halved=False)
