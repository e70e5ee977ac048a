"""Loopback ports that nobody listens on."""

from __future__ import annotations

import socket

from gantry.embedded.state import EmbeddedError

LOOPBACK = "127.0.0.1"


def is_port_free(port: int) -> bool:
    """Say whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        # As servers do: connections of an earlier server that linger in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def first_free_ports(start: int, count: int = 1, tries: int = 200) -> list[int]:
    """Return the lowest ``count`` free ports from ``start`` on.

    Raises
    ------
    EmbeddedError
        Too few are free among the next ``tries``.
    """
    free: list[int] = []
    for port in range(start, start + tries):
        if is_port_free(port):
            free.append(port)
            if len(free) == count:
                return free
    raise EmbeddedError(f"No free port between {start} and {start + tries - 1}. Stop what listens there.")
