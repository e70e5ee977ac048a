"""Questions to the trail that are answered at once: who saw this patient, and to whom a result of AI was shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Final
from uuid import UUID

from gantry.access.public import require_permission
from gantry.audit.public import (
    ACTIONS,
    Entry,
    Kind,
    Ledger,
    LedgerEmptyError,
    LedgerEvent,
    LedgerFilter,
    Names,
    Outcome,
    kind_of,
    open_ledger,
    record,
)
from gantry.foundation.scope import atomic_service
from gantry.kernel.actor import Actor
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.kernel.errors import InvalidInputError, NotFoundError
from gantry.kernel.vocabulary import AdminPermission, Purpose
from gantry.oversight.exports.domain import ExportQuery
from gantry.oversight.exports.naming import Joiner
from gantry.oversight.exports.services import require_time
from gantry.studies.public import find_pseudonyms

#: More events of one patient than this are asked for by an export, which has no bound.
MOST_EVENTS: Final = 50_000
#: Kinds by which a person came to see something of a patient.
_SEEING: Final = frozenset({Kind.ACCESSED, Kind.QUERY, Kind.TRANSFERRED, Kind.EXPORT, Kind.REVIEW, Kind.DISCLOSURE})


@dataclass(slots=True)
class Sighting:
    """What one person or system did with a patient's data in a time."""

    actor_id: UUID | None
    actor_kind: str
    name: str
    role: str
    first_at: datetime
    last_at: datetime
    events: int = 0
    refused: int = 0
    has_seen: bool = False
    in_emergency: bool = False
    actions: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Trace:
    """Who saw one patient, as far as the log was signed when it was asked."""

    pseudonym: UUID
    patient_id: str
    issuer: str
    patient_name: str
    log_size: int
    signed_at: datetime | None
    is_cut: bool
    people: list[Sighting]


def trace_patient(
    *,
    actor: Actor,
    since: datetime,
    until: datetime,
    patient_id: str = "",
    issuer: str = "",
    pseudonym: UUID | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> list[Trace]:
    """Return who saw a patient in a time; one answer for each of the patients with that number.

    Raises
    ------
    Refused
        The role does not include reading the audit trail.
    NotFoundError
        No patient has that number (any more); an erased one is asked for by pseudonym.
    TimeRequiredError
    """
    require_time(ExportQuery(since, until))
    found = _begin_trace(actor, patient_id, issuer, pseudonym, since, until, clock)
    if not found:
        raise NotFoundError
    ledger = _open(actor)
    return [_trace(ledger, one, since, until) for one in found]


@atomic_service
def _begin_trace(
    actor: Actor, patient_id: str, issuer: str, pseudonym: UUID | None, since: datetime, until: datetime, clock: Clock
) -> list[UUID]:
    """Ask whether they may, find whom is meant, and record that it was asked."""
    require_permission(actor, AdminPermission.AUDIT_READ)
    if pseudonym is None and not patient_id:
        raise InvalidInputError("Name a patient: the patient's number, or a pseudonym from the trail.")
    found = [pseudonym] if pseudonym is not None else find_pseudonyms(patient_id=patient_id, issuer=issuer)
    detail = {"since": since.isoformat(), "until": until.isoformat(), "patients": str(len(found))}
    entry = Entry(
        kind=kind_of("patient.traced"), action="patient.traced", detail=detail, patients=tuple(found),
        outcome=Outcome.SUCCESS if found else Outcome.FAILURE, sealed=patient_id.encode(),
    )  # fmt: skip
    record(actor=actor, entry=entry, clock=clock)
    return found


def _open(actor: Actor) -> Ledger | None:
    """Return the ledger of the actor's tenant; `None` when nothing of it was signed yet."""
    try:
        return open_ledger(actor.tenant_id, actor_id=actor.id)
    except LedgerEmptyError:
        return None


def read_patient_events(
    ledger: Ledger, pseudonym: UUID, since: datetime, until: datetime, *, limit: int = MOST_EVENTS
) -> list[LedgerEvent]:
    """Return a patient's events in a time, oldest first; who calls has asked and recorded."""
    wanted = LedgerFilter(patient=pseudonym, since=since, until=until)
    return [event for _, event in islice(ledger.iter_events(wanted), limit)]


def _trace(ledger: Ledger | None, pseudonym: UUID, since: datetime, until: datetime) -> Trace:
    events = read_patient_events(ledger, pseudonym, since, until, limit=MOST_EVENTS + 1) if ledger else []
    joiner = Joiner()
    known = joiner.patients([pseudonym]).get(pseudonym)
    names = joiner.people({event.actor_id for event in events if event.actor_id is not None})
    return Trace(
        pseudonym=pseudonym,
        patient_id=known.patient_id if known else "",
        issuer=known.issuer if known else "",
        patient_name=known.name if known else "",
        log_size=ledger.size if ledger else 0,
        signed_at=ledger.checkpoint.signed_at if ledger else None,
        is_cut=len(events) > MOST_EVENTS,
        people=sum_up_sightings(events[:MOST_EVENTS], names),
    )


def sum_up_sightings(events: Iterable[LedgerEvent], names: dict[UUID, str]) -> list[Sighting]:
    """Return what each person did, who saw something first and the latest first."""
    found: dict[tuple[UUID | None, str], Sighting] = {}
    for event in events:
        one = found.setdefault(
            (event.actor_id, event.role),
            Sighting(
                event.actor_id, event.actor_kind, names.get(event.actor_id, "") if event.actor_id else "", event.role,
                event.occurred_at, event.occurred_at,
            ),
        )  # fmt: skip
        one.events += 1
        one.first_at, one.last_at = min(one.first_at, event.occurred_at), max(one.last_at, event.occurred_at)
        one.actions[event.action] = one.actions.get(event.action, 0) + 1
        if event.outcome is Outcome.REFUSED:
            one.refused += 1
        elif event.kind in _SEEING:
            one.has_seen = True
        one.in_emergency |= event.purpose == Purpose.EMERGENCY
    return sorted(found.values(), key=lambda one: (not one.has_seen, -one.last_at.timestamp()))


@dataclass(frozen=True, slots=True)
class Shown:
    """That a result was put before somebody: who, where, by which way."""

    actor_id: UUID | None
    name: str
    role: str
    place: str
    address: str
    via: str
    at: datetime
    event_index: int


@dataclass(frozen=True, slots=True)
class Acted:
    """That somebody judged a finding of a result."""

    actor_id: UUID | None
    name: str
    verdict: str
    finding_id: str
    at: datetime
    event_index: int
    #: Whether the result had been put before this very person.
    was_shown: bool


@dataclass(slots=True)
class Presentation:
    """One result of AI: available, shown, acted on."""

    analysis_id: str
    model: str = ""
    version: str = ""
    available_at: datetime | None = None
    shown: list[Shown] = field(default_factory=list)
    acted: list[Acted] = field(default_factory=list)


SHOWS_AI: Final = frozenset(action for action, act in ACTIONS.items() if act.shows_ai)
_JUDGES: Final = frozenset(action for action, act in ACTIONS.items() if act.kind is Kind.REVIEW)
_WAYS: Final = {
    "ai_results.shown": "list",
    "ai_results.retrieved": "dicomweb",
    "ai_results.rendered": "viewer",
    "ai_outlines.shown": "outlines",
}


def list_presentations(
    *, actor: Actor, study_id: UUID, analysis_id: UUID | None = None, clock: Clock = SYSTEM_CLOCK
) -> list[Presentation]:
    """Return a study's results of AI: since when they are available, to whom they were shown, who acted on them.

    Raises
    ------
    Refused
        The role does not include reading the audit trail.
    """
    _begin_presentations(actor, study_id, clock)
    ledger = _open(actor)
    if ledger is None:
        return []
    wanted = LedgerFilter(study_id=study_id, actions=SHOWS_AI | _JUDGES | {"analysis.finished"})
    events = [event for _, event in islice(ledger.iter_events(wanted), MOST_EVENTS)]
    names = Joiner().people({event.actor_id for event in events if event.actor_id is not None})
    found = sum_up_presentations(events, names)
    return [one for one in found if analysis_id is None or one.analysis_id == str(analysis_id)]


@atomic_service
def _begin_presentations(actor: Actor, study_id: UUID, clock: Clock) -> None:
    require_permission(actor, AdminPermission.AUDIT_READ)
    entry = Entry(kind=kind_of("presentation.read"), action="presentation.read", detail={"study": str(study_id)})
    record(actor=actor, entry=entry, clock=clock)


def sum_up_presentations(events: Iterable[LedgerEvent], names: dict[UUID, str]) -> list[Presentation]:
    """Return the presentation ledger of some events, by when a result became available."""
    found: dict[str, Presentation] = {}
    for event in events:
        if event.outcome is not Outcome.SUCCESS:
            continue
        detail, name = event.detail, names.get(event.actor_id, "") if event.actor_id else ""
        for analysis_id in filter(None, (detail.get("analysis_id") or detail.get("analyses") or "").split(",")):
            one = found.setdefault(analysis_id, Presentation(analysis_id))
            if event.action == "analysis.finished":
                one.available_at, one.model, one.version = (
                    event.occurred_at, detail.get("model", ""), detail.get("version", ""),
                )  # fmt: skip
            elif event.action in _JUDGES:
                was_shown = any(shown.actor_id == event.actor_id for shown in one.shown)
                verdict = event.action.partition(".")[2]
                one.acted.append(
                    Acted(
                        event.actor_id,
                        name,
                        verdict,
                        detail.get("finding_id", ""),
                        event.occurred_at,
                        event.index,
                        was_shown,
                    )
                )
            else:
                way = _WAYS.get(event.action, event.action)
                one.shown.append(
                    Shown(
                        event.actor_id,
                        name,
                        event.role,
                        event.place,
                        event.address,
                        way,
                        event.occurred_at,
                        event.index,
                    )
                )
    return sorted(found.values(), key=lambda one: (one.available_at is None, str(one.available_at), one.analysis_id))


def read_page(
    *, actor: Actor, query: ExportQuery, after_index: int, limit: int, clock: Clock = SYSTEM_CLOCK
) -> tuple[Ledger | None, list[LedgerEvent], Names]:
    """Return a page of events with their names: the search of ITI-81. Recorded once, with its first page.

    Raises
    ------
    Refused
        The role does not include reading the audit trail.
    TimeRequiredError
    """
    require_time(query)
    _begin_read(actor, query, after_index, clock)
    ledger = _open(actor)
    if ledger is None:
        return None, [], Names()
    events = [event for _, event in islice(ledger.iter_events(query.to_filter(), after_index=after_index), limit)]
    return ledger, events, Joiner(ledger).join(events)


@atomic_service
def _begin_read(actor: Actor, query: ExportQuery, after_index: int, clock: Clock) -> None:
    require_permission(actor, AdminPermission.AUDIT_READ)
    asked = {key: value if isinstance(value, str) else ",".join(value) for key, value in query.to_json().items()}
    pseudonym = asked.pop("patient", None)
    detail: dict[str, str] = {**asked, "after_index": str(after_index)}
    patients: Sequence[UUID] = [UUID(pseudonym)] if pseudonym else []
    entry = Entry(kind=kind_of("audit.read"), action="audit.read", detail=detail, patients=tuple(patients))
    record(actor=actor, entry=entry, clock=clock)
