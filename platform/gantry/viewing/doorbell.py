"""Hearing that there is news, through the Channels layer; without Redis nothing rings and nothing breaks.

Channels' own way ties a consumer's life to its layer: a socket could not be opened without Redis, and
would close when Redis ends. So this is a task of its own beside the consumer.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable

import structlog
from channels.layers import BaseChannelLayer, get_channel_layer

log = structlog.get_logger(__name__)

_PATIENCE_S, _RETRY_S = 2.0, 1.0


class Doorbell:
    """Sets an event whenever one of its groups is rung.

    Parameters
    ----------
    rung
        What is set.
    """

    def __init__(self, rung: asyncio.Event) -> None:
        self._rung = rung
        self._groups: set[str] = set()
        self._layer: BaseChannelLayer | None = None
        self._channel = ""
        self._listening = asyncio.create_task(self._listen())

    async def join(self, group: str) -> None:
        """Listen to a group as well."""
        self._groups.add(group)
        if self._layer is not None and self._channel:
            await self._attempt(self._layer.group_add(group, self._channel))

    async def leave(self, group: str) -> None:
        """Listen to a group no longer."""
        self._groups.discard(group)
        if self._layer is not None and self._channel:
            await self._attempt(self._layer.group_discard(group, self._channel))

    async def close(self) -> None:
        """Listen to nothing any more."""
        for group in list(self._groups):
            await self.leave(group)
        self._listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._listening

    async def _listen(self) -> None:
        while True:
            try:
                await self._hear()
            except Exception as error:  # noqa: BLE001 - without Redis the rows are still looked at
                log.info("doorbell.unavailable", error=type(error).__name__)
            self._channel = ""
            await asyncio.sleep(_RETRY_S)

    async def _hear(self) -> None:
        self._layer = get_channel_layer()
        if self._layer is None:
            raise LookupError("no channel layer is configured")
        # Not `wait_for`, which on Python 3.11 may swallow the cancellation that ends this.
        async with asyncio.timeout(_PATIENCE_S):
            self._channel = await self._layer.new_channel()
        for group in list(self._groups):
            async with asyncio.timeout(_PATIENCE_S):
                await self._layer.group_add(group, self._channel)
        # What was said while nobody listened.
        self._rung.set()
        while True:
            await self._layer.receive(self._channel)
            self._rung.set()

    @staticmethod
    async def _attempt(call: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await call
        except Exception as error:  # noqa: BLE001 - as above
            log.info("doorbell.unavailable", error=type(error).__name__)
