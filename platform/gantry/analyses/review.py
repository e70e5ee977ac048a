"""A person's word on a finding: accepted, rejected with a reason, or open again."""

from __future__ import annotations

from uuid import UUID

from django.db.models import F

from gantry.analyses.domain import Verdict
from gantry.analyses.errors import ReasonRequiredError, ReviewConflictError
from gantry.analyses.events import FindingReviewed
from gantry.analyses.models import Finding, Review
from gantry.analyses.services import refresh_study_review
from gantry.audit.public import Entry, Kind, record
from gantry.foundation.outbox import emit, study_stream
from gantry.foundation.scope import atomic_service
from gantry.kernel.actor import Actor
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.kernel.errors import NotFoundError
from gantry.kernel.vocabulary import Activity, DataCategory
from gantry.studies.public import ReviewState, is_result_visible, require_study, visible_studies

_STATE = {
    Verdict.ACCEPT: ReviewState.ACCEPTED,
    Verdict.REJECT: ReviewState.REJECTED,
    Verdict.REOPEN: ReviewState.UNREVIEWED,
}


@atomic_service
def review_finding(
    *,
    actor: Actor,
    finding_id: UUID,
    verdict: Verdict,
    reason: str = "",
    expected_count: int | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Finding:
    """Accept, reject or reopen a finding, and with a whole its regions. Every word is kept; the last one counts.

    Parameters
    ----------
    expected_count
        How many reviews the reader had seen; a different number means somebody was faster.

    Raises
    ------
    NotFoundError, Refused
        Not for this actor to know of; known, but not theirs to judge.
    ReasonRequiredError
        A rejection without a reason.
    ReviewConflictError
        Somebody judged it meanwhile.
    """
    # The study's row is locked before the finding's, as everywhere, so that two people cannot wait for each other.
    study_id = Finding.objects.filter(pk=finding_id).values_list("study_id", flat=True).first()
    study, subject, decision = require_study(
        actor,
        visible_studies(actor).select_for_update(of=("self",)).filter(pk__in=[study_id] if study_id else []),
        activity=Activity.REVIEW,
        category=DataCategory.REPORTS,
        clock=clock,
    )
    finding = Finding.objects.select_for_update(of=("self",)).select_related("analysis__series").get(pk=finding_id)
    if not is_result_visible(actor, finding.review):
        raise NotFoundError
    reason = " ".join(reason.split())[:500]
    if verdict is Verdict.REJECT and not reason:
        raise ReasonRequiredError("Say in a word or two why the finding is rejected.")
    state = _STATE[verdict]
    if expected_count is not None and expected_count != finding.review_count:
        if finding.review == state and finding.reviewed_by == actor.id:
            return finding  # the same click, sent twice
        raise ReviewConflictError(
            "Somebody else has reviewed this finding since you opened it. Look again, then decide."
        )
    finding.review, finding.reviewed_by, finding.reviewed_at = state, actor.id, clock.now()
    finding.review_reason, finding.review_count = reason, finding.review_count + 1
    finding.save()
    if finding.part_of is None:
        parts = Finding.objects.filter(analysis_id=finding.analysis_id, part_of=finding.number)
        if verdict is Verdict.ACCEPT:
            parts = parts.filter(review=ReviewState.UNREVIEWED)  # a region rejected before stays rejected
        parts.update(review=state, reviewed_by=actor.id, reviewed_at=clock.now(), review_count=F("review_count") + 1)
    Review.objects.bulk_create([Review(finding=finding, verdict=verdict, reason=reason, by=actor.id, at=clock.now())])
    detail = {"finding_id": str(finding.pk), "analysis_id": str(finding.analysis_id), "verdict": verdict.value}
    entry = Entry(kind=Kind.REVIEW, action=f"finding.{verdict}", decision=decision, subject=subject, detail=detail)
    record(actor=actor, entry=entry, clock=clock)
    emit(
        FindingReviewed(study_id=study.pk, finding_id=finding.pk, state=state),
        streams=(study_stream(study.pk),),
        clock=clock,
    )
    refresh_study_review(study_id=study.pk, clock=clock)
    return finding
