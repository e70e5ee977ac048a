"""The render socket through the site's own address, in front of a real WebSocket server, behind a real uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
import uvicorn
from django.conf import settings
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol

from gantry.viewing.pods import render_endpoints
from gantry.viewing.render_proxy import MAX_TEXT_BYTES
from gantry_render.protocol import SUBPROTOCOL
from render_door import render_door
from site_client import ORIGIN, application, run

pytestmark = pytest.mark.usefixtures("database")

PATIENCE_S = 10.0


@pytest.fixture(scope="module")
def site(database: None) -> Iterator[str]:
    """The site behind uvicorn, as the embedded stack starts it."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        application(), lifespan="off", log_level="error", ws_per_message_deflate=False, ws_max_size=128 * 1024
    )
    server = uvicorn.Server(config)

    async def begin() -> asyncio.Task[None]:
        task = asyncio.create_task(server.serve([listener]))
        while not server.started:  # noqa: ASYNC110 - uvicorn sets no event
            await asyncio.sleep(0.01)
        return task

    task = run(begin())
    yield f"ws://127.0.0.1:{listener.getsockname()[1]}/t/north/render/v1/{uuid4()}"

    async def end() -> None:
        server.should_exit = True
        await task

    run(end())


@contextlib.asynccontextmanager
async def browser(url: str, origin: str = ORIGIN, **headers: str) -> AsyncIterator[ClientConnection]:
    async with connect(
        url,
        origin=Origin(origin),
        subprotocols=[Subprotocol(SUBPROTOCOL)],
        additional_headers=headers,
        max_size=1 << 26,
        proxy=None,
        max_queue=1,
    ) as opened:
        yield opened


def use(url: str, act: Callable[[ClientConnection], Awaitable[Any]], **options: Any) -> Any:
    async def go() -> Any:
        async with asyncio.timeout(PATIENCE_S), browser(url, **options) as opened:
            return await act(opened)

    return run(go())


async def close_of(connection: ClientConnection) -> tuple[int, str, list[str]]:
    """Return how a connection is closed from the other side, and the texts before."""
    said = []
    try:
        while True:
            said.append(str(await connection.recv()))
    except ConnectionClosed as closed:
        frame = closed.rcvd
    assert frame is not None
    return frame.code, frame.reason, said


def test_texts_and_frames_pass_unchanged_with_the_subprotocol(site: str) -> None:
    async def pod(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)
            await connection.send(b"\x47" + str(message).encode() * 1000)

    async def act(connection: ClientConnection) -> None:
        assert connection.subprotocol == SUBPROTOCOL
        assert "Sec-WebSocket-Extensions" not in (connection.response.headers if connection.response else {})
        for text in ("{}", "é" * 1000, "x" * MAX_TEXT_BYTES):
            await connection.send(text)
            assert await connection.recv() == text
            assert await connection.recv() == b"\x47" + text.encode() * 1000

    with render_door(pod):
        use(site, act)


def test_large_frame_passes(site: str) -> None:
    frame = bytes(range(256)) * 4 * 1024 * 20

    async def pod(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send(frame)

    async def act(connection: ClientConnection) -> None:
        await connection.send("go")
        assert await connection.recv() == frame

    with render_door(pod):
        use(site, act)


def test_pod_hears_origin_and_path_and_no_credentials(site: str) -> None:
    async def pod(connection: ServerConnection) -> None:
        request = connection.request
        assert request is not None
        await connection.send(json.dumps({"path": request.path, "headers": sorted(map(str.lower, request.headers))}))
        await connection.send(request.headers["Origin"])

    async def act(connection: ClientConnection) -> list[Any]:
        return [json.loads(await connection.recv()), await connection.recv()]

    with render_door(pod):
        heard, origin = use(site, act, Cookie="gantry_session=secret", Authorization="Bearer secret")
    assert heard["path"] == site[site.index("/t/") :]
    assert not {"cookie", "authorization"} & set(heard["headers"])
    assert origin == ORIGIN


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (4401, "session.signed_out"), (4504, "pod.draining")])
def test_pod_s_close_reaches_the_browser(site: str, code: int, reason: str) -> None:
    async def pod(connection: ServerConnection) -> None:
        await connection.send("last words")
        await connection.close(code, reason)

    with render_door(pod):
        assert use(site, close_of) == (code, reason, ["last words"])


@pytest.mark.parametrize("code", [1000, 4000])
def test_browser_s_close_reaches_the_pod(site: str, code: int) -> None:
    async def go() -> tuple[int, str]:
        closed: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()

        async def pod(connection: ServerConnection) -> None:
            await connection.wait_closed()
            closed.set_result((connection.close_code or 0, connection.close_reason or ""))

        pods.append(pod)
        async with asyncio.timeout(PATIENCE_S), browser(site) as opened:
            await opened.close(code, "bye")
            return await closed

    pods: list[Any] = []

    async def any_pod(connection: ServerConnection) -> None:
        await pods[0](connection)

    with render_door(any_pod):
        assert run(go()) == (code, "bye")


def test_viewer_is_told_to_try_again_when_no_pod_is_there(site: str) -> None:
    code, reason, said = use(site, close_of)
    assert (code, reason) == (4503, "render.unavailable")
    (bye,) = map(json.loads, said)
    assert (bye["type"], bye["code"]) == ("bye", "render.unavailable")
    assert bye["retry_after_ms"] > 0


def test_next_pod_takes_the_socket_when_the_first_is_gone(site: str) -> None:
    async def act(connection: ClientConnection) -> str:
        await connection.send("here")
        return str(await connection.recv())

    there = settings.RENDER_URL
    try:
        with render_door():
            for gone in ("unix:/nowhere.sock", "http://127.0.0.1:9"):
                for urls in (f"{gone},{there}", f"{there},{gone}"):
                    settings.RENDER_URL = urls
                    assert use(site, act) == "here"
            settings.RENDER_URL = there
    finally:
        settings.RENDER_URL = there


def test_only_the_series_of_a_pod_that_left_move() -> None:
    there, names = settings.RENDER_URL, [f"unix:/pod-{n}.sock" for n in range(4)]
    series = [str(uuid4()) for _ in range(200)]
    try:
        settings.RENDER_URL = ",".join(names)
        before = {one: render_endpoints(one)[0].socket for one in series}
        settings.RENDER_URL = ",".join(names[1:])
        after = {one: render_endpoints(one)[0].socket for one in series}
    finally:
        settings.RENDER_URL = there
    assert {one for one in series if before[one] != after[one]} == {
        one for one in series if before[one] == "/pod-0.sock"
    }
    assert set(before.values()) == {name.removeprefix("unix:") for name in names}


def test_viewer_is_told_to_try_again_when_the_pod_dies(site: str) -> None:
    async def pod(connection: ServerConnection) -> None:
        await connection.send("still here")
        connection.transport.abort()

    with render_door(pod):
        code, reason, said = use(site, close_of)
    assert (code, reason) == (4503, "render.lost")
    assert said[0] == "still here"
    assert json.loads(said[1])["code"] == "render.lost"


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1.evil.example"])
def test_socket_is_refused_when_another_site_s_page_opens_it(site: str, origin: str) -> None:
    async def nothing(connection: ClientConnection) -> None:
        return None

    with render_door():
        use(site, nothing)
        with pytest.raises(InvalidStatus) as refused:
            use(site, nothing, origin=origin)
    assert refused.value.response.status_code == 403


def test_socket_is_closed_when_a_text_is_too_long_or_no_text(site: str) -> None:
    for message in ("x" * (MAX_TEXT_BYTES + 1), "é" * (MAX_TEXT_BYTES // 2 + 1), b"bytes"):

        async def act(connection: ClientConnection, message: Any = message) -> int:
            await connection.send(message)
            return (await close_of(connection))[0]

        with render_door():
            assert use(site, act) == 1009


def test_slow_browser_slows_the_pod_and_nobody_else(site: str) -> None:
    """What the pod may run ahead of a browser that reads nothing is bounded by buffers, however much it has to say."""
    frame, total = bytes(1 << 20), 200
    sent: dict[str, int] = {}

    async def pod(connection: ServerConnection) -> None:
        name = str(await connection.recv())
        for count in range(1, total + 1):
            await connection.send(frame)
            sent[name] = count

    async def go() -> None:
        async with asyncio.timeout(30), browser(site) as slow:
            await slow.send("slow")
            previous = -1
            # Until nothing moves any more: every buffer on the way is full.
            while sent.get("slow", 0) != previous or previous <= 0:
                previous = sent.get("slow", 0)
                await asyncio.sleep(0.5)
            assert previous < 24
            async with browser(site) as quick:
                await quick.send("quick")
                for _ in range(total):
                    assert await quick.recv() == frame
            assert sent["slow"] == previous
            for _ in range(total):
                assert await slow.recv() == frame

    with render_door(pod):
        run(go())


def test_frozen_pod_holds_no_browser(site: str) -> None:
    """A pod that neither reads nor closes: the browser's leaving still ends our side."""

    async def pod(connection: ServerConnection) -> None:
        connection.transport.pause_reading()
        await connection.send("frozen")
        await connection.wait_closed()

    async def act(connection: ClientConnection) -> str:
        return str(await connection.recv())

    with render_door(pod):
        assert use(site, act) == "frozen"
