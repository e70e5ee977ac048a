"""Base of object grants. The part that owns the object makes the table; only this part knows guardian."""

from __future__ import annotations

from django.db import models
from guardian.models import UserObjectPermissionBase  # noqa: TID251 - here is where guardian is known

from gantry.foundation.models import TenantModel


class ObjectGrant(TenantModel, UserObjectPermissionBase):  # type: ignore[misc]  # our manager takes precedence
    """One person's permission on one object, until it runs out.

    A subclass adds `content_object` (guardian's direct foreign key). Grants that have run out are
    hidden by the row policy itself, so no query can forget the date.
    """

    granted_by = models.UUIDField()
    granted_at = models.DateTimeField()
    valid_until = models.DateTimeField()
    reason = models.CharField(max_length=64)

    class Meta:
        abstract = True


#: For `isolate(extra_using=…)` of a grant table.
GRANT_IN_TIME = "valid_until > transaction_timestamp()"
