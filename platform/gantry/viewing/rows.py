"""How studies, series and instances read in the worklist and the viewer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from gantry.access.public import NEEDS_GRANT, Granted
from gantry.analyses.public import Analysis, AnalysisChanged, FindingReviewed
from gantry.kernel.actor import Actor
from gantry.kernel.vocabulary import GrantKind
from gantry.studies.public import (
    Instance,
    OpenedStudy,
    Referral,
    ReferralCandidate,
    ReviewState,
    Series,
    SeriesPacked,
    Study,
)

#: JPEG baseline, extended, near-lossless JPEG-LS, JPEG 2000 and HTJ2K that may have lost something (PS3.5 §10).
LOSSY_TRANSFER_SYNTAXES = frozenset(
    {
        "1.2.840.10008.1.2.4.50",
        "1.2.840.10008.1.2.4.51",
        "1.2.840.10008.1.2.4.81",
        "1.2.840.10008.1.2.4.91",
        "1.2.840.10008.1.2.4.203",
    }
)

_NO_ANALYSIS: dict[str, Any] = {
    "id": None,
    "state": "none",
    "stage": "",
    "progress": 0.0,
    "sentence": "",
    "model": "",
    "model_version": "",
    "study_revision": None,
}


def analysis_summary(analysis: Analysis | None) -> dict[str, Any]:
    """Return what a row says of a study's newest analysis."""
    if analysis is None:
        return dict(_NO_ANALYSIS)
    return {
        "id": str(analysis.pk),
        "state": analysis.state,
        "stage": analysis.stage,
        "progress": analysis.progress,
        "sentence": analysis.sentence,
        "model": analysis.model,
        "model_version": analysis.version,
        "study_revision": analysis.study_revision,
    }


def shown_review(actor: Actor, review: str) -> str:
    """Return the review state as this reader may know it: who sees accepted results only, sees no other state."""
    if actor.role in NEEDS_GRANT and review != ReviewState.ACCEPTED:
        return ReviewState.NONE
    return review


def shown_event(actor: Actor, name: str, data: dict[str, Any]) -> dict[str, Any] | None:
    """Return an event's data as this reader may know it; `None` where it is not theirs to know.

    Who sees accepted results only hears nothing of analyses and reviews but that a study's results changed.
    """
    if actor.role not in NEEDS_GRANT:
        return data
    if name in {AnalysisChanged.NAME, FindingReviewed.NAME}:
        return None
    if name == SeriesPacked.NAME and data["is_ai_result"]:
        return None  # an AI result, of which they may not know; they hear that results changed
    return {**data, "review": shown_review(actor, data["review"])} if "review" in data else data


def study_row(
    actor: Actor, study: Study, latest: Mapping[UUID, tuple[Analysis, int]], *, is_referred: bool
) -> dict[str, Any]:
    """Return a study as the worklist shows it."""
    analysis, findings = latest.get(study.pk, (None, 0))
    stale = analysis is not None and analysis.study_revision != study.revision
    return {
        "id": str(study.pk),
        "study_instance_uid": study.study_instance_uid,
        "patient": {
            "name": study.patient_name,
            "patient_id": study.patient.patient_id,
            "birth_date": study.patient_birth_date,
            "sex": study.patient_sex,
            "identity_differs": study.identity_differs,
        },
        "accession_number": study.accession_number,
        "study_description": study.description,
        "study_date": study.study_date,
        "study_time": study.study_time,
        "modalities": [modality for modality in study.modalities.split("\\") if modality],
        "institution": {"id": str(study.institution_id), "name": study.institution.name},
        "referring_physician_name": study.referring_physician_name,
        "number_of_series": study.number_of_series,
        "number_of_instances": study.number_of_instances,
        "revision": study.revision,
        "state": study.state,
        "quiet_until": study.quiet_until,
        "analysis": analysis_summary(analysis),
        "review": shown_review(actor, study.review),
        "findings_count": findings,
        "received_at": study.received_at,
        "is_referred": is_referred,
        "newer_instances": stale,
    }


def access_row(granted: Granted | None) -> dict[str, Any]:
    """Return by what a reader sees a study: their role and hospital, or a grant; an emergency is shown as one."""
    return {
        "granted_by": granted.kind if granted else None,
        "until": granted.until if granted else None,
        "is_emergency": granted is not None and granted.kind is GrantKind.BREAK_GLASS,
    }


def study_detail(
    actor: Actor,
    opened: OpenedStudy,
    latest: Mapping[UUID, tuple[Analysis, int]],
    referrals: Sequence[Referral],
    candidates: Sequence[ReferralCandidate],
    dicomweb_url: str,
) -> dict[str, Any]:
    """Return a study as the viewer opens it."""
    study = opened.study
    base = f"{dicomweb_url}/studies/{study.study_instance_uid}"
    return {
        **study_row(actor, study, latest, is_referred=bool(referrals)),
        "series": [series_row(one, opened.instances[one.pk], base) for one in opened.series],
        "referrals": [
            {
                "id": str(one.id),
                "person": {"id": str(one.user_id), "name": one.name},
                "until": one.until,
                "state": one.reason,
            }
            for one in referrals
        ],
        "referral_candidates": [
            {
                "person": {"id": str(one.user_id), "name": one.name},
                "reason": "Named as the referring physician",
                "confidence": "name",
            }
            for one in candidates
        ],
    }


def series_row(series: Series, instances: Sequence[Instance], base: str) -> dict[str, Any]:
    """Return a series with its instances in the order they are looked through."""
    ordered = sort_instances(instances)
    is_image = any(one.facts["has_pixels"] and one.rows for one in ordered) and series.modality != "SEG"
    url = f"{base}/series/{series.series_instance_uid}"
    return {
        "id": str(series.pk),
        "series_instance_uid": series.series_instance_uid,
        "modality": series.modality,
        "series_number": series.series_number,
        "series_description": series.description,
        "body_part_examined": series.body_part_examined,
        "laterality": series.laterality,
        "number_of_instances": series.number_of_instances,
        "frame_of_reference_uid": series.frame_of_reference_uid,
        "is_image": is_image,
        "is_ai_result": series.analysis_id is not None,
        "thumbnail_url": f"{url}/thumbnail" if is_image else None,
        "windows": _windows(ordered),
        "instances": [_instance_row(one) for one in ordered],
    }


def sort_instances(instances: Sequence[Instance]) -> list[Instance]:
    """Sort by position along the normal where all slices are parallel, else by instance number."""
    positions = [_position_mm(one) for one in instances]
    if instances and all(position is not None for position in positions):
        pairs = sorted(
            zip(positions, instances, strict=True), key=lambda pair: (pair[0] or 0.0, pair[1].sop_instance_uid)
        )
        return [instance for _, instance in pairs]
    return sorted(
        instances, key=lambda one: (one.instance_number is None, one.instance_number or 0, one.sop_instance_uid)
    )


def _position_mm(instance: Instance) -> float | None:
    """Distance of a slice along its normal, in millimetres (PS3.3 C.7.6.2.1.1)."""
    orientation, position = instance.facts["orientation"], instance.facts["position"]
    if len(orientation) != 6 or len(position) != 3:
        return None
    rx, ry, rz, cx, cy, cz = orientation
    normal = (ry * cz - rz * cy, rz * cx - rx * cz, rx * cy - ry * cx)
    return float(sum(n * p for n, p in zip(normal, position, strict=True)))


def _windows(instances: Sequence[Instance]) -> list[dict[str, Any]]:
    if not instances:
        return []
    facts = instances[len(instances) // 2].facts
    explanations = facts["window_explanation"]
    pairs = zip(facts["window_center"], facts["window_width"], strict=False)
    return [
        {"center": center, "width": width, "explanation": explanations[at] if at < len(explanations) else ""}
        for at, (center, width) in enumerate(pairs)
    ]


def _instance_row(instance: Instance) -> dict[str, Any]:
    facts = instance.facts
    return {
        "sop_instance_uid": instance.sop_instance_uid,
        "sop_class_uid": instance.sop_class_uid,
        "instance_number": instance.instance_number,
        "frames": instance.number_of_frames,
        "rows": instance.rows,
        "columns": instance.columns,
        "position_mm": _position_mm(instance),
        "image_position_patient": facts["position"] or None,
        "image_orientation_patient": facts["orientation"] or None,
        "pixel_spacing_mm": facts["pixel_spacing"] or None,
        "photometric_interpretation": facts["photometric"],
        # Lossy before it came to us: a lossless picture of it is still no full quality (PS3.3 C.7.6.1.1.5).
        "is_lossy": facts["lossy"] == "01" or instance.transfer_syntax_uid in LOSSY_TRANSFER_SYNTAXES,
    }
