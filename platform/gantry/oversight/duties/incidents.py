"""Breaches of personal data: opened, assessed, told in time to whom the law names, closed with what was done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db.models import F

from gantry.access.public import require_permission
from gantry.agreements.public import BreachRule, load_terms
from gantry.audit.public import Entry, Kind, LedgerEmptyError, LedgerFilter, open_ledger, record
from gantry.foundation.documents import Block, Heading, Paragraph, Table
from gantry.foundation.scope import atomic_service
from gantry.kernel.actor import Actor
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.kernel.errors import InvalidInputError, NotFoundError
from gantry.kernel.vocabulary import AdminPermission, DataCategory
from gantry.oversight.duties.domain import (
    CONTROLLER_WITHIN_H,
    INCIDENT_NEXT,
    FormField,
    Harm,
    IncidentState,
    IncidentStep,
    Law,
    Recipient,
    Risk,
    incident_clocks,
    missing_before_closing,
)
from gantry.oversight.duties.errors import (
    IllegalDutyStepError,
    LateWithoutReasonError,
    NotClosableError,
    StaleIncidentError,
)
from gantry.oversight.duties.numbers import next_number
from gantry.oversight.models import Incident, IncidentNotice
from gantry.tenancy.public import get_tenant

#: Fields that an officer writes; free text, kept with the incident and nowhere else.
TEXTS: Final = ("title", "detected_how", "nature", "consequences", "measures_before", "measures_after")


@dataclass(frozen=True, slots=True)
class Change:
    """What an officer changes of an incident; `None` leaves a field as it is."""

    texts: Mapping[str, str]
    occurred_from: datetime | None = None
    occurred_until: datetime | None = None
    harms: frozenset[Harm] | None = None
    categories: frozenset[DataCategory] | None = None
    subjects: int | None = None
    records: int | None = None


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a breach reaches, counted from the audit trail."""

    events: int
    patients: int
    studies: int
    people: int


@dataclass(frozen=True, slots=True)
class IncidentCard:
    """An incident with its notices, and what must still be done."""

    row: Incident
    notices: list[IncidentNotice]
    missing: tuple[str, ...]


@atomic_service
def open_incident(
    *,
    actor: Actor,
    title: str,
    law: Law,
    known_at: datetime | None = None,
    detected_how: str = "",
    clock: Clock = SYSTEM_CLOCK,
) -> IncidentCard:
    """Open an incident; its clocks run from when it was known, by the agreement's hours or the law's."""
    require_permission(actor, AdminPermission.PRIVACY_MANAGE)
    known = min(known_at or clock.now(), clock.now())
    rule = _breach_rule(clock)
    clocks = incident_clocks(
        known, controller_within_h=rule.processor_within_h, authority_within_h=rule.authority_within_h
    )
    row = Incident.objects.create(
        number=next_number(Incident),
        title=title.strip(),
        law=law,
        state=IncidentState.OPEN,
        known_at=known,
        controller_due=clocks.controller_due,
        authority_due=clocks.authority_due,
        detected_how=detected_how.strip(),
        created_by=actor.id,
    )
    record(actor=actor, entry=_entry("incident.opened", row), clock=clock)
    return _card(row)


@atomic_service
def list_incidents(
    *,
    actor: Actor,
    is_open: bool | None = None,
    number: int | None = None,
    offset: int = 0,
    limit: int = 25,
    clock: Clock = SYSTEM_CLOCK,
) -> tuple[int, list[Incident]]:
    """Return how many incidents there are and one page of them: open ones first, what is due first on top."""
    require_permission(actor, AdminPermission.PRIVACY_MANAGE)
    record(actor=actor, entry=Entry(Kind.CONFIGURATION, "incident.read"), clock=clock)
    rows = Incident.objects.all() if number is None else Incident.objects.filter(number=number)
    if is_open is not None:
        closed = rows.filter(state=IncidentState.CLOSED)
        rows = rows.exclude(state=IncidentState.CLOSED) if is_open else closed
    order = F("closed_at").desc(nulls_first=True)
    return rows.count(), list(rows.order_by(order, "authority_due", "number")[offset : offset + limit])


@atomic_service
def get_incident(*, actor: Actor, incident_id: UUID, clock: Clock = SYSTEM_CLOCK) -> IncidentCard:
    """Return an incident with its notices."""
    require_permission(actor, AdminPermission.PRIVACY_MANAGE)
    row = Incident.objects.filter(pk=incident_id).first()
    if row is None:
        raise NotFoundError
    record(actor=actor, entry=_entry("incident.read", row), clock=clock)
    return _card(row)


@atomic_service
def edit_incident(
    *, actor: Actor, incident_id: UUID, revision: int, change: Change, clock: Clock = SYSTEM_CLOCK
) -> IncidentCard:
    """Write down what is known by now.

    Raises
    ------
    StaleIncidentError
        Somebody else wrote meanwhile.
    """
    row = _lock(actor, incident_id)
    if row.state == IncidentState.CLOSED:
        raise IllegalDutyStepError("A closed incident is not changed; open it again first.")
    if row.revision != revision:
        raise StaleIncidentError(
            "Somebody changed this incident after you read it. Read it again and repeat your change."
        )
    unknown = set(change.texts) - set(TEXTS)
    if unknown:
        raise InvalidInputError(f"There is no field {min(unknown)}.")
    for name, text in change.texts.items():
        setattr(row, name, text.strip())
    if change.occurred_from is not None:
        row.occurred_from = change.occurred_from
    if change.occurred_until is not None:
        row.occurred_until = change.occurred_until
    if row.occurred_from and row.occurred_until and row.occurred_until < row.occurred_from:
        raise InvalidInputError("An incident cannot end before it began.")
    if change.harms is not None:
        row.harms = sorted(change.harms)
    if change.categories is not None:
        row.categories = sorted(change.categories)
    if change.subjects is not None:
        row.subjects = change.subjects
    if change.records is not None:
        row.records = change.records
    _save(actor, row, "incident.changed", clock)
    return _card(row)


@atomic_service
def assess_incident(*, actor: Actor, incident_id: UUID, risk: Risk, clock: Clock = SYSTEM_CLOCK) -> IncidentCard:
    """Say what the people concerned may expect; it decides who must be told."""
    row = _lock(actor, incident_id)
    row.risk, row.state = risk, _next(row, IncidentStep.ASSESS)
    _save(actor, row, "incident.assessed", clock)
    return _card(row)


@atomic_service
def record_notice(
    *,
    actor: Actor,
    incident_id: UUID,
    recipient: Recipient,
    given_at: datetime | None = None,
    reference: str = "",
    late_reason: str = "",
    clock: Clock = SYSTEM_CLOCK,
) -> IncidentCard:
    """Record that somebody was told.

    Raises
    ------
    LateWithoutReasonError
        It came after its time and does not say why (GDPR art. 33(1); KVKK Board decision 2019/10).
    """
    row = _lock(actor, incident_id)
    if row.state == IncidentState.CLOSED:
        raise IllegalDutyStepError("A closed incident is not changed; open it again first.")
    given = min(given_at or clock.now(), clock.now())
    due = {Recipient.CONTROLLER: row.controller_due, Recipient.AUTHORITY: row.authority_due}.get(recipient)
    if due is not None and given > due and not late_reason.strip():
        raise LateWithoutReasonError(f"This was due at {due:%Y-%m-%d %H:%M} UTC: say why it came later.")
    IncidentNotice.objects.create(
        incident=row,
        recipient=recipient,
        given_at=given,
        reference=reference.strip(),
        late_reason=late_reason.strip(),
        recorded_at=clock.now(),
        recorded_by=actor.id,
    )
    _save(actor, row, "incident.notified", clock, recipient=recipient)
    return _card(row)


@atomic_service
def close_incident(*, actor: Actor, incident_id: UUID, clock: Clock = SYSTEM_CLOCK) -> IncidentCard:
    """Close an incident when everybody was told whom its risk asks for.

    Raises
    ------
    NotClosableError
        Something is still to be done; the sentence says what.
    """
    row = _lock(actor, incident_id)
    state = _next(row, IncidentStep.CLOSE)
    missing = _card(row).missing
    if missing:
        raise NotClosableError(" ".join(missing))
    row.state, row.closed_at = state, clock.now()
    _save(actor, row, "incident.closed", clock)
    return _card(row)


@atomic_service
def reopen_incident(*, actor: Actor, incident_id: UUID, clock: Clock = SYSTEM_CLOCK) -> IncidentCard:
    """Open a closed incident again."""
    row = _lock(actor, incident_id)
    row.state, row.closed_at = _next(row, IncidentStep.REOPEN), None
    _save(actor, row, "incident.reopened", clock)
    return _card(row)


def measure_reach(
    *,
    actor: Actor,
    incident_id: UUID,
    wanted: LedgerFilter,
    clock: Clock = SYSTEM_CLOCK,
) -> tuple[IncidentCard, Reach]:
    """Count in the audit trail whom a breach concerns: events of a time, a person, an address, a session's role.

    The numbers go into the incident. Reads the trail outside a transaction, page by page.

    Raises
    ------
    InvalidInputError
        The selection has no beginning.
    """
    if wanted.since is None:
        raise InvalidInputError("Say from when on.")
    _begin_reach(actor=actor, incident_id=incident_id, clock=clock)
    patients: set[UUID] = set()
    studies: set[UUID] = set()
    people: set[UUID] = set()
    events = 0
    try:
        ledger = open_ledger(actor.tenant_id, actor_id=actor.id)
    except LedgerEmptyError:
        ledger = None
    for _, event in ledger.iter_events(wanted) if ledger else ():
        events += 1
        if event.actor_id is not None:
            people.add(event.actor_id)
        patients.update(one.pseudonym for one in event.patients)
        if event.study_id is not None:
            studies.add(event.study_id)
    reach = Reach(events, len(patients), len(studies), len(people))
    return _keep_reach(actor=actor, incident_id=incident_id, wanted=wanted, reach=reach, clock=clock), reach


@atomic_service
def _begin_reach(*, actor: Actor, incident_id: UUID, clock: Clock) -> None:
    row = _lock(actor, incident_id)
    # The reading of the trail is itself an event, before the first line is read.
    record(actor=actor, entry=Entry(Kind.AUDIT_READ, "audit.read", detail={"incident_id": str(row.pk)}), clock=clock)


@atomic_service
def _keep_reach(*, actor: Actor, incident_id: UUID, wanted: LedgerFilter, reach: Reach, clock: Clock) -> IncidentCard:
    row = _lock(actor, incident_id)
    row.scope = {
        "since": wanted.since.isoformat() if wanted.since else "",
        "until": wanted.until.isoformat() if wanted.until else "",
        "actor_id": str(wanted.actor_id or ""),
        "address": wanted.address,
        "events": reach.events,
        "people": reach.people,
    }
    row.subjects, row.records = reach.patients, reach.studies
    _save(actor, row, "incident.changed", clock)
    return _card(row)


@atomic_service
def open_form(
    *, actor: Actor, incident_id: UUID, clock: Clock = SYSTEM_CLOCK
) -> tuple[IncidentCard, tuple[FormField, ...]]:
    """Return the fields that the authority asks for, filled with what is known (GDPR art. 33(3); KVKK form of 2019/10)."""
    require_permission(actor, AdminPermission.PRIVACY_MANAGE)
    row = Incident.objects.filter(pk=incident_id).first()
    if row is None:
        raise NotFoundError
    card = _card(row)
    record(actor=actor, entry=_entry("incident.form_made", row), clock=clock)
    return card, form_fields(card, _breach_rule(clock), get_tenant().name, clock.now())


def form_fields(card: IncidentCard, rule: BreachRule, controller: str, now: datetime) -> tuple[FormField, ...]:
    """Return the fields of the notification to an authority, in its order. Pure."""
    row = card.row
    late = [one.late_reason for one in card.notices if one.recipient == Recipient.AUTHORITY and one.late_reason]
    told = {one.recipient: one.given_at for one in card.notices}
    both = "GDPR art. 33(3); KVKK 2019/10"

    def known(key: str, label: str, source: str, value: object) -> FormField:
        return FormField(key, label, source, _text(value), is_machine_known=True)

    return (
        known("controller", "Controller", both, controller),
        FormField(
            "controller_contact",
            "Contact of the controller or its data protection officer",
            both,
            rule.controller_contact,
        ),
        FormField("processor_contact", "Contact of the processor", both, rule.processor_contact),
        known("number", "Reference", both, f"Incident {row.number}"),
        known("known_at", "Breach known since", both, row.known_at),
        FormField("occurred_from", "Breach began", both, _text(row.occurred_from)),
        FormField("occurred_until", "Breach ended", both, _text(row.occurred_until)),
        known("authority_due", "Notice to the authority due", "GDPR art. 33(1); KVKK art. 12(5)", row.authority_due),
        known(
            "is_late",
            "Notice within the time",
            "GDPR art. 33(1)",
            "yes" if (told.get(Recipient.AUTHORITY) or now) <= row.authority_due else "no",
        ),
        FormField(
            "late_reason", "Reason of a late notice", "GDPR art. 33(1)", "; ".join(late) or _not_late(row, told, now)
        ),
        FormField("detected_how", "How it was detected", "KVKK 2019/10", row.detected_how),
        FormField("nature", "Nature of the breach", "GDPR art. 33(3)(a)", row.nature),
        FormField("harms", "Confidentiality, integrity or availability", "GDPR art. 33(3)(a)", ", ".join(row.harms)),
        FormField(
            "categories", "Categories of data", "GDPR art. 33(3)(a)", ", ".join(row.categories).replace("_", " ")
        ),
        FormField("subjects", "Approximate number of people", "GDPR art. 33(3)(a)", _text(row.subjects)),
        FormField("records", "Approximate number of records (studies)", "GDPR art. 33(3)(a)", _text(row.records)),
        FormField("consequences", "Likely consequences", "GDPR art. 33(3)(c)", row.consequences),
        FormField("measures_before", "Measures in place before", "KVKK 2019/10", row.measures_before),
        FormField("measures_after", "Measures taken or proposed", "GDPR art. 33(3)(d)", row.measures_after),
        known("risk", "Risk to the people concerned", "GDPR art. 33(1), 34(1)", row.risk or "not assessed yet"),
        known("told_controller", "Controller told", "GDPR art. 33(2)", told.get(Recipient.CONTROLLER) or "not yet"),
        known(
            "told_subjects",
            "People concerned told",
            "GDPR art. 34; KVKK 2019/271",
            told.get(Recipient.SUBJECTS) or "not yet",
        ),
        known("at", "State of this form", both, now),
    )


def write_form(card: IncidentCard, fields: tuple[FormField, ...]) -> list[Block]:
    """Return the notice as a document; what a person must still write is a box. Pure."""
    return [
        Heading(1, f"Notice of a personal data breach: incident {card.row.number}"),
        Paragraph(card.row.title),
        Table(("Field", "Stated", "Asked by"), tuple((one.label, one.value or "▢", one.source) for one in fields)),
    ]


def _not_late(row: Incident, told: Mapping[str, datetime], now: datetime) -> str:
    return "" if (told.get(Recipient.AUTHORITY) or now) > row.authority_due else "not late"


def _text(value: object) -> str:
    if value is None:
        return ""
    return f"{value:%Y-%m-%d %H:%M} UTC" if isinstance(value, datetime) else str(value)


def _breach_rule(clock: Clock) -> BreachRule:
    terms = load_terms(clock=clock)
    return terms.breach if terms else BreachRule(processor_within_h=CONTROLLER_WITHIN_H)


def _lock(actor: Actor, incident_id: UUID) -> Incident:
    require_permission(actor, AdminPermission.PRIVACY_MANAGE)
    row = Incident.objects.select_for_update().filter(pk=incident_id).first()
    if row is None:
        raise NotFoundError
    return row


def _next(row: Incident, step: IncidentStep) -> IncidentState:
    state = INCIDENT_NEXT.get((IncidentState(row.state), step))
    if state is None:
        raise IllegalDutyStepError(f"An incident that is {row.state} cannot take the step {step}.")
    return state


def _save(actor: Actor, row: Incident, action: str, clock: Clock, **detail: str) -> None:
    row.revision += 1
    row.save()
    record(actor=actor, entry=_entry(action, row, **detail), clock=clock)


def _card(row: Incident) -> IncidentCard:
    notices = list(IncidentNotice.objects.filter(incident=row).order_by("given_at", "pk"))
    told = frozenset(Recipient(one.recipient) for one in notices)
    is_closed = row.state == IncidentState.CLOSED
    return IncidentCard(row, notices, () if is_closed else missing_before_closing(row.risk, told))


def _entry(action: str, row: Incident, **detail: Any) -> Entry:
    return Entry(
        kind=Kind.CONFIGURATION,
        action=action,
        detail={"incident_id": str(row.pk), "law": row.law, "state": row.state, **detail},
    )
