"""Which model versions a tenant runs, and how far each is let."""

from __future__ import annotations

from django.db import models

from gantry.foundation.models import TenantModel


class Phase(models.TextChoices):
    """DESIGN.md promise 3: a model is phased in."""

    OFF = "off"
    SILENT = "silent"
    OPTIONAL = "optional"
    ALERTING = "alerting"


class Deployment(TenantModel):
    """A model version in a tenant. The card on disk says what it is; its digest is pinned here."""

    model = models.CharField(max_length=64)
    version = models.CharField(max_length=32)
    card_digest = models.CharField(max_length=64)
    phase = models.CharField(max_length=16, choices=Phase.choices)
    deployed_at = models.DateTimeField()
    deployed_by = models.UUIDField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant_id", "model", "version"], name="deployment_version")]
