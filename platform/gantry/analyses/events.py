"""What happens to analyses and findings. Ids and states only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from gantry.kernel.events import DomainEvent


@dataclass(frozen=True, slots=True)
class AnalysisChanged(DomainEvent):
    """An analysis has another state, stage or progress."""

    NAME: ClassVar[str] = "analysis.changed.v1"
    study_id: UUID
    analysis_id: UUID
    state: str
    stage: str
    progress: float
    sentence: str
    model: str
    version: str
    study_revision: int


@dataclass(frozen=True, slots=True)
class FindingReviewed(DomainEvent):
    NAME: ClassVar[str] = "finding.reviewed.v1"
    study_id: UUID
    finding_id: UUID
    state: str
