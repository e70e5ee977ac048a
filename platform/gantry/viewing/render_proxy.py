"""The render socket at the site's own address, passed on to a render pod byte for byte.

Where an ingress routes the socket itself (production), this is not used. It says who may open a socket at all (pages
of our own), and nothing else: the ticket in the first message is between viewer and pod. Cookies and tokens stay here.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import structlog
from websockets.asyncio.client import ClientConnection, connect, unix_connect
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.typing import Origin, Subprotocol

from gantry.viewing.origins import header, is_own_origin
from gantry.viewing.pods import Endpoint, forget_render_service, render_endpoints
from gantry_render.protocol import SUBPROTOCOL, Bye, CloseCode, dump_message

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

log = structlog.get_logger(__name__)

#: What a viewer may send at once; the protocol's own bound is below.
MAX_TEXT_BYTES: Final = 32 * 1024
MAX_FRAME_BYTES: Final = 32 * 1024 * 1024
#: Frames that may wait here for a slow browser. Beyond, the pod's socket is not read, and its writes wait.
_QUEUED: Final = 1
_CONNECT_S: Final = 2.0
_CLOSE_S: Final = 1.0
_RETRY_MS: Final = 1000
_SERIES: Final = re.compile(r"/t/[^/]+/render/v1/[0-9a-f-]{36}")

_AWAY = Bye("render.unavailable", "The render service is not there now.", _RETRY_MS)
_LOST = Bye("render.lost", "The connection to the render service broke.", _RETRY_MS)


async def render_proxy(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve `/t/<tenant>/render/v1/<series id>` (ASGI, WebSocket)."""
    if (await receive())["type"] != "websocket.connect":
        return
    if not is_own_origin(scope):
        await send({"type": "websocket.close", "code": CloseCode.REFUSED})
        return
    wants = SUBPROTOCOL in scope.get("subprotocols", ())
    accept = {"type": "websocket.accept", "subprotocol": SUBPROTOCOL if wants else None}
    try:
        pod = await _connect(scope)
    except (OSError, TimeoutError, WebSocketException) as error:
        log.info("render.unavailable", error=type(error).__name__)
        forget_render_service()
        await send(accept)
        await _leave(send, _AWAY)
        return
    try:
        await send(accept)
        await _relay(pod, receive, send)
    finally:
        # The close handshake is not waited for: a pod that is stuck must not hold us.
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(_CLOSE_S):
                await pod.close()
        pod.transport.abort()


async def _connect(scope: Scope) -> ClientConnection:
    """Connect to the pod of a series, or to the next one where that does not take the socket."""
    path = scope["path"]
    failure: Exception = OSError("no render pod is configured")
    if not _SERIES.fullmatch(path):
        raise failure
    for endpoint in render_endpoints(series=path.rpartition("/")[2]):
        try:
            async with asyncio.timeout(_CONNECT_S):
                return await _open(endpoint, path, header(scope, b"origin"))
        except (OSError, TimeoutError, WebSocketException) as error:
            failure = error
    raise failure


async def _open(endpoint: Endpoint, path: str, origin: str) -> ClientConnection:
    options: dict[str, Any] = {
        "subprotocols": [Subprotocol(SUBPROTOCOL)],
        "origin": Origin(origin),
        # Pictures are compressed already, and long texts come packed.
        "compression": None,
        "max_size": MAX_FRAME_BYTES,
        "max_queue": _QUEUED,
        # A pod that is gone closes its socket; one whose reader is slow is not gone.
        "ping_interval": None,
        "close_timeout": _CLOSE_S,
        "user_agent_header": None,
        "proxy": None,
    }
    if endpoint.socket:
        options.pop("proxy")
        return await unix_connect(endpoint.socket, f"ws://localhost{path}", **options)
    scheme = "wss" if endpoint.is_tls else "ws"
    return await connect(f"{scheme}://{endpoint.authority}{path}", **options)


async def _relay(pod: ClientConnection, receive: Receive, send: Send) -> None:
    """Pass messages on both ways until either side closes, and its close to the other."""
    outward = asyncio.create_task(_from_pod(pod, send))
    inward = asyncio.create_task(_to_pod(pod, receive))
    try:
        await asyncio.wait((outward, inward), return_when=asyncio.FIRST_COMPLETED)
        if inward.done() and not outward.done():
            code = inward.result()
            if code == 1009:
                await _close(send, 1009, "The message is too long.")
            outward.cancel()
            await asyncio.wait((outward,))
    finally:
        for task in (outward, inward):
            task.cancel()
        for result in await asyncio.gather(outward, inward, return_exceptions=True):
            if isinstance(result, Exception):
                log.info("render.relay_ended", error=type(result).__name__)


async def _from_pod(pod: ClientConnection, send: Send) -> None:
    """Send what the pod says; each message is written only when the browser has taken the one before."""
    try:
        while True:
            # Not `async for`: it would hide an abnormal end as a normal one.
            message = await pod.recv()
            if isinstance(message, bytes):
                await send({"type": "websocket.send", "bytes": message})
            else:
                await send({"type": "websocket.send", "text": message})
    except ConnectionClosed as closed:
        if closed.rcvd is None:
            forget_render_service()
            await _leave(send, _LOST)
        else:
            await _close(send, closed.rcvd.code, closed.rcvd.reason)


async def _to_pod(pod: ClientConnection, receive: Receive) -> int:
    """Pass on what the browser says; returns the code that it closed with, or that it is closed with."""
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            code = message.get("code") or 1001
            with contextlib.suppress(TimeoutError, OSError):
                async with asyncio.timeout(_CLOSE_S):
                    await pod.close(code if _may_be_sent(code) else 1001, message.get("reason") or "")
            return 1000
        text, data = message.get("text"), message.get("bytes")
        if data is not None or text is None or len(text) > MAX_TEXT_BYTES or len(text.encode()) > MAX_TEXT_BYTES:
            return 1009
        try:
            await pod.send(text)
        except ConnectionClosed:
            return 1000  # the other direction says why


def _may_be_sent(code: int) -> bool:
    """Tell whether a close code may stand in a close frame (RFC 6455 §7.4)."""
    return code in {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014} or 3000 <= code < 5000


async def _leave(send: Send, bye: Bye) -> None:
    """Say why, then close so that the viewer tries again."""
    with contextlib.suppress(Exception):
        await send({"type": "websocket.send", "text": dump_message(bye)})
    await _close(send, CloseCode.LEASE_LOST, bye.code)


async def _close(send: Send, code: int, reason: str) -> None:
    with contextlib.suppress(Exception):  # the browser may be gone already
        await send({"type": "websocket.close", "code": code if _may_be_sent(code) else 1000, "reason": reason[:120]})
