"""Something that a reader should know."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is not as it should be, with the frame it is about, or None for the series."""

    code: str
    sentence: str
    frame: int | None = None
