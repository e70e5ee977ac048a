"""Analyses, their findings, and what people said of them."""

from __future__ import annotations

from django.db import models

from gantry.analyses.domain import Stage, State
from gantry.foundation.models import TenantModel, parent_key
from gantry.studies.domain import ReviewState
from gantry.studies.public import StoredObject


class Analysis(TenantModel):
    """One model version on one series at one revision of its study. The work's own lease lies here."""

    study = parent_key("studies.Study")
    series = parent_key("studies.Series", null=True)
    model = models.CharField(max_length=64)
    version = models.CharField(max_length=32)
    weights_sha256 = models.CharField(max_length=64)
    study_revision = models.PositiveIntegerField()
    state = models.CharField(max_length=16, default=State.QUEUED)
    stage = models.CharField(max_length=16, default=Stage.QUEUED)
    progress = models.FloatField(default=0.0)
    code = models.CharField(max_length=64, blank=True)
    sentence = models.CharField(max_length=500, blank=True)
    requested_by = models.UUIDField()
    #: Told apart by the caller's Idempotency-Key; empty for the automatic start.
    request_key = models.CharField(max_length=64, blank=True)
    #: Fencing: a worker writes only while this is the number it claimed.
    attempt = models.PositiveIntegerField(default=0)
    #: Attempts that broke off without a word: the worker died.
    crashes = models.PositiveIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    next_attempt_at = models.DateTimeField(null=True)
    runtime = models.CharField(max_length=128, blank=True)
    timings_s = models.JSONField(default=dict)
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant_id", "study", "series", "model", "version", "study_revision", "request_key"],
                name="analysis_once",
                nulls_distinct=False,
            )
        ]
        indexes = [
            models.Index(fields=["tenant_id", "study", "-created_at"], name="analysis_study"),
            models.Index(
                fields=["state", "lease_until"],
                name="analysis_open",
                condition=models.Q(state__in=["queued", "running", "waiting"]),
            ),
        ]


class Finding(TenantModel):
    """Something an analysis found, measured and outlined, with its review."""

    analysis = parent_key("analyses.Analysis")
    study = parent_key("studies.Study")
    number = models.PositiveIntegerField()
    #: The number of the finding that this one is a connected region of.
    part_of = models.PositiveIntegerField(null=True)
    tracking_uid = models.CharField(max_length=64)
    label = models.CharField(max_length=128)
    concept = models.JSONField()
    color = models.CharField(max_length=7)
    measurements = models.JSONField(default=list)
    key_sop_instance_uid = models.CharField(max_length=64, blank=True)
    slice_areas = models.JSONField(default=list)
    review = models.CharField(max_length=16, default=ReviewState.UNREVIEWED)
    reviewed_by = models.UUIDField(null=True)
    reviewed_at = models.DateTimeField(null=True)
    review_reason = models.CharField(max_length=500, blank=True)
    review_count = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant_id", "analysis", "number"], name="finding_number")]
        indexes = [models.Index(fields=["tenant_id", "study"], name="finding_study")]


class Review(TenantModel):
    """One person's word on a finding; never changed, only followed by another."""

    finding = parent_key("analyses.Finding")
    verdict = models.CharField(max_length=16)
    reason = models.CharField(max_length=500, blank=True)
    by = models.UUIDField()
    at = models.DateTimeField()


class Artefact(TenantModel, StoredObject):
    """What an analysis keeps beside its DICOM outputs: the finding graph, the outlines of a finding."""

    analysis = parent_key("analyses.Analysis")
    kind = models.CharField(max_length=16)
    #: The finding it belongs to; 0 for the whole analysis.
    number = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant_id", "analysis", "kind", "number"], name="artefact_once")
        ]
