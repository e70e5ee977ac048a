"""One viewing session on this pod: the newest state of each view, what was sent of it, what comes next.

Knows no socket, no clock and no thread: time comes in, work goes out. Used from one thread alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Final, Protocol

from gantry_render.protocol import (
    IN_FLIGHT,
    MAX_VIEWS,
    SETTLE_AFTER_MS,
    Frame,
    FrameFlag,
    PlaneState,
    StackState,
    State,
    Tier,
    View,
    VolumeState,
)
from gantry_render.server.link import Link

_SETTLE_AFTER_S: Final = SETTLE_AFTER_MS / 1000
_MOVING_FOR_S: Final = 2.0
"""A gesture that says nothing for so long has ended."""
_SCROLLS_FOR_S: Final = 1.0
"""A scroll whose last step is longer ago has ended."""

_REMEMBERED: Final = 512
_NOTHING: Final = -1
_SETTLED: Final = 10
_LOSSLESS: Final = 20


class Urgency(IntEnum):
    """Which work goes first, among all sessions."""

    MOTION = 0
    SETTLED = 1
    PREFETCH = 2


class Ready(Protocol):
    """Whether the pixels of a state are at hand; asking for what is not makes it wanted."""

    def __call__(self, state: State, urgency: Urgency) -> bool: ...


@dataclass(slots=True, eq=False)
class Work:
    """One picture to be made."""

    view: int
    state_id: int
    state: State
    tier: Tier
    urgency: Urgency
    asked_at: float
    place: float
    is_cancelled: bool = False


@dataclass(slots=True, eq=False)
class _Shown:
    """A view: what is wanted and what the client was sent of it."""

    wanted: View
    changed_at: float
    heard_at: float
    best: int = _NOTHING
    is_drawn: bool = False
    """A motion frame of this state went out, so the next is the settled one."""
    busy: Work | None = None
    sent_ahead: dict[float, int] = field(default_factory=dict)
    """Places that were prefetched for this look, with the frame's number, 0 once it is with the client."""


class Session:
    """State and acknowledgement bookkeeping of one connection.

    Parameters
    ----------
    link
        What the connection bears.
    is_ready
        Whether a state can be drawn now.
    """

    def __init__(self, link: Link, is_ready: Ready) -> None:
        self.link = link
        self._is_ready = is_ready
        self._views: dict[int, _Shown] = {}
        self._prefetched: dict[int, tuple[_Shown, float]] = {}
        self._seq = 0
        self._rendering = 0
        self._turn = 0

    @property
    def views(self) -> Iterator[View]:
        """Newest states."""
        return (shown.wanted for shown in self._views.values())

    def look_at(self, view: View, now: float) -> None:
        """Take the newest state of a view; older ones are forgotten."""
        shown = self._views.get(view.view)
        if shown is None:
            if len(self._views) >= MAX_VIEWS:
                return
            self._views[view.view] = shown = _Shown(view, now, now)
            shown.best = _held(view)
            return
        before, shown.wanted, shown.heard_at = shown.wanted, view, now
        if before.state != view.state:
            shown.changed_at, shown.best, shown.is_drawn = now, _held(view), False
            if shown.busy is not None and shown.busy.urgency is not Urgency.MOTION:
                shown.busy.is_cancelled, shown.busy = True, None
            if _look(before.state) != _look(view.state):
                shown.sent_ahead.clear()
        else:
            shown.best = max(shown.best, _held(view))
            if (
                shown.busy is not None
                and shown.busy.urgency is Urgency.PREFETCH
                and (shown.busy.place not in view.prefetch)
            ):
                shown.busy.is_cancelled, shown.busy = True, None

    def refresh(self, concerns: Callable[[State], bool]) -> None:
        """Draw those views again whose state is concerned by something that became known."""
        for shown in self._views.values():
            if concerns(shown.wanted.state):
                shown.best, shown.is_drawn = _NOTHING, False
                if shown.busy is not None:
                    # It may have looked before, and would pass for what is wanted.
                    shown.busy.is_cancelled, shown.busy = True, None

    def drop(self, number: int) -> None:
        """Forget a view."""
        shown = self._views.pop(number, None)
        if shown is not None and shown.busy is not None:
            shown.busy.is_cancelled = True

    def acknowledge(self, seq: int, is_painted: bool, now: float, held_s: float = 0.0) -> bool:
        """Take an acknowledgement; False for a frame that was never sent, or acknowledged before.

        `held_s`: how long the frame lay with the client before it was painted or dropped.
        """
        ahead = self._prefetched.pop(seq, None)
        if ahead is not None:
            shown, place = ahead
            if shown.sent_ahead.get(place) == seq:
                if is_painted:
                    shown.sent_ahead[place] = 0
                else:
                    del shown.sent_ahead[place]
        return self.link.acked(seq, now, held_s)

    def next_work(self, urgency: Urgency, now: float) -> Work | None:
        """Return what to draw next of this urgency, if the link has room and the pixels are there."""
        if not self._has_room(urgency, now):
            return None
        numbers = list(self._views)
        for n in range(len(numbers)):
            at = (self._turn + n) % len(numbers)
            work = self._work_for(self._views[numbers[at]], urgency, now)
            if work is not None:
                self._turn = at + 1
                self._rendering += 1
                self._views[numbers[at]].busy = work
                return work
        return None

    def wake_s(self, now: float) -> float | None:
        """Return after how many seconds something may become due by time alone; None for never."""
        waits = [
            self._settles_at(shown) - now
            for shown in self._views.values()
            if shown.best < _goal(shown.wanted) and self._settles_at(shown) > now
        ]
        waits += [
            self._prefetches_at(shown) - now
            for shown in self._views.values()
            if shown.wanted.prefetch and self._prefetches_at(shown) > now
        ]
        wait = self.link.wait_s(now)
        if wait:
            waits.append(wait)
        return max(0.001, min(waits)) if waits else None

    def finish(self, work: Work, frame: Frame | None, is_final: bool, now: float) -> Frame | None:
        """Take a picture that was made, or None where none could be; return it numbered if it is still to be sent.

        Parameters
        ----------
        is_final
            Nothing better than this comes before a lossless frame.
        """
        self._rendering -= 1
        shown = self._views.get(work.view)
        if shown is not None and shown.busy is work:
            shown.busy = None
        if shown is None or work.is_cancelled:
            return None
        is_newest = shown.wanted.state == work.state
        if frame is None:
            self._give_up(shown, work, is_newest)
            return None
        if work.urgency is Urgency.PREFETCH:
            if _look(shown.wanted.state) != _look(work.state):
                return None
        elif work.urgency is not Urgency.MOTION and not is_newest:
            return None
        self._seq += 1
        flags = frame.flags
        if is_final and work.urgency is not Urgency.PREFETCH and FrameFlag.LOSSLESS not in flags:
            flags |= FrameFlag.SETTLED
        # The state may have been said again since, with another number.
        state_id = shown.wanted.state_id if is_newest else work.state_id
        frame = replace(frame, seq=self._seq, flags=flags, state_id=state_id)
        if work.urgency is Urgency.PREFETCH:
            shown.sent_ahead[work.place] = self._seq
            self._prefetched[self._seq] = shown, work.place
            while len(shown.sent_ahead) > _REMEMBERED:
                shown.sent_ahead.pop(next(iter(shown.sent_ahead)))
        elif is_newest:
            shown.best, shown.is_drawn = max(shown.best, _reached(frame, is_final)), True
            if work.urgency is Urgency.SETTLED:
                # Whatever came of it: the same asked again would bring the same, for ever.
                shown.best = max(shown.best, _LOSSLESS if work.tier is Tier.T3 else _SETTLED)
        size = len(frame.payload)
        self.link.sent(self._seq, size, now)
        if work.urgency is not Urgency.SETTLED and FrameFlag.COLOUR not in flags:
            self.link.weigh(frame.tier, size)
        return frame

    def put_back(self, work: Work) -> None:
        """Take work back that could not be done now and may be later."""
        self._rendering -= 1
        shown = self._views.get(work.view)
        if shown is not None and shown.busy is work:
            shown.busy = None

    def close(self) -> None:
        """Cancel what is being drawn and forget all."""
        for number in list(self._views):
            self.drop(number)
        self._prefetched.clear()

    def _has_room(self, urgency: Urgency, now: float) -> bool:
        link = self.link
        if link.in_flight + self._rendering >= IN_FLIGHT:
            return False
        is_patient = self._is_patient(urgency, now)
        if self._rendering and (is_patient or link.is_low or link.goodput_bytes_s is None):
            return False
        return link.wait_s(now, is_patient=is_patient) == 0.0

    def _is_patient(self, urgency: Urgency, now: float) -> bool:
        """Whether work of this urgency leaves room for a picture that nobody foresees.

        A scroll that meets what was sent ahead is foreseen, and its link is kept full. Where the reader rests, or leaps,
        two such pictures under way would keep the next leap's waiting.
        """
        if urgency is Urgency.MOTION or self.link.is_quick:
            return False
        if self.link.is_low or urgency is Urgency.SETTLED:
            return True
        views = self._views.values()
        is_scrolling = any(not shown.is_drawn and now - shown.changed_at < _SCROLLS_FOR_S for shown in views)
        # A settled picture waits for an empty link, which two pictures ahead at a time would never leave.
        return not is_scrolling or any(self._is_due(shown, now) for shown in views)

    def _is_due(self, shown: _Shown, now: float) -> bool:
        """Whether the settled picture of a view is to be drawn."""
        return shown.best != _NOTHING and shown.best < _goal(shown.wanted) and self._settles_at(shown) <= now

    def _work_for(self, shown: _Shown, urgency: Urgency, now: float) -> Work | None:
        if shown.busy is not None:
            return None
        wanted = shown.wanted
        if urgency is Urgency.MOTION:
            tier = self._motion_tier(wanted.state)
            if shown.is_drawn or shown.best >= tier:
                return None
            return self._work(shown, wanted.state, tier, urgency)
        if urgency is Urgency.SETTLED:
            if not self._is_due(shown, now):
                return None
            tier = Tier.T3 if wanted.quality == "lossless" else Tier.T2
            return self._work(shown, wanted.state, tier, urgency)
        if shown.best == _NOTHING or self._prefetches_at(shown) > now:
            return None
        for place in wanted.prefetch:
            if place in shown.sent_ahead:
                continue
            state = _at_place(wanted.state, place)
            if state is not None and state != wanted.state and self._is_ready(state, urgency):
                return self._make(shown, state, min(self.link.tier, Tier.T1), urgency, place)
        return None

    def _motion_tier(self, state: State) -> Tier:
        """Return the tier of a moving frame: in 3D drawing, too, costs time, and large ones are for settled pictures."""
        return min(self.link.tier, Tier.T1) if isinstance(state, VolumeState) else self.link.tier

    def _work(self, shown: _Shown, state: State, tier: Tier, urgency: Urgency) -> Work | None:
        if not self._is_ready(state, urgency):
            return None
        return self._make(shown, state, tier, urgency, 0.0)

    @staticmethod
    def _make(shown: _Shown, state: State, tier: Tier, urgency: Urgency, place: float) -> Work:
        wanted = shown.wanted
        return Work(wanted.view, wanted.state_id, state, Tier(tier), urgency, shown.changed_at, place)

    def _prefetches_at(self, shown: _Shown) -> float:
        """Return from when places ahead may be sent.

        On a slow link a scroll that just missed is likely to miss again, and a frame under way would delay that one; a
        scroll that met what the client holds leaves the link free.
        """
        return shown.changed_at + _SETTLE_AFTER_S if shown.is_drawn and self.link.is_low else 0.0

    @staticmethod
    def _settles_at(shown: _Shown) -> float:
        if shown.wanted.moving:
            return shown.heard_at + _MOVING_FOR_S
        return shown.changed_at + _SETTLE_AFTER_S

    @staticmethod
    def _give_up(shown: _Shown, work: Work, is_newest: bool) -> None:
        """Do not try the same again and again."""
        if work.urgency is Urgency.PREFETCH:
            shown.sent_ahead[work.place] = 0
        elif is_newest:
            shown.best = _LOSSLESS


def _held(view: View) -> int:
    """Return how good a picture of this state the client says it has."""
    return {int(Tier.T2): _SETTLED, int(Tier.T3): _LOSSLESS}.get(view.holds, view.holds)


def _goal(view: View) -> int:
    return _LOSSLESS if view.quality == "lossless" else _SETTLED


def _reached(frame: Frame, is_final: bool) -> int:
    if FrameFlag.LOSSLESS in frame.flags or (FrameFlag.PREVIEW in frame.flags and is_final):
        # Of what is drawn from half of the resolution no lossless picture comes.
        return _LOSSLESS
    return _SETTLED if is_final else int(frame.tier)


def _look(state: State) -> State:
    """Return the state without its place: what prefetched frames must share."""
    if isinstance(state, StackState):
        return replace(state, frame=0)
    if isinstance(state, PlaneState):
        # Along the normal is where prefetching goes; a move within the plane is another look.
        normal = _cross(state.row_lps, state.column_lps)
        along = sum(a * b for a, b in zip(state.center_lps_mm, normal, strict=True))
        across = tuple(round(c - along * n, 3) for c, n in zip(state.center_lps_mm, normal, strict=True))
        return replace(state, center_lps_mm=(across[0], across[1], across[2]))
    return state


def _at_place(state: State, place: float) -> State | None:
    """Return the state at a place of a prefetch list: a frame, or millimetres along the normal from the centre."""
    if isinstance(state, StackState):
        return replace(state, frame=int(place)) if place >= 0 and place == int(place) else None
    if isinstance(state, PlaneState):
        normal = _cross(state.row_lps, state.column_lps)
        x, y, z = (c + place * n for c, n in zip(state.center_lps_mm, normal, strict=True))
        return replace(state, center_lps_mm=(x, y, z))
    return None


def _cross(a: tuple[float, float, float], b: tuple[float, float, float]) -> tuple[float, float, float]:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


def is_volume_state(state: State) -> bool:
    """Whether a state needs the whole volume."""
    return isinstance(state, PlaneState | VolumeState)
