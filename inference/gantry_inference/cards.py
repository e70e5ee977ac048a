"""Model cards: the contract of a model version, read once and frozen."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import jsonschema
import yaml

from gantry_inference.selection import Acceptance, InputRules, Range, SeriesFacts, judge

__all__ = [
    "Acceptance",
    "Card",
    "CardError",
    "Concept",
    "Range",
    "Segment",
    "SeriesFacts",
    "Tensor",
    "load_card",
    "load_cards",
]

REFERENCE_SENTENCE = "Reference model for integration, not for clinical use."
CARD_FILE = "card.yaml"

_SCHEMA_FILE = Path(__file__).with_name("card.schema.json")


class CardError(ValueError):
    """A card that cannot be used; the message says where and what to write instead."""

    code = "card.invalid"


@dataclass(frozen=True, slots=True)
class Concept:
    """A coded concept (PS3.3 section 8): value, scheme, meaning."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input or output of the network. `shape` starts with the batch axis, -1; all else is fixed."""

    name: str
    dtype: Literal["FP32", "FP16", "INT32", "INT64", "UINT8"]
    shape: tuple[int, ...]
    values: Range | None


@dataclass(frozen=True, slots=True)
class QueuePolicy:
    """How long and how many requests may wait inside Triton before it refuses them."""

    delay_us: int
    timeout_ms: int
    max_size: int


@dataclass(frozen=True, slots=True)
class TritonTarget:
    """How Triton serves the model."""

    max_batch_size: int
    instances: int
    threads: int
    queue: QueuePolicy


@dataclass(frozen=True, slots=True)
class Weights:
    """The ONNX file, relative to the card, and what it must hash to."""

    file: PurePosixPath
    sha256: str
    size_bytes: int
    opset: int
    license: str


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment. `number` is its label value and its SegmentNumber; up to `max_parts` become findings."""

    number: int
    label: str
    description: str
    category: Concept
    type: Concept
    display_srgb: tuple[int, int, int]
    measurements: tuple[str, ...]
    max_parts: int
    min_part_mm3: float


@dataclass(frozen=True, slots=True)
class Metrics:
    """What was measured on one data set whose cases were never trained on."""

    data_set: str
    cases: int
    note: str
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Parity:
    """How far two runtimes may differ: per output value, and as a share of differing labels."""

    max_abs_difference: float
    max_label_disagreement: float


@dataclass(frozen=True, slots=True)
class Card:
    """The contract of one model version."""

    name: str
    version: str
    title: str
    summary: str
    intended_use: str
    not_for: tuple[str, ...]
    limits: tuple[str, ...]
    manufacturer: str
    reference_model: bool
    inputs: InputRules
    input_tensors: tuple[Tensor, ...]
    output_tensors: tuple[Tensor, ...]
    triton: TritonTarget | None
    browser: bool
    weights: Weights
    preprocess: Mapping[str, Any]
    postprocess: Mapping[str, Any]
    segments: tuple[Segment, ...]
    metrics: tuple[Metrics, ...]
    parity: Parity
    digest: str
    folder: Path

    @property
    def disclaimer(self) -> str | None:
        """The sentence that must stand beside every result of a reference model."""
        return REFERENCE_SENTENCE if self.reference_model else None

    @property
    def triton_version(self) -> str:
        """Triton's numbered version folder, which holds the weights."""
        return self.weights.file.parts[0]

    @property
    def weights_path(self) -> Path:
        """Where the weights lie on disk."""
        return self.folder / self.weights.file

    def accepts(self, series: SeriesFacts) -> Acceptance:
        """Say whether this model was made for the series; the first rule that it breaks gives the reason."""
        return judge(self.title, self.inputs, series)

    def require_weights(self) -> Path:
        """Return the path of the weights after comparing size and SHA-256 with the card.

        Raises
        ------
        CardError
            The file is missing or is not the one that the card describes.
        """
        path = self.weights_path
        if not path.is_file():
            raise CardError(f"{self.name}: the weights {self.weights.file} are missing. Put the file beside the card.")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if digest != self.weights.sha256:
            raise CardError(
                f"{self.name}: {self.weights.file} hashes to {digest[:12]}…, the card says "
                f"{self.weights.sha256[:12]}…. Restore the file, or publish it as a new version."
            )
        return path


def load_card(path: Path) -> Card:
    """Read and check one card.

    Parameters
    ----------
    path
        The card's YAML file, or the model's folder.

    Raises
    ------
    CardError
        The file is missing, is not YAML, or breaks the schema; the message names the field and the fix.
    """
    file = path / CARD_FILE if path.is_dir() else path
    where = f"{file.parent.name}/{file.name}"
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CardError(f"{where} does not exist. Every model folder needs a card.") from error
    except yaml.YAMLError as error:
        raise CardError(f"{where} is not YAML: {error}") from error
    problems = sorted(_schema().iter_errors(document), key=lambda error: list(map(str, error.absolute_path)))
    if problems:
        raise CardError("\n".join(f"{where}: {_sentence(problem)}" for problem in problems))
    card = _card(document, file.parent.resolve())
    _require_sense(card, where)
    return card


def load_cards(repository: Path) -> list[Card]:
    """Read every card of a model repository, by name.

    Raises
    ------
    CardError
        A folder has no card, a card is bad, or the repository does not exist.
    """
    if not repository.is_dir():
        raise CardError(f"There is no model repository at {repository}.")
    folders = sorted(path for path in repository.iterdir() if path.is_dir() and not path.name.startswith((".", "_")))
    return [load_card(folder) for folder in folders]


@cache
def _schema() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads(_SCHEMA_FILE.read_text(encoding="utf-8")))


def _sentence(problem: jsonschema.ValidationError) -> str:
    """Say where, what, and how to put it right; the fix is the schema's description at that place."""
    field = ".".join(str(part) for part in problem.absolute_path) or "the card"
    schema = problem.schema
    fix = schema.get("description", "") if isinstance(schema, Mapping) else ""
    return f"{field}: {problem.message}.{' Expected: ' + fix if fix else ''}"


def _require_sense(card: Card, where: str) -> None:
    """Check what a JSON schema cannot."""
    if card.folder.name != card.name:
        raise CardError(f"{where}: name is {card.name!r} but the folder is {card.folder.name!r}. Make them equal.")
    numbers = [segment.number for segment in card.segments]
    if numbers != list(range(1, len(numbers) + 1)):
        raise CardError(f"{where}: outputs.segments are numbered {numbers}. DICOM wants 1, 2, 3 ….")
    for field in ("in_plane_spacing_mm", "slice_spacing_mm", "number_of_slices"):
        bounds: Range = getattr(card.inputs, field)
        if bounds.low > bounds.high:
            raise CardError(f"{where}: inputs.{field} is [{bounds.low}, {bounds.high}]. Write the lower bound first.")


def _range(pair: list[float]) -> Range:
    return Range(float(pair[0]), float(pair[1]))


def _concept(code: Mapping[str, str]) -> Concept:
    return Concept(value=code["value"], scheme=code["scheme"], meaning=code["meaning"])


def _tensor(tensor: Mapping[str, Any]) -> Tensor:
    values = tensor.get("range")
    return Tensor(tensor["name"], tensor["dtype"], tuple(tensor["shape"]), _range(values) if values else None)


def _inputs(inputs: Mapping[str, Any]) -> InputRules:
    body_part = inputs["body_part"]
    return InputRules(
        modality=inputs["modality"],
        sop_class_uids=tuple(inputs["sop_class_uids"]),
        body_parts=None if body_part == "any" else tuple(body_part["one_of"]),
        body_part_may_be_absent=body_part == "any" or bool(body_part["may_be_absent"]),
        image_types_refused=tuple(inputs["image_types_refused"]),
        tilt_tolerance_deg=float(inputs["orientation"]["tolerance_deg"]),
        in_plane_spacing_mm=_range(inputs["in_plane_spacing_mm"]),
        slice_spacing_mm=_range(inputs["slice_spacing_mm"]),
        number_of_slices=_range(inputs["number_of_slices"]),
    )


def _segment(segment: Mapping[str, Any]) -> Segment:
    red, green, blue = segment["display_srgb"]
    parts = segment.get("parts", {"max": 0, "min_mm3": 0})
    return Segment(
        number=segment["number"],
        label=segment["label"],
        description=segment["description"],
        category=_concept(segment["category"]),
        type=_concept(segment["type"]),
        display_srgb=(red, green, blue),
        measurements=tuple(segment["measurements"]),
        max_parts=parts["max"],
        min_part_mm3=float(parts["min_mm3"]),
    )


def _triton(target: Mapping[str, Any] | None) -> TritonTarget | None:
    if target is None:
        return None
    return TritonTarget(
        max_batch_size=target["max_batch_size"],
        instances=target["instances"],
        threads=target["threads"],
        queue=QueuePolicy(**target["queue"]),
    )


def _card(document: Mapping[str, Any], folder: Path) -> Card:
    weights = document["weights"]
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return Card(
        name=document["name"],
        version=document["version"],
        title=document["title"],
        summary=document["summary"],
        intended_use=document["intended_use"],
        not_for=tuple(document["not_for"]),
        limits=tuple(document["limits"]),
        manufacturer=document["manufacturer"],
        reference_model=document["reference_model"],
        inputs=_inputs(document["inputs"]),
        input_tensors=tuple(map(_tensor, document["tensors"]["inputs"])),
        output_tensors=tuple(map(_tensor, document["tensors"]["outputs"])),
        triton=_triton(document["targets"].get("triton")),
        browser=bool(document["targets"]["browser"]),
        weights=Weights(**{**weights, "file": PurePosixPath(weights["file"])}),
        preprocess=document["preprocess"],
        postprocess=document["postprocess"],
        segments=tuple(map(_segment, document["outputs"]["segments"])),
        metrics=tuple(Metrics(**entry) for entry in document["metrics"]),
        parity=Parity(**document["parity"]),
        digest=hashlib.sha256(canonical.encode()).hexdigest(),
        folder=folder,
    )
