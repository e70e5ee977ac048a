"""News of a tenant's administration; ids and states only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from gantry.kernel.events import DomainEvent


@dataclass(frozen=True, slots=True)
class SupportChanged(DomainEvent):
    """A support session was opened, consented to, or ended."""

    NAME: ClassVar[str] = "support.changed.v1"

    support_id: UUID
    state: str
