"""What a link bears, learned from acknowledgements alone: nothing else on this side knows (sending returns at once)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gantry_render.protocol import IN_FLIGHT, Tier

_USUAL_BYTES: Final = {Tier.T0: 6_000, Tier.T1: 18_000, Tier.T2: 45_000}
"""Of a chest CT, until this session's own frames have told better."""

_BUDGET_S: Final = 0.075
"""How long a motion frame may occupy the link: with 4G's 20 ms each way it is painted within 120 ms."""

_UP_AT: Final = 0.7
_UP_AFTER: Final = 4
"""A better tier needs this many acknowledgements in a row that it would have kept 0.7 of the budget."""

_DOWN_AT: Final = 1.3
_LEAST_TELLING_S: Final = 0.004
"""Below this a frame's time is the client's painting, not the link."""

_KEEPS: Final = 0.65
_LEAST_ROUND_TRIP_S: Final = 0.0005
_ROUND_TRIP_FORGOTTEN_S: Final = 20.0
_ROUND_TRIP_GROWS: Final = 1.25
_LEAST_PART: Final = 0.1
"""Of the time until its acknowledgement a frame takes at least this for its bytes, whatever the round trip is thought."""

_WIDE_BYTES_S: Final = 12_500_000.0
_LOW_BYTES_S: Final = 250_000.0
"""2 Mbit/s: below, smaller codecs are worth their time and prefetching is careful."""

_EARLY_S: Final = 0.010
"""A second frame may leave this long before the first is thought to have left the bottleneck."""


@dataclass(slots=True)
class _Sent:
    size: int
    at: float
    ahead: int


class Link:
    """Goodput, round trip and tier of one connection. Pure: time comes in as seconds of any steady clock.

    Parameters
    ----------
    round_trip_s
        A first idea of it, such as the time from accepting the socket to its first message; None where there is none.
    """

    def __init__(self, round_trip_s: float | None = None) -> None:
        self._round_trip_s = round_trip_s
        self._round_trip_at: float | None = None
        self._goodput: float | None = None
        self._tier = Tier.T1
        self._good = 0
        self._in_flight: dict[int, _Sent] = {}
        self._last_ack = float("-inf")
        self._bytes = dict(_USUAL_BYTES)

    @property
    def tier(self) -> Tier:
        """Of motion frames now."""
        return self._tier

    @property
    def round_trip_s(self) -> float:
        """Least round trip of late; 50 ms until one is known."""
        return 0.05 if self._round_trip_s is None else self._round_trip_s

    @property
    def goodput_bytes_s(self) -> float | None:
        """Bytes a second that arrive and are painted; None until one acknowledgement came."""
        return self._goodput

    @property
    def is_low(self) -> bool:
        """Whether the link is known to bear less than 2 Mbit/s."""
        return self._goodput is not None and self._goodput < _LOW_BYTES_S

    @property
    def in_flight(self) -> int:
        """Frames that are not acknowledged."""
        return len(self._in_flight)

    def sent(self, seq: int, size: int, now: float) -> None:
        """Note a frame that leaves now."""
        ahead = sum(each.size for each in self._in_flight.values())
        self._in_flight[seq] = _Sent(size, now, ahead)

    def weigh(self, tier: Tier, size: int) -> None:
        """Learn how large this session's motion frames of a tier are."""
        if tier in self._bytes:
            self._bytes[tier] = int(_KEEPS * self._bytes[tier] + (1 - _KEEPS) * size)

    def acked(self, seq: int, now: float, held_s: float = 0.0) -> bool:
        """Take an acknowledgement; False for a frame that is not in flight.

        `held_s`: how long the client kept the frame before it acknowledged, as it says; believed as far as it can be.
        """
        sent = self._in_flight.pop(seq, None)
        if sent is None:
            return False
        now = max(sent.at, now - held_s)
        elapsed = now - sent.at
        self._learn_round_trip(elapsed, sent, now)
        # A frame begins to pass when the frame before it has passed, at the earliest half a round trip after it left;
        # the other half is its acknowledgement's.
        begun = max(sent.at + self.round_trip_s, self._last_ack if sent.ahead else float("-inf"))
        self._last_ack = now
        self._learn_goodput(sent.size, max(now - begun, _LEAST_PART * elapsed))
        self._choose(sent.size, elapsed)
        return True

    def wait_s(self, now: float, *, is_prefetch: bool = False) -> float | None:
        """Return how long the next frame has to wait: 0 for now, None until something is acknowledged.

        The second of two frames waits until the first has left the bottleneck by our reckoning: a queue there would
        make it older, not faster.
        """
        if not self._in_flight:
            return 0.0
        if len(self._in_flight) >= IN_FLIGHT or self._goodput is None or (is_prefetch and self.is_low):
            return None
        first = min(self._in_flight.values(), key=lambda each: each.at)
        gone = first.at + first.size / self._goodput - _EARLY_S
        return max(0.0, gone - now)

    def seconds_for(self, size: int) -> float:
        """Return how long so many bytes occupy the link."""
        return size / (self._goodput or _WIDE_BYTES_S)

    def _learn_round_trip(self, elapsed: float, sent: _Sent, now: float) -> None:
        # What a frame's own bytes took is not the round trip's; where goodput is unknown they count as one.
        own = elapsed - sent.size / self._goodput if self._goodput and not sent.ahead else elapsed
        own = max(own, _LEAST_ROUND_TRIP_S)
        known = self._round_trip_s
        if known is None or own < known:
            self._round_trip_s, self._round_trip_at = own, now
        elif self._round_trip_at is None:
            self._round_trip_at = now
        elif now - self._round_trip_at > _ROUND_TRIP_FORGOTTEN_S:
            # Routes change; but a frame that stood in a queue must not pass for a route.
            self._round_trip_s, self._round_trip_at = min(own, _ROUND_TRIP_GROWS * known), now

    def _learn_goodput(self, size: int, took: float) -> None:
        if took < _LEAST_TELLING_S:
            # At least so fast; how much faster, a frame this small does not tell.
            least = min(size / _LEAST_TELLING_S, _WIDE_BYTES_S)
            self._goodput = max(self._goodput or 0.0, least, min((self._goodput or least) * 1.5, _WIDE_BYTES_S))
            return
        sample = min(size / took, _WIDE_BYTES_S)
        if self._goodput is None:
            self._goodput = sample
            return
        # A link that became slow is believed sooner than one that became fast.
        keeps = _KEEPS if sample > self._goodput else _KEEPS / 2
        self._goodput = keeps * self._goodput + (1 - keeps) * sample

    def _choose(self, size: int, elapsed: float) -> None:
        while self._tier > Tier.T0 and self._seconds(self._tier) > _DOWN_AT * _BUDGET_S:
            self._tier, self._good = Tier(self._tier - 1), 0
        if self._tier >= Tier.T2:
            return
        self._good = self._good + 1 if self._seconds(Tier(self._tier + 1)) <= _UP_AT * _BUDGET_S else 0
        # A first frame that came at once is enough to leave the guess behind.
        if self._good >= _UP_AFTER:
            self._tier, self._good = Tier(self._tier + 1), 0

    def _seconds(self, tier: Tier) -> float:
        return self._bytes[tier] / (self._goodput or _WIDE_BYTES_S)
