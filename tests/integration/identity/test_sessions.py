"""Sessions: stored by digest, ended by time, by their owner and by revocation."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.backends.base import UpdateError
from django.db import connections
from django.test.utils import CaptureQueriesContext

from gantry.identity.models import Session
from gantry.identity.public import User, is_session_alive, resolve_session, session_digest
from gantry.identity.services import end_all_sessions
from gantry.identity.sessions import SessionStore
from gantry.kernel.clock import ManualClock


def _is_signed_in(visitor: Any) -> bool:
    return bool(visitor.client.get("/accounts/sessions/").status_code == 200)


def test_key_is_not_in_the_database_when_a_person_is_signed_in(
    visitor: Any, person: User, connect: Callable[[str], Any]
) -> None:
    visitor.sign_in(person.email)
    key = visitor.session_key
    with connect("owner") as owner:
        rows = owner.execute("select digest, to_jsonb(s)::text from identity_session s").fetchall()
    assert session_digest(key) in [digest for digest, _ in rows]
    assert not any(key[start : start + 12] in row for _, row in rows for start in range(len(key) - 12))
    assert len(key) >= 40


def test_new_key_is_made_when_a_person_signs_in_over_an_anonymous_session(visitor: Any, person: User) -> None:
    planted = SessionStore()
    planted["harmless"] = 1
    planted.create()
    visitor.client.cookies["gantry_session"] = planted.session_key
    visitor.sign_in(person.email)
    assert visitor.session_key != planted.session_key
    assert resolve_session(planted.session_key) is None


def test_chosen_key_is_not_taken_over_when_it_is_unknown(visitor: Any, person: User) -> None:
    visitor.client.cookies["gantry_session"] = "chosen-by-a-stranger-0123456789"
    visitor.sign_in(person.email)
    assert visitor.session_key != "chosen-by-a-stranger-0123456789"
    assert resolve_session("chosen-by-a-stranger-0123456789") is None


def test_session_ends_when_it_was_left_alone_too_long(
    visitor: Any, person: User, clock: ManualClock, settings: Any
) -> None:
    settings.SESSION_IDLE_S = 1800
    visitor.sign_in(person.email)
    for _ in range(3):
        clock.advance(timedelta(minutes=29))
        assert _is_signed_in(visitor)
        assert resolve_session(visitor.session_key, clock=clock) is not None
    key = visitor.session_key
    clock.advance(timedelta(minutes=30))
    assert resolve_session(key, clock=clock) is None
    assert not is_session_alive(session_digest(key), clock=clock)
    assert not _is_signed_in(visitor)


def test_session_ends_when_its_lifetime_is_over_however_busy_it_was(
    visitor: Any, person: User, clock: ManualClock, settings: Any
) -> None:
    visitor.sign_in(person.email)
    for _ in range(settings.SESSION_COOKIE_AGE // 3600 - 1):
        clock.advance(timedelta(hours=1))
        assert _is_signed_in(visitor)
    clock.advance(timedelta(hours=1))
    assert not _is_signed_in(visitor)


def test_open_socket_alone_keeps_nobody_signed_in(
    visitor: Any, person: User, clock: ManualClock, settings: Any
) -> None:
    settings.SESSION_IDLE_S = 1800
    visitor.sign_in(person.email)
    digest = session_digest(visitor.session_key)
    for minute in range(30):
        assert is_session_alive(digest, clock=clock), minute
        clock.advance(timedelta(minutes=1))
    assert not is_session_alive(digest, clock=clock)


def test_rows_are_dropped_when_they_have_expired(visitor: Any, person: User, clock: ManualClock) -> None:
    visitor.sign_in(person.email)
    old = session_digest(visitor.session_key)
    clock.advance(timedelta(hours=5))
    visitor.sign_in(person.email)
    assert not Session.objects.filter(pk=old).exists()


def test_being_seen_is_written_once_a_minute_when_pages_are_read(
    visitor: Any, person: User, clock: ManualClock
) -> None:
    visitor.sign_in(person.email)
    row = Session.objects.filter(pk=session_digest(visitor.session_key))
    first = row.get().last_seen_at
    clock.advance(timedelta(seconds=59))
    _is_signed_in(visitor)
    assert row.get().last_seen_at == first
    clock.advance(timedelta(seconds=1))
    _is_signed_in(visitor)
    assert row.get().last_seen_at == clock.now()


def test_person_is_resolved_by_one_query_when_the_session_is_in_force(visitor: Any, person: User) -> None:
    visitor.sign_in(person.email)
    with (
        CaptureQueriesContext(connections["identity"]) as identity,
        CaptureQueriesContext(connections["default"]) as default,
    ):
        info = resolve_session(visitor.session_key)
    assert info is not None
    assert (info.user_id, info.session_digest) == (person.pk, session_digest(visitor.session_key))
    assert (len(identity), len(default)) == (1, 0)
    assert is_session_alive(info.session_digest)


@pytest.mark.parametrize("value", [None, "", "x", "unknown-session-key-unknown", "\x00" * 40, "é" * 500])
def test_nobody_is_resolved_when_the_cookie_names_no_session(database: None, value: str | None) -> None:
    assert resolve_session(value) is None


@pytest.mark.parametrize("change", ["inactive", "generation", "password", "all_ended"])
def test_nobody_is_resolved_when_the_person_changed(visitor: Any, person: User, change: str) -> None:
    visitor.sign_in(person.email)
    key = visitor.session_key
    assert resolve_session(key) is not None
    rows = User.objects.filter(pk=person.pk)
    if change == "inactive":
        rows.update(is_active=False)
    elif change == "generation":
        rows.update(generation=1)
    elif change == "password":
        rows.update(password="argon2$other")
    else:
        end_all_sessions(user_id=person.pk)
    assert resolve_session(key) is None
    assert not is_session_alive(session_digest(key))
    assert not _is_signed_in(visitor)


def test_one_session_ends_when_its_owner_ends_it_elsewhere(visit: Callable[..., Any], person: User) -> None:
    here, there = visit(), visit()
    here.sign_in(person.email)
    there.sign_in(person.email)
    page = here.client.get("/accounts/sessions/").content.decode()
    assert (page.count("Firefox on Linux<br>"), page.count("Firefox on Linux <strong>(this one)")) == (1, 1)
    assert there.address in page and "<time datetime=" in page
    key = there.session_key
    here.client.post("/accounts/sessions/end/", {"session": session_digest(key)})
    assert resolve_session(key) is None
    assert not _is_signed_in(there)
    assert _is_signed_in(here)


def test_all_other_sessions_end_when_their_owner_says_so(visit: Callable[..., Any], person: User) -> None:
    browsers = [visit() for _ in range(3)]
    for browser in browsers:
        browser.sign_in(person.email)
    assert (
        "All other sessions"
        in browsers[0].client.post("/accounts/sessions/end/", {"session": "others"}, follow=True).content.decode()
    )
    assert [_is_signed_in(browser) for browser in browsers] == [True, False, False]


def test_own_session_ends_when_its_owner_ends_it_here(visitor: Any, person: User) -> None:
    visitor.sign_in(person.email)
    response = visitor.client.post("/accounts/sessions/end/", {"session": session_digest(visitor.session_key)})
    assert response["Location"] == "/accounts/login/"
    assert not _is_signed_in(visitor)


def test_session_stays_when_somebody_else_tries_to_end_it(visit: Callable[..., Any], person: User) -> None:
    from gantry.identity.public import create_person

    mallory = create_person(email="m" + person.email, name="Mallory", password="correct horse battery 7")
    victim, attacker = visit(), visit()
    victim.sign_in(person.email)
    attacker.sign_in(mallory.email)
    attacker.client.post("/accounts/sessions/end/", {"session": session_digest(victim.session_key)})
    assert _is_signed_in(victim)


def test_ended_session_does_not_come_back_when_a_late_answer_saves_it(visitor: Any, person: User) -> None:
    visitor.sign_in(person.email)
    late = SessionStore(visitor.session_key)
    late["x"] = 1
    end_all_sessions(user_id=person.pk)
    with pytest.raises(UpdateError):
        late.save()
    assert resolve_session(visitor.session_key) is None


@pytest.mark.parametrize("path", ["/accounts/sessions/", "/accounts/password/change/", "/accounts/2fa/"])
def test_page_leads_to_sign_in_when_nobody_is_signed_in(visitor: Any, path: str) -> None:
    response = visitor.client.get(path)
    assert (response.status_code, response["Location"]) == (302, f"/accounts/login/?next={path}")
