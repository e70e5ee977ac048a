"""What other parts may use of access control."""

from gantry.access.domain import (
    ADMINISTRATION,
    EMERGENCY_ACTIVITIES,
    MATRIX,
    MAY_BREAK_GLASS,
    NEEDS_GRANT,
    ROLE_ACTIVITIES,
    ROLE_PERMISSIONS,
    SCOPE_ACTIVITIES,
    SCOPE_ADMINISTRATION,
    SEES_REJECTED,
    SEES_UNREVIEWED,
    is_in_scopes,
    may,
    may_administer,
)
from gantry.access.models import GRANT_IN_TIME, ObjectGrant
from gantry.access.policies import require_permission
from gantry.access.services import filter_granted, grant, has_grant, list_grants, withdraw

__all__ = [
    "ADMINISTRATION",
    "EMERGENCY_ACTIVITIES",
    "GRANT_IN_TIME",
    "MATRIX",
    "MAY_BREAK_GLASS",
    "NEEDS_GRANT",
    "ROLE_ACTIVITIES",
    "ROLE_PERMISSIONS",
    "SCOPE_ACTIVITIES",
    "SCOPE_ADMINISTRATION",
    "SEES_REJECTED",
    "SEES_UNREVIEWED",
    "ObjectGrant",
    "filter_granted",
    "grant",
    "has_grant",
    "is_in_scopes",
    "list_grants",
    "may",
    "may_administer",
    "require_permission",
    "withdraw",
]
