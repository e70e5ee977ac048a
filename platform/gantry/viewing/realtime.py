"""Live events over WebSocket: the rows are the truth, the doorbell only says that there are some.

A client subscribes to streams from where it stands and gets what it missed, in order, once. Who it
is and what it may hear is asked again every few seconds, with or without Redis.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

import structlog
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings

from gantry.foundation.boundary import record_refusal
from gantry.foundation.outbox import COMPLIANCE, Cursor, get_cursor, group_name, list_events_after
from gantry.foundation.scope import tenant_scope, unit_of_work
from gantry.foundation.threads import in_thread
from gantry.identity.public import is_session_alive, peer_address, resolve_session
from gantry.kernel.actor import Actor
from gantry.kernel.decision import Refused
from gantry.kernel.errors import NotFoundError
from gantry.tenancy.public import is_actor_current, resolve_person
from gantry.viewing.doorbell import Doorbell
from gantry.viewing.origins import is_own_origin
from gantry.viewing.rows import shown_event
from gantry.viewing.services import may_follow, open_stream, visible_study_ids

log = structlog.get_logger(__name__)

SIGNED_OUT, REFUSED, ABSENT = 4401, 4403, 4404
MAX_MESSAGE_BYTES = 64 * 1024
MAX_STREAMS = 64
#: Without a doorbell the rows are looked at this often; with one, it only shortens the wait.
LOOK_EVERY_S = 1.0
#: How often session, membership and permission are asked again; DESIGN.md §6 allows 5 s.
RECHECK_EVERY_S = 3.0


@dataclass
class Subscription:
    stream: str
    epoch: UUID
    seq: int


class EventsConsumer(AsyncWebsocketConsumer):
    """`/t/<tenant>/ws/v1/events`."""

    #: No layer of Channels' own: it would take the socket down with Redis.
    channel_layer_alias = ""

    async def connect(self) -> None:
        self.subscriptions: dict[str, Subscription] = {}
        self.wake = asyncio.Event()
        self.doorbell: Doorbell | None = None
        self.pump: asyncio.Task[None] | None = None
        self.slug = self.scope["url_route"]["kwargs"]["tenant"]
        if not is_own_origin(self.scope):
            await self.close(REFUSED)
            return
        await self.accept()
        try:
            actor = await in_thread(self._resolve)
        except NotFoundError:
            await self.close(ABSENT)
            return
        if actor is None:
            await self.close(SIGNED_OUT)
            return
        self.actor = actor
        self.doorbell = Doorbell(self.wake)
        self.pump = asyncio.create_task(self._pump())

    def _resolve(self) -> Actor | None:
        cookie = self.scope["cookies"].get(settings.SESSION_COOKIE_NAME, "")
        session = resolve_session(cookie) if cookie else None
        if session is None:
            return None
        peer = self.scope["client"][0] if self.scope.get("client") else ""
        forwarded = dict(self.scope["headers"]).get(b"x-forwarded-for", b"").decode("latin-1")
        address = peer_address(peer, forwarded)
        return resolve_person(
            slug=self.slug,
            user_id=session.user_id,
            address=address,
            session=session.session_digest,
            correlation_id="",
        )

    async def disconnect(self, code: int) -> None:
        if self.pump is not None:
            self.pump.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.pump
        if self.doorbell is not None:
            await self.doorbell.close()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if text_data is None or len(text_data) > MAX_MESSAGE_BYTES:
            await self.close(1009)
            return
        try:
            message = json.loads(text_data)
            kind = message["type"]
        except (ValueError, TypeError, KeyError):
            await self._say({"type": "error", "code": "message.malformed", "detail": "Send JSON with a type."})
            return
        handler = self.MESSAGES.get(kind) if isinstance(kind, str) else None
        if handler is None:
            await self._say({"type": "error", "code": "message.unknown", "detail": "There is no such type."})
            return
        await handler(self, message)

    async def _ping(self, message: dict[str, Any]) -> None:
        await self._say({"type": "pong"})

    async def _unsubscribe(self, message: dict[str, Any]) -> None:
        stream = str(message.get("stream", ""))
        if self.subscriptions.pop(stream, None):
            await self._leave(stream)

    async def _subscribe(self, message: dict[str, Any]) -> None:
        stream = str(message.get("stream", ""))[:64]
        if len(self.subscriptions) >= MAX_STREAMS or not await in_thread(self._open_stream, stream):
            await self._say(
                {"type": "error", "code": "stream.unknown", "stream": stream, "detail": "There is no such stream."}
            )
            return
        cursor = await in_thread(self._cursor, stream)
        wanted_seq, wanted_epoch = message.get("seq"), message.get("epoch")
        if wanted_seq is None:
            position = cursor.seq
        elif str(wanted_epoch) != str(cursor.epoch) or not isinstance(wanted_seq, int) or wanted_seq > cursor.seq:
            await self._say(self._position("reset", cursor))
            position = cursor.seq
        else:
            position = max(wanted_seq, 0)
        await self._join(stream)
        await self._say({"type": "subscribed", "stream": stream, "epoch": str(cursor.epoch), "seq": position})
        # Only now: the pump runs beside this, and no event may come before the answer.
        self.subscriptions[stream] = Subscription(stream, cursor.epoch, position)
        self.wake.set()

    def _open_stream(self, stream: str) -> bool:
        """Decide about a subscription; a refusal is recorded, and looks like a stream that does not exist."""
        try:
            with tenant_scope(self.actor):
                return open_stream(actor=self.actor, stream=stream)
        except Refused as refused:
            record_refusal(refused)
            return False

    def _may_follow(self, stream: str) -> bool:
        with tenant_scope(self.actor):
            return may_follow(actor=self.actor, stream=stream)

    def _cursor(self, stream: str) -> Cursor:
        with tenant_scope(self.actor), unit_of_work():
            return get_cursor(stream)

    async def _join(self, stream: str) -> None:
        if self.doorbell is not None:
            await self.doorbell.join(group_name(self.actor.tenant_id, stream))

    async def _leave(self, stream: str) -> None:
        if self.doorbell is not None:
            await self.doorbell.leave(group_name(self.actor.tenant_id, stream))

    async def _pump(self) -> None:
        """Send what is new, look again when rung or after a while, and ask again who is listening."""
        last_check = asyncio.get_running_loop().time()
        while True:
            # Not `wait_for`: on Python 3.11 it swallows a cancellation that comes with the wake-up, and the
            # pump of a socket that is gone would run for ever.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self.wake.wait()
            self.wake.clear()
            try:
                now = asyncio.get_running_loop().time()
                if now - last_check >= RECHECK_EVERY_S:
                    last_check = now
                    if not await self._still_allowed():
                        return
                await self._send_news()
            except Exception as error:  # noqa: BLE001 - the database may be away for a moment: nothing is lost, only late
                log.warning("events.delayed", error=type(error).__name__)

    async def _still_allowed(self) -> bool:
        """Ask again whether session and membership hold; asking does not count as using the session."""
        if not await in_thread(is_session_alive, self.actor.session):
            await self.close(SIGNED_OUT)
            return False
        if not await in_thread(is_actor_current, self.actor):
            await self.close(ABSENT)
            return False
        for stream in list(self.subscriptions):
            if not await in_thread(self._may_follow, stream):
                await self.close(REFUSED)
                return False
        return True

    async def _send_news(self) -> None:
        for subscription in list(self.subscriptions.values()):
            while True:
                events = await in_thread(self._events_after, subscription)
                if self.subscriptions.get(subscription.stream) is not subscription:
                    break  # unsubscribed while the rows were read
                for seq, name, data in events:
                    subscription.seq = seq
                    if data is not None:
                        await self._say(
                            {
                                "type": "event",
                                "stream": subscription.stream,
                                "epoch": str(subscription.epoch),
                                "seq": seq,
                                "event": name,
                                "data": data,
                            }
                        )
                if len(events) < 200:
                    break

    def _events_after(self, subscription: Subscription) -> list[tuple[int, str, dict[str, Any] | None]]:
        """Return the next events; the data of studies this person may not know of is left out."""
        with tenant_scope(self.actor), unit_of_work():
            events = list_events_after(subscription.stream, seq=subscription.seq)
            if not events:
                return []
            if subscription.stream == COMPLIANCE:  # names no study; who may follow it hears all of it
                return [(event.seq, event.name, event.data) for event in events]
            wanted = {UUID(event.data["study_id"]) for event in events}
            visible = visible_study_ids(actor=self.actor, study_ids=wanted)
            return [
                (
                    event.seq,
                    event.name,
                    shown_event(self.actor, event.name, event.data)
                    if UUID(event.data["study_id"]) in visible
                    else None,
                )
                for event in events
            ]

    @staticmethod
    def _position(kind: str, cursor: Cursor) -> dict[str, Any]:
        return {"type": kind, "stream": cursor.stream, "epoch": str(cursor.epoch), "seq": cursor.seq}

    async def _say(self, message: dict[str, Any]) -> None:
        await self.send(text_data=json.dumps(message))

    #: What a client may send; each has its line in `config/audit_coverage.py`.
    MESSAGES: ClassVar[dict[str, Callable[[EventsConsumer, dict[str, Any]], Awaitable[None]]]] = {
        "ping": _ping,
        "subscribe": _subscribe,
        "unsubscribe": _unsubscribe,
    }
