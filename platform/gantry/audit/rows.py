"""From the database's rows to ledger events: the one place that knows which columns a line is made of."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from gantry.audit.domain import Kind, Outcome
from gantry.audit.line import PLATFORM_LOG, LedgerEvent, PatientCount

#: What `tenant_event` reads, in this order. Written for an alias `e`.
TENANT_COLUMNS: Final = (
    "e.id, e.tenant_id, e.occurred_at, e.recorded_at, e.kind, e.action, e.outcome, e.actor_kind, e.actor_id, e.role, "
    "e.place, e.session, e.correlation_id, e.address, e.activity, e.purpose, e.code, e.clause, e.agreement_version, "
    "e.data_category, e.study_id, e.institution_id, e.patient_pseudonym, e.patients, e.detail, e.sealed_sha256"
)
PLATFORM_COLUMNS: Final = (
    "e.id, e.occurred_at, e.recorded_at, e.kind, e.action, e.outcome, e.user_id, e.correlation_id, e.detail"
)


def patients_of(pseudonym: UUID | None, others: Sequence[UUID]) -> list[UUID]:
    """Return whom an event concerns, each once: the subject's patient first."""
    return list(dict.fromkeys(([pseudonym] if pseudonym else []) + list(others)))


def tenant_event(row: Sequence[Any], *, index: int, counters: Sequence[int]) -> LedgerEvent:
    """Return the event of a row of `TENANT_COLUMNS`; the counters are those of `patients_of`, in order."""
    patients = patients_of(row[22], row[23])
    if len(patients) != len(counters):
        raise ValueError("an event and its place in the ledger disagree on its patients")
    return LedgerEvent(
        log=row[1],
        index=index,
        id=row[0],
        occurred_at=row[2],
        recorded_at=row[3],
        kind=Kind(row[4]),
        action=row[5],
        outcome=Outcome(row[6]),
        actor_kind=row[7],
        actor_id=row[8],
        role=row[9],
        place=row[10],
        session=row[11],
        correlation_id=row[12],
        address=row[13],
        activity=row[14],
        purpose=row[15],
        code=row[16],
        clause=row[17],
        agreement_version=row[18],
        data_category=row[19],
        study_id=row[20],
        institution_id=row[21],
        patients=tuple(map(PatientCount, patients, counters)),
        detail=_detail(row[24]),
        sealed_sha256=row[25],
    )


def platform_event(row: Sequence[Any], *, index: int) -> LedgerEvent:
    """Return the event of a row of `PLATFORM_COLUMNS`."""
    detail = _detail(row[8])
    return LedgerEvent(
        log=PLATFORM_LOG,
        index=index,
        id=row[0],
        occurred_at=row[1],
        recorded_at=row[2],
        kind=Kind(row[3]),
        action=row[4],
        outcome=Outcome(row[5]),
        actor_kind="person" if row[6] else "",
        actor_id=row[6],
        correlation_id=row[7],
        address=detail.pop("address", ""),
        detail=detail,
    )


def _detail(value: Any) -> dict[str, str]:
    """Return a jsonb column, which Django's connections hand over as text."""
    return json.loads(value) if isinstance(value, str) else dict(value)
