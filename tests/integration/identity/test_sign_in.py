"""The sign-in page: who gets in, where to, and what is said to those who do not."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from gantry.identity.public import User, create_person, set_password
from gantry.identity.services import end_all_sessions
from gantry.kernel.errors import InvalidInputError

PASSWORD = "correct horse battery 7"


def _is_signed_in(client: Client) -> bool:
    return client.get("/accounts/sessions/").status_code == 200


def test_person_is_signed_in_when_the_password_is_right(visitor: Any, person: User) -> None:
    response = visitor.sign_in(person.email.upper())
    assert (response.status_code, response["Location"]) == (302, "/")
    assert _is_signed_in(visitor.client)
    cookie = visitor.client.cookies["gantry_session"]
    assert cookie["httponly"] and cookie["samesite"] == "Lax" and not cookie["max-age"]


def test_nobody_is_signed_in_when_the_password_is_wrong(visitor: Any, person: User) -> None:
    response = visitor.sign_in(person.email, "wrong horse battery 7")
    assert response.status_code == 200
    assert 'role="alert"' in response.content.decode()
    assert not _is_signed_in(visitor.client)


def test_answers_are_equal_when_the_account_is_unknown(visit: Callable[..., Any], person: User) -> None:
    def answer(email: str) -> str:
        visitor = visit()
        page = ""
        for _ in range(6):
            page += str(visitor.sign_in(email, "wrong horse battery 7").content.decode())
        return re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", page.replace(email, "EMAIL"))

    known, unknown = answer(person.email), answer("nobody-" + person.email)
    assert known == unknown
    assert "Wait 15 minutes" in known


def test_person_is_refused_when_the_account_is_not_active(visitor: Any, person: User) -> None:
    User.objects.filter(pk=person.pk).update(is_active=False)
    response = visitor.sign_in(person.email)
    assert response["Location"] == "/accounts/inactive/"
    assert visitor.client.get("/accounts/inactive/").status_code == 200
    assert not _is_signed_in(visitor.client)


def test_post_is_refused_when_it_carries_no_csrf_token(visit: Callable[..., Any], person: User) -> None:
    visitor = visit(enforce_csrf=True)
    refused = visitor.sign_in(person.email)
    assert refused.status_code == 403
    assert "out of date" in refused.content.decode()
    page = visitor.client.get("/accounts/login/").content.decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    assert token is not None
    assert visitor.sign_in(person.email, csrfmiddlewaretoken=token[1]).status_code == 302
    assert visitor.client.post("/accounts/sessions/end/", {"session": "others"}).status_code == 403
    assert visitor.client.post("/accounts/logout/").status_code == 403


@pytest.mark.parametrize(
    ("target", "leads_to"),
    [
        ("/t/north/studies/1/", "/t/north/studies/1/"),
        ("https://evil.example/", "/"),
        ("//evil.example/", "/"),
        ("/\\evil.example", "/"),
        ("http://localhost:9999/", "/"),
        ("javascript:alert(1)", "/"),
    ],
)
def test_next_is_followed_when_it_stays_on_this_site(
    visit: Callable[..., Any], person: User, target: str, leads_to: str
) -> None:
    visitor = visit()
    assert visitor.sign_in(person.email, next=target)["Location"] == leads_to
    # The same for somebody who is signed in already and follows a crafted link.
    assert visitor.client.get("/accounts/login/", {"next": target})["Location"] == leads_to


def test_sign_in_page_is_usable_when_no_bundle_was_built(visitor: Any) -> None:
    response = visitor.client.get("/accounts/login/?next=/t/north/")
    page = response.content.decode()
    assert response.status_code == 200
    assert "<title>Sign in · Gantry</title>" in page
    assert 'autocomplete="username"' in page and 'autocomplete="current-password"' in page
    assert 'name="viewport"' in page and "administrator" in page
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|style=|onclick=", page), "the CSP forbids inline code"


@pytest.mark.parametrize("path", ["signup/", "password/reset/", "email/", "confirm-email/", "social/connections/"])
def test_page_is_absent_when_the_project_does_not_offer_it(visitor: Any, path: str) -> None:
    assert visitor.client.get(f"/accounts/{path}").status_code == 404


def test_session_ends_when_the_person_signs_out(visitor: Any, person: User) -> None:
    visitor.sign_in(person.email)
    assert visitor.client.get("/accounts/logout/").status_code == 200
    assert _is_signed_in(visitor.client), "a link alone signs nobody out"
    assert visitor.client.post("/accounts/logout/")["Location"] == "/accounts/login/"
    assert not _is_signed_in(visitor.client)


def test_other_sessions_end_when_the_password_is_changed(visit: Callable[..., Any], person: User) -> None:
    here, there = visit(), visit()
    here.sign_in(person.email)
    there.sign_in(person.email)
    fields = {"oldpassword": PASSWORD, "password1": "another horse battery 8", "password2": "another horse battery 8"}
    wrong = here.client.post("/accounts/password/change/", {**fields, "oldpassword": "guess"})
    assert "current password is not right" in wrong.content.decode()
    assert here.client.post("/accounts/password/change/", fields).status_code == 302
    assert _is_signed_in(here.client)
    assert not _is_signed_in(there.client)
    assert visit().sign_in(person.email).status_code == 200
    assert visit().sign_in(person.email, "another horse battery 8").status_code == 302


def test_every_session_ends_when_the_generation_is_raised(visitor: Any, person: User) -> None:
    visitor.sign_in(person.email)
    end_all_sessions(user_id=person.pk)
    assert not _is_signed_in(visitor.client)


def test_password_is_hashed_with_argon2_when_a_person_is_made(person: User) -> None:
    person.refresh_from_db()
    assert person.password.startswith("argon2$argon2id$")


@pytest.mark.parametrize("password", ["short", "password1234", "123456789012345"])
def test_person_is_refused_when_the_password_is_weak(person: User, password: str) -> None:
    with pytest.raises(InvalidInputError):
        create_person(email="x" + person.email, name="X", password=password)
    with pytest.raises(InvalidInputError):
        set_password(user=person, password=password)


def test_person_is_refused_when_the_address_is_taken_or_none(person: User) -> None:
    for email in (person.email.upper(), "not an address"):
        with pytest.raises(InvalidInputError):
            create_person(email=email, name="X", password=PASSWORD)
