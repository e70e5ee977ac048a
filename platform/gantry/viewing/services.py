"""The worklist and the opened study: what a page needs, read in one transaction each."""

from __future__ import annotations

import dataclasses
from typing import Any
from uuid import UUID

from gantry.access.public import NEEDS_GRANT, require_permission
from gantry.agreements.public import require
from gantry.analyses.public import latest_analyses, latest_state
from gantry.audit.public import Entry, Kind, record
from gantry.foundation.outbox import COMPLIANCE, WORKLIST, Cursor, get_cursor, study_stream
from gantry.foundation.scope import atomic_service
from gantry.kernel.actor import Actor, Subject
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.kernel.decision import Decision, Refused
from gantry.kernel.ids import StudyId
from gantry.kernel.vocabulary import Activity, AdminPermission, DataCategory
from gantry.studies.public import (
    StudyFilter,
    find_grant,
    list_referrals,
    list_referred,
    open_study,
    search_studies,
    visible_studies,
)
from gantry.viewing.rows import access_row, study_detail, study_row


def cursor_row(cursor: Cursor) -> dict[str, Any]:
    """Return a stream's position as clients resume from it."""
    return {"stream": cursor.stream, "epoch": str(cursor.epoch), "seq": cursor.seq}


@atomic_service
def open_worklist(
    *,
    actor: Actor,
    wanted: StudyFilter,
    analysis_states: tuple[str, ...],
    sort: str,
    descending: bool,
    page: int,
    page_size: int,
    asked: bytes = b"",
    clock: Clock = SYSTEM_CLOCK,
) -> dict[str, Any]:
    """Return one page of the studies an actor may know of, with each study's newest analysis."""
    # Taken first: whatever happens between here and the query is told again, never missed.
    cursor = get_cursor(WORKLIST)
    if analysis_states:
        wanted = _with_analysis_states(actor, wanted, analysis_states)
    found = search_studies(
        actor=actor,
        wanted=wanted,
        sort=sort,
        descending=descending,
        offset=(page - 1) * page_size,
        limit=page_size,
        asked=asked,
        clock=clock,
    )
    study_ids = [study.pk for study in found.studies]
    latest, referred = latest_analyses(actor=actor, study_ids=study_ids), list_referred(study_ids)
    return {
        "count": found.count,
        "page": page,
        "page_size": page_size,
        "results": [study_row(actor, study, latest, is_referred=study.pk in referred) for study in found.studies],
        "cursor": cursor_row(cursor),
    }


def _with_analysis_states(actor: Actor, wanted: StudyFilter, states: tuple[str, ...]) -> StudyFilter:
    matching = visible_studies(actor).alias(shown_state=latest_state(actor)).filter(shown_state__in=states)
    return dataclasses.replace(wanted, study_ids=matching.values_list("pk", flat=True))


@atomic_service
def open_study_detail(
    *, actor: Actor, study_id: UUID, dicomweb_url: str, clock: Clock = SYSTEM_CLOCK
) -> dict[str, Any]:
    """Return a study's tree for the viewer."""
    opened = open_study(actor=actor, study_id=study_id, clock=clock)
    cursor = get_cursor(study_stream(study_id))
    latest = latest_analyses(actor=actor, study_ids=[study_id])
    # Who else sees a study is for those who may refer it, not for those whom it was referred to.
    is_staff = actor.role not in NEEDS_GRANT
    referrals, candidates = list_referrals(study=opened.study) if is_staff else ([], [])
    return {
        **study_detail(actor, opened, latest, referrals, candidates, dicomweb_url),
        "access": access_row(find_grant(actor, opened.study)),
        "cursor": cursor_row(cursor),
    }


@atomic_service
def follow(*, actor: Actor, stream: str) -> bool:
    """Tell whether a stream is there for an actor to listen to: the worklist, or a study they may know of.

    What compliance officers and administrators hear of is no patient data, so no agreement is asked.

    Raises
    ------
    Refused
        The gate lets them find nothing at all.
    """
    return _decide_stream(actor, stream) is not None


@atomic_service
def open_stream(*, actor: Actor, stream: str, clock: Clock = SYSTEM_CLOCK) -> bool:
    """Let an actor begin to listen to a stream, and record it; otherwise like `follow`."""
    decision = _decide_stream(actor, stream)
    if decision is None:
        return False
    study_id = parse_study_stream(stream)
    subject = Subject(
        actor.tenant_id, DataCategory.IDENTIFYING_METADATA, study_id=StudyId(study_id) if study_id else None
    )
    name = "study" if study_id else stream
    entry = Entry(
        kind=Kind.QUERY, action="stream.followed", decision=decision, subject=subject, detail={"stream": name}
    )
    record(actor=actor, entry=entry, clock=clock)
    return True


def _decide_stream(actor: Actor, stream: str) -> Decision | None:
    """Return by what decision a stream is there for an actor; `None` when it is not."""
    if stream == COMPLIANCE:
        return require_permission(actor, AdminPermission.GRANT_REVIEW)
    subject = Subject(actor.tenant_id, DataCategory.IDENTIFYING_METADATA)
    decision = require(actor=actor, activity=Activity.FIND, subject=subject)
    study_id = parse_study_stream(stream)
    is_there = stream == WORKLIST or (study_id is not None and visible_studies(actor).filter(pk=study_id).exists())
    return decision if is_there else None


def may_follow(*, actor: Actor, stream: str) -> bool:
    """Tell whether an actor may still listen to a stream."""
    try:
        return follow(actor=actor, stream=stream)
    except Refused:
        return False


def parse_study_stream(stream: str) -> UUID | None:
    """Return the study that a stream's one name speaks of, or `None`."""
    try:
        study_id = UUID(stream.removeprefix("study:"))
    except ValueError:
        return None
    return study_id if stream == study_stream(study_id) else None


@atomic_service
def visible_study_ids(*, actor: Actor, study_ids: set[UUID]) -> set[UUID]:
    """Return which of some studies an actor may know of: events of the others are not passed on."""
    return set(visible_studies(actor).filter(pk__in=study_ids).values_list("pk", flat=True))
