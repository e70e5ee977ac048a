"""How segmentations are measured, and the labels that real scans are trained with."""

import numpy as np
import pytest
from numpy.typing import NDArray

from gantry_inference.phantoms import ScannerProfile, generate_pelvis
from training.bone_ct.labels import label_bone
from training.bone_ct.quality import compare


def cube(low: int, high: int) -> NDArray[np.bool_]:
    mask = np.zeros((30, 30, 30), dtype=np.bool_)
    mask[low:high, low:high, low:high] = True
    return mask


def test_masks_agree_fully_when_equal() -> None:
    quality = compare(cube(8, 18), cube(8, 18), (1.0, 1.0, 1.0))
    assert (quality.dice, quality.surface_dice, quality.volume_ratio) == (1.0, 1.0, 1.0)
    assert quality.reference_ml == pytest.approx(1.0)


def test_surfaces_agree_within_the_tolerance_when_one_mask_is_larger() -> None:
    near, far = (compare(cube(8 - n, 18 + n), cube(8, 18), (1.0, 1.0, 1.0), tolerance_mm=2.5) for n in (1, 4))
    assert near.surface_dice == 1.0
    assert near.dice == pytest.approx(2 * 1000 / (1000 + 1728))
    assert far.surface_dice == 0.0


def test_distance_is_measured_in_mm_when_slices_are_thick() -> None:
    moved = np.roll(cube(8, 18), 1, axis=0)
    thin, thick = (compare(moved, cube(8, 18), (dz, 1.0, 1.0), tolerance_mm=2.0) for dz in (1.0, 5.0))
    assert thin.surface_dice == 1.0
    assert thick.surface_dice < 1.0


def test_region_counts_neither_way_when_ignored() -> None:
    extra = cube(8, 18)
    extra[20:26, 20:26, 20:26] = True
    ignored = np.zeros_like(extra)
    ignored[19:27, 19:27, 19:27] = True
    assert compare(extra, cube(8, 18), (1.0, 1.0, 1.0), ignored_kji=ignored).dice == 1.0
    assert compare(extra, cube(8, 18), (1.0, 1.0, 1.0)).dice < 1.0


def test_nothing_agrees_when_nothing_is_found() -> None:
    nothing = np.zeros((30, 30, 30), dtype=np.bool_)
    quality = compare(nothing, cube(8, 18), (1.0, 1.0, 1.0))
    assert (quality.dice, quality.surface_dice, quality.volume_ratio) == (0.0, 0.0, 0.0)


def test_classical_labels_follow_the_bone_when_there_is_no_contrast_agent() -> None:
    scanner = ScannerProfile(noise_hu=8.0, streaks=0.0)
    # Seed 11 has no contrast agent anywhere.
    phantom = generate_pelvis(11, shape_kji=(30, 320, 320), spacing_ijk_mm=(1.3, 1.3, 1.3), scanner=scanner)
    labels = label_bone(phantom.volume)
    quality = compare(
        labels.bone_kji & ~labels.unsure_kji, phantom.bone_kji, (1.3, 1.3, 1.3), ignored_kji=labels.unsure_kji
    )
    assert quality.dice > 0.93
    # The closing that fills marrow also bridges the joint space of the hip: a tenth of the surface.
    assert quality.surface_dice > 0.85
    assert not (labels.bone_kji & labels.unsure_kji).any()
