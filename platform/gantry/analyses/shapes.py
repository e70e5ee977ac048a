"""Results that can be drawn into a series: surfaces and segmentations that lie in the same frame of reference."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from django.db.models import Q

from gantry.analyses.models import Analysis, Finding
from gantry.kernel.actor import Actor
from gantry.studies.public import Instance, ReviewState, Series, is_result_visible, result_condition
from gantry_inference.outputs.provenance import uid_for

Colour = tuple[float, float, float]

_KINDS: dict[str, Literal["mesh", "segmentation"]] = {
    "1.2.840.10008.5.1.4.1.1.104.3": "mesh",
    "1.2.840.10008.5.1.4.1.1.66.4": "segmentation",
}
#: Of shapes that came from outside and name no colour of their own in their row: that of bone in an atlas.
_COLOUR: Colour = (0.945, 0.839, 0.569)
#: More would be no picture; the newest are kept.
MAX_SHAPES = 32


@dataclass(frozen=True, slots=True)
class Shape:
    """A stored DICOM object with something to draw, as this reader may see it."""

    instance: Instance
    kind: Literal["mesh", "segmentation"]
    label: str
    colour: Colour
    is_reviewed: bool
    """Not by a machine alone: a person accepted it, or it came from outside."""


def list_shapes(*, actor: Actor, series: Series) -> list[Shape]:
    """Return what can be drawn into a series, as far as `actor` may see it.

    To be called inside a service that has decided about the series.
    """
    of_this = Analysis.objects.filter(series=series).values("pk")
    fits = Q(series__analysis_id__in=of_this)
    if series.frame_of_reference_uid:
        fits |= Q(series__frame_of_reference_uid=series.frame_of_reference_uid)
    rows = (
        Instance.objects.filter(study_id=series.study_id, sop_class_uid__in=_KINDS)
        .filter(fits)
        .exclude(series=series)
        .filter(result_condition(actor, "series__review"))
        .select_related("series")
        .order_by("-received_at", "sop_instance_uid")[:MAX_SHAPES]
    )
    instances = list(rows)
    findings = _findings(instances)
    shapes = (_shape(actor, one, findings.get(one.series.analysis_id, {})) for one in instances)
    return [shape for shape in shapes if shape is not None]


def _findings(instances: Iterable[Instance]) -> dict[UUID | None, dict[str, Finding]]:
    """Return whole findings by analysis and tracking UID, which their surfaces share."""
    analysis_ids = {one.series.analysis_id for one in instances}
    found: dict[UUID | None, dict[str, Finding]] = {}
    for finding in Finding.objects.filter(analysis_id__in=analysis_ids, part_of=None).order_by("number"):
        found.setdefault(finding.analysis_id, {})[finding.tracking_uid] = finding
    return found


def _shape(actor: Actor, instance: Instance, findings: dict[str, Finding]) -> Shape | None:
    kind = _KINDS[instance.sop_class_uid]
    series = instance.series
    if series.analysis_id is None:
        return Shape(instance, kind, series.description or series.modality, _COLOUR, is_reviewed=True)
    if kind == "mesh":
        # A surface is written as the instance with its segment's number.
        tracking_uid = str(uid_for(str(series.analysis_id), "tracking", instance.instance_number or 0))
        if finding := findings.get(tracking_uid):
            if not is_result_visible(actor, finding.review):
                return None
            return Shape(instance, kind, finding.label, _rgb(finding.color), finding.review == ReviewState.ACCEPTED)
    visible = [one for one in findings.values() if is_result_visible(actor, one.review)]
    label = ", ".join(one.label for one in visible) or series.description or series.modality
    colour = _rgb(visible[0].color) if visible else _COLOUR
    return Shape(instance, kind, label[:128], colour, series.review == ReviewState.ACCEPTED)


def _rgb(text: str) -> Colour:
    try:
        red, green, blue = bytes.fromhex(text.removeprefix("#"))
    except ValueError:
        return _COLOUR
    return red / 255, green / 255, blue / 255
