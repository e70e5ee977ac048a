"""The whole stack as a user starts it, `gantry up`, with demo tenants, for tests that look at it or break it.

It is started once for a run and shared. Whoever breaks it puts it right again.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, LiteralString

import httpx
import psycopg

from embedded_stack import ROOT, EmbeddedStack, wait_until
from gantry.embedded.environment import read_environment_file
from gantry.embedded.ports import first_free_ports
from gantry.embedded.process import started_ticks

QUIET_S = 1.0
DEMO_SLICES = 12
OBJECTS_MIB = 1024
_START_S, _RECOVERY_S = 180.0, 60.0
_FIRST_PORT = 18_000
_LEFT_OPEN = ("GANTRY_HIDE", "GANTRY_TESTDATA")


class WholeStack(EmbeddedStack):
    """Every part of `gantry up`, and hands to break them with."""

    def __init__(
        self, state_dir: Path, *, quiet_s: float = QUIET_S, demo_slices: int = DEMO_SLICES, spans: str = "none"
    ) -> None:
        super().__init__(state_dir)
        self._settings = {
            "GANTRY_INGEST__QUIET_S": str(quiet_s),
            "GANTRY_EMBEDDED_SLICES": str(demo_slices),
            "GANTRY_TELEMETRY__EXPORTER": spans,
        }
        self.has_small_object_store = False
        self.up_after_s = 0.0

    def environment(self) -> dict[str, str]:  # type: ignore[override]  # this one has settings of its own
        """Return the environment of a user's shell, with this stack's settings."""
        own = {key: value for key, value in os.environ.items() if not key.startswith(("GANTRY_", "DJANGO_", "PG"))}
        path = os.pathsep.join(str(ROOT / name) for name in ("platform", "inference", "rendering"))
        kept = {key: os.environ[key] for key in _LEFT_OPEN if key in os.environ}
        return {**own, **kept, **self._settings, "PYTHONPATH": path}

    def start(self, *options: str, is_up: bool = True) -> None:
        """Start it, and wait until it is up."""
        port = first_free_ports(_FIRST_PORT)[0]
        log = self.state.root.parent / "up.log"
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                self.gantry("up", "--port", str(port), *options),
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                text=True,
            )
        if is_up:
            wait_until(lambda: self.is_up or self.has_ended, "the stack is up", _START_S)
            assert self.is_up, log.read_text(encoding="utf-8")

    def shrink_object_store(self, size_mib: int = OBJECTS_MIB) -> None:
        """Lay a small file system under the object store, where this machine lets us; before the first start."""
        self.state.objects.mkdir(parents=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={size_mib}m,mode=700", "tmpfs", str(self.state.objects)]
        done = subprocess.run(command, capture_output=True, check=False) if os.getuid() == 0 else None
        self.has_small_object_store = done is not None and done.returncode == 0

    def close(self) -> None:
        """End it however it was left, and remove what it kept."""
        record = self.record
        if record is not None:
            for pid, ticks in record.processes.values():
                if started_ticks(pid) == ticks:
                    os.kill(pid, signal.SIGCONT)
            if started_ticks(record.pid) is not None:
                os.kill(record.pid, signal.SIGCONT)
        super().close()
        if self.has_small_object_store:
            subprocess.run(["umount", "--lazy", str(self.state.objects)], check=False)

    # What is known from outside.

    @property
    def url(self) -> str:
        """Where the browser goes."""
        record = self.record
        assert record is not None
        return record.url

    @functools.cached_property
    def demo(self) -> dict[str, Any]:
        """What `gantry demo --json` prints."""
        done = self.run("demo", "--json")
        assert done.returncode == 0, done.stderr
        described: dict[str, Any] = json.loads(done.stdout)
        return described

    @property
    def fallbacks(self) -> dict[str, str]:
        """Parts that do not run here, and why."""
        record = self.record
        return record.fallbacks if record else {}

    def password(self, tenant: str, role: str) -> tuple[str, str]:
        """Return a demo account's address and password."""
        (account,) = (one for one in self.demo["accounts"] if (one["tenant"], one["role"]) == (tenant, role))
        return account["email"], account["password"]

    def client(self, role: str = "integrator", tenant: str = "north") -> httpx.Client:
        """Return a program with the role's token, at the tenant's address."""
        (token,) = (one["token"] for one in self.demo["tokens"] if (one["tenant"], one["role"]) == (tenant, role))
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.Client(base_url=f"{self.url}/t/{tenant}", headers=headers, timeout=60.0)

    def sign_in(self, role: str, tenant: str = "north") -> httpx.Client:
        """Return a browser's cookies after signing in through the page."""
        email, password = self.password(tenant, role)
        client = httpx.Client(base_url=self.url, timeout=60.0, headers={"Origin": self.url})
        client.get("/accounts/login/").raise_for_status()
        form = {"login": email, "password": password, "csrfmiddlewaretoken": client.cookies["csrftoken"]}
        answer = client.post("/accounts/login/", data=form)
        assert answer.status_code == httpx.codes.FOUND, answer.text
        client.headers["X-CSRFToken"] = client.cookies["csrftoken"]
        return client

    def query(self, sql: LiteralString, *values: object) -> list[tuple[Any, ...]]:
        """Ask the database as its superuser, across tenants."""
        with self.connect() as connection:
            return connection.execute(sql, values).fetchall()

    def connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        """Open a connection as the database's superuser."""
        settings = read_environment_file(self.state.environment_file)
        return psycopg.connect(
            host=settings["GANTRY_DATABASE__HOST"],
            port=settings["GANTRY_DATABASE__PORT"],
            dbname=settings["GANTRY_DATABASE__NAME"],
            user="postgres",
            password=self.state.load_secrets().superuser_password,
            autocommit=True,
        )

    # Hands.

    def pid(self, part: str) -> int:
        """Return a part's process now."""
        return self.processes()[part][0]

    def is_running(self, part: str) -> bool:
        """Tell whether a part's process lives."""
        pid, ticks = self.processes().get(part, (0, -1))
        return started_ticks(pid) == ticks

    def kill(self, part: str, number: signal.Signals = signal.SIGKILL) -> None:
        """End a part; the supervisor starts it again."""
        os.kill(self.pid(part), number)

    @contextlib.contextmanager
    def without(self, part: str) -> Iterator[None]:
        """Kill a part and keep the supervisor from starting it again until the block ends."""
        record = self.record
        assert record is not None
        os.kill(record.pid, signal.SIGSTOP)
        try:
            self.kill(part)
            wait_until(lambda: not self.is_running(part), f"{part} is gone")
            yield
        finally:
            before = self.processes()[part]
            os.kill(record.pid, signal.SIGCONT)
            wait_until(lambda: self.processes()[part] != before, f"{part} is started again", _RECOVERY_S)
            self.wait_well()

    @contextlib.contextmanager
    def worker(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run one more worker beside the supervisor's."""
        with (self.state.root.parent / "worker.log").open("ab") as log:
            process = subprocess.Popen(
                self.gantry("worker"), env=self.environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait(20)

    def wait_well(self) -> None:
        """Wait until every part that should run does, and the site answers."""

        def is_well() -> bool:
            parts = {"postgres", "redis", "worker", "web"} & set(self.processes())
            with contextlib.suppress(httpx.TransportError, psycopg.Error):
                answer = httpx.get(f"{self.url}/readyz", timeout=5.0)
                return answer.status_code == httpx.codes.OK and all(map(self.is_running, parts))
            return False

        wait_until(is_well, "the stack is well again", _RECOVERY_S)


@functools.cache
def shared_stack() -> WholeStack:
    """Return the run's stack, started at the first call."""
    folder = Path(tempfile.mkdtemp(prefix="gantry-stack-", dir="/tmp"))
    folder.chmod(0o755)  # PostgreSQL's account passes through when we are root
    # Spans lie among the logs, so whoever looks for what must not be in logs finds it in spans, too.
    stack = WholeStack(folder / "state", spans="console")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(stack.close)
    stack.shrink_object_store()
    begun = time.monotonic()
    stack.start()
    stack.up_after_s = time.monotonic() - begun
    return stack
