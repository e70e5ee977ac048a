"""Requests of people about their data, and incidents that authorities are told of."""

from __future__ import annotations

from django.db import models

from gantry.foundation.models import TenantModel, parent_key


class SubjectRequest(TenantModel):
    """What a person asked about their data, by when it must be answered, and what became of it.

    Who asked, and how they proved to be that person, stays with the hospital: here lies an id of the patient, no name.
    """

    #: Counted up for each tenant, so that people can speak of "request 12".
    number = models.PositiveIntegerField()
    kind = models.CharField(max_length=16)
    law = models.CharField(max_length=8)
    state = models.CharField(max_length=16)
    #: How it reached the hospital: letter, desk, portal.
    channel = models.CharField(max_length=32, blank=True)
    received_at = models.DateTimeField()
    due_at = models.DateTimeField()
    is_extended = models.BooleanField(default=False)
    reminded_at = models.DateTimeField(null=True)
    #: `studies.Patient`, without a constraint: the request outlives the patient's rows when these are erased.
    patient_id = models.UUIDField(null=True)
    pseudonym = models.UUIDField(null=True)
    #: What carries it out: an erasure's plan, an export.
    fulfilment_id = models.UUIDField(null=True)
    closed_at = models.DateTimeField(null=True)
    created_by = models.UUIDField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant_id", "number"], name="subject_request_number")]
        indexes = [models.Index(fields=["tenant_id", "state", "due_at"], name="subject_request_due")]


class SubjectRequestStep(TenantModel):
    """One step of a request. Never changed."""

    request = parent_key("oversight.SubjectRequest")
    step = models.CharField(max_length=16)
    state = models.CharField(max_length=16)
    at = models.DateTimeField()
    by = models.UUIDField()
    #: A reason in the officer's words.
    note = models.TextField(blank=True)


class Incident(TenantModel):
    """A breach of personal data: what is known of it, and its clocks."""

    number = models.PositiveIntegerField()
    title = models.CharField(max_length=200)
    law = models.CharField(max_length=8)
    state = models.CharField(max_length=16)
    known_at = models.DateTimeField()
    occurred_from = models.DateTimeField(null=True)
    occurred_until = models.DateTimeField(null=True)
    controller_due = models.DateTimeField()
    authority_due = models.DateTimeField()
    harms = models.JSONField(default=list)
    categories = models.JSONField(default=list)
    risk = models.CharField(max_length=16, blank=True)
    #: How many people and records; counted from the audit trail where `scope` says of what.
    subjects = models.PositiveIntegerField(null=True)
    records = models.PositiveIntegerField(null=True)
    #: Which events of the audit trail show what was touched: ids, codes and dates.
    scope = models.JSONField(default=dict)
    detected_how = models.TextField(blank=True)
    nature = models.TextField(blank=True)
    consequences = models.TextField(blank=True)
    measures_before = models.TextField(blank=True)
    measures_after = models.TextField(blank=True)
    revision = models.PositiveIntegerField(default=1)
    reminded_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)
    created_by = models.UUIDField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant_id", "number"], name="incident_number")]
        indexes = [models.Index(fields=["tenant_id", "state", "authority_due"], name="incident_due")]


class IncidentNotice(TenantModel):
    """That somebody was told of an incident. Never changed."""

    incident = parent_key("oversight.Incident")
    recipient = models.CharField(max_length=16)
    given_at = models.DateTimeField()
    reference = models.CharField(max_length=128, blank=True)
    late_reason = models.TextField(blank=True)
    recorded_at = models.DateTimeField()
    recorded_by = models.UUIDField()
