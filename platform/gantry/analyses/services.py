"""Starting analyses, and the steps a worker takes with one: claim, live, report, finish or give up.

The row's own lease and attempt number guard every write, so a worker that was thought dead and
comes back can change nothing (DESIGN.md §6).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import F, QuerySet

from gantry.agreements.public import decide, require
from gantry.analyses.domain import LEASE_S, MAX_CRASHES, NEXT, REAP_AGAIN_S, UNFINISHED, Claim, Stage, State, Step
from gantry.analyses.errors import (
    FencedError,
    IdempotencyConflictError,
    NothingToAnalyseError,
    UnknownModelError,
)
from gantry.analyses.events import AnalysisChanged
from gantry.analyses.models import Analysis, Artefact, Finding
from gantry.analyses.selection import closest, judge_series
from gantry.audit.public import Entry, Kind, Outcome, record
from gantry.catalog.public import find_card, list_deployed_cards
from gantry.foundation.jobs import job
from gantry.foundation.outbox import WORKLIST, emit, study_stream
from gantry.foundation.scope import atomic_service, unit_of_work
from gantry.kernel.actor import Actor, Subject, system_actor
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.kernel.decision import Decision, Refused
from gantry.kernel.ids import TenantId
from gantry.kernel.vocabulary import Activity, DataCategory
from gantry.studies.public import (
    ResultObject,
    ReviewState,
    Series,
    Study,
    require_study,
    set_result_review,
    store_results,
    stored_columns,
    subject_of,
    sum_up,
    visible_studies,
)
from gantry.vault.public import SealedObject
from gantry_inference.cards import Card


@job("analyses.select")
def select_job(study_id: UUID) -> None:
    """Look which of the tenant's models the completed study is for."""
    select_analyses(study_id=study_id)


@job("analyses.run", queue_name="analyses")
def run_job(analysis_id: UUID) -> None:
    """Run one analysis."""
    from gantry.analyses.execution import run_analysis

    run_analysis(analysis_id=analysis_id)


@atomic_service
def select_analyses(*, study_id: UUID, clock: Clock = SYSTEM_CLOCK) -> list[UUID]:
    """Start what fits a study at its present revision; record what does not fit, with the reason.

    Doing it again changes nothing: a model runs once on a series at a revision.
    """
    study = Study.objects.select_for_update(of=("self",)).select_related("patient").get(pk=study_id)
    actor = system_actor(TenantId(study.tenant_id))
    series = list(Series.objects.filter(study=study, analysis_id=None))
    started: list[UUID] = []
    for _, card in list_deployed_cards():
        subject = _subject_for(card, subject_of(study, actor, DataCategory.PIXEL_DATA))
        decision = decide(actor=actor, activity=Activity.INFER, subject=subject, clock=clock)
        if not decision.allowed:
            _note_not_analysed(actor, study, card, decision.code, decision.reason, clock, decision)
            continue
        candidates = judge_series(card, series)
        fitting = [candidate for candidate in candidates if candidate.acceptance.accepted]
        for candidate in fitting:
            analysis = _create(actor, study, candidate.series, card, "", clock)
            if analysis is not None:
                _record(actor, analysis, study, "analysis.started", decision, clock=clock)
                started.append(analysis.pk)
        if not fitting:
            best = closest(candidates)
            code = best.code if best else "series.none"
            reason = best.reason if best else "The study has no images."
            _note_not_analysed(actor, study, card, code, reason, clock, decision)
    return started


def _subject_for(card: Card, subject: Subject) -> Subject:
    """Return the subject with the model's vendor, whom the agreement must list as a sub-processor."""
    return dataclasses.replace(subject, processor=card.manufacturer)


def _create(
    actor: Actor, study: Study, series: Series | None, card: Card, request_key: str, clock: Clock, **values: Any
) -> Analysis | None:
    """Add an analysis and its job; `None` when there is one already."""
    identity = {
        "study": study,
        "series": series,
        "model": card.name,
        "version": card.version,
        "study_revision": study.revision,
        "request_key": request_key,
    }
    if Analysis.objects.filter(**identity).exists():
        return None
    analysis = Analysis(
        **identity,
        weights_sha256=card.weights.sha256,
        requested_by=actor.id,
        created_at=clock.now(),
        # The reaper's look comes this much later than the queue's.
        next_attempt_at=clock.now() + timedelta(seconds=20),
        **values,
    )
    analysis.save(force_insert=True)
    if analysis.state == State.QUEUED:
        run_job.defer(analysis_id=analysis.pk)
    _announce(analysis, clock)
    return analysis


def _note_not_analysed(
    actor: Actor, study: Study, card: Card, code: str, reason: str, clock: Clock, decision: Decision
) -> None:
    sentence = (reason[:1].upper() + reason[1:])[:500]
    values = {"state": State.NOT_ANALYSED, "code": code, "sentence": sentence, "finished_at": clock.now()}
    analysis = _create(actor, study, None, card, "", clock, **values)
    if analysis is not None:
        _record(actor, analysis, study, "analysis.not_applicable", decision, clock=clock)


@atomic_service
def start_analysis(
    *,
    actor: Actor,
    model: str,
    study_instance_uid: str | None = None,
    series_instance_uid: str | None = None,
    request_key: str,
    clock: Clock = SYSTEM_CLOCK,
) -> Analysis:
    """Start an analysis by hand; the same key gives the same analysis.

    Raises
    ------
    NotFoundError
        No such study or series for this actor.
    UnknownModelError, NothingToAnalyseError
        The tenant does not run the model, or the model was not made for this.
    Refused
        Known, but not allowed.
    """
    study, subject, _ = require_study(
        actor,
        _find_targets(actor, study_instance_uid, series_instance_uid),
        activity=Activity.INFER,
        category=DataCategory.PIXEL_DATA,
        clock=clock,
    )
    earlier = Analysis.objects.filter(request_key=request_key).select_related("series").first()
    if earlier is not None:
        is_same = earlier.study_id == study.pk and earlier.model == model
        if series_instance_uid and (
            earlier.series is None or earlier.series.series_instance_uid != series_instance_uid
        ):
            is_same = False
        if not is_same:
            raise IdempotencyConflictError("This Idempotency-Key was already used for another study, series or model.")
        return earlier
    card = next((card for _, card in list_deployed_cards() if card.name == model), None)
    if card is None:
        raise UnknownModelError(f"Your organisation does not run a model called {model[:64]}.")
    decision = require(actor=actor, activity=Activity.INFER, subject=_subject_for(card, subject), clock=clock)
    series = Series.objects.filter(study=study, analysis_id=None)
    if series_instance_uid:
        series = series.filter(series_instance_uid=series_instance_uid)
    candidates = judge_series(card, list(series))
    fitting = next((one for one in candidates if one.acceptance.accepted), None)
    if fitting is None:
        raise NothingToAnalyseError(
            refusal.reason if (refusal := closest(candidates)) else "The study has no series of images."
        )
    analysis = _create(actor, study, fitting.series, card, request_key, clock)
    if analysis is None:
        raise IdempotencyConflictError("This analysis was started a moment ago.")
    _record(actor, analysis, study, "analysis.started", decision, clock=clock)
    return analysis


def _find_targets(actor: Actor, study_uid: str | None, series_uid: str | None) -> QuerySet[Study]:
    studies = visible_studies(actor).select_for_update(of=("self",))
    if study_uid:
        studies = studies.filter(study_instance_uid=study_uid)
    if series_uid:
        studies = studies.filter(pk__in=Series.objects.filter(series_instance_uid=series_uid).values("study_id"))
    return studies if study_uid or series_uid else studies.none()


def list_open_analyses() -> list[tuple[TenantId, UUID]]:
    """Return analyses of any tenant that wait for a worker longer than they should (the reaper's look)."""
    with connection.cursor() as cursor:
        cursor.execute("select tenant_id, analysis_id from gantry.open_analyses()")
        return [(TenantId(tenant_id), analysis_id) for tenant_id, analysis_id in cursor.fetchall()]


@atomic_service
def requeue_analysis(*, analysis_id: UUID, clock: Clock = SYSTEM_CLOCK) -> None:
    """Put an analysis that nobody works on into the queue again; the claim decides whether it runs."""
    later = clock.now() + timedelta(seconds=REAP_AGAIN_S)
    if Analysis.objects.filter(pk=analysis_id, state__in=UNFINISHED).update(next_attempt_at=later):
        run_job.defer(analysis_id=analysis_id)


@dataclass(frozen=True, slots=True)
class Work:
    """A claimed analysis: what to run, and the right to write about it."""

    claim: Claim
    analysis: Analysis
    study: Study


def claim_analysis(*, actor: Actor, analysis_id: UUID, clock: Clock = SYSTEM_CLOCK) -> Work | None:
    """Take an analysis to work on; `None` when another worker holds it, it is over, or it is not its time.

    The agreement is asked again: one that ended since the analysis was queued ends the analysis.
    """
    refused: Refused | None = None
    with unit_of_work():
        analysis = Analysis.objects.select_for_update().filter(pk=analysis_id).first()
        if analysis is None or (State(analysis.state), Step.CLAIM) not in NEXT:
            return None
        if analysis.state == State.RUNNING and analysis.lease_until and analysis.lease_until > clock.now():
            return None
        study = Study.objects.select_related("patient").get(pk=analysis.study_id)
        analysis.crashes += analysis.state == State.RUNNING
        if analysis.crashes > MAX_CRASHES:
            _end(
                actor, analysis, study, State.FAILED, "analysis.crashed",
                f"The analysis broke off {MAX_CRASHES} times and was given up. Nothing was found or ruled out.", clock,
            )  # fmt: skip
            return None
        subject = subject_of(study, actor, DataCategory.PIXEL_DATA)
        # A model that left the repository has no vendor to ask about; the run itself will fail for want of it.
        if (card := find_card(analysis.model, analysis.version)) is not None:
            subject = _subject_for(card, subject)
        decision = decide(actor=actor, activity=Activity.INFER, subject=subject, clock=clock)
        if not decision.allowed:
            refused = Refused(decision, actor=actor, subject=subject)
            _end(actor, analysis, study, State.FAILED, decision.code, decision.reason, clock, decision=decision)
        else:
            analysis.state, analysis.attempt = State.RUNNING, analysis.attempt + 1
            analysis.lease_until = clock.now() + timedelta(seconds=LEASE_S)
            analysis.started_at = analysis.started_at or clock.now()
            analysis.stage, analysis.progress, analysis.sentence = Stage.READ, 0.0, ""
            analysis.save()
            _record(actor, analysis, study, "analysis.claimed", decision, clock=clock)
            _announce(analysis, clock)
    return None if refused else Work(Claim(analysis.attempt), analysis, study)


def _held(analysis_id: UUID, claim: Claim) -> Analysis:
    analysis = Analysis.objects.select_for_update().filter(pk=analysis_id).first()
    if analysis is None or analysis.attempt != claim.attempt or analysis.state != State.RUNNING:  # absent: erased
        raise FencedError("Another worker has taken this analysis over.")
    return analysis


def start_anew(study_ids: Collection[UUID]) -> None:
    """Take running analyses of some studies from their workers, since the studies' keys change; others take them up."""
    Analysis.objects.filter(study_id__in=list(study_ids), state=State.RUNNING).update(
        state=State.QUEUED, attempt=F("attempt") + 1, lease_until=None
    )


@atomic_service
def renew_lease(*, analysis_id: UUID, claim: Claim, clock: Clock = SYSTEM_CLOCK) -> None:
    """Give a sign of life; raises `FencedError` when the analysis is no longer ours."""
    analysis = _held(analysis_id, claim)
    analysis.lease_until = clock.now() + timedelta(seconds=LEASE_S)
    analysis.save(update_fields=["lease_until"])


@atomic_service
def report_progress(
    *, analysis_id: UUID, claim: Claim, stage: Stage, progress: float, clock: Clock = SYSTEM_CLOCK
) -> None:
    """Say how far an analysis is; a sign of life as well, and the moment to ask whether it may go on.

    Raises
    ------
    Refused
        The agreement was suspended or ended, or lists the model's vendor no more.
    """
    analysis = _held(analysis_id, claim)
    _require_going_on(analysis, clock)
    analysis.stage, analysis.progress = stage, round(progress, 3)
    analysis.lease_until = clock.now() + timedelta(seconds=LEASE_S)
    analysis.save(update_fields=["stage", "progress", "lease_until"])
    _announce(analysis, clock)


def _require_going_on(analysis: Analysis, clock: Clock) -> None:
    study = Study.objects.select_related("patient").get(pk=analysis.study_id)
    actor = system_actor(TenantId(study.tenant_id))
    subject = subject_of(study, actor, DataCategory.PIXEL_DATA)
    if (card := find_card(analysis.model, analysis.version)) is not None:
        subject = _subject_for(card, subject)
    require(actor=actor, activity=Activity.INFER, subject=subject, clock=clock)


@atomic_service
def postpone_analysis(
    *,
    actor: Actor,  # noqa: ARG001 - every service is told who asks
    analysis_id: UUID,
    claim: Claim,
    sentence: str,
    delay_s: float,
    clock: Clock = SYSTEM_CLOCK,
) -> None:
    """Put an analysis off because the model server does not answer; it is tried again by itself."""
    analysis = _held(analysis_id, claim)
    analysis.state = NEXT[(State(analysis.state), Step.WAIT)]
    analysis.sentence, analysis.lease_until = sentence[:500], None
    analysis.next_attempt_at = clock.now() + timedelta(seconds=delay_s)
    analysis.save()
    _announce(analysis, clock)


@atomic_service
def fail_analysis(
    *, actor: Actor, analysis_id: UUID, claim: Claim, code: str, sentence: str, clock: Clock = SYSTEM_CLOCK
) -> None:
    """End an analysis without a result. It is shown as failed, never as "no finding"."""
    analysis = _held(analysis_id, claim)
    study = Study.objects.select_related("patient").get(pk=analysis.study_id)
    _end(actor, analysis, study, NEXT[(State(analysis.state), Step.FAIL)], code, sentence, clock)


def _end(
    actor: Actor,
    analysis: Analysis,
    study: Study,
    state: State,
    code: str,
    sentence: str,
    clock: Clock,
    *,
    decision: Decision | None = None,
) -> None:
    analysis.state, analysis.code, analysis.sentence = state, code, sentence[:500]
    analysis.finished_at, analysis.lease_until = clock.now(), None
    analysis.save()
    outcome = Outcome.FAILURE if decision is None else Outcome.REFUSED
    _record(actor, analysis, study, "analysis.failed", decision, outcome=outcome, clock=clock)
    _announce(analysis, clock)


@dataclass(frozen=True, slots=True)
class NewFinding:
    """A finding to be kept, with its sealed outlines."""

    number: int
    values: Mapping[str, Any]
    contours: SealedObject
    contours_wrapped_key: bytes


@dataclass(frozen=True, slots=True)
class NewArtefact:
    kind: str
    sealed: SealedObject
    wrapped_key: bytes


@atomic_service
def finish_analysis(
    *,
    actor: Actor,
    analysis_id: UUID,
    claim: Claim,
    results: Sequence[ResultObject],
    findings: Sequence[NewFinding],
    artefacts: Sequence[NewArtefact],
    runtime: str,
    timings_s: Mapping[str, float],
    clock: Clock = SYSTEM_CLOCK,
) -> None:
    """Make an analysis's results real, all at once: objects, findings, audit, news.

    Raises
    ------
    FencedError
        Another worker took over; nothing of this attempt is kept.
    Refused
        The agreement does not permit deriving results (any more).
    """
    analysis = _held(analysis_id, claim)
    study = Study.objects.select_for_update(of=("self",)).select_related("patient").get(pk=analysis.study_id)
    subject = subject_of(study, actor, DataCategory.DERIVED_GEOMETRY)
    decision = require(actor=actor, activity=Activity.DERIVE, subject=subject, clock=clock)
    store_results(study=study, analysis_id=analysis.pk, results=results, clock=clock)
    key_id = study.patient.key_id
    for new in findings:
        Finding.objects.create(analysis=analysis, study=study, number=new.number, **new.values)
        Artefact.objects.create(
            analysis=analysis,
            kind="contours",
            number=new.number,
            **stored_columns(new.contours, key_id, new.contours_wrapped_key),
        )
    for artefact in artefacts:
        Artefact.objects.create(
            analysis=analysis, kind=artefact.kind, **stored_columns(artefact.sealed, key_id, artefact.wrapped_key)
        )
    analysis.state, analysis.stage = NEXT[(State(analysis.state), Step.FINISH)], Stage.DONE
    analysis.progress, analysis.sentence, analysis.lease_until = 1.0, "", None
    analysis.finished_at, analysis.runtime, analysis.timings_s = clock.now(), runtime, dict(timings_s)
    analysis.save()
    detail = {"objects": str(len(results)), "findings": str(len(findings)), "weights": analysis.weights_sha256}
    _record(actor, analysis, study, "analysis.finished", decision, outcome=Outcome.SUCCESS, clock=clock, **detail)
    refresh_study_review(study_id=study.pk, clock=clock)
    _announce(analysis, clock)


def refresh_study_review(*, study_id: UUID, clock: Clock) -> None:
    """Sum up what people said of a study's findings and let every list obey it."""
    reviews: dict[UUID, list[ReviewState]] = {}
    # Regions of a finding follow it and do not count for themselves.
    wholes = Finding.objects.filter(study_id=study_id, part_of=None)
    for analysis_id, review in wholes.values_list("analysis_id", "review"):
        reviews.setdefault(analysis_id, []).append(ReviewState(review))
    summed = {analysis_id: sum_up(states) for analysis_id, states in reviews.items()}
    set_result_review(
        study_id=study_id, analysis_reviews=summed, study_review=sum_up(list(summed.values())), clock=clock
    )


def _announce(analysis: Analysis, clock: Clock) -> None:
    event = AnalysisChanged(
        study_id=analysis.study_id,
        analysis_id=analysis.pk,
        state=analysis.state,
        stage=analysis.stage,
        progress=analysis.progress,
        sentence=analysis.sentence,
        model=analysis.model,
        version=analysis.version,
        study_revision=analysis.study_revision,
    )
    emit(event, streams=(WORKLIST, study_stream(analysis.study_id)), clock=clock)


def _record(
    actor: Actor,
    analysis: Analysis,
    study: Study,
    action: str,
    decision: Decision | None,
    *,
    outcome: Outcome = Outcome.SUCCESS,
    clock: Clock,
    **detail: str,
) -> None:
    facts = {
        "analysis_id": str(analysis.pk),
        "model": analysis.model,
        "version": analysis.version,
        "code": analysis.code,
        **detail,
    }
    entry = Entry(
        kind=Kind.INFERENCE,
        action=action,
        outcome=outcome,
        decision=decision,
        subject=subject_of(study, actor, DataCategory.PIXEL_DATA),
        detail=facts,
    )
    record(actor=actor, entry=entry, clock=clock)


def is_unfinished(analysis: Analysis) -> bool:
    """Tell whether an analysis may still change by itself."""
    return State(analysis.state) in UNFINISHED
