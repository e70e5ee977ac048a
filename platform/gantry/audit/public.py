"""What other parts may use of the audit trail."""

from gantry.audit.domain import Entry, Kind, Outcome
from gantry.audit.services import record, record_access, record_platform, record_refusal

__all__ = ["Entry", "Kind", "Outcome", "record", "record_access", "record_platform", "record_refusal"]
