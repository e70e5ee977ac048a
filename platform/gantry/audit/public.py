"""What other parts may use of the audit trail."""

from gantry.audit.domain import Entry, Kind, LedgerFilter, Outcome
from gantry.audit.errors import LedgerEmptyError
from gantry.audit.inspection import TreeVerdict, adopt_cluster, inspect_logs, reopen_log
from gantry.audit.ledger import (
    Gaps,
    Ledger,
    SignedCheckpoint,
    find_signature,
    open_ledger,
    request_checkpoint,
    request_patient_count,
    request_signature,
    verifier_source,
    wait_for_signature,
)
from gantry.audit.line import PLATFORM_LOG, LedgerEvent, PatientCount, format_line, format_time, leaf_hash, parse_line
from gantry.audit.projections.dicom_xml import to_messages
from gantry.audit.projections.fhir import to_fhir, to_ndjson
from gantry.audit.projections.names import Names, PatientName, Recorder
from gantry.audit.projections.summary import Front, Tally, render_summary
from gantry.audit.projections.tables import csv_header, to_csv
from gantry.audit.services import list_last_accesses, record, record_access, record_platform, record_refusal
from gantry.audit.status import LedgerStatus, ledger_status
from gantry.audit.vocabulary import ACTIONS, Act, kind_of

__all__ = [
    "ACTIONS",
    "PLATFORM_LOG",
    "Act",
    "Entry",
    "Front",
    "Gaps",
    "Kind",
    "Ledger",
    "LedgerEmptyError",
    "LedgerEvent",
    "LedgerFilter",
    "LedgerStatus",
    "Names",
    "Outcome",
    "PatientCount",
    "PatientName",
    "Recorder",
    "SignedCheckpoint",
    "Tally",
    "TreeVerdict",
    "adopt_cluster",
    "csv_header",
    "find_signature",
    "format_line",
    "format_time",
    "inspect_logs",
    "kind_of",
    "leaf_hash",
    "ledger_status",
    "list_last_accesses",
    "open_ledger",
    "parse_line",
    "record",
    "record_access",
    "record_platform",
    "record_refusal",
    "render_summary",
    "reopen_log",
    "request_checkpoint",
    "request_patient_count",
    "request_signature",
    "to_csv",
    "to_fhir",
    "to_messages",
    "to_ndjson",
    "verifier_source",
    "wait_for_signature",
]
