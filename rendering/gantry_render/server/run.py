"""The process: uvicorn with the app in it, and an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType
from typing import Final

import uvicorn

from gantry_render.engine.choose import choose_engine
from gantry_render.engine.cpu import CpuEngine
from gantry_render.engine.warm import warm_engine
from gantry_render.protocol import MAX_MESSAGE_BYTES
from gantry_render.server.app import build_app
from gantry_render.server.config import RenderConfig
from gantry_render.server.control import HttpControlPlane
from gantry_render.server.objects import SealedObjects
from gantry_render.server.pod import Pod
from gantry_render.server.warming import warm_up
from gantry_storage import open_store

_SWITCH_S: Final = 0.0005
"""How long a drawing thread may keep the interpreter from the loop's thread."""

_GRACE_S: Final = 3
_GARBAGE_AFTER: Final = 20_000
"""Objects between two looks for circles: hardly any are made, and a look in the midst of a frame delays it."""

# mallopt's numbers (malloc.h).
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3


class Server(uvicorn.Server):
    """uvicorn that hands its sessions over before it goes.

    Parameters
    ----------
    config
        uvicorn's; its app is `build_app`'s.
    get_pod
        The pod, once the app has started.
    """

    def __init__(self, config: uvicorn.Config, get_pod: Callable[[], Pod | None]) -> None:
        super().__init__(config)
        self._get_pod = get_pod
        self._drain: asyncio.Task[None] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain at the first signal, leave at once at the second."""
        pod = self._get_pod()
        if pod is None or pod.is_draining or sig == signal.SIGINT:
            super().handle_exit(sig, frame)
            return
        loop = pod.scheduler.loop
        loop.call_soon_threadsafe(self._begin_drain, pod, sig)

    def _begin_drain(self, pod: Pod, sig: int) -> None:
        async def drain() -> None:
            await pod.drain()
            self.should_exit = True

        self._drain = asyncio.ensure_future(drain())


def serve(config: RenderConfig) -> None:
    """Serve until told to end; prints the port once it listens, for whoever asked for a free one."""
    chosen = choose_engine(hidden=config.hidden)
    warm_up()
    if isinstance(chosen.engine, CpuEngine):
        for _ in warm_engine():
            """Loaded from where `python -m gantry_render.warm` left them."""
    sys.setswitchinterval(_SWITCH_S)
    keep_pages()
    gc.freeze()
    gc.set_threshold(_GARBAGE_AFTER, 20, 50)
    objects = SealedObjects(open_store(config.store))
    pods: list[Pod] = []

    def make_pod() -> Pod:
        control = HttpControlPlane(config.control_url, config.pod_key, config.pod_name)
        pods.append(Pod(config, control, objects, chosen))
        return pods[-1]

    server = Server(
        uvicorn.Config(
            build_app(make_pod),
            loop="uvloop",
            ws="websockets-sansio",
            ws_max_size=2 * MAX_MESSAGE_BYTES,
            ws_per_message_deflate=False,
            ws_ping_interval=20.0,
            ws_ping_timeout=20.0,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_S,
        ),
        lambda: pods[-1] if pods else None,
    )
    listening = _listen(config)
    if not config.socket:
        print(f"listening on {listening.getsockname()[1]}", flush=True)  # noqa: T201  # for whoever started it
    server.run(sockets=[listening])


def keep_pages() -> None:
    """Let glibc serve pictures from pages that it has, not from fresh ones: those cost more than the drawing.

    A 512 x 512 picture is just above the size from which every block is mapped, zeroed and unmapped again.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, 4 << 20)
        mallopt(_M_TRIM_THRESHOLD, 64 << 20)


def _listen(config: RenderConfig) -> socket.socket:
    if config.socket:
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listening.bind(config.socket)
    else:
        family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Those it accepts inherit it. A frame's end must not wait for the acknowledgement of its beginning.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listening.bind((config.host, config.port))
    listening.listen(512)
    return listening
