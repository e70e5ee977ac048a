"""Which series of a study go to which model, and what the model says of those it was not made for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gantry.studies.public import Instance, Series
from gantry_imaging.errors import GeometryError
from gantry_imaging.series import SliceHeader, examine_geometry
from gantry_inference.cards import Acceptance, Card
from gantry_inference.selection import SeriesFacts


@dataclass(frozen=True, slots=True)
class Candidate:
    """A series and what a card says of it."""

    series: Series
    acceptance: Acceptance


def slice_headers(instances: Sequence[Instance]) -> list[SliceHeader]:
    """Return the geometry of a series' instances, as far as their headers told it."""
    return [_slice_header(instance) for instance in instances]


def _slice_header(instance: Instance) -> SliceHeader:
    facts = instance.facts
    position, orientation, spacing = facts["position"], facts["orientation"], facts["pixel_spacing"]
    return SliceHeader(
        sop_instance_uid=instance.sop_instance_uid,
        instance_number=instance.instance_number,
        frame_index=0,
        image_position_patient=tuple(position) if len(position) == 3 else None,
        image_orientation_patient=tuple(orientation) if len(orientation) == 6 else None,
        pixel_spacing_mm=(spacing[0], spacing[1]) if len(spacing) == 2 else None,
        rows=instance.rows,
        columns=instance.columns,
        frame_of_reference_uid=instance.series.frame_of_reference_uid or None,
        slice_thickness_mm=facts.get("slice_thickness"),
    )


def series_facts(series: Series, instances: Sequence[Instance]) -> SeriesFacts:
    """Return what selection knows of a series; a geometry that makes no volume is told in words."""
    first = instances[0]
    problem, spacing = None, None
    if any(instance.number_of_frames > 1 for instance in instances):
        problem = "The series is stored as multi-frame objects, which this version does not assemble yet."
    else:
        try:
            spacing = examine_geometry(slice_headers(instances)).spacing_ijk_mm
        except GeometryError as error:
            problem = str(error)
    orientation = first.facts["orientation"]
    return SeriesFacts(
        modality=series.modality,
        sop_class_uid=first.sop_class_uid,
        body_part_examined=series.body_part_examined or None,
        image_orientation=tuple(orientation) if len(orientation) == 6 else None,
        spacing_ijk_mm=spacing,
        number_of_slices=len(instances),
        geometry_problem=problem,
        image_type=tuple(first.facts["image_type"]),
    )


def judge_series(card: Card, series: Sequence[Series]) -> list[Candidate]:
    """Ask a card about every series that came from outside."""
    candidates = []
    for one in series:
        if one.analysis_id is not None:
            continue
        instances = list(Instance.objects.filter(series=one).select_related("series"))
        if instances:
            candidates.append(Candidate(one, card.accepts(series_facts(one, instances))))
    return candidates


def closest(candidates: Sequence[Candidate]) -> Acceptance | None:
    """Return what is said of the series that comes nearest to being read: the largest of the right modality."""
    if not candidates:
        return None
    return max(
        candidates, key=lambda one: (one.acceptance.code != "input.modality", one.series.number_of_instances)
    ).acceptance
