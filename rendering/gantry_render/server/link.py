"""What a link bears, learned from acknowledgements alone: nothing else on this side knows (sending returns at once)."""

from __future__ import annotations

from collections import deque
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

_DOWN_AT: Final = 1.1
_LEAST_TELLING_S: Final = 0.004
"""Below this a frame's time is the client's painting, not the link."""

_KEEPS: Final = 0.65
_MOST_WEIGHT_S: Final = 0.5
_LEAST_ROUND_TRIP_S: Final = 0.0005
_FORGOTTEN_S: Final = 20.0
_REMEMBERED: Final = 24
_UNLIKE: Final = 2.0
"""Two frames tell the round trip from the rate if one is so many times as large as the other."""

_LEAST_PART: Final = 0.1
"""Of the time until its acknowledgement a frame takes at least this for its bytes, whatever the round trip is thought."""

_WIDE_BYTES_S: Final = 12_500_000.0
_LOW_BYTES_S: Final = 250_000.0
"""2 Mbit/s: below, smaller codecs are worth their time and prefetching is careful."""

_UNNOTICED_S: Final = 0.03
_EARLY_S: Final = 0.010
"""A second frame may leave this long before the first is thought to have left the bottleneck."""


@dataclass(slots=True)
class _Sent:
    size: int
    at: float
    ahead: int


@dataclass(frozen=True, slots=True)
class _Lone:
    """A frame that met an empty link, and how long it took to its acknowledgement."""

    size: int
    elapsed_s: float
    at: float


class Link:
    """Goodput, round trip and tier of one connection. Pure: time comes in as seconds of any steady clock.

    Parameters
    ----------
    round_trip_s
        A first idea of it, such as the time from accepting the socket to its first message; None where there is none.
    """

    def __init__(self, round_trip_s: float | None = None) -> None:
        self._round_trip_s = round_trip_s
        self._is_told = False
        """Frames of different sizes have told the round trip."""
        self._lone: deque[_Lone] = deque(maxlen=_REMEMBERED)
        self._goodput: float | None = None
        self._weight_s = 0.0
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
        """Of a frame without bytes, by those of late; 50 ms until one is known."""
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
    def is_quick(self) -> bool:
        """Whether even a full picture is acknowledged before anybody notices that something waits for it."""
        return self._goodput is not None and self.round_trip_s + self._seconds(Tier.T2) < _UNNOTICED_S

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
        if not sent.ahead:
            self._lone.append(_Lone(sent.size, elapsed, now))
            self._learn_round_trip(now)
        # A frame begins to pass when the frame before it has passed, at the earliest half a round trip after it left;
        # the other half is its acknowledgement's.
        begun = max(sent.at + self.round_trip_s, self._last_ack if sent.ahead else float("-inf"))
        self._last_ack = now
        self._learn_goodput(sent.size, max(now - begun, _LEAST_PART * elapsed))
        self._choose()
        return True

    def wait_s(self, now: float, *, is_patient: bool = False) -> float | None:
        """Return how long the next frame has to wait: 0 for now, None until something is acknowledged.

        The second of two frames waits until the first has left the bottleneck by our reckoning: a queue there would
        make it older, not faster. What is patient waits until nothing is in flight at all: whatever is urgent meanwhile
        then finds room.
        """
        if not self._in_flight:
            return 0.0
        if len(self._in_flight) >= IN_FLIGHT or self._goodput is None or is_patient:
            return None
        first = min(self._in_flight.values(), key=lambda each: each.at)
        gone = first.at + first.size / self._goodput - _EARLY_S
        return max(0.0, gone - now)

    def seconds_for(self, size: int) -> float:
        """Return how long so many bytes occupy the link."""
        return size / (self._goodput or _WIDE_BYTES_S)

    def _learn_round_trip(self, now: float) -> None:
        """Lay a line under the times of frames of different sizes: where it meets none, the round trip is.

        A frame's time less what its bytes take by the goodput known so far will not do: that goodput came from the same
        times, so that an error of the one keeps up the other's.
        """
        while now - self._lone[0].at > _FORGOTTEN_S:
            self._lone.popleft()
        least = min(self._lone, key=lambda each: each.elapsed_s)
        slopes = [
            (each.elapsed_s - least.elapsed_s) / (each.size - least.size)
            for each in self._lone
            if each.size >= _UNLIKE * least.size
        ]
        if slopes:
            own, self._is_told = least.elapsed_s - min(slopes) * least.size, True
        else:
            # While all are alike, half of their time is the link's: what was thought at first may be a busy page's.
            most = least.elapsed_s * (1.0 if self._is_told else 0.5)
            own = most if self._round_trip_s is None else min(most, self._round_trip_s)
        self._round_trip_s = max(own, _LEAST_ROUND_TRIP_S)

    def _learn_goodput(self, size: int, took: float) -> None:
        # By bytes: a large frame tells more. A link that became slow is believed sooner than one that became fast.
        weight = min(_KEEPS * self._weight_s, _MOST_WEIGHT_S)
        self._weight_s = weight + took
        known = self._goodput or 0.0
        if took < _LEAST_TELLING_S:
            # At least so fast; how much faster, a frame this small does not tell.
            least = min(size / _LEAST_TELLING_S, _WIDE_BYTES_S)
            self._goodput = max(known, least, min((known or least) * 1.5, _WIDE_BYTES_S))
        else:
            self._goodput = min((weight * known + size) / self._weight_s, _WIDE_BYTES_S)

    def _choose(self) -> None:
        while self._tier > Tier.T0 and self._seconds(self._tier) > _DOWN_AT * _BUDGET_S:
            self._tier, self._good = Tier(self._tier - 1), 0
        if self._tier >= Tier.T2:
            return
        self._good = self._good + 1 if self._seconds(Tier(self._tier + 1)) <= _UP_AT * _BUDGET_S else 0
        if self._good >= _UP_AFTER:
            self._tier, self._good = Tier(self._tier + 1), 0

    def _seconds(self, tier: Tier) -> float:
        return self._bytes[tier] / (self._goodput or _WIDE_BYTES_S)
