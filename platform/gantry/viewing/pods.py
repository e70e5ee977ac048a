"""Where the render pods are, which of them serves a series, and whether any answers."""

from __future__ import annotations

import hashlib
import http.client
import socket
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

import structlog
from django.conf import settings

log = structlog.get_logger(__name__)

_PATIENCE_S = 1.0
#: An answer counts this long, so that a page with nine viewports asks once.
_REMEMBERED_S = 1.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host and port, or the path of a socket on this machine."""

    host: str = ""
    port: int = 0
    socket: str = ""
    is_tls: bool = False

    @classmethod
    def parse(cls, url: str) -> Endpoint:
        """Read `http://host:port`, `https://host:port` or `unix:/path`."""
        if url.startswith("unix:"):
            return cls(socket=url.removeprefix("unix:"))
        parts = urlsplit(url)
        is_tls = parts.scheme == "https"
        return cls(parts.hostname or "", parts.port or (443 if is_tls else 80), is_tls=is_tls)

    @property
    def authority(self) -> str:
        """What stands in the Host header."""
        return "localhost" if self.socket else f"{self.host}:{self.port}"


def render_endpoints(series: str = "") -> list[Endpoint]:
    """Return the pods of `GANTRY_RENDER__URL`, first the one that has served a series before; empty without any.

    Rendezvous hashing: every pod is the first for its share of the series, and when one leaves, only its own series
    move.
    """
    urls = sorted(
        filter(None, settings.RENDER_URL.split(",")),
        key=lambda url: hashlib.sha256(f"{series} {url}".encode()).digest(),
    )
    return [Endpoint.parse(url) for url in urls]


@dataclass
class _Answer:
    urls: str = ""
    is_there: bool = False
    until: float = 0.0


_answer = _Answer()


def is_render_service_there() -> bool:
    """Tell whether some pod would take a session now; blocks for a second a pod at most."""
    if _answer.urls != settings.RENDER_URL or time.monotonic() >= _answer.until:
        _answer.is_there = any(map(_ask, render_endpoints()))
        _answer.urls, _answer.until = settings.RENDER_URL, time.monotonic() + _REMEMBERED_S
    return _answer.is_there


def forget_render_service() -> None:
    """Ask anew at the next opening: somebody has just found nobody there."""
    _answer.until = 0.0


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a socket of this machine."""

    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        """Connect to the path instead of a port."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _ask(endpoint: Endpoint) -> bool:
    connection: http.client.HTTPConnection
    if endpoint.socket:
        connection = _UnixConnection(endpoint.socket, _PATIENCE_S)
    else:
        kind = http.client.HTTPSConnection if endpoint.is_tls else http.client.HTTPConnection
        connection = kind(endpoint.host, endpoint.port, timeout=_PATIENCE_S)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException) as error:
        log.info("render.unavailable", error=type(error).__name__)
        return False
    finally:
        connection.close()
