"""The life of one version of an agreement: states, steps, and which step leads where. Pure."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """Where a version stands. Only `IN_FORCE` permits anything."""

    DRAFT = "draft"
    REVIEWED = "reviewed"
    #: One side has signed.
    COUNTERSIGNING = "countersigning"
    #: Both sides have signed; it enters into force at a later moment.
    SIGNED = "signed"
    IN_FORCE = "in_force"
    SUSPENDED = "suspended"
    #: A newer version took its place.
    SUPERSEDED = "superseded"
    TERMINATED = "terminated"
    EXPIRED = "expired"
    #: Given up before both sides had signed.
    WITHDRAWN = "withdrawn"


class Step(StrEnum):
    EDIT = "edit"
    REVIEW = "review"
    #: The first side signs.
    SIGN = "sign"
    #: The other side signs.
    COUNTERSIGN = "countersign"
    #: Its time has come.
    ENTER = "enter"
    #: Its time has come while the version before it is suspended: what was stopped stays stopped.
    ENTER_SUSPENDED = "enter_suspended"
    SUSPEND = "suspend"
    RESUME = "resume"
    SUPERSEDE = "supersede"
    TERMINATE = "terminate"
    EXPIRE = "expire"
    WITHDRAW = "withdraw"


class Side(StrEnum):
    """Who signs: the hospital group decides (controller), the platform's operator carries out (processor)."""

    CONTROLLER = "controller"
    PROCESSOR = "processor"


class Disposition(StrEnum):
    """What becomes of the data at the end, by the controller's choice (GDPR art. 28(3)(g))."""

    RETURN = "return"
    DELETE = "delete"


NEXT: dict[tuple[Status, Step], Status] = {
    (Status.DRAFT, Step.EDIT): Status.DRAFT,
    (Status.DRAFT, Step.REVIEW): Status.REVIEWED,
    (Status.REVIEWED, Step.SIGN): Status.COUNTERSIGNING,
    (Status.COUNTERSIGNING, Step.COUNTERSIGN): Status.SIGNED,
    (Status.SIGNED, Step.ENTER): Status.IN_FORCE,
    (Status.SIGNED, Step.ENTER_SUSPENDED): Status.SUSPENDED,
    (Status.IN_FORCE, Step.SUSPEND): Status.SUSPENDED,
    (Status.SUSPENDED, Step.RESUME): Status.IN_FORCE,
    (Status.IN_FORCE, Step.SUPERSEDE): Status.SUPERSEDED,
    (Status.SUSPENDED, Step.SUPERSEDE): Status.SUPERSEDED,
    (Status.IN_FORCE, Step.TERMINATE): Status.TERMINATED,
    (Status.SUSPENDED, Step.TERMINATE): Status.TERMINATED,
    (Status.IN_FORCE, Step.EXPIRE): Status.EXPIRED,
    (Status.SUSPENDED, Step.EXPIRE): Status.EXPIRED,
    (Status.DRAFT, Step.WITHDRAW): Status.WITHDRAWN,
    (Status.REVIEWED, Step.WITHDRAW): Status.WITHDRAWN,
    (Status.COUNTERSIGNING, Step.WITHDRAW): Status.WITHDRAWN,
    (Status.SIGNED, Step.WITHDRAW): Status.WITHDRAWN,
}

#: The one version that the gate asks.
CURRENT = (Status.IN_FORCE, Status.SUSPENDED)
#: Ended for good: only what the end itself asks for may still be done.
ENDED = (Status.TERMINATED, Status.EXPIRED)
