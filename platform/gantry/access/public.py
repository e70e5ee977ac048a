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
from gantry.access.keys import describe_keys, destroy_keys, finish_rotation, rotate_keys
from gantry.access.matrix import matrix_rows
from gantry.access.models import GRANT_IN_TIME, CareTeam, ObjectGrant, TeamGrant
from gantry.access.policies import require_permission
from gantry.access.services import (
    Granted,
    grant,
    grant_to_team,
    list_granted,
    list_grants,
    list_team_grants,
    withdraw,
)
from gantry.access.teams import create_team, list_teams, update_team

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
    "CareTeam",
    "Granted",
    "ObjectGrant",
    "TeamGrant",
    "create_team",
    "describe_keys",
    "destroy_keys",
    "finish_rotation",
    "grant",
    "grant_to_team",
    "is_in_scopes",
    "list_granted",
    "list_grants",
    "list_team_grants",
    "list_teams",
    "matrix_rows",
    "may",
    "may_administer",
    "require_permission",
    "rotate_keys",
    "update_team",
    "withdraw",
]
