"""From taking something away to the closed socket: 64 sockets of a whole stack, first with Redis, then without it.

Four ways to lose it: signing out, an ended membership, another role, a withdrawn share; the first three hold streams of live
events and render sessions both. The clock runs from before the call that takes it away to the close frame.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / folder) for folder in ("platform", "rendering", "inference", "tests/support")]

import httpx  # noqa: E402  # the path stands above
import numpy as np  # noqa: E402  # as above
from websockets.exceptions import ConnectionClosed  # noqa: E402  # as above
from websockets.sync.client import ClientConnection, connect  # noqa: E402  # as above
from websockets.typing import Origin, Subprotocol  # noqa: E402  # as above

from bench_result import write_result  # noqa: E402  # as above
from bench_stack import BenchStack, bench_stack  # noqa: E402  # as above
from gantry_render.protocol import SUBPROTOCOL, Hello, Ping, dump_message, unpack_message  # noqa: E402  # as above

PEOPLE, SOCKETS_EACH, BAR_S, PATIENCE_S = 4, 8, 5.0, 30.0
TENANT = "north"
RENDERING = "rendering"


@dataclass
class Held:
    """A socket that is open, and when it was told to close."""

    kind: str
    wire: ClientConnection
    closed_at: float = 0.0
    watcher: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.watcher = threading.Thread(target=self._watch, daemon=True)
        self.watcher.start()
        if self.kind == RENDERING:
            threading.Thread(target=self._stay, daemon=True).start()

    def _stay(self) -> None:
        """Say something now and then: a pod closes sockets that it hears nothing of."""
        with contextlib.suppress(ConnectionClosed):
            while self.watcher.is_alive():
                self.wire.send(dump_message(Ping()))
                self.watcher.join(2.0)

    def _watch(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                self.wire.recv()
        self.closed_at = time.perf_counter()


@dataclass(frozen=True)
class Person:
    """Somebody made for this benchmark."""

    browser: httpx.Client
    member_id: str
    user_id: str


def main() -> None:
    """Run it."""
    load_before = os.getloadavg()[0]
    with bench_stack() as bench:
        study_id, series_id = _demo_series(bench)
        with_redis = _round(bench, study_id, series_id)
        if "Redis" in bench.stack.fallbacks:
            without = {}
        else:
            with _frozen(bench, "redis"):
                without = _round(bench, study_id, series_id)
    seconds = [one for found in (with_redis, without) for times in found.values() for one in times]
    write_result(
        "revocation",
        unit="s p99",
        better="lower",
        ours=float(np.quantile(seconds, 0.99)),
        bar=BAR_S,
        load_before=load_before,
        details={
            "sockets": len(seconds),
            "slowest_s": round(max(seconds), 2),
            "median_s": round(statistics.median(seconds), 2),
            "with_redis_slowest_s": {how: round(max(times), 2) for how, times in with_redis.items()},
            "without_redis_slowest_s": {how: round(max(times), 2) for how, times in without.items()},
        },
    )


@contextlib.contextmanager
def _frozen(bench: BenchStack, part: str) -> Iterator[None]:
    """Freeze a part: it answers nobody, and those who speak to it only notice by waiting."""
    bench.stack.kill(part, signal.SIGSTOP)
    try:
        yield
    finally:
        bench.stack.kill(part, signal.SIGCONT)


def _demo_series(bench: BenchStack) -> tuple[str, str]:
    ((study_id, series_id),) = bench.stack.query(
        "select s.study_id, s.id from studies_series s join tenancy_tenant t on t.id = s.tenant_id "
        "join studies_seriespack p on p.series_id = s.id where t.slug = %s and p.state = 'ready' limit 1",
        TENANT,
    )
    return str(study_id), str(series_id)


def _round(bench: BenchStack, study_id: str, series_id: str) -> dict[str, list[float]]:
    """Open everything, take everything away, and return how long each took to close."""
    admin, radiologist = bench.stack.sign_in("admin"), bench.stack.sign_in("radiologist")
    api = f"/t/{TENANT}/api/v1"
    hill = _hospital(admin, api)
    found: dict[str, list[float]] = {}
    ways: dict[str, tuple[list[Held], Callable[[], httpx.Response]]] = {}
    for how in ("sign_out", "membership", "role", "share"):
        person = _person(bench, admin, api, [hill] if how == "share" else [])
        grant = ""
        if how == "share":
            share = radiologist.post(
                f"{api}/studies/{study_id}/grants", json={"person_id": person.user_id, "reason": "second_opinion"}
            )
            share.raise_for_status()
            grant = f"{api}/studies/{study_id}/grants/{share.json()['id']}"
        held = [_listen(bench, person, study_id) for _ in range(SOCKETS_EACH)]
        held += [_look(bench, person, study_id, series_id) for _ in range(SOCKETS_EACH)]
        member = f"{api}/members/{person.member_id}"
        takes: dict[str, Callable[[], httpx.Response]] = {
            "sign_out": functools.partial(person.browser.post, "/accounts/logout/"),
            "membership": functools.partial(admin.patch, member, json={"is_active": False}),
            "role": functools.partial(admin.patch, member, json={"role": "integrator"}),
            "share": functools.partial(radiologist.delete, grant),
        }
        ways[how] = held, takes[how]
    begun: dict[str, float] = {}
    for how, (_, take) in ways.items():
        begun[how] = time.perf_counter()
        answer = take()
        assert answer.status_code < 400, answer.text
    for how, (held, _) in ways.items():
        for one in held:
            one.watcher.join(PATIENCE_S)
            assert one.closed_at, f"{how}: a socket of {one.kind} stayed open"
            found.setdefault(f"{how}, {one.kind}", []).append(one.closed_at - begun[how])
    return found


def _hospital(admin: httpx.Client, api: str) -> str:
    answer = admin.post(f"{api}/institutions", json={"code": f"h{uuid4().hex[:8]}", "name": "Bench Hospital"})
    answer.raise_for_status()
    return str(answer.json()["id"])


def _person(bench: BenchStack, admin: httpx.Client, api: str, institutions: list[str]) -> Person:
    email = f"{uuid4().hex[:12]}@bench.test"
    body = {"email": email, "name": "Bench Person", "role": "surgeon", "institution_ids": institutions}
    answer = admin.post(f"{api}/members", json=body)
    answer.raise_for_status()
    done = bench.stack.run("tenant", "password", email)
    assert done.returncode == 0, done.stderr
    browser = httpx.Client(base_url=bench.stack.url, timeout=60.0, headers={"Origin": bench.stack.url.rstrip("/")})
    browser.get("/accounts/login/").raise_for_status()
    form = {
        "login": email,
        "password": done.stdout.strip().rpartition(" ")[2],
        "csrfmiddlewaretoken": browser.cookies["csrftoken"],
    }
    assert browser.post("/accounts/login/", data=form).status_code == httpx.codes.FOUND
    browser.headers["X-CSRFToken"] = browser.cookies["csrftoken"]
    return Person(browser, answer.json()["id"], answer.json()["person"]["id"])


def _connect(bench: BenchStack, person: Person, path: str, *subprotocols: str) -> ClientConnection:
    cookies = "; ".join(f"{name}={value}" for name, value in person.browser.cookies.items())
    url = bench.stack.url.rstrip("/")
    return connect(
        f"ws{url.removeprefix('http')}{path}",
        origin=Origin(url),
        additional_headers={"Cookie": cookies},
        subprotocols=[Subprotocol(one) for one in subprotocols] or None,
        max_size=None,
        legacy=True,
    )


def _listen(bench: BenchStack, person: Person, study_id: str) -> Held:
    wire = _connect(bench, person, f"/t/{TENANT}/ws/v1/events")
    wire.send(f'{{"type": "subscribe", "stream": "study:{study_id}"}}')
    assert '"subscribed"' in str(wire.recv())
    return Held("live events", wire)


def _look(bench: BenchStack, person: Person, study_id: str, series_id: str) -> Held:
    answer = person.browser.post(
        f"/t/{TENANT}/api/v1/studies/{study_id}/series/{series_id}/render-session", json={"session": None}
    )
    assert answer.status_code == httpx.codes.CREATED, answer.text
    opened = answer.json()
    wire = _connect(bench, person, opened["socket"], SUBPROTOCOL)
    wire.send(dump_message(Hello(opened["ticket"])))
    while True:
        message = wire.recv()
        text = message if isinstance(message, str) else unpack_message(message)
        if '"welcome"' in text:
            return Held(RENDERING, wire)


if __name__ == "__main__":
    main()
