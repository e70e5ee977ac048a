"""Why a session does not begin, or ends."""

from __future__ import annotations

from gantry_render.protocol import CloseCode


class SessionError(Exception):
    """A session that cannot begin or go on.

    Parameters
    ----------
    close
        With which code the socket is closed.
    code, sentence
        What `bye` says first.
    retry_after_ms
        When trying again may help; None where it does not.
    """

    def __init__(self, close: CloseCode, code: str, sentence: str, retry_after_ms: int | None = None) -> None:
        super().__init__(sentence)
        self.close = close
        self.code = code
        self.sentence = sentence
        self.retry_after_ms = retry_after_ms
