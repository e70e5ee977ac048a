"""The second factor, end to end with real codes."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value

from gantry.identity.models import SpentCode
from gantry.identity.public import User, resolve_session

PASSWORD = "correct horse battery 7"
SIGN_IN = "/accounts/2fa/authenticate/"


def _code(secret: str, *, steps: int = 0) -> str:
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30 + steps))


def _activate(visitor: Any) -> str:
    """Set up the second factor as a person does; return the secret."""
    client = visitor.client
    asked = client.get("/accounts/2fa/totp/activate/")
    assert asked["Location"].startswith("/accounts/reauthenticate/"), "the password is asked for again first"
    client.post(asked["Location"], {"password": PASSWORD})
    page = client.get("/accounts/2fa/totp/activate/").content.decode()
    found = re.search(r"<code>([A-Z2-7=]+)</code>", page)
    image = re.search(r'src="data:image/svg\+xml;base64,([^"]+)"', page)
    assert found and image
    assert b'fill="white"' in base64.b64decode(image[1]), "a transparent QR code cannot be read on a dark page"
    wrong = client.post("/accounts/2fa/totp/activate/", {"code": "000000" if _code(found[1]) != "000000" else "111111"})
    assert wrong.status_code == 200
    done = client.post("/accounts/2fa/totp/activate/", {"code": _code(found[1])})
    assert done["Location"] == "/accounts/2fa/recovery-codes/"
    return found[1]


@pytest.fixture
def secret(visitor: Any, person: User) -> str:
    visitor.sign_in(person.email)
    return _activate(visitor)


def test_code_is_asked_for_when_the_second_factor_is_active(
    visit: Callable[..., Any], person: User, secret: str
) -> None:
    browser = visit()
    response = browser.sign_in(person.email, next="/t/north/")
    assert response["Location"] == SIGN_IN
    assert resolve_session(browser.session_key) is None, "the password alone opens no session"
    assert browser.client.get("/accounts/sessions/").status_code == 302
    page = browser.client.get(SIGN_IN).content.decode()
    assert 'autocomplete="one-time-code"' in page
    response = browser.client.post(SIGN_IN, {"code": _code(secret)})
    assert response["Location"] == "/t/north/"
    info = resolve_session(browser.session_key)
    assert info is not None and info.user_id == person.pk


def test_code_is_refused_when_it_was_used_before(visit: Callable[..., Any], person: User, secret: str) -> None:
    code = _code(secret)
    first, second = visit(), visit()
    first.sign_in(person.email)
    assert first.client.post(SIGN_IN, {"code": code}).status_code == 302
    # As if another process answered, which does not share this one's memory.
    from django.core.cache import cache

    cache.clear()
    second.sign_in(person.email)
    assert second.client.post(SIGN_IN, {"code": code}).status_code == 200
    assert second.client.get("/accounts/sessions/").status_code == 302
    assert SpentCode.objects.exists()


def test_account_is_locked_when_codes_are_guessed_with_the_right_password(
    visit: Callable[..., Any], person: User, secret: str
) -> None:
    wrong = str((int(_code(secret)) + 1) % 1_000_000).zfill(6)
    pages = []
    for _ in range(5):
        browser = visit()
        browser.sign_in(person.email)
        pages.append(browser.client.post(SIGN_IN, {"code": wrong}).content.decode())
    assert ["Wait 15 minutes" in page for page in pages] == [False] * 4 + [True]
    assert visit().sign_in(person.email).status_code == 200


def test_recovery_code_signs_in_once_when_the_phone_is_lost(
    visitor: Any, visit: Callable[..., Any], person: User, secret: str
) -> None:
    page = visitor.client.get("/accounts/2fa/recovery-codes/").content.decode()
    codes = re.findall(r"<code>(\d{8})</code>", page)
    assert len(codes) == 10
    for expected in (302, 200):
        browser = visit()
        browser.sign_in(person.email)
        assert browser.client.post(SIGN_IN, {"code": codes[0]}).status_code == expected
    visitor.client.post("/accounts/2fa/recovery-codes/generate/")
    renewed = re.findall(r"<code>(\d{8})</code>", visitor.client.get("/accounts/2fa/recovery-codes/").content.decode())
    assert len(renewed) == 10 and not set(renewed) & set(codes)


def test_secret_is_sealed_when_it_lies_in_the_database(
    person: User, secret: str, connect: Callable[[str], Any]
) -> None:
    with connect("owner") as owner:
        rows = owner.execute("select data::text from mfa_authenticator where user_id = %s", [person.pk]).fetchall()
    assert len(rows) == 2
    assert not any(secret in row[0] for row in rows)


def test_password_is_enough_when_the_second_factor_was_removed(
    visitor: Any, visit: Callable[..., Any], person: User, secret: str, connect: Callable[[str], Any]
) -> None:
    assert visitor.client.get("/accounts/2fa/totp/deactivate/").status_code == 200
    assert visitor.client.post("/accounts/2fa/totp/deactivate/")["Location"] == "/accounts/2fa/"
    assert not Authenticator.objects.filter(user=person).exists()
    assert visit().sign_in(person.email)["Location"] == "/"
    with connect("owner") as owner:
        actions = owner.execute(
            "select action from audit_platformevent where user_id = %s and action like 'second_factor.%%' order by occurred_at",
            [person.pk],
        ).fetchall()
    assert actions == [("second_factor.activated",), ("second_factor.removed",)]


def test_code_serves_when_identity_is_confirmed_again(visit: Callable[..., Any], person: User, secret: str) -> None:
    browser = visit()
    browser.sign_in(person.email)
    browser.client.post(SIGN_IN, {"code": _code(secret)})
    page = browser.client.get("/accounts/2fa/reauthenticate/?next=/accounts/2fa/totp/deactivate/")
    assert page.status_code == 200
    answer = browser.client.post(
        "/accounts/2fa/reauthenticate/", {"code": _code(secret, steps=1), "next": "/accounts/2fa/totp/deactivate/"}
    )
    assert answer["Location"] == "/accounts/2fa/totp/deactivate/"
    assert browser.client.get("/accounts/2fa/totp/deactivate/").status_code == 200
