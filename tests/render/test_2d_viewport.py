"""Cutting, scaling and mirroring."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry_imaging.errors import RenderError
from gantry_imaging.viewport import Viewport, resample

RAMP = np.add.outer(np.arange(8) * 100, np.arange(12)).astype(np.int16)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("640,480", Viewport(640, 480)),
        ("640,480,10,20", Viewport(640, 480, 10, 20)),
        ("640,480,10.5,20,100,50", Viewport(640, 480, 10.5, 20, 100, 50)),
        ("640,480,,,-100,-50", Viewport(640, 480, 0, 0, -100, -50)),
        ("640,480,,,-100,", Viewport(640, 480, 0, 0, -100, None)),
    ],
)
def test_viewport_is_read_when_query_is(text: str, expected: Viewport) -> None:
    assert Viewport.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "640", "640,480,1", "640,480,1,2,3", "a,b", "0,480", "-640,480", "9000,10", "8192,8192",
     "64,48,nan,0", "64,48,0,0,0,10", "64,48,0,0,inf,10", "64.5,48", "1,2,3,4,5,6,7"],
)  # fmt: skip
def test_viewport_is_refused_when_query_is(text: str) -> None:
    with pytest.raises(RenderError) as refusal:
        Viewport.parse(text)
    assert refusal.value.code == "render.bad_viewport"


@given(
    columns=st.integers(1, 60), rows=st.integers(1, 60),
    width=st.integers(1, 200), height=st.integers(1, 200), aspect=st.floats(0.25, 4),
)  # fmt: skip
def test_picture_fits_the_viewport_and_touches_it_when_scaled(
    columns: int, rows: int, width: int, height: int, aspect: float
) -> None:
    picture = resample(np.zeros((rows, columns), np.int16), Viewport(width, height), pixel_aspect=aspect)
    assert picture.shape[0] <= height
    assert picture.shape[1] <= width
    assert picture.shape[0] == height or picture.shape[1] == width


def test_pixels_are_untouched_when_viewport_is_the_image() -> None:
    np.testing.assert_array_equal(resample(RAMP, Viewport(12, 8)), RAMP)


def test_region_is_cut_exactly_when_it_lies_on_pixels() -> None:
    np.testing.assert_array_equal(resample(RAMP, Viewport(4, 2, 3, 5, 4, 2)), RAMP[5:7, 3:7])


def test_picture_is_mirrored_when_extents_are_negative() -> None:
    region = RAMP[5:7, 3:7]
    np.testing.assert_array_equal(resample(RAMP, Viewport(4, 2, 3, 5, -4, 2)), region[:, ::-1])
    np.testing.assert_array_equal(resample(RAMP, Viewport(4, 2, 3, 5, 4, -2)), region[::-1])
    np.testing.assert_array_equal(resample(RAMP, Viewport(4, 2, 3, 5, -4, -2)), region[::-1, ::-1])


def test_values_lie_between_neighbours_when_enlarged() -> None:
    enlarged = resample(RAMP, Viewport(24, 16))
    assert enlarged.dtype == np.float32
    # Twice as large, the new centres lie a quarter of a pixel beside the old ones.
    assert enlarged[1, 1] == pytest.approx(RAMP[0, 0] + 0.25 + 25)
    assert enlarged[8, 11] == pytest.approx(RAMP[4, 5] + 0.25 - 25)


def test_values_are_averaged_when_reduced() -> None:
    checkerboard = (np.indices((64, 64)).sum(axis=0) % 2 * 1000).astype(np.int16)
    reduced = resample(checkerboard, Viewport(8, 8))
    np.testing.assert_allclose(reduced, 500, atol=30)


def test_no_value_is_invented_when_interpolation_is_nearest() -> None:
    enlarged = resample(RAMP, Viewport(24, 16), interpolation="nearest")
    assert enlarged.dtype == RAMP.dtype
    np.testing.assert_array_equal(enlarged, RAMP.repeat(2, axis=0).repeat(2, axis=1))


def test_pixels_become_square_when_they_were_not() -> None:
    assert resample(RAMP, Viewport(600, 600), pixel_aspect=1.5).shape == (600, 600)
    assert resample(RAMP, Viewport(600, 600), pixel_aspect=0.5).shape == (200, 600)


def test_region_is_refused_when_it_lies_outside() -> None:
    for viewport in (Viewport(10, 10, 12, 0), Viewport(10, 10, 0, 8, 5, 5)):
        with pytest.raises(RenderError) as refusal:
            resample(RAMP, viewport)
        assert refusal.value.code == "render.bad_viewport"


def test_region_ends_with_the_image_when_it_reaches_beyond() -> None:
    np.testing.assert_array_equal(resample(RAMP, Viewport(2, 3, 10, 5, 100, 100)), RAMP[5:, 10:])
