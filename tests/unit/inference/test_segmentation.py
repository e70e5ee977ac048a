"""Segmenting a whole volume, with a threshold in the network's place."""

import numpy as np
import pytest
from numpy.typing import NDArray

from gantry_imaging.volume import Volume
from gantry_inference.segmentation import ModelOutputError, Segmentation, Spec, segment_volume
from gantry_inference.transforms import FloatArray, PostprocessSpec, PreprocessSpec


def threshold(batch: FloatArray) -> FloatArray:
    """Call everything above 250 HU bone: the smallest model that keeps the pipeline's promises."""
    return (batch[:, 1:2] > 0.5).astype(np.float32)


def rod_volume(slices: int = 11, dz: float = 2.0) -> tuple[Volume, NDArray[np.bool_]]:
    """Return a body with one rod of bone, and the rod."""
    y, x = np.mgrid[:200, :240]
    hu = np.where(((x - 120) / 100) ** 2 + ((y - 100) / 70) ** 2 < 1, 40, -1000)
    rod = (x - 100) ** 2 + (y - 90) ** 2 < 20**2
    hu = np.where(rod, 700, hu)
    volume = Volume(np.repeat(hu[None], slices, axis=0).astype(np.int16), np.diag([1.5, 1.5, dz, 1.0]))
    return volume, np.repeat(rod[None], slices, axis=0)


def segment(volume: Volume, **settings: float) -> Segmentation:
    spec = Spec(PreprocessSpec.from_card(settings), PostprocessSpec())
    return segment_volume(volume, spec=spec, infer_batch=threshold)


def test_bone_is_found_at_native_resolution_when_the_model_sees_it() -> None:
    volume, rod = rod_volume()
    labels = segment(volume).labels_kji
    assert labels.dtype == np.uint8
    assert labels.shape == volume.shape_kji
    overlap = 2 * (labels[rod] == 1).sum() / (labels.sum() + rod.sum())
    assert overlap > 0.99


@pytest.mark.parametrize("batch", [1, 3, 4, 64])
def test_labels_do_not_depend_on_the_batch_when_it_changes(batch: int) -> None:
    volume, _ = rod_volume()
    np.testing.assert_array_equal(segment(volume, batch=batch).labels_kji, segment(volume).labels_kji)


def test_progress_reaches_the_last_slice_once_when_batches_are_uneven() -> None:
    volume, _ = rod_volume(slices=11)
    seen: list[tuple[int, int]] = []
    segment_volume(
        volume, spec=Spec(), infer_batch=threshold, on_progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(4, 11), (8, 11), (11, 11)]


def test_channels_are_the_slices_below_and_above_when_the_volume_changes() -> None:
    base, _ = rod_volume(slices=9, dz=3.0)
    ramp = base.voxels_kji + (np.arange(9, dtype=np.int16) * 10)[:, None, None]
    volume = base.with_voxels(np.where(base.voxels_kji > -500, ramp, base.voxels_kji).astype(np.int16))
    batches: list[FloatArray] = []

    def spy(batch: FloatArray) -> FloatArray:
        batches.append(batch)
        return threshold(batch)

    segment_volume(volume, spec=Spec(), infer_batch=spy)
    together = np.concatenate(batches)
    np.testing.assert_array_equal(together[1:, 0], together[:-1, 1])
    np.testing.assert_array_equal(together[:-1, 2], together[1:, 1])
    np.testing.assert_array_equal(together[0, 0], together[0, 1])


@pytest.mark.parametrize("fault", ["shape", "nan"])
def test_answer_is_refused_when_it_is_no_probability_map(fault: str) -> None:
    volume, _ = rod_volume(slices=2)

    def broken(batch: FloatArray) -> FloatArray:
        answer = threshold(batch)
        return answer[:, :, ::2] if fault == "shape" else np.full_like(answer, np.nan)

    with pytest.raises(ModelOutputError):
        segment_volume(volume, spec=Spec(), infer_batch=broken)


def test_time_is_booked_per_stage_when_a_clock_is_given() -> None:
    volume, _ = rod_volume(slices=8)
    ticks = iter(range(1000))
    timings = segment_volume(volume, spec=Spec(), infer_batch=threshold, clock=lambda: float(next(ticks))).timings_s
    assert timings == {"pre": 2.0, "infer": 2.0, "post": 3.0}
