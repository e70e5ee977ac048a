"""A volume's geometry."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from gantry_imaging.errors import GeometryError
from gantry_imaging.volume import Volume

Matrix = NDArray[np.float64]

angles = st.floats(-np.pi, np.pi)
spacings_mm = st.tuples(*[st.floats(0.05, 20.0)] * 3)
points_mm = st.tuples(*[st.floats(-2000, 2000)] * 3)


def make_affine(
    euler: tuple[float, float, float],
    spacing_mm: tuple[float, float, float],
    origin_mm: tuple[float, float, float],
) -> Matrix:
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", euler).as_matrix() * np.array(spacing_mm)
    affine[:3, 3] = origin_mm
    return affine


@given(euler=st.tuples(angles, angles, angles), spacing_mm=spacings_mm, origin_mm=points_mm, point_mm=points_mm)
def test_affine_and_inverse_agree_when_grid_is_any_rigid_one(
    euler: tuple[float, float, float],
    spacing_mm: tuple[float, float, float],
    origin_mm: tuple[float, float, float],
    point_mm: tuple[float, float, float],
) -> None:
    volume = Volume(np.zeros((2, 3, 4), np.int16), make_affine(euler, spacing_mm, origin_mm))
    index_ijk = volume.ijk_from_lps @ np.array([*point_mm, 1.0])
    np.testing.assert_allclose(volume.lps_from_ijk @ index_ijk, [*point_mm, 1.0], atol=1e-6)
    np.testing.assert_allclose(volume.spacing_ijk_mm, spacing_mm, rtol=1e-9)
    np.testing.assert_allclose(volume.direction @ volume.direction.T, np.eye(3), atol=1e-9)
    np.testing.assert_array_equal(volume.origin_lps_mm, origin_mm)


@given(
    euler=st.tuples(angles, angles, angles),
    spacing_mm=spacings_mm,
    shear=st.floats(0.001, 5.0) | st.floats(-5.0, -0.001),
    axes=st.permutations([0, 1, 2]),
)
def test_volume_is_refused_when_affine_is_sheared(
    euler: tuple[float, float, float], spacing_mm: tuple[float, float, float], shear: float, axes: list[int]
) -> None:
    affine = make_affine(euler, spacing_mm, (0, 0, 0))
    unit = affine[:3, axes[1]] / spacing_mm[axes[1]]
    affine[:3, axes[0]] += shear * spacing_mm[axes[0]] * unit
    with pytest.raises(GeometryError) as refusal:
        Volume(np.zeros((2, 2, 2)), affine)
    assert refusal.value.code == "volume.bad_affine"


def _with(row: int, column: int, value: float) -> Matrix:
    affine = np.eye(4)
    affine[row, column] = value
    return affine


@pytest.mark.parametrize(
    "affine",
    [
        _with(0, 0, np.nan),
        _with(0, 3, np.inf),
        _with(1, 1, 0.0),
        _with(3, 0, 1.0),
        _with(3, 3, 2.0),
        np.eye(3),
        np.zeros((4, 4)),
    ],
)
def test_volume_is_refused_when_affine_is_not_invertible_and_finite(affine: Matrix) -> None:
    with pytest.raises(GeometryError) as refusal:
        Volume(np.zeros((2, 2, 2)), affine)
    assert refusal.value.code == "volume.bad_affine"


@pytest.mark.parametrize(
    "voxels", [np.zeros((2, 2)), np.zeros((0, 2, 2)), np.zeros((1, 2, 2, 3)), np.zeros((1, 2, 2), complex)]
)
def test_volume_is_refused_when_voxels_are_not_a_grid_of_numbers(voxels: NDArray[np.generic]) -> None:
    with pytest.raises(GeometryError) as refusal:
        Volume(voxels, np.eye(4))
    assert refusal.value.code == "volume.bad_voxels"


def test_volume_stays_as_it_was_when_someone_writes_to_it() -> None:
    affine = np.eye(4)
    volume = Volume(np.zeros((2, 2, 2)), affine)
    affine[0, 0] = 7
    assert volume.lps_from_ijk[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        volume.voxels_kji[0, 0, 0] = 1
    with pytest.raises(ValueError, match="read-only"):
        volume.lps_from_ijk[0, 0] = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        volume.voxels_kji = np.zeros((2, 2, 2))  # type: ignore[misc]  # what is tested


def test_with_voxels_keeps_the_grid_when_shape_is_the_same() -> None:
    volume = Volume(np.zeros((2, 3, 4), np.int16), make_affine((0.1, 0.2, 0.3), (1, 2, 3), (4, 5, 6)))
    other = volume.with_voxels(np.ones((2, 3, 4), np.uint8))
    assert other.shape_kji == (2, 3, 4)
    np.testing.assert_array_equal(other.lps_from_ijk, volume.lps_from_ijk)
    with pytest.raises(GeometryError) as refusal:
        volume.with_voxels(np.ones((2, 3, 5), np.uint8))
    assert refusal.value.code == "volume.bad_voxels"


def test_voxels_are_shared_when_volume_is_made() -> None:
    voxels = np.zeros((2, 2, 2), np.int16)
    assert np.shares_memory(Volume(voxels, np.eye(4)).voxels_kji, voxels)
    assert voxels.flags.writeable
