"""News of grants and emergency access; ids and states only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from gantry.kernel.events import DomainEvent


@dataclass(frozen=True, slots=True)
class GrantsChanged(DomainEvent):
    """Who sees a study, or its patient, by a grant has changed."""

    NAME: ClassVar[str] = "study.grants_changed.v1"

    study_id: UUID


@dataclass(frozen=True, slots=True)
class EmergencyChanged(DomainEvent):
    """Somebody broke the glass, it ended, or it was reviewed: for compliance officers, who see no study."""

    NAME: ClassVar[str] = "emergency.changed.v1"

    emergency_id: UUID
    state: str
