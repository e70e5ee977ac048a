"""What an entry point does with a refusal: roll back, record it on its own, then answer."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from gantry.kernel.decision import Refused
from gantry.kernel.errors import ErrorKind, GantryError

log = structlog.get_logger(__name__)

Recorder = Callable[[Refused], None]
_recorder: list[Recorder] = []


class RefusalNotRecordedError(GantryError):
    """The refusal could not be written down, so not even "no" may be answered."""

    code = "audit.unavailable"
    kind = ErrorKind.UNAVAILABLE
    title = "The audit trail cannot be written"


def set_refusal_recorder(recorder: Recorder) -> None:
    """Wire the audit trail's writer in (done once, by `gantry.config`)."""
    _recorder[:] = [recorder]


def record_refusal(refused: Refused) -> None:
    """Record a refusal in a transaction of its own.

    Raises
    ------
    RefusalNotRecordedError
        It could not be recorded; the entry point answers 503.
    """
    try:
        _recorder[0](refused)
    except Exception as error:
        log.error("refusal.not_recorded", code=refused.code, error=type(error).__name__)  # noqa: TRY400 - raised again just below, with its cause
        raise RefusalNotRecordedError("This refusal could not be recorded; try again in a moment.") from error
