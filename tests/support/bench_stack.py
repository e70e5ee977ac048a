"""A whole stack with a real series in it, for benchmarks that look at it through Chromium."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import httpx
import pydicom
from playwright.sync_api import Browser, Page

from bench_browser import GATHER
from phantom_files import CONTENT_TYPE, multipart
from real_ct import image_files
from site_user import Site
from stack import WholeStack

_PACKED_WITHIN_S = 120.0


@dataclass(frozen=True)
class BenchSeries:
    """A series of the stack, by our ids."""

    study_id: UUID
    series_id: UUID
    slices: int


class BenchStack:
    """`gantry up` in a folder of its own; gone when the block ends."""

    def __init__(self, stack: WholeStack) -> None:
        self.stack = stack
        self.port = int(stack.url.rstrip("/").rpartition(":")[2])

    def add_series(self, folder: Path) -> BenchSeries:
        """Send a series as a site does; return once its pack is written and nothing else is under way."""
        files = image_files(folder)
        site = Site(self.stack)
        with self.stack.client("integrator") as client:
            for at in range(0, len(files), 50):
                body = multipart(tuple(path.read_bytes() for path in files[at : at + 50]))
                client.post(
                    "/dicomweb/studies", content=body, headers={"Content-Type": CONTENT_TYPE}
                ).raise_for_status()
        header = pydicom.dcmread(files[0], stop_before_pixels=True)
        ((study_id, series_id),) = self.stack.query(
            "select study_id, id from studies_series where series_instance_uid = %s", str(header.SeriesInstanceUID)
        )
        series = BenchSeries(UUID(str(study_id)), UUID(str(series_id)), len(files))
        self._wait_packed(series)
        site.wait_for_no_jobs()
        return series

    def _wait_packed(self, series: BenchSeries) -> None:
        path = f"/t/north/api/v1/studies/{series.study_id}/series/{series.series_id}/render-session"
        browser = self.stack.sign_in("radiologist")
        until = time.monotonic() + _PACKED_WITHIN_S
        answer = httpx.Response(202)
        while answer.status_code != httpx.codes.CREATED:
            assert time.monotonic() < until, f"no pack: {answer.text}"
            time.sleep(0.2)
            answer = browser.post(path, json={"session": None})
            assert not (answer.status_code == httpx.codes.OK and answer.json()["code"]), answer.text
        browser.close()

    def sit_down(self, browser: Browser, width: int = 1440, height: int = 900) -> Page:
        """Return a page of somebody who has signed in, before any study."""
        context = browser.new_context(base_url=self.stack.url, viewport={"width": width, "height": height})
        page = context.new_page()
        page.add_init_script(GATHER)
        email, password = self.stack.password("north", "radiologist")
        page.goto("/", timeout=120_000)
        page.fill("input[name=login]", email)
        page.fill("input[name=password]", password)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/t/north/", timeout=120_000)
        return page


@contextlib.contextmanager
def bench_stack() -> Iterator[BenchStack]:
    """Start a stack and end it."""
    folder = Path(tempfile.mkdtemp(prefix="gantry-bench-", dir="/tmp"))
    folder.chmod(0o755)
    stack = WholeStack(folder / "state", demo_slices=8)
    try:
        stack.start()
        yield BenchStack(stack)
    finally:
        stack.close()
        shutil.rmtree(folder, ignore_errors=True)
