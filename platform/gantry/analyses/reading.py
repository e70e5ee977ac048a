"""Reads of analyses and findings: decide, record, return."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Case, Exists, OuterRef, Subquery, Value, When
from django.db.models.functions import Coalesce

from gantry.access.public import NEEDS_GRANT
from gantry.analyses.domain import State
from gantry.analyses.models import Analysis, Artefact, Finding
from gantry.audit.public import record_access
from gantry.foundation.scope import atomic_service
from gantry.kernel.actor import Actor, Subject
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.kernel.decision import Decision
from gantry.kernel.errors import NotFoundError
from gantry.kernel.vocabulary import Activity, DataCategory
from gantry.studies.public import (
    Instance,
    ReviewState,
    Study,
    require_study,
    result_condition,
    stored_ref,
    visible_studies,
)
from gantry.vault.public import StoredRef


@dataclass(frozen=True, slots=True)
class Output:
    """A DICOM object that an analysis wrote."""

    kind: str
    series_instance_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class OpenedAnalysis:
    """An analysis with the findings that this reader may see."""

    analysis: Analysis
    study: Study
    input_series_instance_uid: str
    findings: list[Finding]
    outputs: list[Output]


_KIND_OF_SOP_CLASS = {
    "1.2.840.10008.5.1.4.1.1.66.4": "seg",
    "1.2.840.10008.5.1.4.1.1.88.33": "sr",
    "1.2.840.10008.5.1.4.1.1.88.34": "sr",
    "1.2.840.10008.5.1.4.1.1.88.22": "sr",
    "1.2.840.10008.5.1.4.1.1.104.3": "stl",
}


def _require_results(actor: Actor, study_id: UUID | None, clock: Clock) -> tuple[Study, Subject, Decision]:
    studies = visible_studies(actor).filter(pk__in=[study_id] if study_id else [])
    return require_study(actor, studies, activity=Activity.VIEW, category=DataCategory.REPORTS, clock=clock)


@atomic_service
def open_analyses(*, actor: Actor, study_id: UUID, clock: Clock = SYSTEM_CLOCK) -> list[OpenedAnalysis]:
    """Open a study's analyses, newest first, with the findings that the reader may see.

    Raises
    ------
    NotFoundError
        No such study for this actor.
    Refused
        Known, but not allowed.
    """
    study, subject, decision = _require_results(actor, study_id, clock)
    opened = _open(actor, study, Analysis.objects.filter(study=study).order_by("-created_at", "pk"))
    _record_shown(actor, decision, subject, study, opened, clock)
    return opened


@atomic_service
def open_analysis(*, actor: Actor, analysis_id: UUID, clock: Clock = SYSTEM_CLOCK) -> OpenedAnalysis:
    """Open one analysis; like `open_analyses` otherwise."""
    analysis = Analysis.objects.filter(pk=analysis_id).first()
    study, subject, decision = _require_results(actor, analysis.study_id if analysis else None, clock)
    opened = _open(actor, study, [analysis] if analysis else [])
    if not opened:
        raise NotFoundError
    _record_shown(actor, decision, subject, study, opened, clock)
    return opened[0]


def _record_shown(
    actor: Actor,
    decision: Decision,
    subject: Subject,
    study: Study,
    opened: Sequence[OpenedAnalysis],
    clock: Clock,
) -> None:
    """Record that the state of analyses was shown, and which results: what came since is shown anew."""
    shown = {
        str(one.analysis.pk): ",".join(f"{finding.pk}:{finding.review}" for finding in one.findings)
        for one in opened
        if one.findings
    }
    digest = hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()
    record_access(
        actor=actor, action="ai_results.shown" if shown else "analysis.read",
        decision=decision, subject=subject, study_id=study.pk,
        detail={"analyses": ",".join(sorted(shown)), "findings": str(sum(len(one.findings) for one in opened))},
        distinct=digest if shown else "", clock=clock,
    )  # fmt: skip


def _open(actor: Actor, study: Study, analyses: Iterable[Analysis]) -> list[OpenedAnalysis]:
    findings: dict[UUID, list[Finding]] = {}
    rows = Finding.objects.filter(study=study).filter(result_condition(actor))
    for finding in rows.order_by("number"):
        findings.setdefault(finding.analysis_id, []).append(finding)
    outputs: dict[UUID, list[Output]] = {}
    written = Instance.objects.filter(study=study, series__analysis_id__isnull=False)
    for instance in written.filter(result_condition(actor, "series__review")).select_related("series"):
        kind = _KIND_OF_SOP_CLASS.get(instance.sop_class_uid, "other")
        output = Output(kind, instance.series.series_instance_uid, instance.sop_instance_uid)
        analysis_id = instance.series.analysis_id
        if analysis_id is not None:
            outputs.setdefault(analysis_id, []).append(output)
    return [
        OpenedAnalysis(
            analysis=analysis,
            study=study,
            input_series_instance_uid=analysis.series.series_instance_uid if analysis.series else "",
            findings=findings.get(analysis.pk, []),
            outputs=outputs.get(analysis.pk, []),
        )
        for analysis in analyses
        # Who sees accepted results only is not told of analyses that have none for them.
        if actor.role not in NEEDS_GRANT or findings.get(analysis.pk)
    ]


def latest_analyses(*, actor: Actor, study_ids: Sequence[UUID]) -> dict[UUID, tuple[Analysis, int]]:
    """Return each study's newest analysis and how many findings, regions not counted, the actor may see.

    To be called inside a service that has decided about these studies.
    """
    counts: dict[UUID, int] = {}
    for analysis_id in (
        Finding.objects.filter(study_id__in=study_ids, part_of=None)
        .filter(result_condition(actor))
        .values_list("analysis_id", flat=True)
    ):
        counts[analysis_id] = counts.get(analysis_id, 0) + 1
    latest: dict[UUID, tuple[Analysis, int]] = {}
    for analysis in Analysis.objects.filter(study_id__in=study_ids).order_by("created_at", "pk"):
        if actor.role in NEEDS_GRANT and not counts.get(analysis.pk):
            continue
        # A run that found something to say outweighs a later "not analysed" of another model.
        held = latest.get(analysis.study_id)
        if held and analysis.state == State.NOT_ANALYSED and held[0].state != State.NOT_ANALYSED:
            continue
        latest[analysis.study_id] = (analysis, counts.get(analysis.pk, 0))
    return latest


def latest_state(actor: Actor) -> Coalesce:
    """Return, for a query of studies, the state of the analysis that `latest_analyses` gives; "none" without one."""
    analyses = Analysis.objects.filter(study=OuterRef("pk"))
    if actor.role in NEEDS_GRANT:
        shown = Finding.objects.filter(analysis=OuterRef("pk")).filter(result_condition(actor))
        analyses = analyses.filter(Exists(shown))
    says_nothing = Case(When(state=State.NOT_ANALYSED, then=1), default=0)
    newest = analyses.order_by(says_nothing, "-created_at", "-pk").values("state")[:1]
    return Coalesce(Subquery(newest), Value("none"))


@atomic_service
def open_contours(*, actor: Actor, finding_id: UUID, clock: Clock = SYSTEM_CLOCK) -> tuple[StoredRef, Finding]:
    """Open a finding's outlines for reading.

    Raises
    ------
    NotFoundError
        No such finding, or not (any more) for this reader.
    """
    finding = Finding.objects.select_related("analysis").filter(pk=finding_id).first()
    study, subject, decision = require_study(
        actor,
        visible_studies(actor).filter(pk__in=[finding.study_id] if finding else []),
        activity=Activity.VIEW,
        category=DataCategory.DERIVED_GEOMETRY,
        clock=clock,
        review=finding.review if finding else ReviewState.NONE,
    )
    if finding is None:
        raise NotFoundError
    record_access(
        actor=actor, action="ai_outlines.shown", decision=decision, subject=subject, study_id=study.pk,
        detail={"analyses": str(finding.analysis_id), "finding_id": str(finding.pk)}, distinct=finding.pk.hex, clock=clock,
    )  # fmt: skip
    artefact = Artefact.objects.get(analysis=finding.analysis, kind="contours", number=finding.number)
    return stored_ref(artefact, artefact.tenant_id), finding
