"""Bricks never hide what can be seen."""

import numpy as np
from scipy.ndimage import distance_transform_cdt, uniform_filter

from gantry_render.engine.bricks import (
    EDGE,
    FARTHEST,
    brick_shape,
    build_bricks,
    halve,
    halve_labels,
    mark_bricks,
    mark_cells,
    measure_distances,
    soften_labels,
)


def test_ranges_cover_every_sample_when_sizes_are_odd() -> None:
    voxels = np.random.default_rng(1).integers(-500, 500, (7, 18, 23)).astype(np.int16)
    bricks = build_bricks(voxels)
    assert bricks.low_kji.shape == brick_shape(voxels.shape)
    for k, j, i in np.ndindex(bricks.low_kji.shape):
        part = voxels[k * EDGE : k * EDGE + EDGE + 1, j * EDGE : j * EDGE + EDGE + 1, i * EDGE : i * EDGE + EDGE + 1]
        assert (bricks.low_kji[k, j, i], bricks.high_kji[k, j, i]) == (part.min(), part.max())


def test_distances_are_chessboard_moves_when_bricks_are_scattered() -> None:
    voxels = np.zeros((30, 90, 121), np.int16)
    rng = np.random.default_rng(4)
    voxels[tuple(rng.integers(1, side - 1, 6) for side in voxels.shape)] = 100
    bricks = build_bricks(voxels)
    found = measure_distances(bricks, np.array([[50, np.inf]], np.float32), None)
    empty = bricks.high_kji <= 50
    expected = np.minimum(distance_transform_cdt(empty, "chessboard"), FARTHEST)
    assert np.array_equal(found, expected)


def test_segments_count_as_visible_when_tissue_is_not() -> None:
    voxels = np.zeros((20, 20, 20), np.int16)
    labels = np.zeros(voxels.shape, np.uint8)
    labels[8, 12, 3] = 1
    marked = mark_bricks(labels)
    # On the first face of a brick: both bricks that share it hold the voxel.
    assert marked.sum() == 4
    distances = measure_distances(build_bricks(voxels), np.empty((0, 2), np.float32), marked)
    assert np.array_equal(distances == 0, marked)


def test_halved_voxels_are_means_when_a_side_is_odd() -> None:
    voxels = np.random.default_rng(2).integers(-1000, 3000, (7, 8, 9)).astype(np.int16)
    means = voxels[:6, :8, :8].astype(float).reshape(3, 2, 4, 2, 4, 2).mean(axis=(1, 3, 5))
    assert np.array_equal(halve(voxels), np.floor(means + 0.5))


def test_cells_are_marked_when_any_of_their_corners_may_show() -> None:
    voxels = np.random.default_rng(3).integers(-500, 500, (11, 18, 23)).astype(np.int16)
    voxels[:, 6:] -= 2000
    cases: list[list[tuple[float, float]]] = [[(480.5, np.inf)], [(-np.inf, -480.0), (490.0, 495.0)], [(470.0, 471.5)]]
    for intervals in cases:
        ranges = np.array(intervals, np.float32)
        distances = measure_distances(build_bricks(voxels), ranges, None)
        cells = mark_cells(voxels, distances, ranges, None)
        for k, j, i in np.ndindex(10, 17, 22):
            corners = voxels[k : k + 2, j : j + 2, i : i + 2]
            shows = any(corners.max() > low and corners.min() < high for low, high in intervals)
            place = 16 * (k % 4) + 4 * (j % 4) + i % 4
            assert bool(int(cells[k // 4, j // 4, i // 4]) >> place & 1) == shows
        assert not (cells[distances > 0]).any()
        assert (cells[distances == 0] > 0).sum() > 0


def test_all_cells_are_marked_when_a_brick_holds_a_segment() -> None:
    marked = np.zeros((3, 3, 3), np.bool_)
    marked[1, 2, 0] = True
    voxels = np.zeros((12, 12, 12), np.int16)
    ranges = np.array([[50, np.inf]], np.float32)
    cells = mark_cells(voxels, measure_distances(build_bricks(voxels), ranges, marked), ranges, marked)
    assert cells[1, 2, 0] == 2**64 - 1
    assert (cells > 0).sum() == 1


def test_labels_are_softened_as_by_a_box_when_sizes_are_odd() -> None:
    labels = (np.random.default_rng(6).random((9, 11, 13)) > 0.6).astype(np.uint8) * np.uint8(7)
    expected = uniform_filter((labels > 0).astype(np.float64) * 255, 3, mode="nearest")
    soft = soften_labels(labels)
    assert np.abs(soft - expected).max() <= 1
    assert soften_labels(np.full((4, 5, 6), 3, np.uint8)).min() == 255
    marks = mark_bricks(soft)
    for k, j, i in np.ndindex(marks.shape):
        part = soft[k * EDGE : k * EDGE + EDGE + 1, j * EDGE : j * EDGE + EDGE + 1, i * EDGE : i * EDGE + EDGE + 1]
        assert marks[k, j, i] == part.any()


def test_halved_labels_keep_the_highest_when_segments_are_thin() -> None:
    labels = np.random.default_rng(8).integers(0, 5, (7, 8, 9)).astype(np.uint8)
    assert np.array_equal(halve_labels(labels), labels[:6, :8, :8].reshape(3, 2, 4, 2, 4, 2).max(axis=(1, 3, 5)))
