"""Words of retention and erasure, and the rules that need no database (ADR 0018)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from gantry.kernel.errors import ErrorKind, GantryError
from gantry.studies.domain import ErasureState


class ErasureStep(StrEnum):
    CONFIRM = "confirm"
    EXECUTE = "execute"
    FINISH = "finish"
    STOP = "stop"
    WITHDRAW = "withdraw"


NEXT: Final[Mapping[tuple[ErasureState, ErasureStep], ErasureState]] = {
    (ErasureState.PLANNED, ErasureStep.CONFIRM): ErasureState.CONFIRMED,
    (ErasureState.PLANNED, ErasureStep.WITHDRAW): ErasureState.WITHDRAWN,
    (ErasureState.CONFIRMED, ErasureStep.WITHDRAW): ErasureState.WITHDRAWN,
    (ErasureState.CONFIRMED, ErasureStep.STOP): ErasureState.STOPPED,
    (ErasureState.CONFIRMED, ErasureStep.EXECUTE): ErasureState.EXECUTING,
    (ErasureState.EXECUTING, ErasureStep.FINISH): ErasureState.DONE,
}

#: A plan that nobody confirms is no plan any more after this.
PLAN_LIFETIME: Final = timedelta(days=7)
#: That of a tenant waits longer: the agreement gives time for returning its data first.
TENANT_PLAN_LIFETIME: Final = timedelta(days=90)
#: Scheduled destruction: how often it runs, and how seldom it may (KVKK by-law on erasure, art. 11).
RUN_EVERY: Final = timedelta(days=30)
RUN_AT_LEAST_EVERY: Final = timedelta(days=180)


@dataclass(frozen=True, slots=True)
class Share:
    """What of one category would go, or went."""

    category: str
    rows: int
    objects: int = 0
    bytes: int = 0

    def to_json(self) -> dict[str, Any]:
        return {"category": self.category, "rows": self.rows, "objects": self.objects, "bytes": self.bytes}


def digest(document: object) -> str:
    """Return the SHA-256, in hexadecimal, of a JSON document in canonical form (sorted keys, no spaces)."""
    return hashlib.sha256(canonical(document)).hexdigest()


def canonical(document: object) -> bytes:
    """Return a JSON document as bytes that are the same for the same content."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def is_overdue(*, last_run: datetime | None, begun: datetime, now: datetime) -> bool:
    """Tell whether the last scheduled run is longer ago than the law lets it be; `begun` where there was none."""
    return now - (last_run or begun) > RUN_AT_LEAST_EVERY


class DestructionError(GantryError):
    code = "erasure.error"


class IllegalErasureStepError(DestructionError):
    """The erasure cannot take this step from the state it is in."""

    code = "erasure.illegal_step"
    kind = ErrorKind.CONFLICT
    title = "The erasure cannot take this step"


class StalePlanError(DestructionError):
    """What would be destroyed is no longer what the plan lists, or the hash given is another plan's."""

    code = "erasure.stale_plan"
    kind = ErrorKind.CONFLICT
    title = "The plan no longer holds"


class HeldError(DestructionError):
    """A legal hold is on what would be destroyed."""

    code = "erasure.legal_hold"
    kind = ErrorKind.CONFLICT
    title = "A legal hold forbids this"


class ErasedMeanwhileError(DestructionError):
    """Data were erased while this request was on its way; it might bring them back, so nothing is stored."""

    code = "ingest.erased_meanwhile"
    kind = ErrorKind.UNAVAILABLE
    title = "Data were erased meanwhile"
