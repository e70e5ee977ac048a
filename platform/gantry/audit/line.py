"""One internal event as the ledger tells it: a dataclass, and the exact line that is hashed and exported."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from gantry.audit.domain import Kind, Outcome

#: The log of what happens outside any tenant. Every other log has its tenant's id.
PLATFORM_LOG: Final = UUID("00000000-0000-4000-8000-000000000000")
LINE_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class PatientCount:
    """That an event concerns a patient, and the how manieth of this patient's events it is, from 1 without gaps."""

    pseudonym: UUID
    counter: int


@dataclass(frozen=True, slots=True)
class LedgerEvent:
    """One sequenced event. What does not apply is empty.

    Parameters
    ----------
    log
        The tenant, or `PLATFORM_LOG`.
    index
        Place in the log, from 0 without gaps: the tenant's counter and the leaf's index in its tree.
    occurred_at, recorded_at
        By the clock of the process that acted, and by the database's when the row was inserted.
    patients
        One patient for most events; for a query all whom its answer named, in the order of the answer.
    sealed_sha256
        SHA-256 over salt and verbatim content (`gantry.audit.sealing`), in hexadecimal; empty without one.
    """

    log: UUID
    index: int
    id: UUID
    occurred_at: datetime
    recorded_at: datetime
    kind: Kind
    action: str
    outcome: Outcome
    actor_kind: str = ""
    actor_id: UUID | None = None
    role: str = ""
    place: str = ""
    session: str = ""
    correlation_id: str = ""
    address: str = ""
    activity: str = ""
    purpose: str = ""
    code: str = ""
    clause: str = ""
    agreement_version: str = ""
    data_category: str = ""
    study_id: UUID | None = None
    institution_id: UUID | None = None
    patients: tuple[PatientCount, ...] = ()
    detail: Mapping[str, str] = field(default_factory=dict)
    sealed_sha256: str = ""


#: Key in the line -> attribute, where the value is text and empty ones are left out.
_TEXTS: Final = {
    "actor_kind": "actor_kind",
    "role": "role",
    "place": "place",
    "session": "session",
    "correlation": "correlation_id",
    "address": "address",
    "activity": "activity",
    "purpose": "purpose",
    "code": "code",
    "clause": "clause",
    "agreement": "agreement_version",
    "category": "data_category",
    "sealed": "sealed_sha256",
}
_IDS: Final = {"actor": "actor_id", "study": "study_id", "institution": "institution_id"}
_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def format_line(event: LedgerEvent) -> bytes:
    """Return the event's canonical line: JSON in UTF-8, keys sorted, no spaces, nothing empty, no line end."""
    study, institution, patients = event.study_id, event.institution_id, event.patients
    content: dict[str, Any] = {
        "action": event.action,
        "activity": event.activity,
        "actor": str(event.actor_id) if event.actor_id else "",
        "actor_kind": event.actor_kind,
        "address": event.address,
        "agreement": event.agreement_version,
        "at": format_time(event.occurred_at),
        "category": event.data_category,
        "clause": event.clause,
        "code": event.code,
        "correlation": event.correlation_id,
        "detail": event.detail,
        "id": str(event.id),
        "index": event.index,
        "institution": str(institution) if institution else "",
        "kind": event.kind,
        "log": str(event.log),
        "outcome": event.outcome,
        "patients": [[str(patient.pseudonym), patient.counter] for patient in patients],
        "place": event.place,
        "purpose": event.purpose,
        "recorded": format_time(event.recorded_at),
        "role": event.role,
        "sealed": event.sealed_sha256,
        "session": event.session,
        "study": str(study) if study else "",
        "v": LINE_VERSION,
    }
    return _encode({key: value for key, value in content.items() if value or value == 0}).encode()


def parse_line(line: bytes) -> LedgerEvent:
    """Return the event that a line of ours tells of; `ValueError` or `KeyError` when it is none."""
    content = json.loads(line)
    if content["v"] != LINE_VERSION:
        raise ValueError(f"line version {content['v']}")
    texts: dict[str, Any] = {name: content.get(key, "") for key, name in _TEXTS.items()}
    ids: dict[str, Any] = {name: UUID(content[key]) if key in content else None for key, name in _IDS.items()}
    return LedgerEvent(
        log=UUID(content["log"]),
        index=content["index"],
        id=UUID(content["id"]),
        occurred_at=datetime.fromisoformat(content["at"]),
        recorded_at=datetime.fromisoformat(content["recorded"]),
        kind=Kind(content["kind"]),
        action=content["action"],
        outcome=Outcome(content["outcome"]),
        patients=tuple(PatientCount(UUID(pseudonym), counter) for pseudonym, counter in content.get("patients", ())),
        detail=content.get("detail", {}),
        **texts,
        **ids,
    )


def leaf_hash(line: bytes) -> bytes:
    """Return the leaf of the exact exported line, without its line end (RFC 6962 section 2.1)."""
    return hashlib.sha256(b"\x00" + line).digest()


def format_time(moment: datetime) -> str:
    """Return a moment in UTC with microseconds: texts of one length, which sort as the moments do."""
    return f"{moment.astimezone(UTC).isoformat(timespec='microseconds')[:26]}Z"
