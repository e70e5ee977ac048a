"""Identifiers that nobody has but the patients of a test, and where they turn up."""

from __future__ import annotations

import base64
import itertools
import re
import secrets
from dataclasses import dataclass, field
from typing import Final

_MARK: Final = "CNRY"
_PLAIN: Final = re.compile(rf"{_MARK}[0-9A-F]{{8}}", re.IGNORECASE)


def _base64_forms() -> tuple[str, ...]:
    """Return what stays the same of the mark in base64, for the three places where it may begin."""
    forms = []
    for offset in range(3):
        encoded = base64.b64encode(b"x" * offset + _MARK.encode()).decode().rstrip("=")
        # The first and last characters share bits with what stands before and behind.
        forms.append(encoded[(offset * 8 + 5) // 6 : len(_MARK.encode() + b"x" * offset) * 8 // 6])
    return tuple(forms)


_CODED: Final = tuple(re.compile(re.escape(form)) for form in (_MARK.encode().hex(), *_base64_forms()))


@dataclass
class Canaries:
    """Draws identifiers and finds them again: plain in any case, in hexadecimal, in base64."""

    drawn: list[str] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(secrets.randbelow(0xFFFF0000)))

    def draw(self) -> str:
        """Return a new identifier: 12 letters and digits, fit for every VR of text."""
        canary = f"{_MARK}{next(self._numbers) & 0xFFFFFFFF:08X}"
        self.drawn.append(canary)
        return canary

    @staticmethod
    def find(text: str) -> list[str]:
        """Return what of them stands in a text, with a little of its surroundings."""
        found = [match.group(0) for match in _PLAIN.finditer(text)]
        for form in _CODED:
            found += [text[max(0, match.start() - 40) : match.end() + 20] for match in form.finditer(text)]
        return found
