"""The ledger as a table: CSV after RFC 4180, in which no cell can become a formula."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Final

from gantry.audit.line import LedgerEvent, format_time
from gantry.audit.projections.names import NOTHING_JOINED, Names, act_of

COLUMNS: Final = (
    "index", "event_id", "occurred_at", "recorded_at", "kind", "action", "sentence", "outcome", "actor_kind", "actor_id",
    "actor_name", "role", "place", "address", "session", "correlation_id", "activity", "purpose", "code", "clause",
    "agreement_version", "data_category", "institution_id", "institution", "study_id", "study_instance_uid",
    "patient_pseudonyms", "patient_event_numbers", "patient_ids", "patient_names", "detail",
)  # fmt: skip
#: What a spreadsheet takes a formula to begin with (OWASP "CSV Injection"), also in its full-width forms.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 - those are meant


def csv_header() -> bytes:
    """Return the first line."""
    return _line(COLUMNS)


def to_csv(event: LedgerEvent, names: Names = NOTHING_JOINED) -> bytes:
    """Return the event's row, with its line end."""
    patients = [names.patients.get(one.pseudonym) for one in event.patients]
    row = (
        str(event.index),
        str(event.id),
        format_time(event.occurred_at),
        format_time(event.recorded_at),
        str(event.kind),
        event.action,
        act_of(event).sentence,
        str(event.outcome),
        event.actor_kind,
        str(event.actor_id or ""),
        names.people.get(event.actor_id, "") if event.actor_id else "",
        event.role,
        event.place,
        event.address,
        event.session,
        event.correlation_id,
        event.activity,
        event.purpose,
        event.code,
        event.clause,
        event.agreement_version,
        event.data_category,
        str(event.institution_id or ""),
        names.institutions.get(event.institution_id, "") if event.institution_id else "",
        str(event.study_id or ""),
        names.studies.get(event.study_id, "") if event.study_id else "",
        "; ".join(str(one.pseudonym) for one in event.patients),
        "; ".join(str(one.counter) for one in event.patients),
        "; ".join(one.patient_id for one in patients if one),
        "; ".join(one.name for one in patients if one),
        json.dumps(dict(event.detail), sort_keys=True, ensure_ascii=False) if event.detail else "",
    )
    return _line(tuple(safe_cell(value) for value in row))


def safe_cell(value: str) -> str:
    """Return a cell that a spreadsheet shows and never computes: what begins like a formula gets an apostrophe."""
    return f"'{value}" if value.lstrip(" \u00a0").startswith(_FORMULA) or value.startswith(_FORMULA) else value


def _line(cells: Sequence[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, dialect="excel", lineterminator="\r\n").writerow(cells)
    return text.getvalue().encode()
