"""One socket: what comes in is parsed and obeyed, what goes out waits its turn here."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import deque
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Final, TypeAlias

import structlog
from starlette.types import Receive, Scope, Send

from gantry_imaging.errors import ImagingError, PackError
from gantry_render.protocol import (
    MAX_MESSAGE_BYTES,
    SUBPROTOCOL,
    Ack,
    Bye,
    ClientMessage,
    CloseCode,
    Drop,
    Frame,
    Hello,
    Notice,
    Ping,
    PlaneState,
    Pong,
    Probe,
    Probed,
    Progress,
    ProtocolError,
    ServerMessage,
    StackState,
    State,
    View,
    VolumeState,
    pack_message,
    parse_client_message,
)
from gantry_render.protocol import (
    Link as LinkFacts,
)
from gantry_render.server import scheduler
from gantry_render.server.artist import Artist, Drawn
from gantry_render.server.control import ControlError, Manifest
from gantry_render.server.errors import SessionError
from gantry_render.server.link import Link
from gantry_render.server.loading import SLOW_AFTER_S, Series
from gantry_render.server.pace import Pace
from gantry_render.server.pod import Pod
from gantry_render.server.probing import probe
from gantry_render.server.results import Results
from gantry_render.server.session import Session, Urgency, Work
from gantry_render.server.tracing import SessionTrace
from gantry_render.server.welcome import make_welcome

log = structlog.get_logger(__name__)

HELLO_WITHIN_S: Final = 5.0
_MESSAGES_S: Final = 3000.0
_BURST: Final = 6000.0
_PROGRESS_EVERY_S: Final = 0.25
_LINK_EVERY_S: Final = 1.0
_MOST_TEXTS: Final = 256
_END_WITHIN_S: Final = 1.0
_SILENT_AFTER_S: Final = 75.0
"""A client pings every 20 s; one that says nothing for so long is gone."""

_REDUCED: Final = (
    "This series is too large for this server. Its slices are shown in full; planes and 3D are drawn from half of the "
    "resolution, without segments."
)
_FAILED: Final = SessionError(CloseCode.FAILED, "session.failed", "Something went wrong here.", 1000)

_Message: TypeAlias = Mapping[str, Any]


async def serve_socket(pod: Pod, series_id: str, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one WebSocket from its opening to its end."""
    if (await receive())["type"] != "websocket.connect":
        return
    if pod.is_draining:
        # Refused before it is accepted, whoever routes it may try the next pod at once.
        await send({"type": "websocket.close", "code": int(CloseCode.DRAINING)})
        return
    origin = dict(scope["headers"]).get(b"origin", b"").decode("latin-1").rstrip("/")
    if origin not in pod.config.origins or SUBPROTOCOL not in scope.get("subprotocols", ()):
        # Closing before accepting is a 403 to the client.
        await send({"type": "websocket.close", "code": int(CloseCode.REFUSED)})
        return
    await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL})
    await Connection(pod, series_id, receive, send).run()


class Connection:
    """One session's socket, on the loop's thread but for `draw`."""

    def __init__(self, pod: Pod, series_id: str, receive: Receive, send: Send) -> None:
        self._pod = pod
        self._series_id = series_id
        self._receive = receive
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._accepted_at = time.monotonic()
        self._outbox: deque[str | bytes] = deque()
        self._filled = asyncio.Event()
        self._is_flushing = False
        self._pace = Pace()
        self._ended = asyncio.Event()
        self._end: SessionError | None = None
        self._tokens, self._refilled_at = _BURST, self._accepted_at
        self._manifest: Manifest | None = None
        self._key: Hashable = None
        self._series: Series | None = None
        self._results: Results | None = None
        self._artist: Artist | None = None
        self._is_told = False
        self._progress_at = 0.0
        self._last_progress: Progress | None = None
        self._last_link = LinkFacts(-1, 0, 0)
        self._link_at = 0.0
        self._notices: set[tuple[str, float | None]] = set()
        self._trace = SessionTrace()
        self.session = Session(Link(), self._is_ready)

    @property
    def session_id(self) -> str:
        assert self._manifest is not None  # known to the pod only once redeemed
        return self._manifest.session

    async def run(self) -> None:
        """Serve until one side ends it."""
        writer = asyncio.create_task(self._write())
        reader = asyncio.create_task(self._read_all())
        try:
            await asyncio.wait({writer, reader}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._finish(None)
            reader.cancel()
            # A client that reads nothing must not hold its end up.
            await asyncio.wait({writer}, timeout=_END_WITHIN_S)
            writer.cancel()
            await asyncio.gather(reader, writer, return_exceptions=True)
            await self._close()

    async def end(self, error: SessionError) -> None:
        """Say why and close; returns when the socket is done with, or soon after."""
        self._finish(error)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), 2 * _END_WITHIN_S)

    # In.

    async def _read_all(self) -> None:
        try:
            try:
                hello = await asyncio.wait_for(self._next(), HELLO_WITHIN_S)
            except TimeoutError:
                raise SessionError(CloseCode.MALFORMED, "hello.late", "Nothing was said in time.") from None
            if hello is None:
                return
            if not isinstance(hello, Hello):
                raise SessionError(CloseCode.MALFORMED, "hello.expected", "The first message is hello.")
            await self._open(hello)
            while (message := await asyncio.wait_for(self._next(), _SILENT_AFTER_S)) is not None:
                self._obey(message)
                if self._outbox:
                    # What was drawn inline leaves in the same turn of the loop.
                    await self._flush()
        except SessionError as error:
            self._finish(error)
        except ProtocolError as error:
            self._finish(SessionError(CloseCode.MALFORMED, error.code, error.sentence))
        except TimeoutError:
            self._finish(SessionError(CloseCode.MALFORMED, "session.silent", "Nothing was heard for a while.", 0))
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("session_failed")
            self._finish(_FAILED)

    async def _next(self) -> ClientMessage | None:
        event: _Message = await self._receive()
        if event["type"] == "websocket.disconnect":
            return None
        text = event.get("text")
        if text is None or len(text) > MAX_MESSAGE_BYTES:
            raise ProtocolError("message.malformed", "A message is text of limited length.")
        now = time.monotonic()
        self._tokens = min(_BURST, self._tokens + (now - self._refilled_at) * _MESSAGES_S) - 1
        self._refilled_at = now
        if self._tokens < 0:
            # Who sends more is read no faster; the socket's window holds the rest back.
            await asyncio.sleep(-self._tokens / _MESSAGES_S)
        return parse_client_message(text)

    async def _open(self, hello: Hello) -> None:
        self._pod.require_open()
        claims = self._pod.require_ticket(hello.ticket, self._series_id)
        with self._trace.opening(claims.trace):
            await self._redeem(hello)

    async def _redeem(self, hello: Hello) -> None:
        pod = self._pod
        now = time.monotonic()
        try:
            manifest = await pod.control.redeem(hello.ticket)
        except ControlError as error:
            log.warning("ticket_not_redeemed", why=str(error))
            raise SessionError(CloseCode.BUSY, "control.unavailable", "The platform does not answer.", 1000) from None
        if str(manifest.series_id) != self._series_id:
            raise SessionError(CloseCode.TICKET_REFUSED, "ticket.other_series", "This ticket is for another series.")
        self._manifest = manifest
        pod.require_open()
        pod.enter(self, now)
        self._key, self._series = await pod.open_series(manifest)
        series = self._series
        self._results = Results(manifest, series.index, pod.objects, self._result_read)
        self._artist = Artist(series, self._results, hello.accept)
        # From accepting to hello is a round trip and little else.
        self.session.link = Link(max(0.0005, now - self._accepted_at))
        series.listen(self._series_changed)
        self._say(make_welcome(manifest, series.index, pod.choice.engine.name, series.room.refusal))
        if series.room.is_reduced:
            self._notice(Notice("volume.reduced", _REDUCED))
        self._tell_progress()
        log.info("session_opened", session=manifest.session, series=self._series_id, kind=series.index.kind)
        # The rest is loaded once something was asked for, or soon.
        self._loop.call_later(0.05, series.load)
        self._loop.call_later(SLOW_AFTER_S, self._watch_store)

    def _obey(self, message: ClientMessage) -> None:
        now = time.monotonic()
        if isinstance(message, Ack):
            self.session.acknowledge(message.seq, message.painted, now, message.held_ms / 1000)
            self._tell_link(now)
            self._pod.scheduler.kick(self)
        elif isinstance(message, View):
            self._want_results(message.state)
            self.session.look_at(message, now)
            self._pod.scheduler.kick(self)
        elif isinstance(message, Drop):
            self.session.drop(message.view)
        elif isinstance(message, Ping):
            self._say(Pong())
        elif isinstance(message, Probe):
            assert self._series is not None
            self._say(Probed(message.id, *probe(self._series, message)))
        else:
            raise ProtocolError("message.malformed", "Hello is said once.")

    # Drawing.

    def draw(self, work: Work) -> Drawn | BaseException:
        assert self._artist is not None
        try:
            return self._artist.draw(work, self.session.link.is_low, self._pace.cut(work.tier))
        except BaseException as error:  # noqa: BLE001  # it is handed to the loop's thread, which judges it
            return error

    def is_cheap(self, work: Work) -> bool:
        state = work.state
        if not isinstance(state, StackState) or self._series is None:
            return False
        frames = self._series.index.frames
        if state.frame >= len(frames):
            return True
        entry = frames[state.frame]
        pixels = entry.rows * entry.columns
        if state.region is not None:
            pixels = min(pixels, int(state.region[2] * state.region[3]))
        return scheduler.is_cheap(work, pixels * entry.samples, self.session.link.is_low)

    def deliver(self, work: Work, drawn: Drawn | BaseException, now: float) -> None:
        if isinstance(drawn, BaseException):
            is_wanted = not work.is_cancelled
            if isinstance(drawn, PackError) and drawn.code == "pack.absent":
                # It was overwritten for another frame's sake before it was drawn: it is read again.
                self.session.put_back(work)
                return
            self.session.finish(work, None, False, now)
            if is_wanted:
                self._tell_failure(work, drawn)
            return
        frame = self.session.finish(work, drawn.frame, drawn.is_final, now)
        if frame is None:
            return
        if drawn.moving is not None:
            self._pace.learn(frame.width * frame.height, frame.render_us / 1e6, is_halved=drawn.moving.is_halved)
        took_us = frame.render_us + frame.encode_us
        queued_us = max(0, int((now - work.asked_at) * 1e6) - took_us)
        self._put(frame.pack(queued_us))
        self._loop.call_soon(self._count, work, frame, queued_us)

    def broke(self) -> None:
        self._finish(_FAILED)

    def _count(self, work: Work, frame: Frame, queued_us: int) -> None:
        metrics = self._pod.metrics
        metrics.frames.labels(work.state.kind, f"T{int(frame.tier)}", work.urgency.name.lower()).inc()
        metrics.sent_bytes.inc(len(frame.payload))
        for stage, microseconds in (("render", frame.render_us), ("encode", frame.encode_us), ("queued", queued_us)):
            metrics.stages.labels(stage).observe(microseconds / 1e6)
        now = time.monotonic()
        if self._trace.is_due(now):
            self._trace.add_frame(work, frame, queued_us, now, time.time_ns())

    def _is_ready(self, state: State, urgency: Urgency) -> bool:
        series = self._series
        assert series is not None
        if isinstance(state, StackState):
            if state.frame >= len(series.index.frames) or series.has(state.frame):
                return True
            series.want(state.frame)
            return False
        if series.index.kind != "volume":
            return True
        if not series.can_draw(in_3d=isinstance(state, VolumeState), is_moving=urgency is Urgency.MOTION):
            return False
        return self._pod.scheduler.has_worker(self, urgency)

    def _want_results(self, state: State) -> None:
        assert self._results is not None and self._series is not None
        if isinstance(state, StackState):
            return
        # Where the volume does not fit, a map of its size does not either.
        segments = () if self._series.room.frames_bytes is not None else state.segments
        self._results.want((*state.meshes, *segments) if isinstance(state, VolumeState) else segments)

    def _tell_failure(self, work: Work, error: BaseException) -> None:
        if isinstance(error, ImagingError):
            code, sentence = error.code, error.sentence
        else:
            log.error("frame_failed", kind=type(error).__name__, exc_info=error)
            code, sentence = "frame.failed", "This picture could not be made."
        self._pod.metrics.failures.labels(code).inc()
        place = float(work.state.frame) if isinstance(work.state, StackState) else None
        self._notice(Notice(code, sentence, view=work.view, place=place))

    # News.

    def _series_changed(self) -> None:
        """Note that something was loaded; called in any thread, often."""
        if not self._is_told:
            self._is_told = True
            self._call(self._look_at_series)

    def _look_at_series(self) -> None:
        self._is_told = False
        if self._series is None or self._end is not None:
            return
        self._pod.scheduler.kick(self)
        self._notice_store()
        wait = self._progress_at + _PROGRESS_EVERY_S - time.monotonic()
        if wait <= 0:
            self._tell_progress()
        elif self._progress_at != math.inf:
            self._progress_at = math.inf
            self._loop.call_later(wait, self._tell_progress)

    def _tell_progress(self) -> None:
        if self._series is None or self._end is not None:
            return
        self._progress_at = time.monotonic()
        progress = Progress(self._series.loaded_ranges(), self._series.is_volume_ready)
        if progress != self._last_progress:
            self._last_progress = progress
            self._say(progress)

    def _notice_store(self) -> None:
        assert self._series is not None
        trouble = self._series.store_trouble
        self._toggle(trouble is not None, "store.unavailable", "The image store does not answer. Trying again.")
        is_slow = trouble is None and self._series.waiting_s() > SLOW_AFTER_S
        self._toggle(is_slow, "store.slow", "The image store is slow. Pictures come as it delivers.")

    def _toggle(self, is_so: bool, code: str, sentence: str) -> None:
        if is_so and (code, None) not in self._notices:
            self._notice(Notice(code, sentence))
        elif not is_so and (code, None) in self._notices:
            self._notices.discard((code, None))
            self._say(Notice(code, sentence, is_over=True))

    def _watch_store(self) -> None:
        if self._series is None or self._end is not None:
            return
        self._notice_store()
        self._loop.call_later(0.5, self._watch_store)

    def _result_read(self, result: str, error: ImagingError | None) -> None:
        """Show a result that was read, or say why it is not shown; called in any thread."""

        def show() -> None:
            if error is not None:
                self._notice(Notice(error.code, f"A result is not shown. {error.sentence}"))
            else:
                self.session.refresh(lambda state: _names(state, result))
                self._pod.scheduler.kick(self)

        self._call(show)

    def _call(self, function: Callable[[], None]) -> None:
        # After the loop's end there is nobody to tell.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function)

    def _tell_link(self, now: float) -> None:
        link = self.session.link
        if link.goodput_bytes_s is None or (
            int(link.tier) == self._last_link.tier and now - self._link_at < _LINK_EVERY_S
        ):
            return
        self._link_at = now
        facts = LinkFacts(int(link.tier), round(link.goodput_bytes_s / 125, 1), round(1000 * link.round_trip_s, 1))
        if facts != self._last_link:
            self._last_link = facts
            self._say(facts)

    def _notice(self, notice: Notice) -> None:
        key = notice.code, notice.place
        if key not in self._notices and len(self._notices) < 4096:
            self._notices.add(key)
            self._say(notice)

    # Out.

    def _say(self, message: ServerMessage) -> None:
        self._put(pack_message(message))

    def _put(self, data: str | bytes) -> None:
        if self._end is not None:
            return
        self._outbox.append(data)
        self._filled.set()
        if len(self._outbox) > _MOST_TEXTS:
            # Frames are bounded by acknowledgements; what piles up is small talk that nobody reads.
            self._finish(SessionError(CloseCode.MALFORMED, "session.deaf", "Nothing is read at the other end.", 0))

    def _finish(self, error: SessionError | None) -> None:
        """Send nothing more but the reason; the first one counts."""
        if self._end is not None:
            return
        self._end = error or SessionError(CloseCode.FAILED, "session.ended", "")
        self._outbox.clear()
        if error is not None:
            self._outbox.append(pack_message(Bye(error.code, error.sentence, error.retry_after_ms)))
            self._pod.metrics.closed.labels(error.code).inc()
        self._filled.set()

    async def _write(self) -> None:
        with contextlib.suppress(Exception):  # a socket that is gone; the reader ends, too
            while self._end is None or self._outbox:
                await self._filled.wait()
                self._filled.clear()
                await self._flush()
            code = int(self._end.close) if self._end.code != "session.ended" else 1000
            await self._send({"type": "websocket.close", "code": code})

    async def _flush(self) -> None:
        """Send what waits, in order; the reader and the writer may both, one at a time."""
        if self._is_flushing:
            return
        self._is_flushing = True
        try:
            while self._outbox:
                data = self._outbox.popleft()
                if isinstance(data, str):
                    await self._send({"type": "websocket.send", "text": data})
                else:
                    await self._send({"type": "websocket.send", "bytes": data})
        finally:
            self._is_flushing = False
            if self._end is not None:
                self._filled.set()

    async def _close(self) -> None:
        self.session.close()
        self._pod.scheduler.remove(self)
        self._ended.set()
        if self._series is not None:
            self._series.stop_listening(self._series_changed)
            self._pod.leave_series(self._key, self._end.close if self._end is not None else None)
            self._series = None
        if self._results is not None:
            self._results.close()
        if self._manifest is not None:
            code = self._end.code if self._end is not None else ""
            log.info("session_closed", session=self._manifest.session, code=code)
            await self._pod.leave(self)


def _names(state: State, result: str) -> bool:
    if isinstance(state, VolumeState):
        return result in state.meshes or result in state.segments
    return isinstance(state, PlaneState) and result in state.segments
