"""Whether a series is one that a model was made for."""

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Range:
    """A closed interval."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class InputRules:
    """Which series the model may read. `body_parts` None means any."""

    modality: str
    sop_class_uids: tuple[str, ...]
    body_parts: tuple[str, ...] | None
    body_part_may_be_absent: bool
    image_types_refused: tuple[str, ...]
    tilt_tolerance_deg: float
    in_plane_spacing_mm: Range
    slice_spacing_mm: Range
    number_of_slices: Range


@dataclass(frozen=True, slots=True)
class SeriesFacts:
    """What selection knows of a series. `geometry_problem` says why no regular volume can be made of it."""

    modality: str
    sop_class_uid: str
    body_part_examined: str | None
    image_orientation: tuple[float, ...] | None
    spacing_ijk_mm: tuple[float, float, float] | None
    number_of_slices: int
    geometry_problem: str | None = None
    image_type: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Whether a model may read a series, and for a radiologist why not. `code` is stable."""

    accepted: bool
    reason: str
    code: str


# A rule gives (code, reason) when it is broken.
_Broken = tuple[str, str] | None
_Rule = Callable[[InputRules, SeriesFacts], _Broken]


def judge(title: str, rules: InputRules, series: SeriesFacts) -> Acceptance:
    """Apply the rules in the order in which a person would ask; the first broken one gives the reason."""
    for rule in _RULES:
        if broken := rule(rules, series):
            code, reason = broken
            return Acceptance(False, reason, code)
    return Acceptance(True, f"{title} accepts this series.", "input.accepted")


def _modality(rules: InputRules, series: SeriesFacts) -> _Broken:
    if series.modality == rules.modality:
        return None
    return (
        "input.modality",
        f"modality {series.modality or '(none)'} is not {rules.modality}, which this model reads",
    )


def _sop_class(rules: InputRules, series: SeriesFacts) -> _Broken:
    if series.sop_class_uid in rules.sop_class_uids:
        return None
    return (
        "input.sop_class",
        f"objects of SOP class {series.sop_class_uid} are not ones that this model reads",
    )


def _image_type(rules: InputRules, series: SeriesFacts) -> _Broken:
    refused = [value for value in series.image_type if value.upper() in rules.image_types_refused]
    return ("input.image_type", f"image type {refused[0]} is not meant for this model") if refused else None


def _body_part(rules: InputRules, series: SeriesFacts) -> _Broken:
    if rules.body_parts is None:
        return None
    wanted = ", ".join(rules.body_parts)
    if not series.body_part_examined:
        if rules.body_part_may_be_absent:
            return None
        return "input.body_part_absent", f"the series does not state its body part; this model reads {wanted}"
    if series.body_part_examined.upper() in rules.body_parts:
        return None
    return (
        "input.body_part",
        f"body part {series.body_part_examined} is not among those this model reads ({wanted})",
    )


def _slices(rules: InputRules, series: SeriesFacts) -> _Broken:
    low, high = int(rules.number_of_slices.low), int(rules.number_of_slices.high)
    if series.number_of_slices < low:
        return "input.too_few_slices", f"{_slices_of(series)} are fewer than the {low} this model needs"
    if series.number_of_slices > high:
        return (
            "input.too_many_slices",
            f"{_slices_of(series)} are more than the {high} this model was tested on",
        )
    return None


def _slices_of(series: SeriesFacts) -> str:
    return "1 slice" if series.number_of_slices == 1 else f"{series.number_of_slices} slices"


def _geometry(_: InputRules, series: SeriesFacts) -> _Broken:
    if series.geometry_problem:
        return "input.geometry", series.geometry_problem
    if series.image_orientation is None or len(series.image_orientation) != 6 or series.spacing_ijk_mm is None:
        return "input.geometry_unknown", "the series does not say how its slices lie in the patient"
    if not all(map(math.isfinite, (*series.image_orientation, *series.spacing_ijk_mm))):
        return "input.geometry_unknown", "the series' position in the patient is not a number"
    return None


def _orientation(rules: InputRules, series: SeriesFacts) -> _Broken:
    if series.image_orientation is None:
        return None
    rx, ry, rz, cx, cy, cz = series.image_orientation
    normal = (ry * cz - rz * cy, rz * cx - rx * cz, rx * cy - ry * cx)
    length = math.hypot(*normal)
    if length < 1e-6:
        return "input.geometry_unknown", "the series' row and column directions are parallel"
    tilt_deg = math.degrees(math.acos(min(1.0, abs(normal[2]) / length)))
    if tilt_deg <= rules.tilt_tolerance_deg:
        return None
    limit = f"{rules.tilt_tolerance_deg:.0f}°"
    return (
        "input.orientation",
        f"slices are tilted {tilt_deg:.0f}° from axial; this model was tested up to {limit}",
    )


def _spacing(rules: InputRules, series: SeriesFacts) -> _Broken:
    if series.spacing_ijk_mm is None:
        return None
    column_mm, row_mm, slice_mm = series.spacing_ijk_mm
    for name, code, value_mm, allowed in (
        ("pixel spacing", "input.pixel_spacing", max(column_mm, row_mm), rules.in_plane_spacing_mm),
        ("pixel spacing", "input.pixel_spacing", min(column_mm, row_mm), rules.in_plane_spacing_mm),
        ("slice spacing", "input.slice_spacing", slice_mm, rules.slice_spacing_mm),
    ):
        reason = _outside(name, value_mm, allowed)
        if reason:
            return code, reason
    return None


def _outside(name: str, value_mm: float, allowed: Range) -> str | None:
    # Spacings come from decimal strings and differences of positions; a micrometre is no difference.
    if value_mm > allowed.high + 1e-3:
        return f"{name} {_mm(value_mm)} is above the {_mm(allowed.high)} this model was tested on"
    if value_mm < allowed.low - 1e-3:
        return f"{name} {_mm(value_mm)} is below the {_mm(allowed.low)} this model was tested on"
    return None


def _mm(value: float) -> str:
    text = f"{value:.2f}"
    return f"{text.removesuffix('0')} mm"


_RULES: tuple[_Rule, ...] = (
    _modality, _sop_class, _image_type, _body_part, _slices, _geometry, _orientation, _spacing,
)  # fmt: skip
