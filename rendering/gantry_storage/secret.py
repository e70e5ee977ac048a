"""Key material that does not show itself."""

from __future__ import annotations

import hmac
import secrets
from typing import Final

KEY_BYTES: Final = 32
"""AES-256."""


class Secret:
    """A key in memory. Printing, logging or pickling it shows or carries nothing.

    Parameters
    ----------
    value
        32 bytes.
    """

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        if len(value) != KEY_BYTES:
            raise ValueError(f"a key has {KEY_BYTES} bytes, not {len(value)}")
        self._value = bytes(value)

    @classmethod
    def generate(cls) -> Secret:
        """Return a fresh random key."""
        return cls(secrets.token_bytes(KEY_BYTES))

    def reveal(self) -> bytes:
        """Return the key's bytes; say so in the caller's review."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a Secret is not pickled")
