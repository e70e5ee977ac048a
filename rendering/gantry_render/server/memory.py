"""How much a pod may hold, and who gets room: admission by predicted size, least recently used out."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final

from gantry_render.protocol import CloseCode
from gantry_render.server.errors import SessionError

_RETRY_MS: Final = 3000


@dataclass(slots=True)
class _Held:
    size: int
    evict: Callable[[], None]
    users: int
    left_at: float = 0.0


class Memory:
    """Room for pixels, the engine's copies included. Used from one thread alone.

    Parameters
    ----------
    bound_bytes
        Never more than this is admitted.
    """

    def __init__(self, bound_bytes: int) -> None:
        self.bound_bytes = bound_bytes
        self._held: OrderedDict[Hashable, _Held] = OrderedDict()

    @property
    def reserved_bytes(self) -> int:
        """What is admitted now."""
        return sum(held.size for held in list(self._held.values()))

    @property
    def free_bytes(self) -> int:
        """What could be admitted if everything idle went."""
        return self.bound_bytes - sum(held.size for held in self._held.values() if held.users)

    def admit(self, key: Hashable, size: int, evict: Callable[[], None]) -> None:
        """Make room for one more, idle ones going first; it counts as used once.

        Raises
        ------
        SessionError
            `study.too_large` where it never fits, `pod.full` where others hold the room.
        """
        if size > self.bound_bytes:
            raise SessionError(
                CloseCode.TOO_LARGE,
                "study.too_large",
                f"This series needs {_megabytes(size)} of memory; this server has {_megabytes(self.bound_bytes)} "
                "for pictures.",
            )
        if size > self.free_bytes:
            raise SessionError(
                CloseCode.BUSY,
                "pod.full",
                f"This series needs {_megabytes(size)} of memory; {_megabytes(max(0, self.free_bytes))} are free.",
                _RETRY_MS,
            )
        while self.reserved_bytes + size > self.bound_bytes:
            oldest = next(key for key, held in self._held.items() if not held.users)
            self._evict(oldest)
        self._held[key] = _Held(size, evict, 1)

    def use(self, key: Hashable) -> None:
        """Count one more user."""
        self._held[key].users += 1
        self._held.move_to_end(key)

    def leave(self, key: Hashable, now: float) -> None:
        """Count one user less; without any it stays until its room is needed, or `drop_idle`."""
        held = self._held[key]
        held.users -= 1
        held.left_at = now
        self._held.move_to_end(key)

    def drop(self, key: Hashable) -> None:
        """Evict it if nobody uses it."""
        held = self._held.get(key)
        if held is not None and not held.users:
            self._evict(key)

    def drop_idle(self, left_before: float) -> None:
        """Evict all that nobody has used since."""
        for key in [key for key, held in self._held.items() if not held.users and held.left_at < left_before]:
            self._evict(key)

    def clear(self) -> None:
        """Evict all that nobody uses."""
        self.drop_idle(math.inf)

    def _evict(self, key: Hashable) -> None:
        self._held.pop(key).evict()


def _megabytes(size: int) -> str:
    return f"{size / (1 << 20):,.0f} MiB"
