"""Somebody at the site of a running stack: sends studies, asks what became of them, listens to live events."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from uuid import UUID

import httpx
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from embedded_stack import wait_until
from phantom_files import CONTENT_TYPE, PhantomStudy, multipart
from stack import WholeStack

#: The issue's own bound: no job may be stuck for longer.
STUCK_S = 90.0
_RESULTS = {
    "1.2.840.10008.5.1.4.1.1.66.4": "seg",
    "1.2.840.10008.5.1.4.1.1.88.33": "sr",
    "1.2.840.10008.5.1.4.1.1.88.34": "sr",
    "1.2.840.10008.5.1.4.1.1.104.3": "stl",
}


class Site:
    """A tenant's site, with the integrator's token."""

    def __init__(self, stack: WholeStack, tenant: str = "north") -> None:
        self.stack = stack
        self.http = stack.client("integrator", tenant)
        self.reader = stack.client("radiologist", tenant)

    def store(self, study: PhantomStudy) -> httpx.Response:
        """Send a study by STOW-RS."""
        body = multipart(study.files)
        return self.http.post("/dicomweb/studies", content=body, headers={"Content-Type": CONTENT_TYPE})

    def send(self, study: PhantomStudy) -> UUID:
        """Send a study, which is accepted; return its id."""
        answer = self.store(study)
        assert answer.status_code == httpx.codes.OK, answer.text
        ((study_id,),) = self.stack.query("select id from studies_study where study_instance_uid = %s", study.study_uid)
        return UUID(str(study_id))

    def row(self, study_id: UUID) -> tuple[str, str, int]:
        """Return state, stage and attempt of a study's analysis, as the database has them; empty before there is one."""
        found = self.stack.query(
            "select state, stage, attempt from analyses_analysis where study_id = %s order by created_at desc", study_id
        )
        return found[0] if found else ("", "", 0)

    def wait_for(
        self, study_id: UUID, condition: Callable[[str, str], bool], what: str, timeout_s: float = STUCK_S
    ) -> None:
        """Wait until the analysis is in a state and stage, looking hard: some last for milliseconds."""
        deadline = time.monotonic() + timeout_s
        with self.stack.connect() as connection:
            while True:
                found = connection.execute(
                    "select state, stage from analyses_analysis where study_id = %s", (study_id,)
                ).fetchall()
                if any(condition(state, stage) for state, stage in found):
                    return
                assert time.monotonic() < deadline, f"{what} did not come; the analysis is {found}"
                time.sleep(0.005)

    def wait_until_done(self, study_id: UUID, timeout_s: float = STUCK_S) -> None:
        """Wait for the result."""
        self.wait_for(study_id, lambda state, _: state in {"done", "failed"}, "the end of the analysis", timeout_s)
        ended = self.stack.query("select state, code from analyses_analysis where study_id = %s", study_id)
        assert ended == [("done", "")]

    def results(self, study_id: UUID) -> list[str]:
        """Return the kinds of result objects that a reader finds in the study."""
        answer = self.reader.get(f"/api/v1/studies/{study_id}/analyses")
        answer.raise_for_status()
        (analysis,) = answer.json()["analyses"]
        assert analysis["state"] == "done"
        stored = self.stack.query(
            "select sop_class_uid from studies_instance i join studies_series s on s.id = i.series_id"
            " where i.study_id = %s and s.analysis_id is not null",
            study_id,
        )
        kinds = sorted(_RESULTS[sop_class_uid] for (sop_class_uid,) in stored)
        assert kinds == sorted(output["kind"] for output in analysis["outputs"])
        return kinds

    def open_jobs(self) -> int:
        """Return how many jobs of analyses are waiting or in hand."""
        ((count,),) = self.stack.query(
            "select count(*) from procrastinate_jobs where queue_name = 'analyses' and status in ('todo', 'doing')"
        )
        return int(count)

    def wait_for_no_jobs(self) -> None:
        """Wait until nothing is queued or in hand any more."""
        wait_until(lambda: self.open_jobs() == 0, "an empty queue", STUCK_S)


class Listener:
    """A page's socket: subscribes like one, and notes when each event came."""

    def __init__(self, browser: httpx.Client, base: str, tenant: str = "north") -> None:
        self._browser = browser
        self._address = f"{base.replace('http', 'ws', 1)}/t/{tenant}/ws/v1/events"
        self._origin = base
        self._socket: ClientConnection | None = None
        self._open = ExitStack()
        self._positions: dict[str, tuple[str | None, int | None]] = {}
        self.reconnects = -1

    def listen(self, stream: str) -> None:
        """Subscribe to a stream from where it stands now."""
        self._positions[stream] = (None, None)
        if self._socket is None:
            self._connect()
        else:
            self._subscribe(stream)

    def _connect(self) -> None:
        self.close()
        cookies = "; ".join(f"{name}={value}" for name, value in self._browser.cookies.items())
        call = connect(self._address, origin=Origin(self._origin), additional_headers={"Cookie": cookies})
        self._socket = self._open.enter_context(call)
        self.reconnects += 1
        for stream in self._positions:
            self._subscribe(stream)

    def _subscribe(self, stream: str) -> None:
        assert self._socket is not None
        epoch, seq = self._positions[stream]
        self._socket.send(json.dumps({"type": "subscribe", "stream": stream, "epoch": epoch, "seq": seq}))
        answer = json.loads(self._socket.recv(10))
        assert answer["type"] == "subscribed", answer
        self._positions[stream] = (answer["epoch"], answer["seq"])

    def next_event(self, timeout_s: float = 10.0) -> tuple[float, dict[str, Any]]:
        """Return the next event and when it came (`time.time`); a socket that was closed is opened again, as a page does."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                if self._socket is None:
                    self._connect()
                assert self._socket is not None
                message = json.loads(self._socket.recv(max(0.01, deadline - time.monotonic())))
            except TimeoutError:
                raise AssertionError(f"no event came within {timeout_s} s") from None
            except (OSError, WebSocketException):
                time.sleep(0.2)
                self._socket = None
                continue
            if message["type"] == "event":
                came = time.time()
                _, seq = self._positions[message["stream"]]
                assert seq is not None and message["seq"] > seq, "an event came twice, or out of order"
                self._positions[message["stream"]] = (message["epoch"], message["seq"])
                return came, message

    def close(self) -> None:
        """Leave."""
        self._socket = None
        self._open.close()
