"""The shipped bone model keeps what its card promises, measured through the shipped pipeline."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gantry_imaging.volume import Volume
from gantry_inference.cards import load_card
from gantry_inference.phantoms import generate_chest, generate_pelvis
from gantry_inference.segmentation import Spec, segment_volume
from gantry_inference.transforms import FloatArray, PostprocessSpec, PreprocessSpec
from training.bone_ct.evaluate import Case, measure, onnx_runner, reference_case

_MODEL = Path(__file__).parents[2] / "inference" / "model_repository" / "bone_ct"

# Training used seeds below 10 000.
_UNSEEN = ((generate_pelvis, 20_001, 0.9, 2.5), (generate_pelvis, 20_002, 0.7, 5.0), (generate_chest, 20_003, 0.8, 3.0))

Runner = Callable[[FloatArray], FloatArray]


@pytest.fixture(scope="module")
def spec() -> Spec:
    card = load_card(_MODEL)
    return Spec(PreprocessSpec.from_card(card.preprocess), PostprocessSpec.from_card(card.postprocess))


@pytest.fixture(scope="module")
def infer() -> Runner:
    return onnx_runner(load_card(_MODEL).require_weights())


def test_bone_is_found_when_the_phantoms_were_never_seen(spec: Spec, infer: Runner) -> None:
    qualities = []
    for make, seed, pixel_mm, slice_mm in _UNSEEN:
        phantom = make(seed, shape_kji=(24, 512, 512), spacing_ijk_mm=(pixel_mm, pixel_mm, slice_mm))
        qualities.append(measure(Case("phantom", str(seed), phantom.volume, phantom.bone_kji), infer, spec)[0])
    assert np.mean([quality.dice for quality in qualities]) >= 0.95
    assert np.mean([quality.surface_dice for quality in qualities]) >= 0.95
    assert min(quality.dice for quality in qualities) >= 0.90


@pytest.mark.realdata
def test_bone_agrees_with_the_reference_when_the_patient_was_never_seen(
    spec: Spec, infer: Runner, real_data: Callable[[str], Path]
) -> None:
    quality, _ = measure(reference_case(real_data("ct-bone-ref-totalseg")), infer, spec)
    assert quality.dice >= 0.75
    assert quality.surface_dice >= 0.90


def test_nothing_is_found_when_there_is_only_air_or_water(spec: Spec, infer: Runner) -> None:
    y, x = np.mgrid[:256, :256]
    water = np.where((x - 128) ** 2 + (y - 128) ** 2 < 80**2, 0, -1000).astype(np.int16)
    for image in (np.full((256, 256), -1000, np.int16), water):
        volume = Volume(np.repeat(image[None], 6, axis=0), np.diag([1.4, 1.4, 2.0, 1.0]))
        assert segment_volume(volume, spec=spec, infer_batch=infer).labels_kji.sum() == 0


def test_weights_fit_the_browser_when_exported() -> None:
    card = load_card(_MODEL)
    assert card.require_weights().stat().st_size <= 8_000_000
