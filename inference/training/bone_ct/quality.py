"""How good a segmentation is: Dice, surface Dice, volume ratio."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Quality:
    """Agreement of a result with a reference.

    Parameters
    ----------
    dice, surface_dice
        Dice of volumes, and of surfaces at a tolerance (Nikolov et al. 2018, counted in surface voxels).
    volume_ratio
        Result over reference.
    """

    dice: float
    surface_dice: float
    volume_ratio: float
    reference_ml: float


def compare(
    result_kji: Mask,
    reference_kji: Mask,
    spacing_kji_mm: tuple[float, float, float],
    *,
    tolerance_mm: float = 3.0,
    ignored_kji: Mask | None = None,
) -> Quality:
    """Compare two masks outside `ignored_kji`.

    Parameters
    ----------
    tolerance_mm
        How far apart two surfaces may lie and still agree.
    """
    if ignored_kji is not None:
        result_kji, reference_kji = result_kji & ~ignored_kji, reference_kji & ~ignored_kji
    box = _box(result_kji | reference_kji)
    result, reference = result_kji[box], reference_kji[box]
    both = int((result & reference).sum())
    sizes = int(result.sum()), int(reference.sum())
    surfaces = _surface(result), _surface(reference)
    near = [
        int((surface & (ndimage.distance_transform_edt(~other, spacing_kji_mm) <= tolerance_mm)).sum())
        for surface, other in (surfaces, surfaces[::-1])
    ]
    return Quality(
        dice=2 * both / max(sum(sizes), 1),
        surface_dice=sum(near) / max(sum(int(surface.sum()) for surface in surfaces), 1),
        volume_ratio=sizes[0] / max(sizes[1], 1),
        reference_ml=sizes[1] * float(np.prod(spacing_kji_mm)) / 1000.0,
    )


def _surface(mask: Mask) -> Mask:
    """Return the voxels of a mask that touch its outside; the edge of the scan is no surface."""
    surface: Mask = mask & ~ndimage.binary_erosion(mask, border_value=1)
    return surface


def _box(mask: Mask) -> tuple[slice, ...]:
    found = ndimage.find_objects(mask.astype(np.uint8))
    if not found:
        return tuple(slice(0, 1) for _ in mask.shape)
    return tuple(slice(max(0, s.start - 4), s.stop + 4) for s in found[0])
