"""How long grants last, and what a reason needs."""

from __future__ import annotations

from datetime import timedelta

#: How long a share or a care team's grant lasts, unless another date is given, and at most.
GRANT_LIFETIME = timedelta(days=30)
MAX_GRANT_LIFETIME = timedelta(days=365)
MIN_REASON = 10
