"""Who is drawn for next, with work that is done at once and sessions that want things."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from gantry_imaging.errors import PackError
from gantry_render.protocol import Frame, FrameFlag, MediaType, StackState, State, View
from gantry_render.server.artist import Drawn
from gantry_render.server.link import Link
from gantry_render.server.scheduler import Scheduler
from gantry_render.server.session import Session, Urgency, Work

WITHIN_S = 10.0


class Viewer:
    """A session whose client acknowledges when it is told to."""

    def __init__(
        self, name: str, scheduler: Scheduler, drawn: list[tuple[str, Urgency, int]], *, is_cheap: bool = True
    ) -> None:
        self.name = name
        self.session = Session(Link(0.001), self._is_ready)
        self.hold: threading.Event | None = None
        self.entered = threading.Event()
        self.frames: list[Frame] = []
        self.failures: list[BaseException] = []
        self.is_broken = False
        self._scheduler = scheduler
        self._drawn = drawn
        self._is_cheap = is_cheap
        self._told = asyncio.Event()
        self._state_id = 0

    def _is_ready(self, state: State, urgency: Urgency) -> bool:
        return self._is_cheap or self._scheduler.has_worker(self, urgency)

    def is_cheap(self, work: Work) -> bool:
        return self._is_cheap

    def draw(self, work: Work) -> Drawn | BaseException:
        if work.urgency is Urgency.SETTLED:
            self.entered.set()
        if self.hold is not None:
            assert self.hold.wait(WITHIN_S)
        assert isinstance(work.state, StackState)
        self._drawn.append((self.name, work.urgency, work.state.frame))
        if work.state.frame == 13:
            return PackError("pack.corrupt", "Frame 14 is damaged.")
        frame = Frame(
            MediaType.JPEG, work.tier, FrameFlag(0), work.view, 0, work.state_id, 1, 1, 0.0, (0, 0, 1, 1), 0.0, 1.0, 0, 0, 0, b"x"
        )  # fmt: skip
        return Drawn(frame, work.urgency is Urgency.SETTLED)

    def deliver(self, work: Work, drawn: Drawn | BaseException, now: float) -> None:
        assert isinstance(work.state, StackState)
        if work.state.frame == 14:
            raise ZeroDivisionError
        if isinstance(drawn, BaseException):
            self.session.finish(work, None, False, now)
            self.failures.append(drawn)
        else:
            frame = self.session.finish(work, drawn.frame, drawn.is_final, now)
            if frame is not None:
                self.frames.append(frame)
        self._told.set()

    def broke(self) -> None:
        self.is_broken = True
        self._told.set()

    def look(self, frame: int, now: float, **more: object) -> None:
        self._state_id += 1
        self.session.look_at(View(0, self._state_id, StackState(frame, (8, 8)), **more), now)  # type: ignore[arg-type]  # a View's
        self._scheduler.kick(self)

    def acknowledge(self, now: float) -> None:
        for frame in self.frames:
            self.session.acknowledge(frame.seq, True, now)
        self._scheduler.kick(self)

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(WITHIN_S):
            while not is_so():
                self._told.clear()
                await self._told.wait()


async def test_a_cheap_picture_is_drawn_before_the_call_returns() -> None:
    scheduler = Scheduler(2)
    viewer = Viewer("a", scheduler, [])
    viewer.look(1, asyncio.get_running_loop().time())
    assert len(viewer.frames) == 1
    scheduler.close()


async def test_sessions_take_turns_when_all_want_pictures() -> None:
    scheduler, drawn = Scheduler(1), list[tuple[str, Urgency, int]]()
    viewers = [Viewer(name, scheduler, drawn, is_cheap=False) for name in "abc"]
    gate = threading.Event()
    for viewer in viewers:
        viewer.hold = gate
    now = asyncio.get_running_loop().time()
    for viewer in viewers:
        viewer.look(1, now)
    gate.set()
    for viewer in viewers:
        await viewer.until(lambda viewer=viewer: bool(viewer.frames))  # type: ignore[misc]  # default
    assert sorted(name for name, _, _ in drawn) == ["a", "b", "c"]
    scheduler.close()


async def test_a_settled_picture_leaves_a_thread_for_what_moves() -> None:
    scheduler, drawn = Scheduler(2), list[tuple[str, Urgency, int]]()
    still, moving = (Viewer(name, scheduler, drawn, is_cheap=False) for name in ("still", "moving"))
    still.look(1, asyncio.get_running_loop().time())
    await still.until(lambda: len(still.frames) == 1)
    still.hold = threading.Event()
    still.acknowledge(asyncio.get_running_loop().time())
    # After rest its settled picture takes one of two threads, and keeps it.
    assert await asyncio.to_thread(still.entered.wait, WITHIN_S)
    moving.look(1, asyncio.get_running_loop().time())
    await moving.until(lambda: len(moving.frames) == 1)
    assert ("still", Urgency.SETTLED, 1) not in drawn
    still.hold.set()
    await still.until(lambda: len(still.frames) == 2)
    scheduler.close()


class StepClock:
    """Goes on by a step whenever it is looked at, as if the machine were busy between two looks."""

    def __init__(self, step_s: float) -> None:
        self.now = 10.0
        self._step_s = step_s

    def __call__(self) -> float:
        self.now += self._step_s
        return self.now


@pytest.mark.parametrize("step_s", [0.011, 0.017, 0.023, 0.031, 0.041, 0.053, 0.067])
async def test_a_picture_settles_however_long_the_scheduler_is_kept_from_its_timer(step_s: float) -> None:
    clock = StepClock(step_s)
    scheduler = Scheduler(2, clock)
    viewer = Viewer("a", scheduler, [])
    viewer.look(1, clock())
    viewer.acknowledge(clock())
    await viewer.until(lambda: len(viewer.frames) == 2)
    assert FrameFlag.SETTLED in viewer.frames[-1].flags
    scheduler.close()


async def test_a_failure_stays_with_its_session() -> None:
    scheduler = Scheduler(2)
    unlucky, other = Viewer("a", scheduler, []), Viewer("b", scheduler, [])
    now = asyncio.get_running_loop().time()
    unlucky.look(13, now)
    other.look(1, now)
    await other.until(lambda: bool(other.frames))
    assert len(unlucky.failures) == 1 and not unlucky.frames
    unlucky.look(2, now)
    await unlucky.until(lambda: bool(unlucky.frames))
    scheduler.close()


@pytest.mark.parametrize("is_cheap", [True, False])
async def test_a_mistake_of_ours_ends_the_session_that_it_met_and_no_other(is_cheap: bool) -> None:
    scheduler = Scheduler(1)
    unlucky, other = (Viewer(name, scheduler, [], is_cheap=is_cheap) for name in ("unlucky", "other"))
    now = asyncio.get_running_loop().time()
    other.look(1, now)
    unlucky.look(14, now)
    await unlucky.until(lambda: unlucky.is_broken)
    await other.until(lambda: bool(other.frames))
    other.acknowledge(now)
    other.look(2, now)
    await other.until(lambda: len(other.frames) > 1)
    assert not other.is_broken
    scheduler.close()


async def test_nothing_is_drawn_for_a_session_that_left() -> None:
    scheduler, drawn = Scheduler(2), list[tuple[str, Urgency, int]]()
    gone, other = Viewer("gone", scheduler, drawn), Viewer("other", scheduler, drawn)
    now = asyncio.get_running_loop().time()
    gone.look(1, now)
    gone.acknowledge(now)
    gone.session.close()
    scheduler.remove(gone)
    other.look(1, now)
    await other.until(lambda: bool(other.frames))
    assert [name for name, _, _ in drawn].count("gone") == 1
    scheduler.close()
