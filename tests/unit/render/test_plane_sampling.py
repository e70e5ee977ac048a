"""Planes through volumes: the voxels themselves where the plane meets them, linear interpolation elsewhere."""

import numpy as np
import pytest
from numpy.typing import DTypeLike, NDArray
from scipy.ndimage import map_coordinates

from gantry_imaging.volume import Volume
from gantry_render.engine.mpr import orthogonal_plane, sample_plane
from gantry_render.protocol import SlabMode
from gantry_render.scene import Plane, Vector

SHAPE = (9, 13, 17)


def turned(seed: int, spacing: Vector = (0.7, 0.9, 2.5), left_handed: bool = False) -> NDArray[np.float64]:
    """Return an affine turned any way."""
    rng = np.random.default_rng(seed)
    axes, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    if (np.linalg.det(axes) < 0) != left_handed:
        axes[:, 2] *= -1
    affine = np.eye(4)
    affine[:3, :3] = axes * spacing
    affine[:3, 3] = rng.uniform(-200, 200, 3)
    return affine


def noise(dtype: DTypeLike = np.int16) -> NDArray[np.generic]:
    return np.random.default_rng(3).integers(-1000, 2000, SHAPE).astype(dtype)


def plane_of_slice(volume: Volume, k: float, **more: object) -> Plane:
    row, column, _ = volume.direction.T
    x, y, z = volume.lps_from_ijk[:3] @ [0, 0, k, 1]
    return Plane(
        (x, y, z),
        tuple(row),
        tuple(column),
        (volume.spacing_ijk_mm[0], volume.spacing_ijk_mm[1]),
        SHAPE[2],
        SHAPE[1],
        **more,  # type: ignore[arg-type]  # slab, mode and layer
    )


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.uint8, np.float32])
@pytest.mark.parametrize("left_handed", [False, True])
def test_slice_is_bit_equal_when_the_plane_is_its_own(dtype: DTypeLike, left_handed: bool) -> None:
    volume = Volume(noise(dtype), turned(5, left_handed=left_handed))
    for k in range(SHAPE[0]):
        values = sample_plane(volume, plane_of_slice(volume, k))
        assert values.dtype == dtype
        assert np.array_equal(values, volume.voxels_kji[k])


def test_reformats_are_bit_equal_when_the_volume_is_axial() -> None:
    affine = np.diag([0.8, 0.8, 1.5, 1.0])
    affine[:3, 3] = -100.25, -90.5, 33.125
    volume = Volume(noise(), affine)
    x, y, z = affine[:3] @ [4, 6, 5, 1]
    through = float(x), float(y), float(z)
    axial, coronal, sagittal = (
        sample_plane(volume, orthogonal_plane(volume, name, through)) for name in ("axial", "coronal", "sagittal")
    )
    assert np.array_equal(axial, volume.voxels_kji[5])
    # The head is at the top: slices run upwards.
    assert np.array_equal(coronal, volume.voxels_kji[::-1, 6, :])
    assert np.array_equal(sagittal, volume.voxels_kji[::-1, :, 4])


@pytest.mark.parametrize("seed", range(4))
def test_values_are_linear_between_voxels_when_the_plane_is_oblique(seed: int) -> None:
    volume = Volume(noise(), turned(seed, left_handed=seed % 2 == 1))
    other = turned(seed + 50)
    row, column = other[:3, 0] / np.linalg.norm(other[:3, 0]), other[:3, 1] / np.linalg.norm(other[:3, 1])
    middle = volume.lps_from_ijk[:3] @ [8, 6, 4, 1]
    origin = middle - 6.0 * row - 6.0 * column
    plane = Plane(tuple(origin), tuple(row), tuple(column), (0.31, 0.37), 40, 34)
    values = sample_plane(volume, plane)
    points = origin + np.arange(40)[None, :, None] * 0.31 * row + np.arange(34)[:, None, None] * 0.37 * column
    ijk = np.einsum("ab,rcb->arc", volume.ijk_from_lps[:3, :3], points) + volume.ijk_from_lps[:3, 3][:, None, None]
    expected = map_coordinates(volume.voxels_kji.astype(np.float64), ijk[::-1], order=1, cval=np.nan)
    inside = ((ijk >= 0) & (ijk <= np.array(SHAPE[::-1])[:, None, None] - 1)).all(axis=0)
    assert inside.any()
    assert np.array_equal(np.isnan(values), ~inside)
    assert np.allclose(values[inside], expected[inside], atol=0.05)


def test_a_linear_ramp_is_exact_when_sampled_at_any_angle() -> None:
    affine = turned(9)
    k, j, i = np.indices(SHAPE)
    slope = np.array([3.0, -2.0, 0.5])
    ramp = np.einsum("a,akji->kji", slope, np.einsum("ab,bkji->akji", affine[:3, :3], np.stack([i, j, k])))
    ramp += slope @ affine[:3, 3]
    volume = Volume(ramp.astype(np.float64), affine)
    plane = plane_of_slice(Volume(noise(), turned(11)), 0)
    middle = affine[:3] @ [8, 6, 4, 1]
    plane = Plane(tuple(middle), plane.row_lps, plane.column_lps, (0.2, 0.2), 12, 12)
    points = (
        middle
        + np.arange(12)[None, :, None] * 0.2 * np.array(plane.row_lps)
        + np.arange(12)[:, None, None] * 0.2 * np.array(plane.column_lps)
    )
    assert np.allclose(sample_plane(volume, plane), points @ slope, atol=1e-3)


@pytest.mark.parametrize(
    ("mode", "joined"), [(SlabMode.MIP, np.max), (SlabMode.MINIP, np.min), (SlabMode.AVERAGE, np.mean)]
)
@pytest.mark.parametrize("middle", [3, 0])
def test_slab_joins_its_layers_exactly_when_they_are_slices(mode: SlabMode, joined: object, middle: int) -> None:
    volume = Volume(noise(), turned(2))
    plane = plane_of_slice(volume, middle, slab_mm=4 * 2.5, mode=mode, layer_mm=2.5)
    layers = volume.voxels_kji[max(0, middle - 2) : middle + 3].astype(np.float64)
    values = sample_plane(volume, plane)
    assert np.allclose(values, joined(layers, axis=0), atol=1e-4)  # type: ignore[operator]  # a numpy reduction
    if mode is not SlabMode.AVERAGE:
        assert values.dtype == np.int16


def test_nothing_is_invented_when_the_plane_misses_the_volume() -> None:
    volume = Volume(noise(), turned(2))
    values = sample_plane(volume, plane_of_slice(volume, SHAPE[0] + 3))
    assert values.dtype == np.float32
    assert np.isnan(values).all()


def test_plane_covers_the_volume_when_its_axes_are_oblique() -> None:
    volume = Volume(noise(), turned(21, spacing=(1.0, 1.0, 1.0)))
    x, y, z = volume.lps_from_ijk[:3] @ [8, 6, 4, 1]
    for name in ("axial", "coronal", "sagittal"):
        values = sample_plane(volume, orthogonal_plane(volume, name, (float(x), float(y), float(z))))
        inside = ~np.isnan(values)
        assert inside.any()
        assert not inside[:, 0].all() or not inside[0].all()
