"""A real `gantry up` in a process of its own, for tests that interrupt, kill and restart it."""

from __future__ import annotations

import os
import pty
import pwd
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from gantry.embedded.process import started_ticks
from gantry.embedded.record import StackRecord
from gantry.embedded.state import StateFolder

ROOT = Path(__file__).resolve().parents[2]


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = 40.0) -> None:
    """Wait for ``condition``; fail with ``what`` when it does not come."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"did not come within {timeout_s} s: {what}"
        time.sleep(0.02)


def as_normal_user(command: list[str]) -> list[str]:
    """Run ``command`` as nobody when we are root.

    Only the user id changes for the program. The capability lets it read an interpreter and a checkout
    that lie in folders closed to others, as they may where tests run as root.
    """
    if os.getuid() != 0:
        return command
    entry = pwd.getpwnam("nobody")
    drop = [f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]
    return ["setpriv", *drop, "--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--", *command]


class EmbeddedStack:
    """`gantry --state-dir … up` with PostgreSQL and Redis."""

    def __init__(self, state_dir: Path, *, is_normal_user: bool = False) -> None:
        self.state = StateFolder(state_dir.resolve())
        self._is_normal_user = is_normal_user
        self.process: subprocess.Popen[str] | None = None

    def gantry(self, *words: str) -> list[str]:
        """Return a command line of `gantry` on this state folder."""
        command = [sys.executable, "-m", "gantry.cli.main", "--state-dir", str(self.state.root), *words]
        return as_normal_user(command) if self._is_normal_user else command

    @staticmethod
    def environment() -> Mapping[str, str]:
        """Return the environment of a user's shell, without that of the test run."""
        own = {key: value for key, value in os.environ.items() if not key.startswith(("GANTRY_", "DJANGO_"))}
        return {**own, "PYTHONPATH": os.pathsep.join(str(ROOT / name) for name in ("platform", "inference"))}

    def start_on_terminal(self) -> int:
        """Start it on a terminal whose session leader keeps hang-ups to itself; return the terminal's end."""
        pid, terminal = pty.fork()
        if pid == 0:
            command = self.gantry("up", "--only", "redis")
            os.execvpe("sh", ["sh", "-c", 'trap : HUP; "$@"; :', "sh", *command], dict(self.environment()))
        threading.Thread(target=os.waitpid, args=(pid, 0), daemon=True).start()
        wait_until(lambda: bool(self.record and self.record.is_up), "the stack is up on its terminal")
        return terminal

    def start(self, *options: str, is_up: bool = True) -> None:
        """Start it, and wait until it is up unless told not to."""
        only = ("--only", "postgres", "--only", "redis")
        self.process = subprocess.Popen(
            self.gantry("up", *only, *options),
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        if is_up:
            wait_until(lambda: self.is_up or self.has_ended, "the stack is up")
            assert self.is_up, self.output()

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run another command of `gantry` on the same folder."""
        return subprocess.run(
            self.gantry(*words),
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    @property
    def record(self) -> StackRecord | None:
        """What the supervisor wrote down."""
        return StackRecord.read(self.state.record_file)

    @property
    def is_up(self) -> bool:
        """Whether this very supervisor says that everything is ready."""
        record = self.record
        return bool(record and record.is_up and self.process and started_ticks(record.pid) is not None)

    @property
    def has_ended(self) -> bool:
        """Whether the supervisor is gone."""
        return self.process is None or self.process.poll() is not None

    def processes(self) -> dict[str, tuple[int, int]]:
        """Return the children by name: pid and start tick."""
        record = self.record
        return dict(record.processes) if record else {}

    def signal(self, number: signal.Signals) -> None:
        """Send the supervisor a signal."""
        record = self.record
        assert record is not None
        os.kill(record.pid, number)

    def output(self) -> str:
        """Return what it printed, after its end."""
        assert self.process is not None
        return self.process.communicate(timeout=60)[0]

    def close(self) -> None:
        """End it however the test left it, and remove its sockets."""
        if not self.has_ended and self.process is not None:
            self.process.terminate()
            self.process.wait(60)
        if self.process is not None and self.process.stdout is not None:
            self.process.stdout.close()
        for folder in Path("/tmp").glob(f"gantry-*-{self.state.runtime.name.rsplit('-', 1)[1]}"):
            shutil.rmtree(folder, ignore_errors=True)


def are_gone(processes: Mapping[str, tuple[int, int]]) -> bool:
    """Say whether none of these processes runs any more."""
    return all(started_ticks(pid) != ticks for pid, ticks in processes.values())
