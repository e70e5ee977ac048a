"""What other parts may use of the audit trail."""

from gantry.audit.domain import Entry, Kind, Outcome
from gantry.audit.line import PLATFORM_LOG, LedgerEvent, PatientCount, format_line, leaf_hash, parse_line
from gantry.audit.services import record, record_access, record_platform, record_refusal
from gantry.audit.vocabulary import ACTIONS, Act, kind_of

__all__ = [
    "ACTIONS",
    "PLATFORM_LOG",
    "Act",
    "Entry",
    "Kind",
    "LedgerEvent",
    "Outcome",
    "PatientCount",
    "format_line",
    "kind_of",
    "leaf_hash",
    "parse_line",
    "record",
    "record_access",
    "record_platform",
    "record_refusal",
]
