"""The other two ends of a render pod, for tests and benchmarks: a control plane in memory and a thin client.

with RenderPeer() as peer:                       # object store, control plane
    series = peer.add_series(files_of(folder))   # writes and seals the pack
    with peer.start_pod() as pod:                # `python -m gantry_render.server`, a process of its own
        async with await peer.connect(pod, series) as client:
            welcome = await client.welcome()
            await client.look(StackState(0, (512, 512)))
            frame = await client.next_frame()
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import io
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import UUID, uuid4

import httpx
import uvicorn
import websockets
from pydicom import Dataset
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gantry_imaging.pack import InstanceSource, PackIndex, write_pack
from gantry_render.protocol import (
    FRAME_MAGIC,
    SUBPROTOCOL,
    Ack,
    ClientMessage,
    Frame,
    Hello,
    State,
    View,
    dump_message,
    unpack_message,
)
from gantry_render.server.control import Manifest, MemoryControlPlane, ObjectRef, ResultRef
from gantry_render.server.errors import SessionError
from gantry_storage import SealedWriter, StoreConfig, open_store

ROOT = Path(__file__).resolve().parents[2]
ORIGIN = "http://viewer.test"
_STARTS_WITHIN_S = 60.0
_ANSWERS_WITHIN_S = 30.0
_STOPS_WITHIN_S = 15.0


def files_of(folder: Path) -> list[bytes]:
    """Return the files of a folder and its folders, in order of their names."""
    return [path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()]


def to_bytes(datasets: Iterable[Dataset]) -> list[bytes]:
    """Return datasets as files."""
    files = []
    for dataset in datasets:
        file = io.BytesIO()
        dataset.save_as(file, enforce_file_format=True)
        files.append(file.getvalue())
    return files


@dataclasses.dataclass(frozen=True)
class PeerSeries:
    """A series whose pack lies in the store."""

    pack: ObjectRef
    index: PackIndex
    series_id: UUID
    study_id: UUID
    results: tuple[ResultRef, ...] = ()


class RenderPeer:
    """An object store and a control plane that pods can be started against. A context manager.

    Parameters
    ----------
    s3_url
        An S3 server with a bucket `objects`, its credentials where boto3 looks for them; a folder of its own otherwise.
    """

    def __init__(self, s3_url: str = "") -> None:
        self.control = MemoryControlPlane()
        self.pod_key = secrets.token_hex(16)
        self.tenant_id = uuid4()
        self._stack = contextlib.ExitStack()
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="gantry-peer-", dir="/tmp")))
        self.objects = self.folder / "objects"
        if s3_url:
            keys = {"KIND": "s3", "S3_ENDPOINT": s3_url, "S3_BUCKET": "objects", "S3_REGION": "us-east-1"}
            self._store = open_store(StoreConfig("s3", bucket="objects", endpoint_url=s3_url, region=keys["S3_REGION"]))
        else:
            keys = {"DIRECTORY": str(self.objects)}
            self._store = open_store(StoreConfig("directory", path=self.objects))
        self.store_settings = {f"GANTRY_OBJECTS__{key}": value for key, value in keys.items()}
        self._server, self.control_port = _serve(_control_app(self))
        self._stack.callback(self._stop)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def add_series(self, files: Sequence[bytes]) -> PeerSeries:
        """Write the pack of a series into the store, sealed."""
        instances = [InstanceSource(str(n), _opener(data)) for n, data in enumerate(files)]
        with SealedWriter(self._store, self.tenant_id) as writer:
            index = write_pack(writer, instances)
            pack = _commit(writer)
        return PeerSeries(pack, index, uuid4(), uuid4())

    def add_object(self, data: bytes) -> ObjectRef:
        """Seal bytes into the store."""
        with SealedWriter(self._store, self.tenant_id) as writer:
            writer.write(data)
            return _commit(writer)

    def add_result(self, series: PeerSeries, kind: Any, data: bytes) -> PeerSeries:
        """Return the series with one more result that may be drawn in it: kind "mesh" or "segmentation"."""
        result = ResultRef(
            str(uuid4()), f"Finding {len(series.results) + 1}", (1.0, 0.0, 0.0), False, kind, self.add_object(data)
        )
        return dataclasses.replace(series, results=(*series.results, result))

    def manifest(self, series: PeerSeries, session: str | None = None) -> Manifest:
        """Return what a ticket for a series opens."""
        name = session or str(uuid4())
        return Manifest(
            name, self.tenant_id, series.study_id, series.series_id, series.index.modality, series.pack, series.results
        )

    def ticket(self, series: PeerSeries, session: str | None = None, *, lives_s: float = 59) -> str:
        """Return a ticket for a series."""
        return self.control.issue(self.manifest(series, session), lives_s=lives_s)

    @contextlib.contextmanager
    def start_pod(self, **settings: str) -> Iterator[Pod]:
        """Run a pod as a process; `settings` are GANTRY_RENDER__ keys in lower case, such as `memory_bytes`, or whole ones."""
        pod = Pod(self, settings)
        try:
            pod.wait_ready()
            yield pod
        finally:
            pod.stop()

    async def connect(
        self,
        pod: Pod,
        series: PeerSeries,
        *,
        session: str | None = None,
        accept: tuple[str, ...] = ("image/jpeg", "image/png"),
        ticket: str | None = None,
        port: int | None = None,
    ) -> Client:
        """Open a socket and say hello; `port` where something stands between."""
        client = await open_socket(port or pod.port, str(series.series_id))
        await client.send(Hello(ticket or self.ticket(series, session), accept))
        return client

    def _stop(self) -> None:
        self._server.should_exit = True


class Pod:
    """A render service that runs as a process of its own."""

    def __init__(self, peer: RenderPeer, settings: dict[str, str]) -> None:
        kept = {
            key: value for key, value in os.environ.items() if not key.startswith("GANTRY_") or key == "GANTRY_HIDE"
        }
        own = {
            "PORT": "0",
            "CONTROL_URL": f"http://127.0.0.1:{peer.control_port}",
            "POD_KEY": peer.pod_key,
            "TICKET_PUBLIC_KEY": peer.control.public_key.hex(),
            "ORIGINS": ORIGIN,
            **{key.upper(): value for key, value in settings.items() if key.islower()},
        }
        environment = {
            **kept,
            **{f"GANTRY_RENDER__{key}": value for key, value in own.items()},
            **peer.store_settings,
            **{key: value for key, value in settings.items() if key.isupper()},
            "PYTHONPATH": str(ROOT / "rendering"),
        }
        self.log = peer.folder / f"pod-{uuid4()}.log"
        with self.log.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gantry_render.server"], env=environment, stdout=subprocess.PIPE, stderr=errors
            )
        self.port = 0

    def wait_ready(self) -> None:
        """Wait until it listens and says that it is ready."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline().decode()
        if not line.startswith("listening on "):
            raise AssertionError(f"The pod did not start: {self.log.read_text()}")
        self.port = int(line.split()[-1])
        until = time.monotonic() + _STARTS_WITHIN_S
        while time.monotonic() < until:
            with contextlib.suppress(httpx.HTTPError):
                if self.get("/readyz").status_code == 200:
                    return
            time.sleep(0.02)
        raise AssertionError(f"The pod is not ready: {self.log.read_text()}")

    def get(self, path: str) -> httpx.Response:
        """Ask one of its pages."""
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=_ANSWERS_WITHIN_S, trust_env=False)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """End it, whatever it takes."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(_STOPS_WITHIN_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


class Client:
    """A viewer without a screen. Decodes headers, never pictures. A context manager."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self.socket = socket
        self.texts: list[dict[str, Any]] = []
        self._opened_at = time.monotonic()
        self._heard: deque[str] = deque(maxlen=60)
        self._state_id = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.socket.close()

    async def send(self, message: ClientMessage) -> None:
        """Send a message."""
        await self.socket.send(dump_message(message))
        self._note("→", f"ack {message.seq}" if isinstance(message, Ack) else type(message).__name__.lower())

    async def look(self, state: State, *, view: int = 0, **more: Any) -> int:
        """Send a view's newest state; return its number."""
        self._state_id += 1
        await self.send(View(view, self._state_id, state, **more))
        return self._state_id

    async def receive(self) -> Frame | dict[str, Any]:
        """Return the next message: a frame, or a text as a dictionary.

        Raises
        ------
        AssertionError
            None came in time, with what went to and fro before.
        """
        try:
            data = await asyncio.wait_for(self.socket.recv(), _ANSWERS_WITHIN_S)
        except TimeoutError:
            raise AssertionError(
                f"Nothing came for {_ANSWERS_WITHIN_S:g} s, after\n" + "\n".join(self._heard)
            ) from None
        if isinstance(data, bytes) and data[0] == FRAME_MAGIC:
            frame = Frame.unpack(data)
            self._note("←", f"{frame.tier!r} {frame.flags!r} {frame.seq} of {frame.view}/{frame.state_id}")
            return frame
        text: dict[str, Any] = json.loads(data if isinstance(data, str) else unpack_message(data))
        self.texts.append(text)
        self._note("←", f"{text['type']} {text.get('code', '')}")
        return text

    def _note(self, way: str, what: str) -> None:
        self._heard.append(f"{time.monotonic() - self._opened_at:8.3f} {way} {what}")

    async def messages(self) -> AsyncIterator[Frame | dict[str, Any]]:
        """Yield messages until the socket ends."""
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                yield await self.receive()

    async def welcome(self) -> dict[str, Any]:
        """Return the welcome."""
        return await self.next_text("welcome")

    async def next_text(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Return the next text of a type whose fields are these; acknowledges frames that come before it."""
        while True:
            message = await self.receive()
            if isinstance(message, Frame):
                await self.send(Ack(message.seq))
            elif message["type"] == kind and all(message[key] == value for key, value in fields.items()):
                return message
            elif message["type"] == "bye":
                raise AssertionError(f"bye instead of {kind}: {message}")

    async def next_frame(
        self, wanted: Callable[[Frame], bool] = lambda frame: True, *, acknowledge: bool = True
    ) -> Frame:
        """Return the next frame that is wanted; it and those before it are acknowledged."""
        while True:
            message = await self.receive()
            if isinstance(message, dict):
                if message["type"] == "bye":
                    raise AssertionError(f"bye instead of a frame: {message}")
                continue
            if acknowledge:
                await self.send(Ack(message.seq))
            if wanted(message):
                return message

    async def closed(self) -> tuple[int | None, dict[str, Any] | None]:
        """Read to the end; return the close code and the last `bye`."""
        async for _ in self.messages():
            pass
        byes = [text for text in self.texts if text["type"] == "bye"]
        return self.socket.close_code, byes[-1] if byes else None


async def open_socket(port: int, series_id: str, origin: str = ORIGIN) -> Client:
    """Open a pod's socket, nothing said yet."""
    socket = await websockets.connect(
        f"ws://127.0.0.1:{port}/t/demo/render/v1/{series_id}",
        origin=websockets.Origin(origin),
        subprotocols=[websockets.Subprotocol(SUBPROTOCOL)],
        compression=None,
        max_size=None,
        proxy=None,
        # A busy machine is no reason to give up.
        open_timeout=_STARTS_WITHIN_S,
        ping_interval=None,
    )
    return Client(socket)


def _opener(data: bytes) -> Callable[[], contextlib.AbstractContextManager[bytes]]:
    return lambda: contextlib.nullcontext(data)


def _commit(writer: SealedWriter) -> ObjectRef:
    sealed = writer.commit()
    return ObjectRef(sealed.tenant_id, sealed.object_id, sealed.size_bytes, sealed.data_key)


def _control_app(peer: RenderPeer) -> Starlette:
    """Return the control plane's internal endpoints, as ADR 0012 has them, over the one in memory."""

    async def redeem(request: Request) -> Response:
        body = await _body(peer, request)
        if body is None or not peer.control.is_reachable:
            return Response(status_code=404 if body is None else 503)
        try:
            manifest = await peer.control.redeem(body["ticket"])
        except SessionError as error:
            return JSONResponse({"code": error.code, "sentence": error.sentence}, 403)
        return JSONResponse(_manifest(manifest))

    async def lease(request: Request) -> Response:
        body = await _body(peer, request)
        if body is None or not peer.control.is_reachable:
            return Response(status_code=404 if body is None else 503)
        ended = await peer.control.renew(body["sessions"])
        return JSONResponse({"ended": [dataclasses.asdict(each) for each in ended]})

    async def release(request: Request) -> Response:
        body = await _body(peer, request)
        if body is None:
            return Response(status_code=404)
        await peer.control.release(body["sessions"])
        return Response(status_code=204)

    pages = {"redeem": redeem, "lease": lease, "release": release}
    return Starlette(
        routes=[Route(f"/internal/render/v1/{name}", page, methods=["POST"]) for name, page in pages.items()]
    )


async def _body(peer: RenderPeer, request: Request) -> Any:
    if request.headers.get("authorization") != f"Bearer {peer.pod_key}":
        return None
    return await request.json()


def _manifest(manifest: Manifest) -> dict[str, Any]:
    return {
        "session": manifest.session,
        "tenant_id": str(manifest.tenant_id),
        "study_id": str(manifest.study_id),
        "series_id": str(manifest.series_id),
        "modality": manifest.modality,
        "lease_ends_s": 4.5,
        "pack": _reference(manifest.pack),
        "results": [
            {
                "id": each.id,
                "label": each.label,
                "colour": list(each.colour),
                "is_reviewed": each.is_reviewed,
                "kind": each.kind,
                "object": _reference(each.object),
            }
            for each in manifest.results
        ],
    }


def _reference(reference: ObjectRef) -> dict[str, Any]:
    return {
        "tenant_id": str(reference.tenant_id),
        "object_id": str(reference.object_id),
        "size_bytes": reference.size_bytes,
        "data_key": base64.b64encode(reference.data_key.reveal()).decode(),
    }


def _serve(app: Starlette) -> tuple[uvicorn.Server, int]:
    """Serve an app on a free port, in a thread of this process."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True).start()
    return server, listening.getsockname()[1]
