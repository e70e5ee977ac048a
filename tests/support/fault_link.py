"""A link to PostgreSQL that breaks, or whose client dies, after a number of bytes: a proxy between two sockets.

The byte at which it happens is drawn anew each time, so every statement and every answer is cut somewhere.
"""

from __future__ import annotations

import os
import random
import selectors
import signal
import socket
import struct
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_CHUNK: Final = 4096
_GONE: Final = (ConnectionError, BrokenPipeError, OSError)


class FaultLink:
    """Passes bytes on until the budget is spent; then `on_spent` says what happens.

    Parameters
    ----------
    server
        The socket of the real server.
    draw_bytes
        Returns after how many bytes, of all connections and both directions, the next fault comes.
    on_spent
        Called once for each fault, before the connection that spent the last byte is cut.
    """

    def __init__(self, server: Path, draw_bytes: Callable[[], int], on_spent: Callable[[], None]) -> None:
        self.faults = 0
        self._server, self._draw, self._on_spent = server, draw_bytes, on_spent
        self._left = draw_bytes()
        self._lock = threading.Lock()
        self.folder = Path(tempfile.mkdtemp(prefix="gantry-link-", dir="/tmp"))
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self.folder / server.name))
        self._listener.listen(64)
        threading.Thread(target=self._accept, name="fault-link", daemon=True).start()

    def close(self) -> None:
        """Accept nobody any more."""
        self._listener.close()
        (self.folder / self._server.name).unlink(missing_ok=True)
        self.folder.rmdir()

    def _accept(self) -> None:
        with suppress(*_GONE):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                server.connect(str(self._server))
                threading.Thread(target=self._pass_on, args=(client, server), daemon=True).start()

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        ways = {client: server, server: client}
        with selectors.DefaultSelector() as ready, suppress(*_GONE):
            for end in ways:
                ready.register(end, selectors.EVENT_READ)
            while True:
                for key, _ in ready.select():
                    source = key.fileobj
                    assert isinstance(source, socket.socket)
                    data = source.recv(_CHUNK)
                    if not data:
                        raise ConnectionError
                    may_pass = self._spend(len(data))
                    ways[source].sendall(data[:may_pass])
                    if may_pass < len(data):
                        raise ConnectionError
        for end in ways:
            with suppress(OSError):  # gone at once, without a farewell
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.close()

    def _spend(self, count: int) -> int:
        with self._lock:
            if count <= self._left:
                self._left -= count
                return count
            passed, self._left = self._left, self._draw()
            self.faults += 1
            self._on_spent()
            return passed


@contextmanager
def cut_link(server: Path, *, least: int, most: int, seed: int) -> Iterator[FaultLink]:
    """Break one connection after each `least` to `most` bytes."""
    draw = random.Random(seed)
    link = FaultLink(server, lambda: draw.randint(least, most), lambda: None)
    try:
        yield link
    finally:
        link.close()


@contextmanager
def deadly_link(
    server: Path, victim: Callable[[], int | None], *, least: int, most: int, seed: int
) -> Iterator[FaultLink]:
    """Kill the process that `victim` names, with SIGKILL, after each `least` to `most` bytes."""
    draw = random.Random(seed)

    def kill() -> None:
        pid = victim()
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    link = FaultLink(server, lambda: draw.randint(least, most), kill)
    try:
        yield link
    finally:
        link.close()
