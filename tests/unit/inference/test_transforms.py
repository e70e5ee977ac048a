"""Between the scanner's resolution and the model's grid."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gantry_imaging.volume import Volume
from gantry_inference.transforms import (
    PostprocessSpec,
    PreprocessSpec,
    SpecError,
    drop_crumbs,
    fit_grid,
    grid_at,
    neighbours,
    normalise,
    refine,
)


def body(rows: int, columns: int, pixel_mm: float, offset_mm: tuple[float, float] = (0.0, 0.0)) -> Volume:
    """Return a body 300 mm wide and 200 mm deep in air, with a thin couch under it."""
    y, x = np.mgrid[:rows, :columns]
    y_mm = (y - (rows - 1) / 2) * pixel_mm - offset_mm[0]
    x_mm = (x - (columns - 1) / 2) * pixel_mm - offset_mm[1]
    hu = np.where((x_mm / 150) ** 2 + (y_mm / 100) ** 2 < 1, 40, -1000)
    hu = np.where(np.abs(y_mm - 112) < 2, 300, hu)
    affine = np.diag([pixel_mm, pixel_mm, 2.0, 1.0])
    return Volume(np.repeat(hu[None], 6, axis=0).astype(np.int16), affine)


@given(st.floats(0.5, 2.5), st.floats(0.4, 1.6), st.integers(40, 90))
def test_constant_stays_constant_when_averaged_and_interpolated(spacing: float, pixel: float, count: int) -> None:
    size = 16
    grid = grid_at(((count - 1) / 2, (count - 1) / 2), spacing, (pixel, pixel), (count, count), size)
    image = np.full((count, count), 321.0, dtype=np.float32)
    small = grid.down(image)
    covered = int(min(size, count * pixel / spacing) / 2) - 2
    middle = slice(size // 2 - covered, size // 2 + covered)
    np.testing.assert_allclose(small[middle, middle], 321.0, atol=0.05)


def test_ramp_comes_back_when_averaged_and_interpolated() -> None:
    rows, columns = np.mgrid[:80, :100].astype(np.float32)
    image = 3 * rows - 2 * columns
    grid = grid_at((39.5, 49.5), 1.9, (0.8, 0.8), (80, 100), 24)
    back = grid.up(grid.down(image))
    inner = (
        slice(28 - grid.rows.start, 52 - grid.rows.start),
        slice(38 - grid.columns.start, 62 - grid.columns.start),
    )
    np.testing.assert_allclose(back[inner], image[grid.rows, grid.columns][inner], atol=0.6)


def test_air_surrounds_the_slice_when_the_grid_is_larger() -> None:
    grid = grid_at((9.5, 9.5), 2.0, (1.0, 1.0), (20, 20), 32)
    small = grid.down(np.zeros((20, 20), dtype=np.float32))
    assert small[0, 0] == -1000.0
    assert small[16, 16] == pytest.approx(0.0, abs=1e-3)


@pytest.mark.parametrize(("rows", "columns", "pixel"), [(512, 512, 0.8), (512, 512, 0.98), (256, 300, 1.5)])
def test_grid_covers_the_body_and_leaves_most_couch_when_the_field_of_view_varies(
    rows: int, columns: int, pixel: float
) -> None:
    spec = PreprocessSpec()
    grid = fit_grid(body(rows, columns, pixel), spec)
    assert grid.spacing_mm == pytest.approx((300 + 2 * spec.margin_mm) / spec.size, rel=0.04)


def test_grid_follows_the_body_when_the_patient_lies_off_centre() -> None:
    centred, moved = (fit_grid(body(512, 512, 0.9, at), PreprocessSpec()) for at in ((0.0, 0.0), (-40.0, 60.0)))
    middles = [(grid.columns.start + grid.columns.stop) / 2 for grid in (centred, moved)]
    assert (middles[1] - middles[0]) * 0.9 == pytest.approx(60, abs=4)
    assert moved.spacing_mm == pytest.approx(centred.spacing_mm, rel=0.03)


def test_whole_slice_is_taken_when_there_is_no_body() -> None:
    air = Volume(np.full((3, 64, 64), -1000, np.int16), np.eye(4))
    grid = fit_grid(air, PreprocessSpec())
    assert (grid.rows, grid.columns) == (slice(0, 64), slice(0, 64))


@pytest.mark.parametrize(
    ("dz", "k", "expected"),
    [(1.0, 10, (7, 10, 13)), (1.0, 1, (0, 1, 4)), (5.0, 10, (9, 10, 11)), (1.0, 19, (16, 19, 19))],
)
def test_channels_lie_at_the_same_distance_when_slices_are_thin_or_thick(
    dz: float, k: int, expected: tuple[int, int, int]
) -> None:
    volume = Volume(np.zeros((20, 4, 4), np.int16), np.diag([1.0, 1.0, dz, 1.0]))
    assert neighbours(k, volume, PreprocessSpec(neighbour_mm=3.0)) == expected


def test_hu_are_clipped_and_scaled_when_normalised() -> None:
    hu = np.array([-3000, -500, 0, 250, 1500, 9000], dtype=np.float32)
    np.testing.assert_allclose(normalise(hu, PreprocessSpec()), [-1, -1, 0, 0.5, 3, 3])


@pytest.mark.parametrize(
    ("chance", "hu", "bone"),
    [(0.5, 600.0, True), (0.5, 0.0, False), (0.999, -50.0, True), (0.001, 1500.0, False), (0.6, 160.0, True)],
)
def test_hu_decide_only_where_the_network_is_unsure(chance: float, hu: float, bone: bool) -> None:
    decided = refine(np.full((6, 6), chance, np.float32), np.full((6, 6), hu, np.float32), 1.0, PostprocessSpec())
    assert (decided == bone).all()


def test_small_holes_are_bone_when_enclosed() -> None:
    chance = np.zeros((40, 40), np.float32)
    chance[5:35, 5:35] = 1.0
    chance[8:11, 8:11] = chance[15:25, 15:25] = 0.0
    decided = refine(chance, np.full((40, 40), 160.0, np.float32), 1.0, PostprocessSpec(hole_mm2=20.0))
    assert decided[8:11, 8:11].all()
    assert not decided[15:25, 15:25].any()
    assert not decided[:5].any()


def test_crumbs_go_when_small_or_uncertain() -> None:
    marks: NDArray[np.uint8] = np.zeros((8, 20, 20), dtype=np.uint8)
    marks[1:6, 1:6, 1:6] = 1
    marks[1:6, 10:15, 10:15] = 1
    marks[2, 2, 2] = marks[7, 18, 18] = 2
    drop_crumbs(marks, 1.0, PostprocessSpec(smallest_mm3=50.0))
    assert marks.sum() == 125
    assert (marks[1:6, 1:6, 1:6] == 1).all()


def test_settings_come_from_a_card_when_known() -> None:
    spec = PreprocessSpec.from_card({"neighbour_mm": 2, "batch": 8})
    assert (spec.neighbour_mm, spec.batch, spec.size) == (2.0, 8, 256)
    assert isinstance(spec.neighbour_mm, float)


@pytest.mark.parametrize("settings", [{"neighbor_mm": 2.0}, {"batch": "4"}, {"size": True}])
def test_settings_are_refused_when_unknown_or_no_number(settings: dict[str, object]) -> None:
    with pytest.raises(SpecError):
        PreprocessSpec.from_card(settings)
