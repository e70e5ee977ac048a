"""A real Triton for tests: started on free ports, killed by its own process id."""

import contextlib
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gantry_inference.triton_server import (
    TritonInstallation,
    Unavailable,
    build_command,
    end_leftovers,
    locate,
)


@dataclass
class TritonProcess:
    """One server and the ports that its restarts keep."""

    installation: TritonInstallation
    repository: Path
    run_dir: Path
    ports: tuple[int, int, int]
    process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"127.0.0.1:{self.ports[1]}"

    def start(self) -> subprocess.Popen[str]:
        http, grpc, metrics = self.ports
        argv, env = build_command(
            self.installation,
            repository=self.repository,
            http_port=http,
            grpc_port=grpc,
            metrics_port=metrics,
            run_dir=self.run_dir,
        )
        self.process = subprocess.Popen(argv, env=env, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
        return self.process

    def kill(self) -> None:
        """End the server as a crash would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(timeout=20)


def free_ports() -> tuple[int, int, int]:
    """Return three ports that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(3)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        http, grpc, metrics = (int(each.getsockname()[1]) for each in sockets)
        return http, grpc, metrics


def require_triton() -> TritonInstallation:
    """Return the installation, or skip with its reason."""
    found = locate()
    if isinstance(found, Unavailable):
        pytest.skip(found.reason)
    return found


@contextlib.contextmanager
def running_triton(repository: Path, run_dir: Path) -> Iterator[TritonProcess]:
    """Start a server and stop it at the end."""
    server = TritonProcess(require_triton(), repository, run_dir, free_ports())
    server.start()
    try:
        yield server
    finally:
        if server.process is not None:
            server.process.terminate()
            try:
                server.process.communicate(timeout=20)
            except subprocess.TimeoutExpired:
                server.process.kill()
                end_leftovers(run_dir)
                server.process.communicate()


def wait_until(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    """Return when the condition holds; fail when it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"The condition did not hold within {timeout_s:g} s.")
        time.sleep(0.05)
