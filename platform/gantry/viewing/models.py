"""Viewing sessions that a render pod draws for: who opened them, and who holds them."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models

from gantry.foundation.models import TenantModel, parent_key
from gantry.viewing.domain import RenderState


class RenderSession(TenantModel):
    """One reader looking at one series. No patient data: ids, states, and where the reader is."""

    study = parent_key("studies.Study")
    series = parent_key("studies.Series")
    state = models.CharField(max_length=16, default=RenderState.ISSUED)
    #: Who opened it, as `tenancy.SignIn` keeps it.
    actor_kind = models.CharField(max_length=16)
    actor_id = models.UUIDField()
    user_id = models.UUIDField(null=True)
    role = models.CharField(max_length=16)
    address = models.CharField(max_length=64, blank=True)
    login = models.CharField(max_length=64, blank=True)
    #: The ticket that is out; null once it was redeemed, which is what makes it good for one use.
    ticket_id = models.UUIDField(null=True)
    ticket_expires_at = models.DateTimeField(null=True)
    #: The pod that holds it; empty while none does.
    pod = models.CharField(max_length=64, blank=True)
    #: Results whose shapes that pod was given the keys of.
    shapes = ArrayField(models.UUIDField(), default=list)
    opened_at = models.DateTimeField()
    redeemed_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    end_code = models.CharField(max_length=64, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["tenant_id", "series"], name="render_session_series"),
            models.Index(fields=["opened_at"], name="render_session_opened"),
        ]
