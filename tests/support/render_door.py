"""A stand-in for a render pod's door: a real WebSocket server on the socket where the site looks for its pods.

It answers `/readyz`, and hands every viewer's connection to the test as it is.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

from django.conf import settings
from websockets.asyncio.server import Server, ServerConnection, unix_serve
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from gantry.viewing.pods import forget_render_service
from gantry_render.protocol import SUBPROTOCOL
from site_client import run

Handler = Callable[[ServerConnection], Awaitable[None]]


async def _readiness(connection: ServerConnection, request: Request) -> Response | None:
    return connection.respond(HTTPStatus.OK, "ready\n") if request.path == "/readyz" else None


async def _echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


@contextlib.contextmanager
def render_door(handler: Handler = _echo, **options: Any) -> Iterator[Server]:
    """Listen where the site looks for its render service."""
    path = Path(settings.RENDER_URL.removeprefix("unix:"))
    path.unlink(missing_ok=True)

    async def start() -> Server:
        return await unix_serve(
            handler,
            str(path),
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            process_request=_readiness,
            compression=None,
            **options,
        )

    async def stop(server: Server) -> None:
        server.close(close_connections=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                await server.wait_closed()

    server = run(start())
    forget_render_service()
    try:
        yield server
    finally:
        run(stop(server))
        path.unlink(missing_ok=True)
        forget_render_service()
