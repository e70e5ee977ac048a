"""Decoded frames of one series, kept as long as there is room; pixels are overwritten when they go."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from numpy.typing import NDArray


class KeptFrames:
    """Frames by number. Whoever has it guards it with a lock of its own.

    Parameters
    ----------
    room_bytes
        None for all; otherwise so much is kept, least recently used out, what is lent excepted.
    """

    def __init__(self, room_bytes: int | None) -> None:
        self._room_bytes = room_bytes
        self._frames: OrderedDict[int, NDArray[Any]] = OrderedDict()
        self._lent: dict[int, int] = {}

    def __contains__(self, number: int) -> bool:
        return number in self._frames

    @property
    def is_lent(self) -> bool:
        """Whether somebody draws from a frame."""
        return bool(self._lent)

    def runs(self) -> tuple[tuple[int, int], ...]:
        """Return runs of frames that are here: first and beyond."""
        runs: list[tuple[int, int]] = []
        for number in sorted(self._frames):
            if runs and runs[-1][1] == number:
                runs[-1] = runs[-1][0], number + 1
            else:
                runs.append((number, number + 1))
        return tuple(runs)

    def lend(self, number: int) -> NDArray[Any] | None:
        """Return a frame that stays until it is given back; None where it is not here."""
        values = self._frames.get(number)
        if values is not None:
            self._lent[number] = self._lent.get(number, 0) + 1
            if self._room_bytes is not None:
                self._frames.move_to_end(number)
        return values

    def give_back(self, number: int) -> None:
        """Take a lent frame back."""
        self._lent[number] -= 1
        if not self._lent[number]:
            del self._lent[number]

    def keep(self, number: int, values: NDArray[Any]) -> None:
        """Add a frame that was read; others go where there is no room."""
        if number in self._frames:
            values[...] = 0
            return
        self._frames[number] = values
        if self._room_bytes is None:
            return
        held = sum(each.nbytes for each in self._frames.values())
        for oldest in list(self._frames):
            if held <= self._room_bytes:
                break
            if oldest != number and oldest not in self._lent:
                gone = self._frames.pop(oldest)
                held -= gone.nbytes
                gone[...] = 0

    def replace(self, number: int, plane: NDArray[Any]) -> None:
        """Let a volume's slice stand for a frame; what was read before is overwritten unless it is lent."""
        before = self._frames.get(number)
        if before is not None and number not in self._lent:
            before[...] = 0
        self._frames[number] = plane

    def wipe(self) -> None:
        """Overwrite and forget all."""
        for values in self._frames.values():
            if values.flags.writeable:
                values[...] = 0
        self._frames.clear()
