"""Grants on patients and to care teams, and what is kept of emergency access."""

from __future__ import annotations

from django.db import models

from gantry.access.public import ObjectGrant, TeamGrant
from gantry.foundation.models import TenantModel, parent_key
from gantry.studies.domain import EmergencyReason, ReviewVerdict

_REASONS = [(reason.value, reason.value) for reason in EmergencyReason]
_VERDICTS = [(verdict.value, verdict.value) for verdict in ReviewVerdict]


class PatientGrant(ObjectGrant):
    """One person may see all studies of a patient until a date, those to come among them."""

    content_object = parent_key("studies.Patient")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant_id", "user", "permission", "content_object", "kind", "valid_until"],
                name="patient_grant",
            )
        ]
        indexes = [models.Index(fields=["tenant_id", "content_object"], name="patient_grant_object")]


class StudyTeamGrant(TeamGrant):
    """A care team may see a study until a date."""

    content_object = parent_key("studies.Study")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant_id", "group", "permission", "content_object", "valid_until"], name="study_team_grant"
            )
        ]
        indexes = [models.Index(fields=["tenant_id", "content_object"], name="study_team_grant_object")]


class PatientTeamGrant(TeamGrant):
    """A care team may see all studies of a patient until a date."""

    content_object = parent_key("studies.Patient")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant_id", "group", "permission", "content_object", "valid_until"],
                name="patient_team_grant",
            )
        ]
        indexes = [models.Index(fields=["tenant_id", "content_object"], name="patient_team_grant_obj")]


class Emergency(TenantModel):
    """That somebody broke the glass: whose data, why, until when, and what the compliance officer made of it."""

    patient = parent_key("studies.Patient")
    user_id = models.UUIDField()
    role = models.CharField(max_length=16)
    reason_code = models.CharField(max_length=32, choices=_REASONS)
    #: What the person wrote. May speak of the patient, so it is shown to those who review and goes with the patient.
    reason = models.CharField(max_length=500)
    opened_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    #: When the end was written down; access itself ends by the grant's own date.
    ended_at = models.DateTimeField(null=True)
    ended_by = models.UUIDField(null=True)
    verdict = models.CharField(max_length=16, choices=_VERDICTS, default=ReviewVerdict.PENDING)
    reviewed_by = models.UUIDField(null=True)
    reviewed_at = models.DateTimeField(null=True)
    comment = models.CharField(max_length=500, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["tenant_id", "verdict", "-opened_at"], name="emergency_queue"),
            models.Index(fields=["tenant_id", "patient"], name="emergency_patient"),
            models.Index(fields=["expires_at"], name="emergency_due", condition=models.Q(ended_at=None)),
        ]


class EmergencyAttempt(TenantModel):
    """That somebody tried to break the glass, found or not: what the limit counts."""

    user_id = models.UUIDField()
    at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["tenant_id", "user_id", "at"], name="emergency_attempt_user")]
