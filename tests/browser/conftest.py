"""Real Chromium on the real stack."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Playwright, expect, sync_playwright

from gantry.embedded.environment import hidden_parts
from reader import PATIENCE_MS, Reader
from stack import WholeStack, shared_stack
from viewer_hands import Oddities, Scans, send_oddities, send_scans

_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find_chromium() -> str | None:
    """Return the browser of this machine."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="session")
def stack() -> WholeStack:
    """The run's stack."""
    if "chromium" in hidden_parts():
        pytest.skip("Chromium is hidden by GANTRY_HIDE.")
    if find_chromium() is None:
        message = "Chromium is not installed (apt-get install chromium)."
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return shared_stack()


# Playwright's synchronous interface keeps an event loop running in this thread for as long as it is open, and
# Django refuses to touch the database there: it is closed with the module, not with the run.
@pytest.fixture(scope="module")
def playwright(stack: WholeStack) -> Iterator[Playwright]:
    """Playwright, without browsers of its own."""
    # What is expected comes within a second, or after a while where others use the machine, or never.
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def chromium(playwright: Playwright) -> Iterator[Browser]:
    """The browser of this machine."""
    browser = playwright.chromium.launch(executable_path=find_chromium(), args=list(_FLAGS))
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go, for people to look at."""
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture
def sit_down(chromium: Browser, stack: WholeStack) -> Iterator[Callable[..., Reader]]:
    """Return a function that gives somebody a browser of their own and signs them in; at the end each page was well."""
    readers: list[Reader] = []

    def begin(role: str = "radiologist", tenant: str = "north", *, is_phone: bool = False) -> Reader:
        reader = Reader(chromium, stack, role, tenant, is_phone=is_phone)
        readers.append(reader)
        reader.sign_in()
        return reader

    yield begin
    for reader in readers:
        reader.leave()


@pytest.fixture(scope="session")
def scans(stack: WholeStack) -> Scans:
    """A patient whose series are looked at side by side."""
    return send_scans(stack)


@pytest.fixture(scope="session")
def oddities(stack: WholeStack) -> Oddities:
    """A patient whose series are no volumes."""
    return send_oddities(stack)
