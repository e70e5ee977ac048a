"""Chromium before a thin link, for benchmarks: the address stays what it is, so that origins and cookies do too."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from typing import Any, Final

from playwright.sync_api import Browser, Page, sync_playwright

from throttle import Link, ThrottlingProxy, throttled

_FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

_NOTCH: Final = 120

#: Gathers what the viewer says of each painted picture where the pages of peers put theirs.
GATHER: Final = """
window.painted = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntriesByName("gantry:paint"))
    window.painted.push({start: entry.startTime, end: entry.startTime + entry.duration, ...entry.detail});
}).observe({entryTypes: ["measure"]});
"""


def why_no_chromium() -> str | None:
    """Return why no browser can be had here, or None."""
    return None if _chromium() else "Chromium is not installed (apt-get install chromium)."


def _chromium() -> str | None:
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@contextlib.contextmanager
def browser_behind(port: int, link: Link) -> Iterator[tuple[Browser, ThrottlingProxy]]:
    """Start Chromium so that 127.0.0.1:`port` is reached over a link, requests and WebSockets alike."""
    with throttled(port, link) as proxy, sync_playwright() as playwright:
        rule = f"MAP 127.0.0.1:{port} 127.0.0.1:{proxy.port}"
        browser = playwright.chromium.launch(
            executable_path=_chromium(), args=[*_FLAGS, f"--host-resolver-rules={rule}"]
        )
        try:
            yield browser, proxy
        finally:
            browser.close()


def jump(page: Page, notches: int) -> None:
    """Turn the wheel by several notches in one event, at the place of the pointer."""
    page.mouse.wheel(0, _NOTCH * notches)


def turn_wheel(page: Page, notches: int, every_ms: float) -> None:
    """Turn the wheel downwards at a steady pace, at the place of the pointer."""
    begun = page.evaluate("performance.now()")
    for number in range(notches):
        page.mouse.wheel(0, _NOTCH)
        left_ms = begun + (number + 1) * every_ms - page.evaluate("performance.now()")
        if left_ms > 0:
            page.wait_for_timeout(left_ms)


def painted(page: Page) -> list[dict[str, Any]]:
    """Return what was painted since the last call, and forget it."""
    found: list[dict[str, Any]] = page.evaluate("window.painted.splice(0)")
    return found


def wait_painted(page: Page, condition: str, timeout_ms: float = 20_000) -> bool:
    """Wait until a painted picture meets a condition on `one`; False when none did in time.

    Asked from outside: our pages forbid the evaluation of strings that waiting inside them needs.
    """
    waited_ms = 0
    while not page.evaluate(f"window.painted.some((one) => {condition})"):
        if waited_ms >= timeout_ms:
            return False
        page.wait_for_timeout(50)
        waited_ms += 50
    return True
