"""Exports of the audit trail: what may be asked for, how an export moves on, and what it proves."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from gantry.audit.public import Kind, LedgerFilter, Outcome


class Format(StrEnum):
    """What a bundle holds beside the ledger's own lines, which are always there."""

    FHIR = "fhir"
    DICOM = "dicom"
    CSV = "csv"
    PDF = "pdf"


#: Where each lies in the bundle.
FILES: Final[dict[Format, str]] = {
    Format.FHIR: "fhir/audit-events.ndjson",
    Format.DICOM: "dicom/audit-messages.xml",
    Format.CSV: "csv/events.csv",
    Format.PDF: "summary.pdf",
}
LINES: Final = "events/events.jsonl"
GAPS: Final = "proofs/gaps.bin"


class ExportState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    #: Its key was destroyed: its time is over, or a patient in it was erased.
    DESTROYED = "destroyed"


class Step(StrEnum):
    START = "start"
    FINISH = "finish"
    FAIL = "fail"
    CANCEL = "cancel"
    DESTROY = "destroy"


NEXT: Final[dict[tuple[ExportState, Step], ExportState]] = {
    (ExportState.QUEUED, Step.START): ExportState.RUNNING,
    # A worker that died is followed by another.
    (ExportState.RUNNING, Step.START): ExportState.RUNNING,
    (ExportState.RUNNING, Step.FINISH): ExportState.DONE,
    (ExportState.QUEUED, Step.FAIL): ExportState.FAILED,
    (ExportState.RUNNING, Step.FAIL): ExportState.FAILED,
    (ExportState.QUEUED, Step.CANCEL): ExportState.CANCELLED,
    (ExportState.RUNNING, Step.CANCEL): ExportState.CANCELLED,
    (ExportState.DONE, Step.DESTROY): ExportState.DESTROYED,
}


def states_before(step: Step) -> list[ExportState]:
    """Return the states that a step leads on from."""
    return [state for state, wanted in NEXT if wanted is step]


class Mode(StrEnum):
    """What a bundle proves (DESIGN.md §5)."""

    #: All events of a stretch of the log.
    RANGE = "range"
    #: All events of one patient, by their counter.
    PATIENT = "patient"
    #: Each event is in the log; how many match is our word.
    FILTERED = "filtered"


@dataclass(frozen=True, slots=True)
class ExportQuery:
    """What of a log is wanted: the search parameters of ITI-81 and our own. The time is always bounded."""

    since: datetime
    until: datetime
    patient: UUID | None = None
    actor_id: UUID | None = None
    role: str = ""
    study_id: UUID | None = None
    activity: str = ""
    purpose: str = ""
    address: str = ""
    kinds: frozenset[Kind] = field(default_factory=frozenset)
    actions: frozenset[str] = field(default_factory=frozenset)
    outcomes: frozenset[Outcome] = field(default_factory=frozenset)

    def to_filter(self) -> LedgerFilter:
        """Return the ledger's filter."""
        return LedgerFilter(
            since=self.since, until=self.until, patient=self.patient, actor_id=self.actor_id, role=self.role,
            study_id=self.study_id, activity=self.activity, purpose=self.purpose, address=self.address,
            kinds=self.kinds, actions=self.actions, outcomes=self.outcomes,
        )  # fmt: skip

    @property
    def mode(self) -> Mode:
        """Return what can be proven of the answer."""
        others = (
            self.actor_id, self.role, self.study_id, self.activity, self.purpose, self.address, self.kinds, self.actions,
            self.outcomes,
        )  # fmt: skip
        if any(others):
            return Mode.FILTERED
        return Mode.PATIENT if self.patient is not None else Mode.RANGE

    def to_json(self) -> dict[str, Any]:
        """Return it as a row, a manifest and an event keep it: what is empty is left out."""
        content: dict[str, Any] = {"since": self.since.isoformat(), "until": self.until.isoformat()}
        for name in ("patient", "actor_id", "role", "study_id", "activity", "purpose", "address"):
            if getattr(self, name):
                content[name] = str(getattr(self, name))
        for name in ("kinds", "actions", "outcomes"):
            if getattr(self, name):
                content[name] = sorted(map(str, getattr(self, name)))
        return content

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> ExportQuery:
        """Return what `to_json` made."""

        def id_of(name: str) -> UUID | None:
            return UUID(content[name]) if name in content else None

        return cls(
            since=datetime.fromisoformat(content["since"]), until=datetime.fromisoformat(content["until"]),
            patient=id_of("patient"), actor_id=id_of("actor_id"), study_id=id_of("study_id"),
            role=content.get("role", ""), activity=content.get("activity", ""), purpose=content.get("purpose", ""),
            address=content.get("address", ""), kinds=frozenset(map(Kind, content.get("kinds", ()))),
            actions=frozenset(content.get("actions", ())), outcomes=frozenset(map(Outcome, content.get("outcomes", ()))),
        )  # fmt: skip


def state_proof(mode: Mode, *, events: int, first: int, after: int, size: int, is_whole: bool = False) -> str:
    """Return, in a sentence or two, what a bundle of this mode proves and what it does not."""
    if mode is Mode.RANGE:
        return (
            f"{events:,} events with the numbers {first:,} to {after - 1:,} of a log of {size:,} events: all of them, none "
            "omitted. The proof lies beside them."
            if events
            else f"No event occurred in this time, in a log of {size:,} events."
        )
    if is_whole:
        return (
            f"{events:,} events of one patient: all that there are in a log of {size:,} events. They carry this patient's own "
            "numbers from 1 without a gap, and the signed count is the same."
        )
    if mode is Mode.PATIENT:
        return (
            f"{events:,} events of one patient, in a log of {size:,} events. They carry this patient's own numbers without "
            "a gap, so none between the first and the last is omitted."
        )
    return (
        f"{events:,} events that match the query, in a log of {size:,} events. Each is proven to be in the log; that no "
        "other matches is our signed statement, which cannot be proven from the bundle."
    )
