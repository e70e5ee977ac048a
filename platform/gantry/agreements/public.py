"""What other parts may use of agreements: above all, the gate."""

from gantry.agreements.content import Content, Party, Section
from gantry.agreements.domain import (
    BreachRule,
    Disposition,
    EndRule,
    Permission,
    RetentionRule,
    RetentionStart,
    Side,
    Status,
    Step,
    SubProcessor,
    Terms,
    TransferBasis,
    TransferKind,
)
from gantry.agreements.gate import decide, load_terms, require
from gantry.agreements.services import (
    Signatory,
    advance_agreement,
    draft_agreement,
    edit_agreement,
    list_agreements,
    review_agreement,
    sign_agreement,
)

__all__ = [
    "BreachRule",
    "Content",
    "Disposition",
    "EndRule",
    "Party",
    "Permission",
    "RetentionRule",
    "RetentionStart",
    "Section",
    "Side",
    "Signatory",
    "Status",
    "Step",
    "SubProcessor",
    "Terms",
    "TransferBasis",
    "TransferKind",
    "advance_agreement",
    "decide",
    "draft_agreement",
    "edit_agreement",
    "list_agreements",
    "load_terms",
    "require",
    "review_agreement",
    "sign_agreement",
]
