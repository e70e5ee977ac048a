"""How analyses and findings read over REST."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from gantry.analyses.public import Finding, OpenedAnalysis
from gantry.catalog.public import find_card


def analysis_row(opened: OpenedAnalysis, names: Mapping[UUID, str], tenant: str) -> dict[str, Any]:
    """Return an analysis with its model's card, findings and outputs."""
    analysis = opened.analysis
    card = find_card(analysis.model, analysis.version)
    return {
        "id": str(analysis.pk),
        "study_id": str(opened.study.pk),
        "study_instance_uid": opened.study.study_instance_uid,
        "model": {
            "name": analysis.model,
            "version": analysis.version,
            "title": card.title if card else analysis.model,
            "intended_use": card.intended_use if card else "",
            "limits": list(card.limits) if card else [],
            "is_reference": card.reference_model if card else False,
            "disclaimer": card.disclaimer if card else None,
            "weights_sha256": analysis.weights_sha256,
        },
        "state": analysis.state,
        "stage": analysis.stage,
        "progress": analysis.progress,
        "code": analysis.code,
        "sentence": analysis.sentence,
        "study_revision": analysis.study_revision,
        "is_stale": analysis.study_revision != opened.study.revision,
        "created_at": analysis.created_at,
        "started_at": analysis.started_at,
        "finished_at": analysis.finished_at,
        "runtime": analysis.runtime,
        "timings_s": analysis.timings_s,
        "input_series_instance_uid": opened.input_series_instance_uid,
        "findings": [finding_row(one, names, tenant, opened.input_series_instance_uid) for one in opened.findings],
        "outputs": [
            {
                "kind": one.kind,
                "series_instance_uid": one.series_instance_uid,
                "sop_instance_uid": one.sop_instance_uid,
            }
            for one in opened.outputs
        ],
    }


def finding_row(
    finding: Finding, names: Mapping[UUID, str], tenant: str, series_instance_uid: str | None = None
) -> dict[str, Any]:
    """Return a finding with its measurements and review."""
    if series_instance_uid is None:
        series = finding.analysis.series
        series_instance_uid = series.series_instance_uid if series else ""
    return {
        "id": str(finding.pk),
        "etag": f'"{finding.review_count}"',
        "number": finding.number,
        "part_of": finding.part_of,
        "tracking_uid": finding.tracking_uid,
        "label": finding.label,
        "concept": finding.concept,
        "color": finding.color,
        "measurements": finding.measurements,
        "review": {
            "state": finding.review,
            "by": names.get(finding.reviewed_by, "") if finding.reviewed_by else None,
            "at": finding.reviewed_at,
            "reason": finding.review_reason,
        },
        "series_instance_uid": series_instance_uid,
        "key_sop_instance_uid": finding.key_sop_instance_uid,
        "slice_areas": finding.slice_areas,
        "contours_url": f"/t/{tenant}/api/v1/findings/{finding.pk}/contours",
    }
