"""What other parts may use of access control."""

from gantry.access.domain import (
    NEEDS_GRANT,
    ROLE_ACTIVITIES,
    ROLE_PERMISSIONS,
    SEES_REJECTED,
    SEES_UNREVIEWED,
    may,
)
from gantry.access.models import GRANT_IN_TIME, ObjectGrant
from gantry.access.services import filter_granted, grant, has_grant, list_grants, withdraw

__all__ = [
    "GRANT_IN_TIME",
    "NEEDS_GRANT",
    "ROLE_ACTIVITIES",
    "ROLE_PERMISSIONS",
    "SEES_REJECTED",
    "SEES_UNREVIEWED",
    "ObjectGrant",
    "filter_granted",
    "grant",
    "has_grant",
    "list_grants",
    "may",
    "withdraw",
]
