"""Data processing agreements: one row a version, history never changed."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from gantry.agreements.domain import Status
from gantry.foundation.models import TenantModel


class Agreement(TenantModel):
    """A version of the tenant's agreement; at most one is in force or suspended at a time."""

    version = models.CharField(max_length=64)
    status = models.CharField(max_length=16, choices=[(status.value, status.value) for status in Status])
    title = models.CharField(max_length=200)
    valid_from = models.DateTimeField(null=True)
    valid_until = models.DateTimeField(null=True)
    boundary = models.CharField(max_length=16)
    boundary_clause = models.CharField(max_length=64)
    viewing_places = models.JSONField(default=list)
    viewing_clause = models.CharField(max_length=64)
    permissions = models.JSONField(default=list)
    signed_by = models.UUIDField(null=True)
    signed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant_id", "version"], name="agreement_version"),
            models.UniqueConstraint(
                fields=["tenant_id"], condition=Q(status__in=["in_force", "suspended"]), name="agreement_one_current"
            ),
        ]
