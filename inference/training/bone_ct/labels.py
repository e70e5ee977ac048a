"""Bone labels for real CT by classical image processing: bright shells, filled, without the couch."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gantry_imaging.volume import Volume

# Half way between soft tissue (about 50 HU) and thin cortex.
_EDGE_HU = 165.0
_SOFT_HU = 50.0
# Blurred by 1.3 mm, cortex and dense trabecular bone are above this; costal cartilage is below.
_SHELL_HU = 235.0
_REACH_MM = 4.0
_RIM_PIXELS = 2


@dataclass(frozen=True)
class BoneLabels:
    """What the pipeline believes.

    Parameters
    ----------
    bone_kji
        Bone.
    unsure_kji
        Neither bone nor certainly something else: left out of the loss.
    """

    bone_kji: NDArray[np.bool_]
    unsure_kji: NDArray[np.bool_]


def label_bone(volume: Volume, *, fatty: bool = False) -> BoneLabels:
    """Label bone: hysteresis threshold inside the body, component selection, closed and filled shells.

    Right for volumes without contrast agent and metal; both training volumes are.

    Parameters
    ----------
    fatty
        The marrow is as dark as fat and its shells are broken, as in old age: what a wide closing spans is unsure. It
        spans parts of the spinal canal too, so it costs lessons where the bones are dense.
    """
    hu = volume.voxels_kji
    dx, dy, dz = (float(value) for value in volume.spacing_ijk_mm)
    body = _body(hu, dx)
    smooth = _blur(hu, 0.45, (dz, dy, dx))
    coarse = _blur(hu, 1.3, (dz, dy, dx))
    hot = ndimage.binary_dilation(coarse > _SHELL_HU, _ball(_REACH_MM, (dz, dy, dx)))
    candidate = (smooth > _EDGE_HU) & body & hot
    labels, count = ndimage.label(candidate, structure=np.ones((3, 3, 3)))
    index = np.arange(1, count + 1)
    volumes = ndimage.sum_labels(candidate, labels, index) * volume.voxel_volume_mm3
    dense = ndimage.sum_labels(coarse > _SHELL_HU, labels, index) * volume.voxel_volume_mm3
    bone = np.concatenate([[False], (volumes > 250) & (dense > 60)])[labels]
    bone = _fill(bone, coarse, dx) & body
    bone = ndimage.uniform_filter(bone.astype(np.float32), 3) > 0.5
    bone = _trimmed(bone, smooth, (dz, dy, dx))
    near = ndimage.binary_dilation(bone, iterations=2)
    unsure = (coarse > 110) & ~bone & near & ~ndimage.binary_dilation(bone)
    if fatty:
        unsure |= _hollows(bone, dx)
    return BoneLabels(bone, unsure)


def _trimmed(
    bone: NDArray[np.bool_], smooth: NDArray[np.float32], spacing_kji: tuple[float, float, float]
) -> NDArray[np.bool_]:
    """Move the outer edge to half way between soft tissue and the shell: there a blurred edge really is."""
    reach = [2 * max(1, round(2.0 / spacing)) + 1 for spacing in spacing_kji]
    half = 0.5 * (_SOFT_HU + ndimage.maximum_filter(smooth, reach))
    dim = bone & (smooth < np.clip(half, _EDGE_HU, 400.0))
    # Only from outside, and only as far as the edge is blurred: dim marrow behind bright cortex stays.
    outside = ndimage.binary_dilation(
        ~bone, np.ones((1, 3, 3), dtype=np.bool_), iterations=_RIM_PIXELS, mask=~bone | dim
    )
    trimmed: NDArray[np.bool_] = bone & ~outside
    return trimmed


def _blur(hu: NDArray[np.int16], sigma_mm: float, spacing_kji: tuple[float, float, float]) -> NDArray[np.float32]:
    blurred: NDArray[np.float32] = ndimage.gaussian_filter(
        hu.astype(np.float32), [sigma_mm / spacing for spacing in spacing_kji], truncate=3.0
    )
    return blurred


def _ball(radius_mm: float, spacing_kji: tuple[float, float, float]) -> NDArray[np.bool_]:
    reach = [max(1, round(radius_mm / spacing)) for spacing in spacing_kji]
    grid = np.mgrid[tuple(slice(-r, r + 1) for r in reach)]
    ball: NDArray[np.bool_] = sum((axis / (r + 0.3)) ** 2 for axis, r in zip(grid, reach, strict=True)) <= 1
    return ball


def _body(hu: NDArray[np.int16], pixel_mm: float) -> NDArray[np.bool_]:
    """Return the body and limbs without the couch, slice by slice."""
    result = np.zeros(hu.shape, dtype=np.bool_)
    reach = max(1, round(4 / pixel_mm))
    for k, image in enumerate(hu):
        solid = ndimage.binary_opening(image > -250, iterations=reach)
        labels, count = ndimage.label(solid)
        if not count:
            continue
        sizes = ndimage.sum_labels(solid, labels, np.arange(1, count + 1)) * pixel_mm**2
        kept = np.isin(labels, 1 + np.flatnonzero(sizes > 60))
        result[k] = ndimage.binary_fill_holes(ndimage.binary_dilation(kept, iterations=2))
    return result


def _fill(bone: NDArray[np.bool_], coarse: NDArray[np.float32], pixel_mm: float) -> NDArray[np.bool_]:
    """Fill marrow: what a closing of the shells spans if brighter than muscle, and enclosed holes."""
    reach = max(1, round(3.5 / pixel_mm))
    disc = np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1]) <= reach + 0.3
    result = np.zeros_like(bone)
    for k, image in enumerate(bone):
        if not image.any():
            continue
        closed = ndimage.binary_closing(np.pad(image, reach + 1), disc)[reach + 1 : -reach - 1, reach + 1 : -reach - 1]
        filled = image | (closed & (coarse[k] > 105))
        holes = ndimage.binary_fill_holes(filled) & ~filled
        labels, count = ndimage.label(holes)
        index = np.arange(1, count + 1)
        areas = ndimage.sum_labels(holes, labels, index) * pixel_mm**2
        brightness = ndimage.mean(coarse[k], labels, index)
        # A large dark hole is the spinal canal or the pelvic ring, any other is marrow.
        marrow = np.isin(labels, 1 + np.flatnonzero((areas < 90) | (np.asarray(brightness) > 100)))
        result[k] = filled | marrow
    return result


def _hollows(bone: NDArray[np.bool_], pixel_mm: float) -> NDArray[np.bool_]:
    """Return what a wide closing of every slice spans: fatty marrow under broken shells, or a joint space."""
    result = np.zeros_like(bone)
    for k, image in enumerate(bone):
        if image.any():
            grown = ndimage.distance_transform_edt(~image) * pixel_mm < 6.0
            result[k] = (ndimage.distance_transform_edt(grown) * pixel_mm > 6.5) & ~image
    return result
