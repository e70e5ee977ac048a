"""How long a session goes on that may not be renewed, by a clock that the test turns."""

from __future__ import annotations

import pytest

from gantry_render.protocol import LEASE_ENDS_S, LEASE_EVERY_S
from gantry_render.server.errors import SessionError
from gantry_render.server.leases import Leases


class Viewer:
    """An open session that is never told to end here."""

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id

    async def end(self, error: SessionError) -> None:
        raise AssertionError(error)


@pytest.mark.parametrize("opened_at", [100.0, 100.2, 100.7, 101.3, 101.4999])
def test_a_session_lapses_in_time_when_the_platform_answers_no_more(opened_at: float) -> None:
    leases, viewer = Leases(), Viewer("a")
    # Asked at 100, 100 + LEASE_EVERY_S and so on; answered twice.
    now, confirmed_at = 100.0, opened_at
    while now <= opened_at:
        now += LEASE_EVERY_S
    leases.enter(viewer, opened_at)
    for _ in range(2):
        leases.confirm(leases.ask(), now, ())
        confirmed_at = now
        assert leases.lapsed(now) == []
        now += LEASE_EVERY_S
    while not leases.lapsed(now):
        now += LEASE_EVERY_S
    assert leases.lapsed(now) == [viewer]
    assert LEASE_EVERY_S < now - confirmed_at <= LEASE_ENDS_S


def test_a_session_that_was_opened_and_never_confirmed_lapses_in_time() -> None:
    leases, viewer = Leases(), Viewer("a")
    leases.enter(viewer, 99.9)
    now = 100.0
    while not leases.lapsed(now):
        now += LEASE_EVERY_S
    assert now - 99.9 <= LEASE_ENDS_S


def test_a_revoked_session_is_told_of_within_five_seconds_at_worst() -> None:
    # Revoked just after the platform was asked; the next answer may take a whole period.
    assert 2 * LEASE_EVERY_S < 5
    # Or none comes at all, and the last one said yes.
    assert LEASE_ENDS_S < 5


def test_an_answer_counts_from_its_question_and_for_those_alone_that_were_asked_about() -> None:
    leases, early, late = Leases(), Viewer("early"), Viewer("late")
    leases.enter(early, 100.0)
    asked = leases.ask()
    leases.enter(late, 100.0)
    leases.confirm(asked, 104.0, ())
    assert leases.lapsed(104.5) == [late]


def test_who_has_ended_is_not_confirmed_with_the_others() -> None:
    leases, ended, other = Leases(), Viewer("ended"), Viewer("other")
    for viewer in (ended, other):
        leases.enter(viewer, 100.0)
    leases.confirm(leases.ask(), 104.0, {"ended"})
    assert leases.lapsed(104.5) == [ended]


def test_the_newer_of_one_name_stays_when_the_older_leaves() -> None:
    leases, before, after = Leases(), Viewer("a"), Viewer("a")
    assert leases.enter(before, 100.0) is None
    assert leases.enter(after, 101.0) is before
    assert not leases.leave(before)
    assert leases.clients == [after]
    assert leases.leave(after)
    assert len(leases) == 0
