"""What an audit event says (DICOM PS3.15 A.5.3 kinds; see DESIGN.md §5)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from gantry.kernel.actor import Actor, Subject
from gantry.kernel.decision import Decision


class Kind(StrEnum):
    """The event kinds of PS3.15 A.5.3, and two that the standard composes from others."""

    AUTHENTICATION = "user_authentication"
    ACCESSED = "instances_accessed"
    TRANSFERRED = "instances_transferred"
    EXPORT = "export"
    QUERY = "query"
    SECURITY_ALERT = "security_alert"
    AUDIT_READ = "audit_log_used"
    INFERENCE = "ai_inference"
    REVIEW = "ai_review"
    CONFIGURATION = "configuration"
    #: A release to somebody (BALP PrivacyDisclosure; ASTM E2147).
    DISCLOSURE = "disclosure"


class Outcome(StrEnum):
    SUCCESS = "success"
    REFUSED = "refused"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Entry:
    """One event to be recorded. `detail` holds ids, codes and counts, never patient data.

    Parameters
    ----------
    patients
        Pseudonyms of all whom a query's answer named, beside the subject's own.
    sealed
        What must be kept word for word (a raw query, a person's reason): encrypted beside the event, and only a
        salted hash of it in the ledger.
    """

    kind: Kind
    action: str
    outcome: Outcome = Outcome.SUCCESS
    decision: Decision | None = None
    subject: Subject | None = None
    detail: dict[str, str] = field(default_factory=dict)
    patients: tuple[UUID, ...] = ()
    sealed: bytes = b""


@dataclass(frozen=True, slots=True)
class LedgerFilter:
    """Which events of a log are wanted; what is empty does not narrow.

    `since` and `until` bound `occurred_at`, the first inclusively, the second exclusively.
    """

    since: datetime | None = None
    until: datetime | None = None
    patient: UUID | None = None
    actor_id: UUID | None = None
    role: str = ""
    study_id: UUID | None = None
    activity: str = ""
    purpose: str = ""
    address: str = ""
    kinds: frozenset[Kind] = frozenset()
    actions: frozenset[str] = frozenset()
    outcomes: frozenset[Outcome] = frozenset()


@dataclass(frozen=True, slots=True)
class AccessKey:
    """What makes two reads one event: same actor, session, study and action within the window."""

    actor_id: UUID
    session: str
    study_id: UUID
    action: str

    @classmethod
    def of(cls, actor: Actor, study_id: UUID, action: str) -> AccessKey:
        return cls(actor_id=actor.id, session=actor.session, study_id=study_id, action=action)
