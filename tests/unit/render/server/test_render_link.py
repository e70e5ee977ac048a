"""The link's estimates and tiers, against links that are computed."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from gantry_render.protocol import IN_FLIGHT, Tier
from gantry_render.server.link import Link

BYTES = {Tier.T0: 6_000, Tier.T1: 18_000, Tier.T2: 45_000}


@dataclass
class Pipe:
    """A bottleneck with a queue: so many bytes a second, so long a round trip, so long until a frame is painted."""

    bytes_s: float
    round_trip_s: float
    paint_s: float = 0.008
    free_at: float = 0.0
    arrivals: list[tuple[float, int]] = field(default_factory=list)

    def send(self, seq: int, size: int, now: float) -> None:
        begins = max(now, self.free_at)
        self.free_at = begins + size / self.bytes_s
        self.arrivals.append((self.free_at + self.round_trip_s + self.paint_s, seq))


@dataclass
class Run:
    tiers: list[Tier]
    ages_s: list[float]
    most_in_flight: int
    link: Link


def scroll(
    pipe: Pipe, *, seconds: float = 6.0, every_s: float = 0.05, link: Link | None = None, start: float = 0.0
) -> Run:
    """Scroll for a while: the newest state is sent whenever the link has room, as a session does."""
    link = link or Link(pipe.round_trip_s)
    now, seq, state_at, drawn_at = start, int(1000 * start), start, start - 1
    run = Run([], [], 0, link)
    sent: dict[int, float] = {}
    while now < start + seconds:
        for at, number in sorted(pipe.arrivals):
            if at <= now:
                pipe.arrivals.remove((at, number))
                link.acked(number, at)
                run.ages_s.append(at - pipe.round_trip_s / 2 - sent.pop(number))
        if now - state_at >= every_s:
            state_at = now
        if state_at > drawn_at and link.wait_s(now) == 0:
            seq += 1
            link.sent(seq, BYTES[link.tier], now)
            link.weigh(link.tier, BYTES[link.tier])
            pipe.send(seq, BYTES[link.tier], now)
            sent[seq] = state_at
            drawn_at = state_at
            run.tiers.append(link.tier)
        run.most_in_flight = max(run.most_in_flight, link.in_flight)
        now += 0.001
    for at, number in sorted(pipe.arrivals):
        link.acked(number, at)
    return run


@pytest.mark.parametrize(
    ("kbit_s", "round_trip_s", "tier"),
    [
        (750, 0.2, Tier.T0),
        (750, 0.1, Tier.T0),
        (4_000, 0.04, Tier.T1),
        (20_000, 0.02, Tier.T2),
        (1_000_000, 0.001, Tier.T2),
    ],
)
def test_tier_settles_on_what_the_link_bears_when_scrolling(kbit_s: float, round_trip_s: float, tier: Tier) -> None:
    run = scroll(Pipe(kbit_s * 125, round_trip_s))
    assert run.tiers[0] is Tier.T1
    assert set(run.tiers[len(run.tiers) // 2 :]) == {tier}


def test_second_frame_is_small_when_the_first_was_slow() -> None:
    run = scroll(Pipe(750 * 125, 0.2))
    assert run.tiers[:2] == [Tier.T1, Tier.T0]


@pytest.mark.parametrize("kbit_s", [250, 750, 4_000, 20_000])
def test_no_more_than_two_frames_are_in_flight_when_scrolling(kbit_s: float) -> None:
    assert scroll(Pipe(kbit_s * 125, 0.1)).most_in_flight <= IN_FLIGHT


def test_frames_do_not_queue_when_link_is_slow() -> None:
    # One frame takes 64 ms of a 2G link and 100 ms to arrive and 8 to be painted; a queue of one would add 64.
    run = scroll(Pipe(750 * 125, 0.2))
    ages = sorted(run.ages_s[5:])
    assert ages[len(ages) // 2] < 0.064 + 0.1 + 0.008 + 0.05 + 0.03


def test_goodput_is_near_the_links_when_frames_fill_it() -> None:
    run = scroll(Pipe(750 * 125, 0.2))
    assert run.link.goodput_bytes_s == pytest.approx(750 * 125, rel=0.35)
    assert run.link.is_low


def test_tier_falls_when_the_link_becomes_slow() -> None:
    link = scroll(Pipe(20_000 * 125, 0.02)).link
    assert link.tier is Tier.T2
    assert scroll(Pipe(750 * 125, 0.2), link=link, start=100.0).tiers[-1] is Tier.T0


def test_tier_does_not_swing_when_the_link_is_steady() -> None:
    for kbit_s in range(500, 12_000, 250):
        tiers = scroll(Pipe(kbit_s * 125, 0.05)).tiers
        changes = sum(a != b for a, b in zip(tiers[len(tiers) // 3 :], tiers[len(tiers) // 3 + 1 :], strict=False))
        assert changes <= 1, kbit_s


def one_by_one(pipe: Pipe, link: Link, sizes: list[int], *, late_s: float = 0.0, seed: int = 3) -> None:
    """Send frames into an empty link, each when the one before was acknowledged, now and then painted late."""
    chance, now = random.Random(seed), 5.0
    for seq, size in enumerate(sizes):
        link.sent(seq, size, now)
        pipe.send(seq, size, now)
        at, _ = pipe.arrivals.pop()
        now = at + late_s * chance.random()
        assert link.acked(seq, now)
        now += 0.001


@pytest.mark.parametrize(("kbit_s", "round_trip_s"), [(750, 0.1), (750, 0.3), (4_000, 0.02), (4_000, 0.06)])
@pytest.mark.parametrize("thought_s", [0.5, 4.0])
def test_round_trip_and_goodput_are_told_apart_when_frames_differ(
    kbit_s: float, round_trip_s: float, thought_s: float
) -> None:
    # Opened by a busy page: what seemed a round trip at first was half a second, or four.
    pipe, link = Pipe(kbit_s * 125, round_trip_s, paint_s=0.0), Link(thought_s)
    one_by_one(pipe, link, [18_000, 45_000, *[6_000] * 10, 45_000, *[6_000] * 60], late_s=0.006)
    assert link.round_trip_s == pytest.approx(round_trip_s, abs=0.01)
    assert link.goodput_bytes_s == pytest.approx(kbit_s * 125, rel=0.35)


def test_a_wrong_round_trip_does_not_grow_when_frames_are_alike() -> None:
    pipe, link = Pipe(750 * 125, 0.1, paint_s=0.0), Link(0.1)
    one_by_one(pipe, link, [6_000] * 300, late_s=0.02)
    assert link.round_trip_s > 0.05
    assert link.goodput_bytes_s == pytest.approx(750 * 125, rel=0.5)


def test_a_fast_link_far_away_is_not_taken_for_a_slow_one() -> None:
    pipe, link = Pipe(100_000 * 125, 0.2, paint_s=0.0), Link(0.2)
    one_by_one(pipe, link, [18_000, 45_000, *[18_000] * 20], late_s=0.004)
    assert not link.is_low
    assert link.tier is Tier.T2


def test_nothing_more_may_be_sent_when_nothing_is_acknowledged() -> None:
    link = Link(0.01)
    link.sent(1, 18_000, 0.0)
    assert link.wait_s(100.0) is None
    link.acked(1, 100.0)
    assert link.wait_s(100.0) == 0


def test_acknowledgement_is_ignored_when_its_frame_was_never_sent() -> None:
    link = Link(0.01)
    assert not link.acked(7, 1.0)
    assert link.goodput_bytes_s is None


def test_prefetch_waits_for_an_empty_pipe_when_link_is_low() -> None:
    link = scroll(Pipe(750 * 125, 0.2)).link
    at = 100.0
    link.sent(10_001, 6_000, at)
    assert link.wait_s(at + 1.0, is_patient=True) is None
    assert link.wait_s(at + 1.0) == 0


def test_a_page_that_paints_slowly_is_no_slow_link() -> None:
    told, kept_secret = Link(0.001), Link(0.001)
    now = 10.0
    for seq in range(20):
        for link in (told, kept_secret):
            link.sent(seq, 20_000, now)
        now += 0.062  # 2 ms on the way, 60 ms until it was painted
        told.acked(seq, now, held_s=0.060)
        kept_secret.acked(seq, now)
    assert told.tier is Tier.T2
    assert not told.is_low
    assert (told.goodput_bytes_s or 0) > 5 * (kept_secret.goodput_bytes_s or 0)


def test_a_client_that_claims_to_have_held_a_frame_for_ever_is_believed_as_far_as_it_can_be() -> None:
    link = Link(0.05)
    link.sent(1, 20_000, 10.0)
    assert link.acked(1, 10.2, held_s=3600)
    assert link.round_trip_s > 0
    assert link.goodput_bytes_s is not None
