"""Circuit breaker: stop asking a server that does not answer, and try it again with one request."""

import enum
import threading
import time
from collections.abc import Callable


class BreakerState(enum.StrEnum):
    """Closed lets every request through, open none, half-open a single one."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CircuitBreaker:
    """Opens after consecutive failures, and after a pause lets one request find out.

    Parameters
    ----------
    threshold
        Consecutive failures that open it.
    pause_s
        How long it stays open.
    monotonic
        Clock in seconds that never runs backwards.
    """

    def __init__(self, threshold: int, pause_s: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._threshold = threshold
        self._pause_s = pause_s
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._failures = 0
        self._opened_at_s: float | None = None
        self._probe_since_s: float | None = None

    @property
    def state(self) -> BreakerState:
        """The state now; open turns half-open by the passing of time."""
        with self._lock:
            return self._state()

    def wait_s(self) -> float:
        """Return 0 when a request may be sent, else how long to wait before asking again.

        In the half-open state the first caller gets 0 and is the probe; it must report how it went. A probe
        that never reports is replaced after another pause.
        """
        with self._lock:
            state = self._state()
            if state is BreakerState.CLOSED:
                return 0.0
            now_s = self._monotonic()
            if state is BreakerState.OPEN and self._opened_at_s is not None:
                return self._opened_at_s + self._pause_s - now_s
            if self._probe_since_s is not None and now_s < self._probe_since_s + self._pause_s:
                return self._probe_since_s + self._pause_s - now_s
            self._probe_since_s = now_s
            return 0.0

    def record_success(self) -> None:
        """Close: the server answered, even if with a refusal."""
        with self._lock:
            self._failures = 0
            self._opened_at_s = self._probe_since_s = None

    def record_failure(self) -> None:
        """Count a failure to answer; open at the threshold, or at once when it was the probe's."""
        with self._lock:
            self._failures += 1
            if self._failures >= self._threshold:
                self._opened_at_s = self._monotonic()
                self._probe_since_s = None

    def _state(self) -> BreakerState:
        if self._opened_at_s is None:
            return BreakerState.CLOSED
        if self._monotonic() < self._opened_at_s + self._pause_s:
            return BreakerState.OPEN
        return BreakerState.HALF_OPEN
