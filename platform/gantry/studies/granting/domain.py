"""Words of grants and emergency access."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

#: How long a share or a care team's grant lasts, unless another date is given, and at most.
GRANT_LIFETIME = timedelta(days=30)
MAX_GRANT_LIFETIME = timedelta(days=365)
MIN_REASON = 10


class EmergencyReason(StrEnum):
    """Why the glass was broken."""

    LIFE_THREATENING = "life_threatening"
    URGENT_TREATMENT = "urgent_treatment"
    COVER_ON_CALL = "cover_on_call"
    TRANSFER_OF_CARE = "transfer_of_care"
    OTHER = "other"


class ReviewVerdict(StrEnum):
    """What became of the review."""

    PENDING = "pending"
    JUSTIFIED = "justified"
    NOT_JUSTIFIED = "not_justified"


class GrantScope(StrEnum):
    """What is shared: this study, or the patient with every study of theirs."""

    STUDY = "study"
    PATIENT = "patient"
