"""The summary: its counts are those of the events, and nothing of it is markup from outside."""

from __future__ import annotations

from datetime import timedelta

from gantry.audit.domain import Outcome
from gantry.audit.projections.summary import Front, Tally, render_summary
from ledger_events import ALL, READER, START, make_event

FRONT = Front("Audit trail", "North <b>", START, "Ada", [("Patient", "<script>")], "All of it.", "SHA256:abc")


def tally_of(days: int = 1) -> Tally:
    tally = Tally(START, START + timedelta(days=days))
    for event in ALL:
        tally.add(event)
    return tally


def test_counts_are_those_of_the_events() -> None:
    tally = tally_of()
    assert tally.events == len(ALL)
    assert sum(tally.kinds.values()) == sum(tally.outcomes.values()) == sum(tally.over_time.values()) == len(ALL)
    assert sum(tally.refused.values()) == sum(1 for event in ALL if event.outcome is not Outcome.SUCCESS)
    assert tally.emergencies == 0
    tally.add(make_event(purpose="BTG"))
    assert tally.emergencies == 1


def test_page_shows_people_by_name_and_no_markup_of_others() -> None:
    page = render_summary(FRONT, tally_of(), {READER: "Dr. <i>Ada</i>"})
    assert "Dr. &lt;i&gt;Ada&lt;/i&gt;" in page
    assert "<script>" not in page
    assert "<rect" in page


def test_bars_stay_few_whatever_the_time() -> None:
    for days in (0, 1, 7, 90, 3650):
        tally = tally_of(days)
        assert (tally.until - tally.since) / tally.step <= 60
        assert "<svg" in render_summary(FRONT, tally, {})


def test_memory_stays_bounded_when_there_are_many_people() -> None:
    tally = Tally(START, START + timedelta(days=1))
    for number in range(6000):
        tally.add(make_event(actor_id=None, detail={"account": f"a{number}"}))
    assert len(tally.people) <= 5001
    assert tally.people["others"] == 1000
