"""Clocks and states of duties: pure, so that a date is enough."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gantry.oversight.duties.domain import (
    BASES,
    INCIDENT_NEXT,
    REQUEST_NEXT,
    FormField,
    IncidentState,
    IncidentStep,
    Law,
    Recipient,
    RequestKind,
    RequestState,
    RequestStep,
    Risk,
    Term,
    blanks,
    clock_of,
    incident_clocks,
    missing_before_closing,
)

ASKED = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("law", "kind", "due", "extended"),
    [
        (
            Law.GDPR,
            RequestKind.ACCESS,
            datetime(2026, 2, 28, 9, 30, tzinfo=UTC),
            datetime(2026, 4, 28, 9, 30, tzinfo=UTC),
        ),
        (Law.KVKK, RequestKind.ERASURE, datetime(2026, 3, 2, 9, 30, tzinfo=UTC), None),
        (
            Law.HIPAA,
            RequestKind.ACCESS,
            datetime(2026, 3, 2, 9, 30, tzinfo=UTC),
            datetime(2026, 4, 1, 9, 30, tzinfo=UTC),
        ),
        (
            Law.HIPAA,
            RequestKind.DISCLOSURES,
            datetime(2026, 4, 1, 9, 30, tzinfo=UTC),
            datetime(2026, 5, 1, 9, 30, tzinfo=UTC),
        ),
    ],
)
def test_each_law_has_its_clock(law: Law, kind: RequestKind, due: datetime, extended: datetime | None) -> None:
    clock = clock_of(law, kind)
    assert clock.answer.after(ASKED) == due
    assert (clock.extension.after(due) if clock.extension else None) == extended


def test_a_month_that_has_no_such_day_ends_on_its_last() -> None:
    assert Term(months=1).after(datetime(2024, 1, 31, tzinfo=UTC)) == datetime(2024, 2, 29, tzinfo=UTC)
    assert Term(months=2).after(datetime(2025, 12, 31, tzinfo=UTC)) == datetime(2026, 2, 28, tzinfo=UTC)


def test_every_right_names_its_article() -> None:
    assert {kind for _, kind in BASES} == set(RequestKind)
    assert all(BASES.values())
    assert (Law.KVKK, RequestKind.RESTRICTION) not in BASES


def test_a_closed_request_goes_nowhere() -> None:
    closed = {RequestState.ANSWERED, RequestState.REFUSED, RequestState.WITHDRAWN}
    assert not [key for key in REQUEST_NEXT if key[0] in closed]
    for state in set(RequestState) - closed:
        assert REQUEST_NEXT[state, RequestStep.REFUSE] is RequestState.REFUSED
        assert REQUEST_NEXT[state, RequestStep.WITHDRAW] is RequestState.WITHDRAWN
    assert [state for state in RequestState if (state, RequestStep.ANSWER) in REQUEST_NEXT] == [
        RequestState.IN_PROGRESS
    ]


def test_an_incident_is_assessed_before_it_is_closed() -> None:
    assert (IncidentState.OPEN, IncidentStep.CLOSE) not in INCIDENT_NEXT
    assert INCIDENT_NEXT[IncidentState.CLOSED, IncidentStep.REOPEN] is IncidentState.OPEN


def test_an_agreement_may_shorten_the_clock_and_never_lengthen_it() -> None:
    short = incident_clocks(ASKED, controller_within_h=12, authority_within_h=48)
    assert (short.controller_due - ASKED, short.authority_due - ASKED) == (timedelta(hours=12), timedelta(hours=48))
    long = incident_clocks(ASKED, controller_within_h=200, authority_within_h=500)
    assert (long.controller_due - ASKED, long.authority_due - ASKED) == (timedelta(hours=72), timedelta(hours=72))


@pytest.mark.parametrize(
    ("risk", "told", "missing"),
    [
        ("", frozenset(), 1),
        (Risk.UNLIKELY, frozenset(), 1),
        (Risk.UNLIKELY, frozenset({Recipient.CONTROLLER}), 0),
        (Risk.LIKELY, frozenset({Recipient.CONTROLLER}), 1),
        (Risk.LIKELY, frozenset({Recipient.CONTROLLER, Recipient.AUTHORITY}), 0),
        (Risk.HIGH, frozenset({Recipient.CONTROLLER, Recipient.AUTHORITY}), 1),
        (Risk.HIGH, frozenset(Recipient), 0),
    ],
)
def test_risk_decides_who_must_be_told(risk: str, told: frozenset[Recipient], missing: int) -> None:
    assert len(missing_before_closing(risk, told)) == missing


def test_blanks_tell_the_machine_s_from_a_person_s() -> None:
    fields = (
        FormField("a", "Known", "x", "1", is_machine_known=True),
        FormField("b", "Forgotten", "x", "", is_machine_known=True),
        FormField("c", "To be written", "x"),
    )
    assert blanks(fields) == {"machine": ("Forgotten",), "person": ("To be written",)}
