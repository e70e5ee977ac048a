"""Who draws next: among all sessions motion before settled before prefetched, and each session in its turn."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

import structlog

from gantry_render.protocol import StackState, Tier
from gantry_render.server.artist import Drawn
from gantry_render.server.session import Session, Urgency, Work

log = structlog.get_logger(__name__)

_INLINE_PIXELS: Final = 700_000
"""A grey picture of this size is drawn and encoded in about 2 ms: sooner than a thread is woken and answers."""


class Client(Protocol):
    """A session with what draws for it and takes its frames."""

    @property
    def session(self) -> Session: ...

    def draw(self, work: Work) -> Drawn | BaseException:
        """Draw, in any thread; raises nothing."""

    def deliver(self, work: Work, drawn: Drawn | BaseException, now: float) -> None:
        """Take what was drawn, on the loop's thread."""

    def is_cheap(self, work: Work) -> bool:
        """Whether drawing takes about 2 ms at most."""

    def broke(self) -> None:
        """Take that nothing more is done for it."""


class Scheduler:
    """Spreads work over the cores. Lives on the loop's thread; `draw` alone runs in others.

    Parameters
    ----------
    workers
        Threads that draw.
    clock
        Seconds of the clock that sessions are told the time of.
    """

    def __init__(self, workers: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._workers = max(1, workers)
        self._pool = ThreadPoolExecutor(self._workers, "draw")
        self._loop = asyncio.get_running_loop()
        self._busy = 0
        self._due: dict[Client, None] = {}
        self._blocked: dict[Client, None] = {}
        self._timers: dict[Client, asyncio.TimerHandle] = {}
        self._is_pumping = False
        self._is_planned = False

    @property
    def busy(self) -> int:
        """Threads that draw now."""
        return self._busy

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop whose thread it lives on."""
        return self._loop

    def has_worker(self, client: Client, urgency: Urgency) -> bool:
        """Whether a thread is free; settled and prefetched pictures leave one for what moves.

        A client that hears no is asked again when one is.
        """
        kept = 1 if urgency is not Urgency.MOTION and self._workers > 1 else 0
        if self._busy < self._workers - kept:
            return True
        self._blocked[client] = None
        return False

    def kick(self, client: Client) -> None:
        """Look at a session: something of it changed."""
        self._due[client] = None
        if not self._is_pumping:
            self._pump()

    def remove(self, client: Client) -> None:
        """Forget a session."""
        self._due.pop(client, None)
        self._blocked.pop(client, None)
        timer = self._timers.pop(client, None)
        if timer is not None:
            timer.cancel()

    def close(self) -> None:
        """Take no more work."""
        for timer in self._timers.values():
            timer.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _pump(self) -> None:
        self._is_pumping = True
        # One time for the look and for the timer after it: what became due between two would be seen by neither.
        now = self._clock()
        try:
            if self._give_out(now):
                # What was drawn leaves before the rest is looked at.
                if not self._is_planned:
                    self._is_planned = True
                    self._loop.call_soon(self._pump_on)
                return
            due, self._due = self._due, {}
            for client in due:
                try:
                    self._set_timer(client, now)
                except Exception:
                    log.exception("session_broke")
                    self._give_up(client)
        finally:
            self._is_pumping = False

    def _pump_on(self) -> None:
        self._is_planned = False
        self._pump()

    def _give_out(self, now: float) -> bool:
        """Start what can be started, most urgent first; True as soon as something was drawn inline."""
        for urgency in Urgency:
            found = True
            while found:
                found = False
                for client in list(self._due):
                    try:
                        work = client.session.next_work(urgency, now)
                        if work is None:
                            continue
                        if client.is_cheap(work):
                            # To the end of the line: others come first next time.
                            self._due[client] = self._due.pop(client)
                            client.deliver(work, client.draw(work), self._clock())
                            return True
                        found = True
                        self._start(client, work)
                    except Exception:
                        # A mistake of ours ends the session that it meets, and no other.
                        log.exception("session_broke")
                        self._give_up(client)
        return False

    def _give_up(self, client: Client) -> None:
        self.remove(client)
        client.broke()

    def _start(self, client: Client, work: Work) -> None:
        self._busy += 1
        future = self._pool.submit(client.draw, work)
        loop, done = self._loop, self._done
        future.add_done_callback(lambda future: loop.call_soon_threadsafe(done, client, work, future.result()))

    def _done(self, client: Client, work: Work, drawn: Drawn | BaseException) -> None:
        self._busy -= 1
        try:
            client.deliver(work, drawn, self._clock())
        except Exception:
            log.exception("session_broke")
            self._give_up(client)
        blocked, self._blocked = self._blocked, {}
        self._due.update(blocked)
        self.kick(client)

    def _set_timer(self, client: Client, now: float) -> None:
        timer = self._timers.pop(client, None)
        if timer is not None:
            timer.cancel()
        wait = client.session.wake_s(now)
        if wait is not None:
            self._timers[client] = self._loop.call_later(wait, self._wake, client)

    def _wake(self, client: Client) -> None:
        self._timers.pop(client, None)
        self.kick(client)


def is_cheap(work: Work, pixels: int, is_low: bool) -> bool:
    """Whether a picture of so many source pixels is made in about 2 ms: to JPEG, as on all but slow links."""
    if not isinstance(work.state, StackState) or work.tier is Tier.T3:
        return False
    return pixels <= _INLINE_PIXELS and not is_low
