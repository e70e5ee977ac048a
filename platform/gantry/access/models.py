"""Bases of object grants, and the groups that some are given to.

The part that owns the object makes the tables; only this part knows guardian.
"""

from __future__ import annotations

from django.db import models
from guardian.models import (  # noqa: TID251 - here is where guardian is known
    GroupObjectPermissionBase,
    UserObjectPermissionBase,
)

from gantry.foundation.models import TenantModel, parent_key
from gantry.kernel.vocabulary import GrantKind

_KINDS = [(kind.value, kind.value) for kind in GrantKind]


class CareTeam(TenantModel):
    """People who look after the same patients, perhaps at several hospitals of the group."""

    name = models.CharField(max_length=128)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField()
    created_by = models.UUIDField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant_id", "name"], name="care_team_name")]


class CareTeamMember(TenantModel):
    """A member of the tenant who belongs to a team."""

    team = parent_key("access.CareTeam")
    membership = parent_key("tenancy.Membership")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant_id", "team", "membership"], name="care_team_member")]
        indexes = [models.Index(fields=["tenant_id", "membership"], name="care_team_of_member")]


class GrantColumns(models.Model):
    """Who granted something, when, until when and why. The reason is coded words, never patient data."""

    granted_by = models.UUIDField()
    granted_at = models.DateTimeField()
    valid_until = models.DateTimeField()
    reason = models.CharField(max_length=64)

    class Meta:
        abstract = True


class ObjectGrant(TenantModel, GrantColumns, UserObjectPermissionBase):  # type: ignore[misc]  # our manager takes precedence
    """One person's permission on one object, until it runs out.

    A subclass adds `content_object` (guardian's direct foreign key). Grants that have run out are
    hidden by the row policy itself, so no query can forget the date.
    """

    kind = models.CharField(max_length=16, choices=_KINDS, default=GrantKind.REFERRAL)

    class Meta:
        abstract = True


class TeamGrant(TenantModel, GrantColumns, GroupObjectPermissionBase):  # type: ignore[misc]  # our manager takes precedence
    """A care team's permission on one object, until it runs out: whoever is in the team now, has it."""

    #: Guardian's name for whom a grant is to. Django's own groups know no tenant, so ours take their place.
    group = parent_key("access.CareTeam")

    class Meta:
        abstract = True


#: For `isolate(extra_using=…)` of a grant table.
GRANT_IN_TIME = "valid_until > transaction_timestamp()"
