"""Duties towards the people whose data it is, and towards authorities: states, clocks, and what is missing. Pure."""

from __future__ import annotations

import calendar
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Law(StrEnum):
    """Which law a request or an incident is handled under."""

    GDPR = "gdpr"
    KVKK = "kvkk"
    HIPAA = "hipaa"


class RequestKind(StrEnum):
    """What a person may ask for."""

    ACCESS = "access"
    ERASURE = "erasure"
    PORTABILITY = "portability"
    RESTRICTION = "restriction"
    DISCLOSURES = "disclosures"


class RequestState(StrEnum):
    RECEIVED = "received"
    IDENTIFIED = "identified"
    IN_PROGRESS = "in_progress"
    ANSWERED = "answered"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


class RequestStep(StrEnum):
    IDENTIFY = "identify"
    BEGIN = "begin"
    EXTEND = "extend"
    ANSWER = "answer"
    REFUSE = "refuse"
    WITHDRAW = "withdraw"


_R, _S = RequestState, RequestStep
REQUEST_NEXT: dict[tuple[RequestState, RequestStep], RequestState] = {
    (_R.RECEIVED, _S.IDENTIFY): _R.IDENTIFIED,
    (_R.IDENTIFIED, _S.IDENTIFY): _R.IDENTIFIED,
    (_R.IDENTIFIED, _S.BEGIN): _R.IN_PROGRESS,
    (_R.IN_PROGRESS, _S.ANSWER): _R.ANSWERED,
    **{(state, _S.EXTEND): state for state in (_R.RECEIVED, _R.IDENTIFIED, _R.IN_PROGRESS)},
    **{(state, _S.REFUSE): _R.REFUSED for state in (_R.RECEIVED, _R.IDENTIFIED, _R.IN_PROGRESS)},
    **{(state, _S.WITHDRAW): _R.WITHDRAWN for state in (_R.RECEIVED, _R.IDENTIFIED, _R.IN_PROGRESS)},
}
OPEN_REQUESTS: frozenset[RequestState] = frozenset({_R.RECEIVED, _R.IDENTIFIED, _R.IN_PROGRESS})

#: What a law calls each right. A kind that a law does not know has no line, and cannot be asked for under it.
BASES: dict[tuple[Law, RequestKind], str] = {
    (Law.GDPR, RequestKind.ACCESS): "GDPR art. 15",
    (Law.GDPR, RequestKind.ERASURE): "GDPR art. 17",
    (Law.GDPR, RequestKind.PORTABILITY): "GDPR art. 20",
    (Law.GDPR, RequestKind.RESTRICTION): "GDPR art. 18",
    (Law.GDPR, RequestKind.DISCLOSURES): "GDPR art. 15(1)(c)",
    (Law.KVKK, RequestKind.ACCESS): "KVKK art. 11(1)(a)-(c)",
    (Law.KVKK, RequestKind.ERASURE): "KVKK art. 11(1)(e)",
    (Law.KVKK, RequestKind.DISCLOSURES): "KVKK art. 11(1)(ç)",
    (Law.HIPAA, RequestKind.ACCESS): "45 CFR 164.524",
    (Law.HIPAA, RequestKind.PORTABILITY): "45 CFR 164.524(c)(2)",
    (Law.HIPAA, RequestKind.RESTRICTION): "45 CFR 164.522(a)",
    (Law.HIPAA, RequestKind.DISCLOSURES): "45 CFR 164.528",
}


@dataclass(frozen=True, slots=True)
class Term:
    """A time to act in: whole months, or days."""

    months: int = 0
    days: int = 0

    def after(self, moment: datetime) -> datetime:
        """Return when it ends; a month ends on the same day of the next, or on its last day."""
        month = moment.month - 1 + self.months
        year, month = moment.year + month // 12, month % 12 + 1
        day = min(moment.day, calendar.monthrange(year, month)[1])
        return moment.replace(year=year, month=month, day=day) + timedelta(days=self.days)


@dataclass(frozen=True, slots=True)
class RequestClock:
    """How long the controller has, and by how much that may be lengthened, once."""

    answer: Term
    extension: Term | None


def clock_of(law: Law, kind: RequestKind) -> RequestClock:
    """Return the clock of a request (GDPR art. 12(3); KVKK art. 13(2); 45 CFR 164.524(b)(2), 164.528(c)(1))."""
    if law is Law.GDPR:
        return RequestClock(Term(months=1), Term(months=2))
    if law is Law.KVKK:
        return RequestClock(Term(days=30), None)
    if kind is RequestKind.DISCLOSURES:
        return RequestClock(Term(days=60), Term(days=30))
    return RequestClock(Term(days=30), Term(days=30))


class IncidentState(StrEnum):
    OPEN = "open"
    ASSESSED = "assessed"
    CLOSED = "closed"


class IncidentStep(StrEnum):
    ASSESS = "assess"
    CLOSE = "close"
    REOPEN = "reopen"


_I, _T = IncidentState, IncidentStep
INCIDENT_NEXT: dict[tuple[IncidentState, IncidentStep], IncidentState] = {
    (_I.OPEN, _T.ASSESS): _I.ASSESSED,
    (_I.ASSESSED, _T.ASSESS): _I.ASSESSED,
    (_I.ASSESSED, _T.CLOSE): _I.CLOSED,
    (_I.CLOSED, _T.REOPEN): _I.OPEN,
}


class Harm(StrEnum):
    """What a breach did to the data (EDPB Guidelines 9/2022, §14)."""

    CONFIDENTIALITY = "confidentiality"
    INTEGRITY = "integrity"
    AVAILABILITY = "availability"


class Risk(StrEnum):
    """What the people concerned may expect (GDPR art. 33(1), 34(1))."""

    UNLIKELY = "unlikely"
    LIKELY = "likely"
    HIGH = "high"


class Recipient(StrEnum):
    """Who is told of a breach."""

    CONTROLLER = "controller"
    AUTHORITY = "authority"
    SUBJECTS = "subjects"


#: The longest time in which a processor tells the controller and the controller the authority, where the agreement
#: says nothing shorter (GDPR art. 33(1); KVKK Board decision 2019/10), in hours.
AUTHORITY_WITHIN_H, CONTROLLER_WITHIN_H = 72, 24


@dataclass(frozen=True, slots=True)
class IncidentClocks:
    """By when who must be told, counted from when the breach was known."""

    controller_due: datetime
    authority_due: datetime


def incident_clocks(known_at: datetime, *, controller_within_h: int, authority_within_h: int) -> IncidentClocks:
    """Return the clocks of an incident; an agreement may make them shorter than the law does, never longer."""
    return IncidentClocks(
        controller_due=known_at + timedelta(hours=min(controller_within_h, AUTHORITY_WITHIN_H)),
        authority_due=known_at + timedelta(hours=min(authority_within_h, AUTHORITY_WITHIN_H)),
    )


def missing_before_closing(risk: str, told: frozenset[Recipient]) -> tuple[str, ...]:
    """Return what must still be done before an incident may be closed, in sentences."""
    if not risk:
        return ("Assess the risk first.",)
    missing = []
    if Recipient.CONTROLLER not in told:
        missing.append("Record that the controller was told.")
    if risk != Risk.UNLIKELY and Recipient.AUTHORITY not in told:
        missing.append("Record the notice to the authority; a risk to people is likely.")
    if risk == Risk.HIGH and Recipient.SUBJECTS not in told:
        missing.append("Record that the people concerned were told; the risk to them is high.")
    return tuple(missing)


@dataclass(frozen=True, slots=True)
class FormField:
    """One field of an authority's form: what it asks, and what we know; `value` is empty where a person must write."""

    key: str
    label: str
    source: str
    value: str = ""
    is_machine_known: bool = False


def blanks(fields: tuple[FormField, ...]) -> Mapping[str, tuple[str, ...]]:
    """Return the labels of empty fields, of those that the platform knows and of those that a person must fill."""
    return {
        "machine": tuple(field.label for field in fields if field.is_machine_known and not field.value),
        "person": tuple(field.label for field in fields if not field.is_machine_known and not field.value),
    }
