import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from ct_result import REPOSITORY
from gantry_inference.cards import REFERENCE_SENTENCE, CardError, SeriesFacts, load_card, load_cards

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
GOOD = SeriesFacts(
    modality="CT",
    sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
    body_part_examined="PELVIS",
    image_orientation=AXIAL,
    spacing_ijk_mm=(0.8, 0.8, 2.0),
    number_of_slices=120,
    image_type=("ORIGINAL", "PRIMARY", "AXIAL"),
)
SOURCE = (REPOSITORY / "bone_ct" / "card.yaml").read_text(encoding="utf-8")


def write_card(folder: Path, change: Callable[[dict[str, Any]], object] = lambda document: None) -> Path:
    document = yaml.safe_load(SOURCE)
    change(document)
    path = folder / "bone_ct" / "card.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return path


def test_card_is_complete_when_it_ships() -> None:
    [card] = [card for card in load_cards(REPOSITORY) if card.name == "bone_ct"]
    assert card.reference_model
    assert card.disclaimer == REFERENCE_SENTENCE
    assert [segment.type.value for segment in card.segments] == ["272673000"]
    assert card.triton_version == card.weights.file.parts[0]


def test_series_is_accepted_when_it_is_what_the_model_was_made_for() -> None:
    acceptance = load_card(REPOSITORY / "bone_ct").accepts(GOOD)
    assert (acceptance.accepted, acceptance.code) == (True, "input.accepted")


@pytest.mark.parametrize("orientation", [(-1, 0, 0, 0, -1, 0), (1, 0, 0, 0, -1, 0), (0, 1, 0, -1, 0, 0)])
def test_series_is_accepted_when_axial_slices_are_turned_or_flipped(orientation: tuple[float, ...]) -> None:
    assert load_card(REPOSITORY / "bone_ct").accepts(replace(GOOD, image_orientation=orientation)).accepted


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("input.modality", {"modality": "MR"}),
        ("input.sop_class", {"sop_class_uid": "1.2.840.10008.5.1.4.1.1.2.1"}),
        ("input.image_type", {"image_type": ("ORIGINAL", "PRIMARY", "LOCALIZER")}),
        ("input.too_few_slices", {"number_of_slices": 3}),
        ("input.too_many_slices", {"number_of_slices": 9000}),
        ("input.geometry", {"geometry_problem": "slices 12 to 14 are missing"}),
        ("input.geometry_unknown", {"image_orientation": None}),
        ("input.geometry_unknown", {"spacing_ijk_mm": None}),
        ("input.geometry_unknown", {"spacing_ijk_mm": (float("nan"), 1.0, 1.0)}),
        ("input.geometry_unknown", {"image_orientation": (1, 0, 0, 1, 0, 0)}),
        ("input.orientation", {"image_orientation": (1, 0, 0, 0, 0, -1)}),
        ("input.pixel_spacing", {"spacing_ijk_mm": (0.05, 0.8, 2.0)}),
        ("input.pixel_spacing", {"spacing_ijk_mm": (0.8, 2.8, 2.0)}),
        ("input.slice_spacing", {"spacing_ijk_mm": (0.8, 0.8, 7.0)}),
    ],
)
def test_series_is_refused_with_a_reason_when(code: str, change: dict[str, Any]) -> None:
    card = load_card(REPOSITORY / "bone_ct")
    assert card.accepts(GOOD).accepted
    refused = card.accepts(replace(GOOD, **change))
    assert (refused.accepted, refused.code) == (False, code)
    assert len(refused.reason) > 20


def test_reason_names_value_and_limit_when_slices_are_too_far_apart() -> None:
    refused = load_card(REPOSITORY / "bone_ct").accepts(replace(GOOD, spacing_ijk_mm=(0.8, 0.8, 7.0)))
    assert refused.reason == "slice spacing 7.0 mm is above the 5.0 mm this model was tested on"


@pytest.mark.parametrize(
    ("body_part", "may_be_absent", "code"),
    [
        ("PELVIS", False, "input.accepted"),
        ("pelvis", False, "input.accepted"),
        ("HEAD", True, "input.body_part"),
        (None, True, "input.accepted"),
        (None, False, "input.body_part_absent"),
    ],
)
def test_body_part_decides_when_the_card_lists_some(
    body_part: str | None, may_be_absent: bool, code: str, tmp_path: Path
) -> None:
    rule = {"one_of": ["PELVIS", "HIP"], "may_be_absent": may_be_absent}
    card = load_card(write_card(tmp_path, lambda document: document["inputs"].update(body_part=rule)))
    assert card.accepts(replace(GOOD, body_part_examined=body_part)).code == code


@pytest.mark.parametrize(
    ("where", "change"),
    [
        ("inputs.modality", lambda document: document["inputs"].update(modality="computed tomography")),
        ("limits", lambda document: document.update(limits=[])),
        ("weights.sha256", lambda document: document["weights"].update(sha256="abc")),
        ("intended_use", lambda document: document.pop("intended_use")),
        ("surprise", lambda document: document.update(surprise=1)),
        ("tensors.inputs.0.shape", lambda document: document["tensors"]["inputs"][0].update(shape=[1, 3, 256])),
        ("name", lambda document: document.update(name="other")),
        ("outputs.segments", lambda document: document["outputs"]["segments"][0].update(number=2)),
        ("inputs.slice_spacing_mm", lambda document: document["inputs"].update(slice_spacing_mm=[5, 1])),
    ],
)
def test_card_is_refused_naming_the_field_when_wrong(
    where: str, change: Callable[[dict[str, Any]], object], tmp_path: Path
) -> None:
    assert load_card(write_card(tmp_path))
    with pytest.raises(CardError) as refusal:
        load_card(write_card(tmp_path, change))
    assert where in str(refusal.value)
    assert refusal.value.code == "card.invalid"


@pytest.mark.parametrize("text", ["", "- a list", "a: [unclosed", "just text"])
def test_card_is_refused_when_it_is_not_a_mapping(text: str, tmp_path: Path) -> None:
    path = write_card(tmp_path)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CardError):
        load_card(path)


def test_card_and_repository_are_refused_when_missing(tmp_path: Path) -> None:
    (tmp_path / "bone_ct").mkdir()
    with pytest.raises(CardError, match="needs a card"):
        load_cards(tmp_path)
    with pytest.raises(CardError, match="no model repository"):
        load_cards(tmp_path / "nowhere")


def test_digest_changes_with_content_alone_when_the_card_is_edited(tmp_path: Path) -> None:
    first = load_card(write_card(tmp_path)).digest
    assert first == load_card(write_card(tmp_path, lambda document: document.update(copy.deepcopy(document)))).digest
    assert first != load_card(write_card(tmp_path, lambda document: document.update(summary="Other."))).digest


def test_weights_are_refused_when_missing_or_changed(tmp_path: Path) -> None:
    card = load_card(write_card(tmp_path))
    with pytest.raises(CardError, match="missing"):
        card.require_weights()
    card.weights_path.parent.mkdir()
    card.weights_path.write_bytes(b"other")
    with pytest.raises(CardError, match="hashes to"):
        card.require_weights()
