"""A span for each HTTP request. It names method and status, never the address: addresses hold UIDs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from opentelemetry.trace import SpanKind

from gantry.foundation.tracing import continue_trace

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def traced(app: App) -> App:
    """Wrap an ASGI application so that every HTTP request is a span, continuing the caller's trace."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        offered = dict(scope["headers"]).get(b"traceparent", b"").decode("latin-1")
        with continue_trace(offered, f"HTTP {scope['method']}", SpanKind.SERVER) as span:

            async def send_and_note(message: MutableMapping[str, Any]) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                await send(message)

            await app(scope, receive, send_and_note)

    return application
