"""Contours and statistics of masks."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from scipy import ndimage

from gantry_imaging.errors import GeometryError
from gantry_imaging.masks import contours_from_json, contours_to_json, mask_statistics, trace_contours
from gantry_imaging.volume import Volume

Mask = NDArray[np.bool_]

masks = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24))


def fill_even_odd(rings: list[NDArray[np.float32]], shape: tuple[int, ...]) -> Mask:
    """Fill as a canvas does: inside is where a ray to the right crosses the rings an odd number of times."""
    row, column = np.indices(shape).astype(np.float64)
    inside = np.zeros(shape, bool)
    for ring in rings:
        for (x0, y0), (x1, y1) in zip(ring.astype(float), np.roll(ring.astype(float), -1, axis=0), strict=True):
            if y0 == y1:
                continue
            crosses = (row >= y0) != (row >= y1)
            inside ^= crosses & (column < x0 + (row - y0) * (x1 - x0) / (y1 - y0))
    return inside


@given(mask=masks)
def test_contours_fill_to_the_mask_when_drawn_even_odd(mask: Mask) -> None:
    np.testing.assert_array_equal(fill_even_odd(trace_contours(mask), mask.shape), mask)


@given(mask=masks)
def test_contours_are_the_same_when_read_back_from_json(mask: Mask) -> None:
    rings = trace_contours(mask)
    read_back = contours_from_json(json.loads(json.dumps(contours_to_json(rings))))
    assert len(read_back) == len(rings)
    for ring, again in zip(rings, read_back, strict=True):
        assert ring.dtype == again.dtype == np.float32
        np.testing.assert_array_equal(ring, again)


def test_contour_is_a_diamond_when_mask_is_one_pixel() -> None:
    mask = np.zeros((5, 7), bool)
    mask[2, 4] = True
    (ring,) = trace_contours(mask)
    assert {tuple(point) for point in ring.tolist()} == {(3.5, 2.0), (4.0, 1.5), (4.5, 2.0), (4.0, 2.5)}
    (flat,) = contours_to_json([ring])
    assert len(flat) == 8
    assert all(abs(step) <= 2 for step in flat[2:])


def test_hole_is_a_ring_of_its_own_when_mask_has_one() -> None:
    mask = np.ones((9, 9), bool)
    mask[4, 4] = False
    assert len(trace_contours(mask)) == 2


def test_only_corners_are_points_when_mask_is_a_rectangle() -> None:
    mask = np.zeros((40, 60), bool)
    mask[10:30, 5:50] = True
    (ring,) = trace_contours(mask)
    assert len(ring) == 8
    assert ring.min(axis=0).tolist() == [4.5, 9.5]
    assert ring.max(axis=0).tolist() == [49.5, 29.5]


def test_contour_turns_at_every_point_when_mask_is_round() -> None:
    row, column = np.indices((200, 200))
    mask = np.hypot(row - 100, column - 100) < 80.0
    (ring,) = trace_contours(mask)
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    assert (before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]).all()


def test_there_is_no_contour_when_mask_is_empty() -> None:
    assert trace_contours(np.zeros((4, 4), bool)) == []
    assert contours_to_json([]) == []


def test_statistics_are_those_of_the_voxels_when_grid_is_turned() -> None:
    rng = np.random.default_rng(3)
    affine = np.array([[0, 0, 2.0, 5], [0.5, 0, 0, 6], [0, 1.5, 0, 7], [0, 0, 0, 1]])
    volume = Volume(rng.normal(100, 50, (6, 8, 10)).astype(np.float32), affine)
    mask = ndimage.binary_dilation(rng.random((6, 8, 10)) > 0.97)
    statistics = mask_statistics(mask, volume)
    k, j, i = np.nonzero(mask)
    assert statistics.voxels == len(k)
    assert statistics.volume_ml == pytest.approx(len(k) * 1.5 / 1000)
    assert statistics.mean == pytest.approx(volume.voxels_kji[mask].mean(), rel=1e-5)
    assert statistics.standard_deviation == pytest.approx(volume.voxels_kji[mask].std(), rel=1e-5)
    assert statistics.minimum == volume.voxels_kji[mask].min()
    assert statistics.maximum == volume.voxels_kji[mask].max()
    assert statistics.first_ijk == (i.min(), j.min(), k.min())
    assert statistics.last_ijk == (i.max(), j.max(), k.max())
    expected_mm = (affine @ [i.mean(), j.mean(), k.mean(), 1])[:3]
    assert statistics.centroid_lps_mm == pytest.approx(tuple(expected_mm))


def test_statistics_are_empty_when_mask_is() -> None:
    statistics = mask_statistics(np.zeros((2, 2, 2), bool), Volume(np.zeros((2, 2, 2)), np.eye(4)))
    assert (statistics.voxels, statistics.volume_ml, statistics.mean) == (0, 0.0, None)


def test_statistics_are_refused_when_mask_lies_on_another_grid() -> None:
    with pytest.raises(GeometryError) as refusal:
        mask_statistics(np.zeros((2, 2, 3), bool), Volume(np.zeros((2, 2, 2)), np.eye(4)))
    assert refusal.value.code == "volume.bad_voxels"
