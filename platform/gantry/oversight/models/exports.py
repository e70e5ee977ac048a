"""Exports of the audit trail, and the feed to a hospital's own repository."""

from __future__ import annotations

from django.db import models

from gantry.foundation.models import TenantModel


class AuditExport(TenantModel):
    """One export that somebody asked for: what of, how far it is, and where the finished bundle lies.

    The bundle names people, so it has a key of its own, which is destroyed when it expires or when a patient is erased.
    """

    requested_by = models.UUIDField()
    requested_role = models.CharField(max_length=16)
    #: What was asked for: dates, ids, codes and a pseudonym; never a name or a number of a patient.
    query = models.JSONField()
    formats = models.JSONField()
    state = models.CharField(max_length=16)
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    #: Counted up by each worker that takes it; what an overtaken one writes is refused.
    attempt = models.PositiveIntegerField(default=0)
    events_total = models.BigIntegerField(null=True)
    events_done = models.BigIntegerField(default=0)
    #: Size of the tree and what of it: as in the manifest.
    tree_size = models.BigIntegerField(null=True)
    counts = models.JSONField(default=dict)
    code = models.CharField(max_length=64, blank=True)
    sentence = models.CharField(max_length=500, blank=True)
    object_id = models.UUIDField(null=True)
    key_id = models.UUIDField()
    wrapped_key = models.BinaryField(null=True)
    size_bytes = models.BigIntegerField(null=True)
    #: Of the bundle, in hexadecimal; also its ETag.
    sha256 = models.CharField(max_length=64, blank=True)

    class Meta:
        indexes = [models.Index(fields=["tenant_id", "created_at"], name="audit_export_time")]


class SyslogFeed(TenantModel):
    """Where the tenant's events are sent as they come (ATNA: RFC 5425 over TLS), and how far that is."""

    host = models.CharField(max_length=253)
    port = models.PositiveIntegerField(default=6514)
    #: Who the receiver must prove to be: certificates of authorities, PEM. Public, so kept as it is.
    authorities_pem = models.TextField()
    #: What we prove to be, where the receiver asks: a certificate, and its key sealed in the vault.
    certificate_pem = models.TextField(blank=True)
    private_key_object = models.JSONField(null=True)
    is_enabled = models.BooleanField(default=True)
    #: Index of the next event to be sent: everything before it was handed over.
    next_index = models.BigIntegerField(default=0)
    attempt = models.PositiveIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    last_sent_at = models.DateTimeField(null=True)
    last_failed_at = models.DateTimeField(null=True)
    failure = models.CharField(max_length=300, blank=True)
    updated_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant_id"], name="syslog_feed_of_tenant")]
