"""Counting failed attempts: the pure part."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gantry.identity.domain import Limit, Tally, describe_agent, minutes_until, network_of

START = datetime(2026, 11, 21, 8, tzinfo=UTC)
LIMIT = Limit(failures=3)


def _after(*minutes: float) -> Tally:
    tally = Tally()
    for minute in minutes:
        tally = tally.reserve(START + timedelta(minutes=minute), LIMIT)
    return tally


@pytest.mark.parametrize(
    ("minutes", "is_locked"), [((0, 1), False), ((0, 1, 2), True), ((0, 14, 14.9), True), ((0, 14, 15), False)]
)
def test_account_is_locked_when_the_failures_fall_within_the_window(
    minutes: tuple[float, ...], is_locked: bool
) -> None:
    assert _after(*minutes).is_locked(START + timedelta(minutes=minutes[-1])) is is_locked


def test_lock_ends_fifteen_minutes_after_the_last_failure_when_nothing_more_happens() -> None:
    tally = _after(0, 1, 2)
    assert tally.is_locked(START + timedelta(minutes=16, seconds=59))
    assert not tally.is_locked(START + timedelta(minutes=17))


def test_lock_is_lifted_when_the_attempt_that_caused_it_turns_out_well() -> None:
    tally = _after(0, 1, 2).withdraw(START + timedelta(minutes=2), LIMIT)
    assert tally == Tally((START, START + timedelta(minutes=1)), None)


def test_lock_stays_when_what_is_withdrawn_was_never_counted() -> None:
    tally = _after(0, 1, 2)
    assert tally.withdraw(START + timedelta(minutes=3), LIMIT) == tally


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("", ""),
        ("unix:", ""),
    ],
)
def test_network_is_named_when_the_address_is_one(address: str, network: str) -> None:
    assert network_of(address) == network


@pytest.mark.parametrize(
    ("user_agent", "words"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0", "Firefox on Linux"),
        (
            "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0 Safari/537.36 Edg/142.0",
            "Edge on Windows",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile Safari/604.1",
            "Safari on iPhone",
        ),
        ("curl/8.5.0", "curl"),
        ("", "Unknown device"),
        ("<script>", "Unknown device"),
    ],
)
def test_device_is_described_when_the_browser_names_itself(user_agent: str, words: str) -> None:
    assert describe_agent(user_agent) == words


@pytest.mark.parametrize(("seconds", "minutes"), [(900, 15), (61, 2), (60, 1), (1, 1), (-5, 1)])
def test_wait_is_rounded_up_when_it_is_said_in_minutes(seconds: int, minutes: int) -> None:
    assert minutes_until(START + timedelta(seconds=seconds), START) == minutes
