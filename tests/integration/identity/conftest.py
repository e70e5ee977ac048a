"""People who sign in, each from an address of their own, so that no test's failures count against another's.

Django is imported within the fixtures: this file may be read before the settings are there.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

import pytest

from gantry.kernel.clock import ManualClock

if TYPE_CHECKING:
    from django.http import HttpResponse
    from django.test import Client

    from gantry.identity.public import User

PASSWORD = "correct horse battery 7"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"


@dataclass(frozen=True)
class Visitor:
    """A browser somewhere."""

    client: Client
    address: str

    def sign_in(self, email: str, password: str = PASSWORD, **fields: str) -> HttpResponse:
        return cast(
            "HttpResponse", self.client.post("/accounts/login/", {"login": email, "password": password, **fields})
        )

    @property
    def session_key(self) -> str:
        return str(self.client.cookies["gantry_session"].value)


@pytest.fixture(autouse=True)
def cheap_argon2(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash with little memory: hundreds of sign-ins are about what happens around the hash."""
    from django.contrib.auth.hashers import Argon2PasswordHasher

    monkeypatch.setattr(Argon2PasswordHasher, "memory_cost", 1024)
    monkeypatch.setattr(Argon2PasswordHasher, "parallelism", 1)


@pytest.fixture
def visit(database: None) -> Callable[..., Visitor]:
    from django.test import Client

    def open_browser(*, enforce_csrf: bool = False, address: str = "") -> Visitor:
        address = address or f"2001:db8:{secrets.randbelow(65536):x}:{secrets.randbelow(65536):x}::1"
        client = Client(enforce_csrf_checks=enforce_csrf, REMOTE_ADDR=address, HTTP_USER_AGENT=FIREFOX)
        return Visitor(client, address)

    return open_browser


@pytest.fixture
def visitor(visit: Callable[..., Visitor]) -> Visitor:
    return visit()


@pytest.fixture
def person(database: None) -> User:
    from gantry.identity.public import create_person

    return create_person(email=f"p{secrets.token_hex(6)}@example.org", name="Rosa Radiologist", password=PASSWORD)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    """Move the time of sessions and of counted attempts."""
    from gantry.identity.adapters import AccountAdapter
    from gantry.identity.sessions import SessionStore
    from gantry.identity.views import SessionsView

    manual = ManualClock(datetime.now(UTC))
    for owner in (SessionStore, AccountAdapter, SessionsView):
        monkeypatch.setattr(owner, "clock", manual)
    return manual
