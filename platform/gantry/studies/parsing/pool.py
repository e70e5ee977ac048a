"""Parsing in processes that may be lost: bytes from outside are looked at there and nowhere else.

Each lane is a fork server (`zygote`) started as a fresh interpreter, so nothing of this process's memory,
descriptors, environment or threads is within a parser's reach. Files travel as sealed descriptors.
"""

import asyncio
import contextlib
import json
import os
import queue
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Self

from gantry.studies.parsing.codec import Outcome, UntrustedResultError, from_json
from gantry.studies.parsing.limits import ParserLimits
from gantry.studies.parsing.memfile import MemFile
from gantry.studies.parsing.model import Rejection
from gantry.studies.parsing.rejections import SENTENCES
from gantry.studies.parsing.sandbox import Confinement

_MAX_BATCH_FILES = 200
_START_TIMEOUT_S = 60.0
_END_TIMEOUT_S = 10.0
_BOOT = """
import json, sys
path, control, limits = json.loads(sys.argv[1])
sys.path[:] = path
sys.modules["numpy"] = None  # pydicom can do without it; a parser has no use for its threads and its code
from gantry.studies.parsing.limits import ParserLimits
from gantry.studies.parsing.zygote import main
main(control, ParserLimits(**limits))
"""


class ParserUnavailableError(Exception):
    """No parsing process can be started; code ``parser.unavailable``."""

    code = "parser.unavailable"


@dataclass(frozen=True, slots=True)
class _BatchEnd:
    """What a child left behind: outcomes of the first files, and why there are no more (None: no harm)."""

    outcomes: list[Outcome]
    failure: str | None


class ParserPool:
    """Parses batches of files, each in a confined process of its own that is thrown away after it.

    A file that crashes, hangs or exhausts its parser is rejected alone; the rest goes on in another process.

    Parameters
    ----------
    limits : ParserLimits, optional
    processes : int
        Batches parsed at the same time.
    """

    def __init__(self, limits: ParserLimits | None = None, processes: int = 2) -> None:
        self._limits = limits or ParserLimits()
        self._lanes: queue.SimpleQueue[_Lane] = queue.SimpleQueue()
        self._all_lanes = [_Lane(self._limits) for _ in range(processes)]
        for lane in self._all_lanes:
            self._lanes.put(lane)
        self._executor = ThreadPoolExecutor(processes, thread_name_prefix="parser")

    async def parse_batch(self, files: Sequence[MemFile]) -> list[Outcome]:
        """Parse files without blocking the event loop; see `parse_batch_sync`."""
        future = asyncio.get_running_loop().run_in_executor(self._executor, self.parse_batch_sync, files)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            # The caller closes its files next: not before nobody sends their descriptors any more.
            with contextlib.suppress(Exception):
                await asyncio.wait([future])
            raise

    def parse_batch_sync(self, files: Sequence[MemFile]) -> list[Outcome]:
        """Parse files; one outcome for each, in their order.

        Files not reached within the batch's time are rejected as ``dicom.parser_timeout``.

        Raises
        ------
        ParserUnavailableError
            Parsing processes do not start.
        """
        outcomes: list[Outcome] = []
        deadline = time.monotonic() + self._limits.wall_s_per_batch
        while len(outcomes) < len(files):
            if time.monotonic() > deadline:
                outcomes += [_rejection("dicom.parser_timeout")] * (len(files) - len(outcomes))
                break
            lane = self._lanes.get()
            try:
                end = lane.run(files[len(outcomes) : len(outcomes) + _MAX_BATCH_FILES])
            finally:
                self._lanes.put(lane)
            outcomes += end.outcomes
            if end.failure is not None:
                outcomes.append(_rejection(end.failure))
        return outcomes

    def confinement(self) -> Confinement:
        """Return which walls stand on this machine, as found by a parser that was started."""
        lane = self._lanes.get()
        try:
            with MemFile(1) as empty:
                lane.run([empty])
            return lane.confinement
        finally:
            self._lanes.put(lane)

    def close(self) -> None:
        """End all processes."""
        self._executor.shutdown(cancel_futures=True)
        for lane in self._all_lanes:
            lane.stop()

    def __enter__(self) -> Self:
        """Return the pool itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all processes."""
        self.close()


class _Lane:
    """One fork server and the wire to it; used by one thread at a time."""

    def __init__(self, limits: ParserLimits) -> None:
        self._limits = limits
        self.confinement = Confinement(system_calls=False, network=False, user=False)
        self._is_greeted = False
        self._start()

    def _start(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        boot = json.dumps([[entry for entry in sys.path if entry], theirs.fileno(), asdict(self._limits)])
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-c", _BOOT, boot],
                pass_fds=[theirs.fileno()],
                env={"LC_ALL": "C.UTF-8"},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._is_greeted = False

    @property
    def pid(self) -> int:
        """Process id of the fork server."""
        return self._process.pid

    def stop(self) -> None:
        """End the fork server, and with it a parser that still runs."""
        self._control.close()
        try:
            self._process.wait(_END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def run(self, files: Sequence[MemFile]) -> _BatchEnd:
        """Parse a batch in a new child.

        Raises
        ------
        ParserUnavailableError
            The fork server does not start.
        """
        if self._process.poll() is not None:
            self._restart()
        self._greet()
        results, theirs = os.pipe()
        try:
            try:
                socket.send_fds(self._control, [b"B"], [theirs, *(file.fileno() for file in files)])
            finally:
                os.close(theirs)
            outcomes, trouble = self._collect(results, len(files))
            status = self._end_child(is_done=len(outcomes) == len(files))
        finally:
            os.close(results)
        if len(outcomes) == len(files):
            return _BatchEnd(outcomes, None)
        return _BatchEnd(outcomes, trouble or _failure_of(status, made_progress=bool(outcomes)))

    def _greet(self) -> None:
        """Wait until the fork server has its imports behind it."""
        if self._is_greeted:
            return
        self._control.settimeout(_START_TIMEOUT_S)
        try:
            hello = self._control.recv(256)
            walls = json.loads(hello) if hello else None
        except (TimeoutError, ConnectionError):
            walls = None
        if not isinstance(walls, dict):
            self._restart()  # for whoever tries again
            raise ParserUnavailableError("the process that parses DICOM files does not start")
        self.confinement = Confinement(False, walls.get("network") is True, walls.get("user") is True)
        self._is_greeted = True

    def _restart(self) -> None:
        self._process.kill()
        self.stop()
        self._start()

    def _collect(self, results: int, count: int) -> tuple[list[Outcome], str | None]:
        """Read outcomes until there are enough, none comes in time, or one cannot be believed."""
        outcomes: list[Outcome] = []
        reader = _FrameReader(results, self._limits)
        try:
            is_filtered = reader.read(1) == b"\1"
            self.confinement = Confinement(is_filtered, self.confinement.network, self.confinement.user)
            while len(outcomes) < count:
                outcomes.append(from_json(reader.read_frame()))
        except EOFError:
            return outcomes, None
        except TimeoutError:
            return outcomes, "dicom.parser_timeout"
        except UntrustedResultError:
            return outcomes, "dicom.parser_crashed"
        return outcomes, None

    def _end_child(self, *, is_done: bool) -> int | None:
        """See the child off; return its wait status, None where the fork server itself is gone."""
        try:
            self._control.settimeout(1.0 if is_done else _END_TIMEOUT_S)
            if not is_done:
                self._control.send(b"K")
            try:
                status = self._control.recv(4)
            except TimeoutError:  # it has answered all and does not leave
                self._control.send(b"K")
                self._control.settimeout(_END_TIMEOUT_S)
                status = self._control.recv(4)
            if len(status) == 4:
                return int.from_bytes(status, "big", signed=True)
        except OSError:
            pass
        self._restart()
        return None


class _FrameReader:
    """Reads length-prefixed frames from a pipe whose other end is not trusted."""

    def __init__(self, fd: int, limits: ParserLimits) -> None:
        self._fd = fd
        self._limits = limits
        self._buffer = bytearray()
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)

    def read_frame(self) -> bytes:
        """Return the next frame.

        Raises
        ------
        EOFError, TimeoutError
            The pipe ended, or the frame was not whole within a file's time.
        UntrustedResultError
            The frame is larger than any outcome.
        """
        deadline = time.monotonic() + self._limits.wall_s_per_file
        size = int.from_bytes(self.read(4, deadline), "big")
        if size > self._limits.max_result_bytes:
            raise UntrustedResultError("too large")
        return self.read(size, deadline)

    def read(self, size: int, deadline: float | None = None) -> bytes:
        """Return so many bytes."""
        if deadline is None:
            deadline = time.monotonic() + self._limits.wall_s_per_file
        while len(self._buffer) < size:
            if not self._poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise TimeoutError
            chunk = os.read(self._fd, 65_536)
            if not chunk:
                raise EOFError
            self._buffer += chunk
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data


def _failure_of(status: int | None, *, made_progress: bool) -> str | None:
    """Say what became of the file that was being parsed; None: the child left between two files."""
    if status is None:
        return "dicom.parser_crashed"
    if os.WIFSIGNALED(status):
        if os.WTERMSIG(status) == signal.SIGXCPU:
            return "dicom.parser_timeout"
        return "dicom.parser_memory" if os.WTERMSIG(status) == signal.SIGKILL else "dicom.parser_crashed"
    return None if made_progress and os.WEXITSTATUS(status) == 0 else "dicom.parser_crashed"


def _rejection(code: str) -> Rejection:
    return Rejection(code, SENTENCES[code])
