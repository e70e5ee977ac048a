"""The whole ASGI application, called as a browser or a program calls it, in one event loop that lives as long as the run.

Tests stay synchronous: they use services directly and the site through `Client` and `Socket`.
"""

from __future__ import annotations

import asyncio
import functools
import json
import secrets
import threading
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any, TypeVar
from uuid import UUID

import httpx
from asgiref.testing import ApplicationCommunicator

from gantry.kernel.vocabulary import Role
from world import ADDRESS, World

R = TypeVar("R")

ORIGIN = "http://127.0.0.1:8000"
BOUNDARY = "gantry-tests-boundary"
CONTENT_TYPE = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
PATIENCE_S = 10.0


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="site", daemon=True).start()
    return loop


def run(call: Coroutine[Any, Any, R], timeout_s: float = 60.0) -> R:
    """Run a coroutine in the site's loop and wait for it."""
    return asyncio.run_coroutine_threadsafe(call, _loop()).result(timeout_s)


@functools.cache
def application() -> Any:
    """Return the process's ASGI application."""
    from gantry.config.asgi import application as asgi

    return asgi


def sign_in(user_id: UUID) -> str:
    """Open a session for a person, as a sign-in with every factor passed leaves it; returns the cookie's value."""
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY

    from gantry.identity.models import User
    from gantry.identity.sessions import SessionStore

    user = User.objects.get(pk=user_id)
    store = SessionStore()
    store[SESSION_KEY] = str(user.pk)
    store[BACKEND_SESSION_KEY] = "allauth.account.auth_backends.AuthenticationBackend"
    store[HASH_SESSION_KEY] = user.get_session_auth_hash()
    store.create()
    return str(store.session_key)


class Client:
    """Somebody who calls one tenant's addresses: a program with a token, a browser with a session, or nobody."""

    def __init__(
        self,
        slug: str,
        *,
        token: str = "",
        session: str = "",
        address: str = ADDRESS,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.slug = slug
        sent = {"Authorization": f"Bearer {token}"} if token else {}
        cookies = {}
        if session:
            csrf = secrets.token_hex(16)
            cookies = {"gantry_session": session, "csrftoken": csrf}
            sent |= {"Origin": ORIGIN, "X-CSRFToken": csrf}
        transport = httpx.ASGITransport(application(), client=(address, 40000), raise_app_exceptions=False)
        self.http = httpx.AsyncClient(
            base_url=f"{ORIGIN}/t/{slug}",
            transport=transport,
            headers=sent | (headers or {}),
            cookies=cookies,
        )

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        return run(self.http.request(method, path, **options))

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)

    def stow(self, files: Sequence[bytes], *, study: str = "", **headers: str) -> httpx.Response:
        """Store files by STOW-RS, as one multipart body."""
        return run(self.stow_async(files, study=study, **headers))

    async def stow_async(self, files: Sequence[bytes], *, study: str = "", **headers: str) -> httpx.Response:
        path = f"/dicomweb/studies/{study}" if study else "/dicomweb/studies"
        return await self.http.post(path, content=multipart(files), headers={"Content-Type": CONTENT_TYPE} | headers)


def by_token(world: World, role: Role, *, slug: str = "", **options: Any) -> Client:
    """Return a program with the role's token."""
    return Client(slug or world.slug, token=world.tokens[role], **options)


def by_session(world: World, role: Role, *, slug: str = "", **options: Any) -> Client:
    """Return a signed-in browser."""
    return Client(slug or world.slug, session=sign_in(world.users[role]), **options)


def multipart(files: Sequence[bytes]) -> bytes:
    """Return files as the parts of a multipart/related body."""
    head = f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    return b"".join(head + one + b"\r\n" for one in files) + f"--{BOUNDARY}--\r\n".encode()


class Pulled:
    """A body that knows whether anybody asked for it."""

    def __init__(self, *chunks: bytes, error: Exception | None = None) -> None:
        self.chunks, self.error = chunks, error
        self.count = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            self.count += 1
            yield chunk
        if self.error is not None:
            raise self.error


class Socket:
    """A WebSocket: of live events, unless another path is given."""

    def __init__(
        self,
        slug: str,
        session: str = "",
        *,
        origin: str = ORIGIN,
        path: str = "ws/v1/events",
        subprotocols: Sequence[str] = (),
    ) -> None:
        headers = [(b"host", b"127.0.0.1:8000")]
        if origin:
            headers.append((b"origin", origin.encode()))
        if session:
            headers.append((b"cookie", f"gantry_session={session}".encode()))
        scope = {
            "type": "websocket",
            "path": f"/t/{slug}/{path}",
            "query_string": b"",
            "headers": headers,
            "subprotocols": list(subprotocols),
            "client": (ADDRESS, 40000),
        }
        self._wire = run(self._open(scope))

    @staticmethod
    async def _open(scope: dict[str, Any]) -> Any:
        wire: Any = ApplicationCommunicator(application(), scope)
        await wire.send_input({"type": "websocket.connect"})
        return wire

    def is_accepted(self) -> bool:
        """Tell whether the handshake succeeded; to be asked once, first."""
        return bool(run(self._wire.receive_output(PATIENCE_S))["type"] == "websocket.accept")

    def send(self, **message: Any) -> None:
        self.send_text(json.dumps(message))

    def send_text(self, text: str) -> None:
        run(self._wire.send_input({"type": "websocket.receive", "text": text}))

    def receive(self, timeout_s: float = PATIENCE_S) -> dict[str, Any]:
        """Return the next message, or `{"type": "closed", "code": …}`."""
        message = run(self._wire.receive_output(timeout_s))
        if message["type"] == "websocket.close":
            return {"type": "closed", "code": message.get("code")}
        data: dict[str, Any] = json.loads(message["text"])
        return data

    def subscribe(self, stream: str, **position: Any) -> dict[str, Any]:
        """Subscribe and return the answer."""
        self.send(type="subscribe", stream=stream, **position)
        return self.receive()

    def is_silent(self, for_s: float) -> bool:
        """Tell whether nothing comes for so long."""
        return bool(run(self._wire.receive_nothing(timeout=for_s, interval=0.05)))

    def close(self) -> None:
        assert self.is_over_after_leaving()

    def is_over_after_leaving(self) -> bool:
        """Go away, and tell whether the site's side ended by itself."""

        async def leave() -> bool:
            await self._wire.send_input({"type": "websocket.disconnect", "code": 1000})
            done, _ = await asyncio.wait([self._wire.future], timeout=PATIENCE_S)
            return bool(done)

        return run(leave())


def wait_until(condition: Any, timeout_s: float = PATIENCE_S) -> None:
    """Wait for a condition instead of sleeping."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
