"""What is summed up from a patient's and a study's events, without a database."""

from __future__ import annotations

from gantry.audit.domain import Kind, Outcome
from gantry.oversight.exports.tracing import sum_up_presentations, sum_up_sightings
from ledger_events import OTHER, READER, make_event


def test_who_was_refused_has_not_seen() -> None:
    events = [
        make_event(0),
        make_event(1, action="series.rendered"),
        make_event(
            2, actor_id=OTHER, role="surgeon", kind=Kind.SECURITY_ALERT, action="view.refused", outcome=Outcome.REFUSED
        ),
        make_event(3, purpose="BTG"),
    ]
    reader, other = sum_up_sightings(events, {READER: "Ada"})
    assert (reader.name, reader.events, reader.has_seen, reader.in_emergency) == ("Ada", 3, True, True)
    assert reader.actions == {"study.opened": 2, "series.rendered": 1}
    assert (reader.first_at, reader.last_at) == (events[0].occurred_at, events[3].occurred_at)
    assert (other.has_seen, other.refused) == (False, 1)


def test_one_person_in_two_roles_is_two_lines() -> None:
    found = sum_up_sightings([make_event(0), make_event(1, role="surgeon")], {})
    assert [one.role for one in found] == ["surgeon", "radiologist"]


def test_act_says_whether_the_result_had_been_shown_to_this_person() -> None:
    finished = make_event(0, kind=Kind.INFERENCE, action="analysis.finished", actor_kind="system", actor_id=None,
                          detail={"analysis_id": "a", "model": "bone_ct", "version": "1"})  # fmt: skip
    shown = make_event(1, action="ai_results.shown", detail={"analyses": "a,b"})
    accepted = make_event(2, kind=Kind.REVIEW, action="finding.accept", detail={"analysis_id": "a", "finding_id": "f"})
    blind = make_event(
        3, kind=Kind.REVIEW, action="finding.reject", actor_id=OTHER, detail={"analysis_id": "a", "finding_id": "f"}
    )
    first, second = sum_up_presentations([finished, shown, accepted, blind], {READER: "Ada"})
    assert (first.analysis_id, first.model, first.available_at) == ("a", "bone_ct", finished.occurred_at)
    assert [(one.name, one.via, one.address) for one in first.shown] == [("Ada", "list", "10.1.2.3")]
    assert [(one.verdict, one.was_shown) for one in first.acted] == [("accept", True), ("reject", False)]
    assert (second.analysis_id, second.available_at, len(second.shown)) == ("b", None, 1)


def test_nothing_was_shown_when_it_was_refused() -> None:
    assert (
        sum_up_presentations(
            [make_event(action="ai_results.shown", outcome=Outcome.REFUSED, detail={"analyses": "a"})], {}
        )
        == []
    )
