"""Attempts are counted in the database and lock an account or an address for a while."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections

from gantry.identity.attempts import begin_attempt, fail_attempt
from gantry.identity.domain import ADDRESS_LIMIT
from gantry.identity.models import SignInTally
from gantry.identity.public import SignInLockedError, User
from gantry.kernel.clock import ManualClock

WRONG = "wrong horse battery 7"


def _fail(visitor: Any, email: str, times: int) -> str:
    page = ""
    for _ in range(times):
        page = visitor.sign_in(email, WRONG).content.decode()
    return page


def test_right_password_is_refused_when_five_wrong_ones_came_before(visit: Callable[..., Any], person: User) -> None:
    assert "Wait" not in _fail(visit(), person.email, 4)
    assert "Wait 15 minutes" in _fail(visit(), person.email, 1)
    refused = visit().sign_in(person.email)
    assert refused.status_code == 200
    assert "Wait 15 minutes" in refused.content.decode()


def test_right_password_is_taken_when_the_lock_has_ended(
    visit: Callable[..., Any], person: User, clock: ManualClock
) -> None:
    _fail(visit(), person.email, 5)
    clock.advance(timedelta(minutes=14))
    assert "Wait 1 minute," in visit().sign_in(person.email).content.decode()
    clock.advance(timedelta(minutes=1))
    assert visit().sign_in(person.email).status_code == 302


def test_count_starts_anew_when_a_sign_in_succeeds(visit: Callable[..., Any], person: User) -> None:
    _fail(visit(), person.email, 4)
    assert visit().sign_in(person.email).status_code == 302
    assert "Wait" not in _fail(visit(), person.email, 4)
    assert visit().sign_in(person.email).status_code == 302


def test_count_starts_anew_when_failures_are_old(visit: Callable[..., Any], person: User, clock: ManualClock) -> None:
    _fail(visit(), person.email, 4)
    clock.advance(timedelta(minutes=15))
    assert "Wait" not in _fail(visit(), person.email, 4)


def test_address_is_locked_when_it_tries_many_accounts(visit: Callable[..., Any], person: User) -> None:
    guesser = visit()
    for number in range(ADDRESS_LIMIT.failures):
        attempt = begin_attempt(email=f"{number}-{person.email}", address=guesser.address, step="sign_in")
        if number < ADDRESS_LIMIT.failures - 1:
            fail_attempt(attempt)
        else:
            with pytest.raises(SignInLockedError):
                fail_attempt(attempt)
    neighbour = visit(address=guesser.address.replace("::1", "::2"))
    assert "Wait 15 minutes" in neighbour.sign_in(person.email).content.decode(), "one /64 is one network"
    assert visit().sign_in(person.email).status_code == 302, "the account itself was not locked"


def test_address_stays_counted_when_the_guesser_signs_in_with_an_account_of_his_own(
    visit: Callable[..., Any], person: User
) -> None:
    guesser = visit()
    for number in range(ADDRESS_LIMIT.failures - 1):
        fail_attempt(begin_attempt(email=f"{number}-{person.email}", address=guesser.address, step="sign_in"))
    assert visit(address=guesser.address).sign_in(person.email).status_code == 302
    assert "Wait" in _fail(guesser, "other-" + person.email, 1)


def test_no_more_than_five_guesses_are_checked_when_they_come_in_parallel(person: User, database: None) -> None:
    begun: list[object] = []
    barrier = threading.Barrier(12)

    def guess() -> None:
        barrier.wait()
        try:
            begun.append(begin_attempt(email=person.email, address="", step="sign_in"))
        except SignInLockedError:
            pass
        finally:
            connections.close_all()

    threads = [threading.Thread(target=guess) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(begun) == 5


def test_wrong_passwords_count_when_they_are_asked_for_again_or_changed(visitor: Any, person: User) -> None:
    visitor.sign_in(person.email)
    for _ in range(3):
        visitor.client.post("/accounts/reauthenticate/", {"password": WRONG})
    fields = {"oldpassword": WRONG, "password1": "another horse battery 8", "password2": "another horse battery 8"}
    for _ in range(2):
        page = visitor.client.post("/accounts/password/change/", fields).content.decode()
    assert "Wait 15 minutes" in page
    assert "Wait" in visitor.client.post("/accounts/reauthenticate/", {"password": WRONG}).content.decode()


def test_what_was_typed_is_not_stored_when_the_account_is_unknown(
    visitor: Any, person: User, connect: Callable[[str], Any]
) -> None:
    typed = "hunter2-" + person.email
    _fail(visitor, typed, 5)
    assert SignInTally.objects.exists()
    with connect("owner") as owner:
        for table in ("identity_signintally", "audit_platformevent"):
            rows = owner.execute(f"select to_jsonb(t)::text from {table} t").fetchall()
            assert rows and not any("hunter2" in row[0] for row in rows)


def test_each_step_is_audited_when_somebody_signs_in(
    visit: Callable[..., Any], person: User, connect: Callable[[str], Any]
) -> None:
    _fail(visit(), person.email, 5)
    visit().sign_in(person.email)
    SignInTally.objects.all().delete()
    visitor = visit()
    visitor.sign_in(person.email)
    visitor.client.post("/accounts/logout/")
    with connect("owner") as owner:
        rows = owner.execute(
            "select action, outcome, detail from audit_platformevent where user_id = %s and action <> 'person.created' "
            "order by occurred_at",
            [person.pk],
        ).fetchall()
    assert [(action, outcome) for action, outcome, _ in rows] == [
        *[("sign_in.failed", "failure")] * 5,
        ("sign_in.locked", "refused"),
        ("sign_in.refused", "refused"),
        ("sign_in.succeeded", "success"),
        ("sign_out", "success"),
    ]
    assert rows[-2][2] == {"address": visitor.address, "methods": "password"}
