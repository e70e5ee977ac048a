"""Data processing agreements: one row a version. What left draft is never changed, by a trigger of the database."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from gantry.agreements.domain import CURRENT, Disposition, Side, Status, Step
from gantry.foundation.models import TenantModel, parent_key


def _choices(words: type[Status | Step | Side | Disposition]) -> list[tuple[str, str]]:
    return [(word.value, word.value) for word in words]


class Agreement(TenantModel):
    """A version of the tenant's agreement; at most one is in force or suspended at a time."""

    version = models.CharField(max_length=64)
    status = models.CharField(max_length=16, choices=_choices(Status))
    title = models.CharField(max_length=200)
    template = models.CharField(max_length=32)
    #: What it says (`content.Content`). Fixed when it leaves draft.
    content = models.JSONField()
    #: Counts edits: an edit names the one that it read (If-Match).
    revision = models.PositiveIntegerField(default=1)
    #: Of the canonical document; set when the version leaves draft, and what both sides sign.
    document_sha256 = models.CharField(max_length=64, blank=True)
    #: The version that this one is to take the place of.
    amends = parent_key("agreements.Agreement", null=True)
    created_at = models.DateTimeField()
    created_by = models.UUIDField()
    valid_from = models.DateTimeField(null=True)
    valid_until = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    disposition = models.CharField(max_length=8, blank=True, choices=_choices(Disposition))
    #: For how many days before its end the last reminder was given.
    reminded_days = models.PositiveSmallIntegerField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant_id", "version"], name="agreement_version"),
            models.UniqueConstraint(
                fields=["tenant_id"], condition=Q(status__in=list(CURRENT)), name="agreement_one_current"
            ),
        ]


class Signature(TenantModel):
    """One side's signature under one document. Never changed."""

    agreement = parent_key("agreements.Agreement")
    side = models.CharField(max_length=16, choices=_choices(Side))
    name = models.CharField(max_length=200)
    #: What the signatory is in their organisation.
    function = models.CharField(max_length=200, blank=True)
    #: `accepted` (signed in, authenticated again) or `wet` (a signed paper was uploaded).
    method = models.CharField(max_length=16)
    document_sha256 = models.CharField(max_length=64)
    signed_at = models.DateTimeField()
    #: Whose account recorded it, and which sign-in (a digest).
    recorded_by = models.UUIDField()
    session = models.CharField(max_length=64, blank=True)
    #: The uploaded paper: its SHA-256, and where it lies sealed.
    paper_sha256 = models.CharField(max_length=64, blank=True)
    paper_object_id = models.UUIDField(null=True)
    paper_size_bytes = models.PositiveIntegerField(default=0)
    paper_wrapped_key = models.BinaryField(default=b"", blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant_id", "agreement", "side"], name="signature_side"),
        ]


class AgreementStep(TenantModel):
    """One step that a version took, and why. Never changed."""

    agreement = parent_key("agreements.Agreement")
    step = models.CharField(max_length=16, choices=_choices(Step))
    from_status = models.CharField(max_length=16)
    to_status = models.CharField(max_length=16)
    at = models.DateTimeField()
    actor_id = models.UUIDField()
    reason = models.CharField(max_length=500, blank=True)

    class Meta:
        indexes = [models.Index(fields=["tenant_id", "agreement", "at"], name="agreement_steps")]


class TransferNotice(TenantModel):
    """The notice of a signed standard contract to the authority (KVKK art. 9(5)): due, and given when."""

    agreement = parent_key("agreements.Agreement")
    recipient = models.CharField(max_length=200)
    region = models.CharField(max_length=32)
    #: The last signature under the contract; five business days are counted from it.
    signed_on = models.DateField()
    due_on = models.DateField()
    given_on = models.DateField(null=True)
    reference = models.CharField(max_length=100, blank=True)
    recorded_by = models.UUIDField(null=True)
    reminded_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant_id", "agreement", "recipient", "region"], name="transfer_notice_recipient"
            ),
        ]
