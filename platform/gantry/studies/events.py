"""What happens to studies. Ids and states only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from gantry.kernel.events import DomainEvent


@dataclass(frozen=True, slots=True)
class StudyArrived(DomainEvent):
    NAME: ClassVar[str] = "study.arrived.v1"
    study_id: UUID
    state: str
    revision: int


@dataclass(frozen=True, slots=True)
class StudyChanged(DomainEvent):
    NAME: ClassVar[str] = "study.changed.v1"
    study_id: UUID
    state: str
    revision: int


@dataclass(frozen=True, slots=True)
class StudyCompleted(DomainEvent):
    NAME: ClassVar[str] = "study.completed.v1"
    study_id: UUID
    state: str
    revision: int


@dataclass(frozen=True, slots=True)
class ResultsChanged(DomainEvent):
    """AI results of a study were stored, or people judged them."""

    NAME: ClassVar[str] = "study.results_changed.v1"
    study_id: UUID
    review: str


@dataclass(frozen=True, slots=True)
class SeriesPacked(DomainEvent):
    """A series can be rendered, or cannot: its pack is ready, refused or failed."""

    NAME: ClassVar[str] = "series.packed.v1"
    study_id: UUID
    series_id: UUID
    state: str
    is_ai_result: bool


@dataclass(frozen=True, slots=True)
class StudyErased(DomainEvent):
    """A study is no more; who shows it drops it."""

    NAME: ClassVar[str] = "study.erased.v1"
    study_id: UUID


@dataclass(frozen=True, slots=True)
class ReferralChanged(DomainEvent):
    NAME: ClassVar[str] = "study.referral_changed.v1"
    study_id: UUID
