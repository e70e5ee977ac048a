"""What takes long is asked about again while it goes on: a body on its way in, instances on their way out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from gantry.foundation.boundary import record_refusal
from gantry.foundation.threads import in_reserved_thread
from gantry.kernel.decision import Refused
from gantry.kernel.errors import GantryError

R = TypeVar("R")

#: DESIGN.md §6 allows 5 s from the moment that something is withdrawn.
ASK_EVERY_S: Final = 2.5


class CutOffError(Exception):
    """An answer on its way was broken off: its receiver may have it no more. The connection ends without its end."""


async def while_allowed(work: Coroutine[Any, Any, R], ask: Callable[[], object]) -> R:
    """Await some work, and break it off when `ask`, called every few seconds in a thread, raises."""
    task = asyncio.ensure_future(work)
    try:
        while True:
            done, _ = await asyncio.wait({task}, timeout=ASK_EVERY_S)
            if done:
                return task.result()
            await in_reserved_thread(ask)
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})


class Permission:
    """That an answer may go on, asked again every few seconds of its sending."""

    def __init__(self, ask: Callable[[], object]) -> None:
        self.ask = ask
        self._asked_at = time.monotonic()

    async def renew(self) -> None:
        """Ask again, if it is time.

        Raises
        ------
        CutOffError
            No more; a refusal is recorded.
        """
        if time.monotonic() - self._asked_at < ASK_EVERY_S:
            return
        try:
            await in_reserved_thread(self.ask)
        except Refused as refused:
            await in_reserved_thread(record_refusal, refused)
            raise CutOffError(refused.code) from None
        except GantryError as error:
            raise CutOffError(error.code) from None
        self._asked_at = time.monotonic()
