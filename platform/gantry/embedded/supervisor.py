"""Starts the parts of the embedded stack, keeps them running, and stops them in order."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from gantry.embedded.logs import LogPump
from gantry.embedded.parts import Part, Stack
from gantry.embedded.record import StackRecord
from gantry.embedded.state import EmbeddedError

_POLL_S = 0.05
_FIRST_ATTEMPTS = 3
_LONGEST_WAIT_S = 30.0
_PROVEN_S = 60.0
"""A process that ran this long starts again at once when it ends."""


class PartFailedError(EmbeddedError):
    """A part the stack cannot do without did not start."""


class Reporter(Protocol):
    """Who tells the user."""

    def starting(self, part: Part) -> None:
        """A part is being started."""

    def progressed(self, part: Part, line: str) -> None:
        """A part that is being started said something."""

    def ready(self, part: Part, after_s: float) -> None:
        """A part answers, or a step succeeded."""

    def absent(self, part: Part, reason: str) -> None:
        """A part is not started here."""

    def crashed(self, part: Part, code: int, wait_s: float) -> None:
        """A part ended by itself and is started again after ``wait_s``."""

    def up(self) -> None:
        """Every part is ready or absent."""

    def stopping(self) -> None:
        """The parts are being stopped."""


class Supervisor:
    """One run of the stack. The caller holds the state folder.

    Parameters
    ----------
    parts
        Process table; a part waits for those it names in ``after``.
    """

    def __init__(self, stack: Stack, reporter: Reporter, parts: Sequence[Part]) -> None:
        self._stack = stack
        self._reporter = reporter
        self._parts = {part.name: part for part in parts}
        self._settled = {name: asyncio.Event() for name in self._parts}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._logs: dict[str, LogPump] = {}
        self._stop_requested = asyncio.Event()
        self._urgency = 0
        self._record = StackRecord(stack.state.record_file)

    def request_stop(self) -> None:
        """Stop every part in order; asked a second time, without waiting for any."""
        self._urgency += 1
        self._stop_requested.set()

    async def run(self) -> None:
        """Start everything, keep it running until a stop is requested, then stop everything.

        Raises
        ------
        EmbeddedError
            A part the stack needs did not start; what had started is stopped.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                loop.add_signal_handler(number, self.request_stop)
        if left := StackRecord.read(self._record.path):
            await asyncio.to_thread(left.end_leftovers)
        self._stack.choose_web_port()
        self._record.url = self._stack.url
        self._record.write()
        keepers = [asyncio.create_task(self._keep(part)) for part in self._parts.values()]
        keepers += [asyncio.create_task(self._announce()), asyncio.create_task(self._watch_terminal())]
        stop = asyncio.create_task(self._stop_requested.wait())
        try:
            await self._until_stop_or_failure(stop, keepers)
        finally:
            for task in (stop, *keepers):
                task.cancel()
            await asyncio.gather(stop, *keepers, return_exceptions=True)
            self._reporter.stopping()
            await self._stop_all()
            self._record.remove()

    @staticmethod
    async def _until_stop_or_failure(stop: asyncio.Task[bool], keepers: Sequence[asyncio.Task[None]]) -> None:
        running: set[asyncio.Task[bool] | asyncio.Task[None]] = {stop, *keepers}
        while not stop.done():
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()

    async def _watch_terminal(self) -> None:
        """Stop when the terminal is gone.

        The signal goes to the leader of the session alone. That may be `make`, which does not pass it on.
        """
        had_terminal = os.isatty(0)
        while had_terminal and os.isatty(0):  # noqa: ASYNC110  # nothing announces it
            await asyncio.sleep(1.0)
        if had_terminal:
            self.request_stop()

    async def _announce(self) -> None:
        for event in self._settled.values():
            await event.wait()
        self._record.url = self._stack.url
        self._record.fallbacks = dict(self._stack.fallbacks)
        await asyncio.to_thread(self._reporter.up)
        self._record.is_up = True
        self._record.write()

    async def _keep(self, part: Part) -> None:
        """Start ``part`` when what it waits for is there, and again whenever it ends."""
        for name in part.after:
            if name in self._settled:
                await self._settled[name].wait()
        if reason := part.absent(self._stack):
            self._give_up(part, reason)
            return
        attempt = 0
        while True:
            self._reporter.starting(part)
            begun = time.monotonic()
            await asyncio.to_thread(part.prepare, self._stack)
            process = self._spawn(part)
            is_ready = await self._becomes_ready(part, process)
            if is_ready:
                if not self._settled[part.name].is_set():
                    await asyncio.to_thread(part.settle, self._stack)
                self._stack.ready.add(part.name)
                self._settled[part.name].set()
                self._reporter.ready(part, time.monotonic() - begun)
                if part.is_ready is None:
                    return
                await self._end_of(process)
            elif process.poll() is None:
                self._signal(process, part.kill_signal)
                await self._end_of(process)
            self._sweep(process)
            attempt = 0 if time.monotonic() - begun > _PROVEN_S and is_ready else attempt + 1
            if not self._settled[part.name].is_set() and (attempt >= _FIRST_ATTEMPTS or part.is_ready is None):
                self._fail(part)
                return
            wait_s = min(_LONGEST_WAIT_S, 0.5 * 2 ** (attempt - 1)) if attempt else 0.0
            self._reporter.crashed(part, process.returncode, wait_s)
            await asyncio.sleep(wait_s)

    def _give_up(self, part: Part, reason: str) -> None:
        if part.fallback:
            self._stack.fallbacks[part.title] = f"{reason} Instead: {part.fallback}."
        self._settled[part.name].set()
        self._reporter.absent(part, reason)

    def _fail(self, part: Part) -> None:
        said = "\n".join(f"  {line}" for line in self._logs[part.name].tail())
        log = self._stack.state.log_of(part.name)
        if not part.fallback:
            how = "did not start" if part.is_ready else "failed"
            raise PartFailedError(f"{part.title} {how}. The last lines, from {log}:\n{said}")
        self._give_up(part, f"it did not start, see {log}.")

    def _spawn(self, part: Part) -> subprocess.Popen[bytes]:
        # Plain Popen: nothing can cancel us between the fork and the line that remembers the process. It
        # forks in the main thread, whose end is what the parent-death signal stands for.
        command, environment = part.launch(self._stack)
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            start_new_session=True,
        )
        self._processes[part.name] = process
        self._record.note(part.name, process.pid)
        assert process.stdout is not None
        self._logs[part.name] = LogPump(self._stack.state.logs / f"{part.name}.log", process.stdout)
        return process

    async def _becomes_ready(self, part: Part, process: subprocess.Popen[bytes]) -> bool:
        deadline = time.monotonic() + part.timeout_s
        while process.poll() is None and time.monotonic() < deadline:
            if line := self._logs[part.name].last_line:
                self._reporter.progressed(part, line)
            if part.is_ready is not None and await asyncio.to_thread(part.is_ready, self._stack):
                return process.poll() is None
            await asyncio.sleep(_POLL_S)
        return part.is_ready is None and process.poll() == 0

    @staticmethod
    async def _end_of(process: subprocess.Popen[bytes]) -> None:
        while process.poll() is None:  # noqa: ASYNC110  # a child of Popen sets no event
            await asyncio.sleep(_POLL_S)

    @staticmethod
    def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
        if process.poll() is None:
            if number is signal.SIGKILL:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
            else:
                process.send_signal(number)

    @staticmethod
    def _sweep(process: subprocess.Popen[bytes]) -> None:
        """End what a process that is gone left behind in its group."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)

    async def _stop_all(self) -> None:
        """Stop each part after those that wait for it: the start, backwards."""
        stopped = {name: asyncio.Event() for name in self._parts}
        waiting = {name: [other.name for other in self._parts.values() if name in other.after] for name in self._parts}

        async def stop(part: Part) -> None:
            for name in waiting[part.name]:
                await stopped[name].wait()
            if process := self._processes.get(part.name):
                await self._stop_one(part, process)
            stopped[part.name].set()

        await asyncio.gather(*(stop(part) for part in self._parts.values()))

    async def _stop_one(self, part: Part, process: subprocess.Popen[bytes]) -> None:
        self._signal(process, part.stop_signal)
        deadline = time.monotonic() + part.grace_s
        while process.poll() is None and time.monotonic() < deadline and self._urgency < 2:  # noqa: ASYNC110  # as above
            await asyncio.sleep(_POLL_S)
        self._signal(process, part.kill_signal)
        await self._end_of(process)
        self._sweep(process)
