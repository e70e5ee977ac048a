"""The addresses of a pod: the socket, and what those who run it ask."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import Receive, Scope, Send

from gantry_render.server import metrics
from gantry_render.server.connection import serve_socket
from gantry_render.server.pod import Pod

log = structlog.get_logger(__name__)

SOCKET_PATH: Final = "/t/{tenant}/render/v1/{series}"


def build_app(make_pod: Callable[[], Pod]) -> Starlette:
    """Return the ASGI app; `make_pod` is called on the loop that serves, when it starts."""

    @asynccontextmanager
    async def life(app: Starlette) -> AsyncIterator[None]:
        pod = app.state.pod = make_pod()
        pod.start()
        log.info("pod_started", pod=pod.config.pod_name, engine=pod.choice.engine.name, why=pod.choice.reason)
        yield
        await pod.stop()

    async def is_alive(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def is_ready(request: Request) -> Response:
        pod: Pod = request.app.state.pod
        body = {
            "ready": not pod.is_draining,
            "pod": pod.config.pod_name,
            "engine": pod.choice.engine.name,
            "reason": pod.choice.reason,
        }
        return JSONResponse(body, status_code=503 if pod.is_draining else 200)

    async def show_metrics(request: Request) -> Response:
        # A graphics driver may take its time to answer.
        text = await asyncio.to_thread(request.app.state.pod.metrics.text)
        return Response(text, media_type=metrics.CONTENT_TYPE)

    return Starlette(
        routes=[
            Route("/healthz", is_alive),
            Route("/readyz", is_ready),
            Route("/metrics", show_metrics),
            WebSocketRoute(SOCKET_PATH, _Socket()),
        ],
        lifespan=life,
    )


class _Socket:
    """The socket as a bare ASGI app: what is no function is not wrapped, and every wrapping costs a frame its time."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            series = str(UUID(scope["path_params"]["series"]))
        except ValueError:
            series = ""
        await serve_socket(scope["app"].state.pod, series, scope, receive, send)
