"""The ledger: rows the application may add and never read, change or remove."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models

from gantry.foundation.models import TenantModel
from gantry.kernel.ids import new_uuid


class AuditEvent(TenantModel):
    """One event, unsequenced; the sequencer later gives it an index and a leaf in the tenant's tree.

    Two more columns are the database's own, and the application may not fill them: `xid`, the transaction that
    added the row, and `recorded_at`, when it did.
    """

    occurred_at = models.DateTimeField()
    kind = models.CharField(max_length=32)
    action = models.CharField(max_length=64)
    outcome = models.CharField(max_length=16)
    actor_kind = models.CharField(max_length=16)
    actor_id = models.UUIDField()
    role = models.CharField(max_length=16)
    place = models.CharField(max_length=16)
    session = models.CharField(max_length=64, blank=True)
    correlation_id = models.CharField(max_length=64, blank=True)
    address = models.CharField(max_length=64, blank=True)
    activity = models.CharField(max_length=32, blank=True)
    purpose = models.CharField(max_length=16, blank=True)
    code = models.CharField(max_length=64, blank=True)
    clause = models.CharField(max_length=64, blank=True)
    agreement_version = models.CharField(max_length=64, blank=True)
    data_category = models.CharField(max_length=32, blank=True)
    study_id = models.UUIDField(null=True)
    #: Random per patient; the mapping to the person is destroyed with the patient's key.
    patient_pseudonym = models.UUIDField(null=True)
    #: Whom else the event concerns: the patients that a query's answer named.
    patients = ArrayField(models.UUIDField(), default=list)
    institution_id = models.UUIDField(null=True)
    detail = models.JSONField(default=dict)
    #: Verbatim content, encrypted under the tenant's audit key of the month (`gantry.audit.sealing`).
    sealed = models.BinaryField(null=True)
    sealed_sha256 = models.CharField(max_length=64, blank=True)
    sealed_key_id = models.UUIDField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["tenant_id", "occurred_at"], name="audit_event_time"),
            models.Index(fields=["tenant_id", "study_id", "occurred_at"], name="audit_event_study"),
        ]


class AccessWindow(TenantModel):
    """That a read was recorded in this window, so that the next image of the same study adds no event."""

    actor_id = models.UUIDField()
    session = models.CharField(max_length=64)
    study_id = models.UUIDField()
    action = models.CharField(max_length=64)
    window = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant_id", "actor_id", "session", "study_id", "action", "window"], name="audit_access_window"
            )
        ]


class PlatformEvent(models.Model):
    """What happens outside any tenant: failed sign-ins, acts of operators."""

    id = models.UUIDField(primary_key=True, default=new_uuid, editable=False)
    occurred_at = models.DateTimeField()
    kind = models.CharField(max_length=32)
    action = models.CharField(max_length=64)
    outcome = models.CharField(max_length=16)
    user_id = models.UUIDField(null=True)
    correlation_id = models.CharField(max_length=64, blank=True)
    detail = models.JSONField(default=dict)

    objects: ClassVar[models.Manager[PlatformEvent]] = models.Manager()

    def __str__(self) -> str:
        return f"PlatformEvent {self.pk}"


class SigningRequest(TenantModel):
    """What the application asks the sequencer to put its name to; the answer is `audit_signature`."""

    kind = models.CharField(max_length=16)
    digest = models.CharField(max_length=64, blank=True)
    pseudonym = models.UUIDField(null=True)
    size = models.BigIntegerField(null=True)
    requested_at = models.DateTimeField()
