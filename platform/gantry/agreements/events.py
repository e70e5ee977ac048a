"""What happens to agreements. Ids and states only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from gantry.kernel.events import DomainEvent


@dataclass(frozen=True, slots=True)
class AgreementChanged(DomainEvent):
    """A version took a step: was signed, entered into force, was suspended, resumed, superseded, withdrawn."""

    NAME: ClassVar[str] = "agreement.changed.v1"
    agreement_id: UUID
    version: str
    status: str


@dataclass(frozen=True, slots=True)
class AgreementEnded(DomainEvent):
    """The agreement was terminated or came to its end: what it asks for at the end begins."""

    NAME: ClassVar[str] = "agreement.ended.v1"
    agreement_id: UUID
    version: str
    status: str
    disposition: str


@dataclass(frozen=True, slots=True)
class AgreementEnding(DomainEvent):
    """The agreement ends in so many days, unless a new version takes its place."""

    NAME: ClassVar[str] = "agreement.ending.v1"
    agreement_id: UUID
    version: str
    days: int


@dataclass(frozen=True, slots=True)
class TransferNoticeDue(DomainEvent):
    """A standard contract is to be notified to the authority."""

    NAME: ClassVar[str] = "transfer_notice.due.v1"
    notice_id: UUID
    agreement_id: UUID
    due_on: str
    is_overdue: bool
