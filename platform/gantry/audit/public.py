"""What other parts may use of the audit trail."""

from gantry.audit.domain import Entry, Kind, Outcome
from gantry.audit.services import record, record_access, record_platform, record_refusal
from gantry.audit.vocabulary import ACTIONS, Act, kind_of

__all__ = [
    "ACTIONS",
    "Act",
    "Entry",
    "Kind",
    "Outcome",
    "kind_of",
    "record",
    "record_access",
    "record_platform",
    "record_refusal",
]
