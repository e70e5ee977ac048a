"""What other parts may use of agreements: above all, the gate."""

from gantry.agreements.domain import Permission, Status, Step
from gantry.agreements.gate import decide, load_terms, require
from gantry.agreements.services import advance_agreement, draft_agreement, list_agreements

__all__ = [
    "Permission",
    "Status",
    "Step",
    "advance_agreement",
    "decide",
    "draft_agreement",
    "list_agreements",
    "load_terms",
    "require",
]
