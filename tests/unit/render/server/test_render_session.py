"""What a session sends next, told step by step."""

from __future__ import annotations

from dataclasses import replace

from gantry_render.protocol import (
    CameraState,
    Frame,
    FrameFlag,
    MediaType,
    PlaneState,
    StackState,
    State,
    Tier,
    View,
    Voi,
    VolumeState,
)
from gantry_render.server.link import Link
from gantry_render.server.session import Session, Urgency, Work

STACK = StackState(5, (512, 512))
PLANE = PlaneState((0.0, 0.0, 10.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), 1.0, (256, 256))
VOLUME = VolumeState(CameraState((0.0, -100.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, 1.0), 100.0), (512, 512), "CT-Bone")


class Table:
    """A session with hands to move its clock and a pod that draws at once."""

    def __init__(self) -> None:
        self.now = 10.0
        self.missing: set[int] = set()
        self.asked: list[State] = []
        self.session = Session(Link(0.01), self.is_ready)
        self._state_id = 0

    def is_ready(self, state: State, urgency: Urgency) -> bool:
        self.asked.append(state)
        return not (isinstance(state, StackState) and state.frame in self.missing)

    def look(self, state: State, view: int = 0, **more: object) -> None:
        self._state_id += 1
        self.session.look_at(View(view, self._state_id, state, **more), self.now)  # type: ignore[arg-type]  # a View's

    def next(self) -> Work | None:
        """Return the most urgent work."""
        for urgency in Urgency:
            work = self.session.next_work(urgency, self.now)
            if work is not None:
                return work
        return None

    def draw(self, work: Work, *, is_final: bool = False, size: int = 6_000, is_exact: bool = True) -> Frame | None:
        frame = Frame(
            MediaType.JPEG, work.tier, FrameFlag.PREFETCHED if work.urgency is Urgency.PREFETCH else FrameFlag(0),
            work.view, 0, work.state_id, 8, 8, 0.0, (0, 0, 1, 1), 0.0, 1.0, 0, 0, 0, bytes(size),
        )  # fmt: skip
        if work.tier is Tier.T3 and is_exact:
            frame = replace(frame, flags=frame.flags | FrameFlag.LOSSLESS)
        return self.session.finish(work, frame, is_final, self.now)

    def send_next(self, *, is_final: bool = False, acknowledge: bool = True, size: int = 6_000) -> Frame | None:
        """Draw the most urgent work, send it, and have it painted 20 ms later."""
        work = self.next()
        if work is None:
            return None
        frame = self.draw(work, is_final=is_final or work.urgency is Urgency.SETTLED, size=size)
        if frame is not None and acknowledge:
            self.now += 0.02
            assert self.session.acknowledge(frame.seq, True, self.now)
        return frame


def test_motion_then_settled_is_sent_when_a_state_rests() -> None:
    table = Table()
    table.look(STACK)
    motion = table.send_next()
    assert motion is not None and motion.tier is Tier.T1 and FrameFlag.SETTLED not in motion.flags
    assert table.next() is None
    wait = table.session.wake_s(table.now)
    assert wait is not None and wait <= 0.15
    table.now += 0.15
    settled = table.send_next()
    assert settled is not None and settled.tier is Tier.T2 and FrameFlag.SETTLED in settled.flags
    table.now += 10
    assert table.next() is None
    assert table.session.wake_s(table.now) is None


def test_nothing_settles_while_a_gesture_moves_until_it_says_nothing_for_two_seconds() -> None:
    table = Table()
    table.look(STACK, moving=True)
    table.send_next()
    table.now += 1.0
    assert table.next() is None
    table.now += 1.1
    settled = table.send_next()
    assert settled is not None and settled.tier is Tier.T2


def test_only_the_newest_state_is_drawn_when_states_come_faster_than_frames_leave() -> None:
    table = Table()
    table.look(STACK)
    first = table.send_next(acknowledge=False)
    for frame in range(6, 30):
        table.look(replace(STACK, frame=frame), moving=True)
    assert table.next() is None
    assert first is not None
    table.now += 0.05
    table.session.acknowledge(first.seq, True, table.now)
    work = table.next()
    assert work is not None and work.state == replace(STACK, frame=29)


def test_a_client_that_acknowledges_nothing_gets_two_frames_at_most() -> None:
    table = Table()
    table.look(STACK)
    table.send_next()
    sent = 0
    for frame in range(100):
        table.now += 0.2
        table.look(replace(STACK, frame=frame))
        sent += table.send_next(acknowledge=False) is not None
    assert 1 <= sent <= 2


def test_a_settled_picture_is_cancelled_when_the_state_changes() -> None:
    table = Table()
    table.look(VOLUME)
    table.send_next()
    table.now += 0.2
    settled = table.next()
    assert settled is not None and settled.urgency is Urgency.SETTLED
    table.look(replace(VOLUME, window_shift=5.0))
    assert settled.is_cancelled
    assert table.draw(settled) is None
    motion = table.next()
    assert motion is not None and motion.urgency is Urgency.MOTION


def test_lossless_comes_after_rest_when_the_state_asks_for_it() -> None:
    table = Table()
    table.look(STACK, quality="lossless")
    table.send_next()
    table.now += 0.2
    exact = table.send_next()
    assert exact is not None and exact.tier is Tier.T3 and FrameFlag.LOSSLESS in exact.flags
    table.now += 1
    assert table.next() is None


def test_lossless_alone_is_added_when_asked_for_after_settling() -> None:
    table = Table()
    table.look(STACK)
    table.send_next()
    table.now += 0.2
    table.send_next()
    table.look(STACK, quality="lossless")
    exact = table.send_next()
    assert exact is not None and exact.tier is Tier.T3 and exact.state_id == 2


def test_a_settled_picture_is_drawn_once_when_it_is_less_than_was_asked_for() -> None:
    table = Table()
    table.look(VOLUME, quality="lossless")
    table.send_next()
    table.now += 0.2
    exact = table.next()
    assert exact is not None and exact.tier is Tier.T3
    # The engine failed, and a preview is all that there is.
    frame = table.draw(exact, is_exact=False)
    assert frame is not None
    table.session.acknowledge(frame.seq, True, table.now + 0.02)
    table.now += 10
    assert table.next() is None


def test_a_full_motion_frame_counts_as_settled_when_nothing_better_can_come() -> None:
    table = Table()
    table.look(STACK)
    frame = table.send_next(is_final=True)
    assert frame is not None and FrameFlag.SETTLED in frame.flags
    table.now += 1
    assert table.next() is None


def test_prefetch_goes_last_and_never_twice_when_places_are_listed() -> None:
    table = Table()
    table.look(STACK, prefetch=(6.0, 7.0))
    motion = table.send_next()
    assert motion is not None and FrameFlag.PREFETCHED not in motion.flags
    frames = [table.send_next(), table.send_next()]
    assert all(frame is not None and FrameFlag.PREFETCHED in frame.flags for frame in frames)
    table.look(STACK, prefetch=(7.0, 6.0))
    assert table.next() is None


def test_prefetch_comes_again_when_it_was_dropped_unseen() -> None:
    table = Table()
    table.look(STACK, prefetch=(6.0,))
    table.send_next()
    ahead = table.send_next(acknowledge=False)
    assert ahead is not None
    table.now += 0.02
    table.session.acknowledge(ahead.seq, False, table.now)
    again = table.next()
    assert again is not None and again.urgency is Urgency.PREFETCH


def test_prefetch_that_lay_ahead_is_cancelled_when_the_scroll_reverses() -> None:
    table = Table()
    table.look(STACK, moving=True, prefetch=(6.0, 7.0))
    table.send_next()
    ahead = table.next()
    assert ahead is not None and ahead.place == 6.0
    table.look(replace(STACK, frame=4), moving=True, prefetch=(3.0, 2.0))
    assert ahead.is_cancelled
    assert table.draw(ahead) is None
    motion = table.send_next()
    assert motion is not None and FrameFlag.PREFETCHED not in motion.flags
    behind = table.next()
    assert behind is not None and behind.place == 3.0


def test_prefetch_begins_anew_when_the_window_changes() -> None:
    table = Table()
    table.look(STACK, prefetch=(6.0,))
    table.send_next()
    table.send_next()
    table.look(replace(STACK, voi=Voi("window", 40, 400)), moving=True, prefetch=(6.0,))
    table.send_next()
    again = table.next()
    assert again is not None and again.urgency is Urgency.PREFETCH


def test_one_picture_ahead_is_under_way_when_the_reader_rests_and_two_when_the_scroll_meets_them() -> None:
    table = Table()
    table.look(STACK, prefetch=(6.0, 7.0, 8.0, 9.0))
    table.send_next(size=18_000)
    ahead = table.send_next(acknowledge=False, size=18_000)
    assert ahead is not None and FrameFlag.PREFETCHED in ahead.flags
    table.now += 0.04
    # A leap would find the link taken by two.
    assert table.next() is None
    table.session.acknowledge(ahead.seq, True, table.now)
    table.look(replace(STACK, frame=6), holds=1, prefetch=(7.0, 8.0, 9.0))
    for _ in range(2):
        ahead = table.send_next(acknowledge=False, size=18_000)
        assert ahead is not None and FrameFlag.PREFETCHED in ahead.flags
        table.now += 0.04


def test_the_settled_picture_comes_when_a_scroll_that_met_pictures_ahead_stops() -> None:
    table = Table()
    table.look(STACK, prefetch=(6.0,))
    for _ in range(2):
        table.send_next(size=18_000)
    table.look(replace(STACK, frame=6), holds=1, prefetch=tuple(float(place) for place in range(7, 40)))
    under_way: list[tuple[float, int]] = []
    for _ in range(100):
        frame = table.send_next(acknowledge=False, size=18_000)
        if frame is not None and FrameFlag.SETTLED in frame.flags:
            return
        if frame is not None:
            under_way.append((table.now, frame.seq))
        table.now += 0.005
        # Two pictures ahead at a time would never leave the link empty.
        while under_way and table.now - under_way[0][0] > 0.06:
            table.session.acknowledge(under_way.pop(0)[1], True, table.now)
    raise AssertionError("nothing settled in half a second")


def test_planes_are_prefetched_along_their_normal() -> None:
    table = Table()
    table.look(PLANE, moving=True, prefetch=(2.5,))
    table.send_next()
    ahead = table.next()
    assert ahead is not None
    assert isinstance(ahead.state, PlaneState) and ahead.state.center_lps_mm == (0.0, 0.0, 12.5)


def test_no_motion_frame_comes_when_the_client_holds_as_good_a_one() -> None:
    table = Table()
    table.look(STACK, holds=1)
    assert table.next() is None
    table.now += 0.2
    settled = table.next()
    assert settled is not None and settled.urgency is Urgency.SETTLED


def test_nothing_comes_when_the_client_holds_the_settled_frame() -> None:
    table = Table()
    table.look(STACK, holds=2)
    table.now += 1
    assert table.next() is None


def test_a_frame_waits_when_its_pixels_are_not_there() -> None:
    table = Table()
    table.missing = {5}
    table.look(STACK)
    assert table.next() is None
    assert table.asked[-1] == STACK
    table.missing.clear()
    assert table.next() is not None


def test_a_frame_that_cannot_be_made_is_not_tried_again() -> None:
    table = Table()
    table.look(STACK)
    work = table.next()
    assert work is not None
    table.session.finish(work, None, False, table.now)
    table.now += 1
    assert table.next() is None


def test_views_take_turns_when_several_want_pictures() -> None:
    table = Table()
    for view in range(3):
        table.look(replace(STACK, frame=view), view=view)
    assert sorted(frame.view for _ in range(3) if (frame := table.send_next()) is not None) == [0, 1, 2]


def test_a_dropped_view_gets_nothing_more() -> None:
    table = Table()
    table.look(STACK)
    work = table.next()
    assert work is not None
    table.session.drop(0)
    assert work.is_cancelled and table.draw(work) is None
    assert table.next() is None


def test_a_repeated_state_brings_no_second_motion_frame() -> None:
    table = Table()
    table.look(STACK, moving=True)
    table.send_next()
    table.look(STACK, moving=False)
    assert table.next() is None
    table.now += 0.2
    settled = table.send_next()
    assert settled is not None and settled.state_id == 2


def test_a_picture_under_way_is_drawn_again_when_a_result_becomes_known() -> None:
    table = Table()
    table.look(VOLUME)
    table.send_next()
    table.now += 0.2
    settled = table.next()
    assert settled is not None and settled.urgency is Urgency.SETTLED
    table.session.refresh(lambda state: state == VOLUME)
    assert settled.is_cancelled and table.draw(settled, is_final=True) is None
    again = table.send_next()
    assert again is not None and FrameFlag.SETTLED not in again.flags
    assert (frame := table.send_next()) is not None and FrameFlag.SETTLED in frame.flags


def test_prefetch_waits_after_a_miss_when_the_link_is_slow() -> None:
    table = Table()
    table.look(STACK)
    for frame in range(6, 9):
        # 6 kB in 80 ms: less than 1 Mbit/s.
        sent = table.send_next(acknowledge=False)
        assert sent is not None
        table.now += 0.08
        table.session.acknowledge(sent.seq, True, table.now)
        table.look(replace(STACK, frame=frame), moving=True, prefetch=(9.0,))
    assert table.session.link.is_low
    table.send_next()
    assert table.next() is None
    wait = table.session.wake_s(table.now)
    assert wait is not None
    table.now += wait
    ahead = table.send_next()
    assert ahead is not None and FrameFlag.PREFETCHED in ahead.flags
    # A place that the client holds leaves the link free: on with what lies beyond.
    table.look(replace(STACK, frame=9), moving=True, holds=0, prefetch=(10.0,))
    beyond = table.next()
    assert beyond is not None and beyond.urgency is Urgency.PREFETCH
