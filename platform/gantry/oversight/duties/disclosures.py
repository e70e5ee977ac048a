"""The report of disclosures: to whom a person's data were released, what, when and why (45 CFR 164.528; GDPR art. 15(1)(c))."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from gantry.access.public import require_permission
from gantry.audit.public import (
    ACTIONS,
    Entry,
    Kind,
    LedgerEmptyError,
    LedgerEvent,
    LedgerFilter,
    Outcome,
    open_ledger,
    record,
)
from gantry.foundation.documents import Block, Heading, Paragraph, Table
from gantry.foundation.scope import atomic_service
from gantry.kernel.actor import Actor, Subject
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.kernel.vocabulary import AdminPermission, DataCategory, Purpose
from gantry.studies.public import Holdings, list_names
from gantry.tenancy.public import get_tenant, list_account_names

#: HIPAA's accounting reaches six years back.
YEARS_BACK: Final = timedelta(days=6 * 365 + 2)
_RELEASES: Final = frozenset({Kind.DISCLOSURE, Kind.EXPORT, Kind.TRANSFERRED})
_SEEN: Final = frozenset({Kind.ACCESSED, Kind.INFERENCE, Kind.REVIEW})
_WHY: Final[Mapping[str, str]] = {
    Purpose.TREATMENT: "treatment",
    Purpose.OPERATIONS: "operation of the hospital",
    Purpose.QUALITY: "quality improvement",
    Purpose.PATIENT_REQUEST: "the patient's own request",
    Purpose.EMERGENCY: "an emergency",
    Purpose.SYSTEM_ADMINISTRATION: "support of the platform",
}


@dataclass(frozen=True, slots=True)
class Disclosure:
    """One release: the four things that the law asks for are never empty."""

    at: datetime
    recipient: str
    recipient_address: str
    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Reader:
    """Somebody within the organisation who used the data, and how often."""

    name: str
    role: str
    events: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class DisclosureReport:
    """Everything that left, and who used the data inside."""

    since: datetime
    until: datetime
    releases: tuple[Disclosure, ...]
    readers: tuple[Reader, ...]


def open_disclosures(
    *, actor: Actor, pseudonym: UUID, since: datetime | None = None, clock: Clock = SYSTEM_CLOCK
) -> DisclosureReport:
    """Return to whom a patient's data were released and who used them, from the audit trail as far as it is signed.

    Reads the trail page by page, outside a transaction; the reading is recorded first.
    """
    until = clock.now()
    begin = since or until - YEARS_BACK
    _record_reading(actor=actor, pseudonym=pseudonym, clock=clock)
    wanted = LedgerFilter(since=begin, until=until, patient=pseudonym, outcomes=frozenset({Outcome.SUCCESS}))
    releases: list[LedgerEvent] = []
    seen: dict[UUID, list[LedgerEvent]] = {}
    try:
        ledger = open_ledger(actor.tenant_id, actor_id=actor.id)
    except LedgerEmptyError:
        return DisclosureReport(begin, until, (), ())
    for _, event in ledger.iter_events(wanted):
        if event.kind in _RELEASES and ACTIONS[event.action].crud == "R":
            releases.append(event)
        elif event.kind in _SEEN and event.actor_id is not None and event.actor_kind != "system":
            seen.setdefault(event.actor_id, []).append(event)
    names, organisation = _names([*releases, *(events[0] for events in seen.values())])
    return DisclosureReport(
        begin,
        until,
        tuple(_disclosure(event, names, organisation) for event in releases),
        tuple(sorted((_reader(who, events, names) for who, events in seen.items()), key=lambda one: -one.events)),
    )


@atomic_service
def _record_reading(*, actor: Actor, pseudonym: UUID, clock: Clock) -> None:
    require_permission(actor, AdminPermission.PRIVACY_MANAGE)
    subject = Subject(actor.tenant_id, DataCategory.USAGE, patient_pseudonym=pseudonym)
    record(actor=actor, entry=Entry(Kind.AUDIT_READ, "patient.traced", subject=subject), clock=clock)


@atomic_service
def _names(events: Iterable[LedgerEvent]) -> tuple[dict[UUID, str], str]:
    ids = {one for event in events for one in (event.actor_id, _recipient_of(event)) if one is not None}
    names: dict[UUID, str] = {**list_names(sorted(ids)), **list_account_names(ids)}
    return names, get_tenant().name


def _recipient_of(event: LedgerEvent) -> UUID | None:
    text = event.detail.get("to", "")
    try:
        return UUID(text) if text else None
    except ValueError:
        return None


def _disclosure(event: LedgerEvent, names: Mapping[UUID, str], organisation: str) -> Disclosure:
    who = _recipient_of(event) or event.actor_id
    name = names.get(who, "") if who else ""
    address = ", ".join(part for part in (organisation, event.address) if part)
    return Disclosure(
        at=event.occurred_at,
        recipient=name or (f"a person who is no longer known here ({str(who)[:8]})" if who else "the platform"),
        recipient_address=address,
        what=_what(event),
        why=_WHY.get(event.purpose, "") or ACTIONS[event.action].sentence,
    )


def _what(event: LedgerEvent) -> str:
    category = event.data_category.replace("_", " ") or "images"
    return f"{ACTIONS[event.action].sentence.rstrip('.')}: {category}" + (
        f" of study {event.study_id}" if event.study_id else ""
    )


def _reader(who: UUID, events: list[LedgerEvent], names: Mapping[UUID, str]) -> Reader:
    role = Counter(event.role for event in events).most_common(1)[0][0]
    times = [event.occurred_at for event in events]
    name = names.get(who, "") or f"a person who is no longer known here ({str(who)[:8]})"
    return Reader(name, role, len(events), min(times), max(times))


def write_report(holdings: Holdings, report: DisclosureReport, *, controller: str, basis: str) -> list[Block]:
    """Return the answer to a request for access: what is held, to whom it went, who used it. Pure."""
    blocks: list[Block] = [
        Heading(1, "Your data, and who received them"),
        Paragraph(f"{controller} · {basis} · as of {report.until:%Y-%m-%d %H:%M} UTC"),
        Heading(2, "1 Who you are to us"),
        Table(
            ("Matter", "Held"),
            (
                ("Patient number", holdings.patient_number or "none"),
                ("Issued by", holdings.issuer or "this hospital"),
                ("Name", holdings.name.replace("^", " ").strip() or "none"),
                ("Birth date", holdings.birth_date.isoformat() if holdings.birth_date else "none"),
                ("Sex", holdings.sex or "none"),
                (
                    "Restriction",
                    f"in place since {holdings.restricted_at:%Y-%m-%d}" if holdings.restricted_at else "none",
                ),
            ),
        ),
        Heading(2, "2 What is held"),
    ]
    if holdings.studies:
        blocks.append(
            Table(
                ("Date", "Examination", "Kind", "Hospital", "Images", "Results of AI", "Received"),
                tuple(
                    (
                        one.study_date.isoformat() if one.study_date else "unknown",
                        one.description or "without a description",
                        one.modalities,
                        one.institution,
                        str(one.number_of_instances),
                        str(one.number_of_results),
                        f"{one.received_at:%Y-%m-%d}",
                    )
                    for one in holdings.studies
                ),
            )
        )
    else:
        blocks.append(Paragraph("No examination is held."))
    return [*blocks, *write_disclosures(report)]


def write_disclosures(report: DisclosureReport) -> list[Block]:
    """Return the part of a report that says to whom data went and who used them. Pure."""
    blocks: list[Block] = [Heading(2, f"To whom data were released since {report.since:%Y-%m-%d}")]
    if report.releases:
        blocks.append(
            Table(
                ("When (UTC)", "To whom", "Address", "What", "Why"),
                tuple(
                    (f"{one.at:%Y-%m-%d %H:%M}", one.recipient, one.recipient_address, one.what, one.why)
                    for one in report.releases
                ),
            )
        )
    else:
        blocks.append(Paragraph("To nobody outside those who treat you."))
    blocks.append(Heading(2, "Who used them"))
    if report.readers:
        blocks.append(
            Table(
                ("Who", "Role", "Times", "First (UTC)", "Last (UTC)"),
                tuple(
                    (
                        one.name,
                        one.role,
                        str(one.events),
                        f"{one.first_at:%Y-%m-%d %H:%M}",
                        f"{one.last_at:%Y-%m-%d %H:%M}",
                    )
                    for one in report.readers
                ),
            )
        )
    else:
        blocks.append(Paragraph("Nobody is recorded to have opened them."))
    return blocks
