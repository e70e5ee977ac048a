"""Patients, studies, series and instances; what is in quarantine; who a study was referred to."""

from __future__ import annotations

from django.db import models

from gantry.access.public import ObjectGrant
from gantry.foundation.models import TenantModel, parent_key
from gantry.kernel.ids import new_uuid
from gantry.studies.domain import ErasurePart, ErasureState, ErasureTarget, PackState, ReviewState, StudyState
from gantry.studies.grants import (
    Emergency,
    EmergencyAttempt,
    PatientGrant,
    PatientTeamGrant,
    StudyTeamGrant,
)
from gantry.studies.terms import StudyTerm

__all__ = [
    "Emergency",
    "EmergencyAttempt",
    "Erasure",
    "Instance",
    "LegalHold",
    "Patient",
    "PatientGrant",
    "PatientTeamGrant",
    "QuarantinedInstance",
    "RetentionRun",
    "Series",
    "SeriesPack",
    "StoredObject",
    "Study",
    "StudyGrant",
    "StudyTeamGrant",
    "StudyTerm",
]


class Patient(TenantModel):
    """A person as one issuer knows them: (tenant, issuer or institution, PatientID). Identifying metadata."""

    #: Within what the number is unique: IssuerOfPatientID, or the institution's id where the DICOM names no
    #: issuer; without a number, the study alone (see `identity_scope`).
    issuer = models.CharField(max_length=128)
    #: IssuerOfPatientID as it was sent.
    issuer_of_patient_id = models.CharField(max_length=128, blank=True)
    patient_id = models.CharField(max_length=128, blank=True)
    name = models.CharField(max_length=400, blank=True)
    name_folded = models.CharField(max_length=400, blank=True)
    birth_date = models.DateField(null=True)
    sex = models.CharField(max_length=16, blank=True)
    #: The patient's key in the key store; destroying it is erasure.
    key_id = models.UUIDField(default=new_uuid)
    #: Stands for the person in the audit trail.
    pseudonym = models.UUIDField(default=new_uuid)
    #: Since when their data may only be kept, at their request (GDPR art. 18).
    restricted_at = models.DateTimeField(null=True)

    class Meta:
        permissions = (("see_patient", "See a patient's studies that were shared or opened in an emergency"),)
        constraints = [models.UniqueConstraint(fields=["tenant_id", "issuer", "patient_id"], name="patient_identity")]
        indexes = [models.Index(fields=["tenant_id", "name_folded"], name="patient_name")]


class Study(TenantModel):
    """A study; its revision counts the times it was complete and then grew."""

    patient = parent_key("studies.Patient")
    institution = parent_key("tenancy.Institution")
    study_instance_uid = models.CharField(max_length=64)
    #: The patient as this study was sent with, which is what is shown with it, whatever other studies say.
    patient_name = models.CharField(max_length=512, blank=True)
    patient_name_folded = models.CharField(max_length=512, blank=True)
    patient_birth_date = models.DateField(null=True)
    patient_sex = models.CharField(max_length=16, blank=True)
    #: Name or birth date are not those of other studies under the same number.
    identity_differs = models.BooleanField(default=False)
    accession_number = models.CharField(max_length=128, blank=True)
    study_id = models.CharField(max_length=64, blank=True)
    description = models.CharField(max_length=200, blank=True)
    description_folded = models.CharField(max_length=200, blank=True)
    study_date = models.DateField(null=True)
    study_time = models.TimeField(null=True)
    referring_physician_name = models.CharField(max_length=400, blank=True)
    modalities = models.CharField(max_length=128, blank=True)
    number_of_series = models.PositiveIntegerField(default=0)
    number_of_instances = models.PositiveIntegerField(default=0)
    state = models.CharField(max_length=16, default=StudyState.RECEIVING)
    revision = models.PositiveIntegerField(default=1)
    received_at = models.DateTimeField()
    last_instance_at = models.DateTimeField()
    #: When the study counts as complete unless something still arrives.
    quiet_until = models.DateTimeField(null=True)
    review = models.CharField(max_length=16, default=ReviewState.NONE)

    class Meta:
        permissions = (("see_study", "See a study that was referred or shared"),)
        constraints = [models.UniqueConstraint(fields=["tenant_id", "study_instance_uid"], name="study_uid")]
        indexes = [
            models.Index(fields=["tenant_id", "-received_at"], name="study_received"),
            models.Index(fields=["tenant_id", "study_date"], name="study_date"),
            models.Index(fields=["tenant_id", "accession_number"], name="study_accession"),
            models.Index(fields=["tenant_id", "patient"], name="study_patient"),
            models.Index(fields=["quiet_until"], name="study_quiet", condition=models.Q(state="receiving")),
        ]


class Series(TenantModel):
    """A series; one that an analysis wrote carries the analysis and how people judged it."""

    study = parent_key("studies.Study")
    series_instance_uid = models.CharField(max_length=64)
    modality = models.CharField(max_length=16, blank=True)
    series_number = models.IntegerField(null=True)
    description = models.CharField(max_length=200, blank=True)
    body_part_examined = models.CharField(max_length=16, blank=True)
    laterality = models.CharField(max_length=16, blank=True)
    frame_of_reference_uid = models.CharField(max_length=64, blank=True)
    number_of_instances = models.PositiveIntegerField(default=0)
    analysis_id = models.UUIDField(null=True)
    review = models.CharField(max_length=16, default=ReviewState.NONE)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant_id", "series_instance_uid"], name="series_uid")]
        indexes = [models.Index(fields=["tenant_id", "study"], name="series_study")]


class StoredObject(models.Model):
    """Columns of a row whose bytes lie in the object store, sealed under `key_id`."""

    object_id = models.UUIDField()
    key_id = models.UUIDField()
    wrapped_key = models.BinaryField()
    size_bytes = models.BigIntegerField()
    sha256 = models.BinaryField(max_length=32)

    class Meta:
        abstract = True


class Instance(TenantModel, StoredObject):
    """A SOP instance as it arrived, byte for byte, with the facts that retrieval and rendering need."""

    series = parent_key("studies.Series")
    study = parent_key("studies.Study")
    sop_instance_uid = models.CharField(max_length=64)
    sop_class_uid = models.CharField(max_length=64)
    transfer_syntax_uid = models.CharField(max_length=64)
    instance_number = models.BigIntegerField(null=True)
    number_of_frames = models.PositiveIntegerField(default=1)
    rows = models.PositiveIntegerField(default=0)
    columns = models.PositiveIntegerField(default=0)
    #: Geometry, windows and pixel layout from the header; no identifying attribute.
    facts = models.JSONField(default=dict)
    revision = models.PositiveIntegerField()
    received_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant_id", "sop_instance_uid"], name="instance_uid")]
        indexes = [models.Index(fields=["tenant_id", "series"], name="instance_series")]


class SeriesPack(TenantModel):
    """The volume pack of a series: its pixels made ready for rendering, sealed under the patient's key.

    The object columns are those of a `StoredObject`, empty until there is one. The pack before stays in them, and is
    not shown, while one of more instances is written.
    """

    series = parent_key("studies.Series")
    study = parent_key("studies.Study")
    state = models.CharField(max_length=16, default=PackState.PREPARING)
    code = models.CharField(max_length=64, blank=True)
    sentence = models.CharField(max_length=500, blank=True)
    kind = models.CharField(max_length=16, blank=True)
    number_of_frames = models.PositiveIntegerField(default=0)
    #: Memory that its decoded frames take.
    volume_bytes = models.BigIntegerField(default=0)
    #: How many instances the series had, and the study's revision, when the pack was written or refused.
    number_of_instances = models.PositiveIntegerField(default=0)
    study_revision = models.PositiveIntegerField(default=0)
    #: Counts those who set about writing it; only the last may put its result here.
    attempt = models.PositiveIntegerField(default=0)
    requested_at = models.DateTimeField()
    written_at = models.DateTimeField(null=True)
    object_id = models.UUIDField(null=True)
    key_id = models.UUIDField(null=True)
    wrapped_key = models.BinaryField(null=True)
    size_bytes = models.BigIntegerField(null=True)
    sha256 = models.BinaryField(max_length=32, null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant_id", "series"], name="pack_of_series"),
            models.CheckConstraint(
                condition=~models.Q(state=PackState.READY)
                | models.Q(object_id__isnull=False, wrapped_key__isnull=False, size_bytes__gt=0),
                name="pack_ready_has_object",
            ),
        ]
        indexes = [models.Index(fields=["tenant_id", "study"], name="pack_study")]


class QuarantinedInstance(TenantModel, StoredObject):
    """Bytes that arrived and could not be stored as a study, kept with the reason."""

    institution = parent_key("tenancy.Institution")
    reason_code = models.CharField(max_length=64)
    sentence = models.CharField(max_length=500)
    sop_instance_uid = models.CharField(max_length=128, blank=True)
    #: Whose it says it is, where we know that patient: it goes when they are erased.
    patient = parent_key("studies.Patient", null=True)
    received_at = models.DateTimeField()
    received_from = models.UUIDField()

    class Meta:
        constraints = [
            # The same refused bytes sent again are one entry.
            models.UniqueConstraint(
                fields=["tenant_id", "institution", "sha256", "reason_code"], name="quarantine_bytes"
            )
        ]
        indexes = [
            models.Index(fields=["tenant_id", "-received_at"], name="quarantine_received"),
            models.Index(fields=["tenant_id", "patient"], name="quarantine_patient"),
        ]


class StudyGrant(ObjectGrant):
    """One person may see one study until a date: it was referred to them, or shared."""

    content_object = parent_key("studies.Study")

    class Meta:
        constraints = [
            models.UniqueConstraint(  # With the date: one that ran out is invisible and must not stand in the way of a new one.
                fields=["tenant_id", "user", "permission", "content_object", "kind", "valid_until"], name="study_grant"
            )
        ]
        indexes = [models.Index(fields=["tenant_id", "content_object"], name="study_grant_object")]


class LegalHold(TenantModel):
    """That a patient or a study must not be destroyed, until somebody releases it."""

    patient = parent_key("studies.Patient", null=True)
    study = parent_key("studies.Study", null=True)
    #: Why, and whose file number; for people of compliance.
    reason = models.CharField(max_length=500)
    reference = models.CharField(max_length=128, blank=True)
    placed_by = models.UUIDField()
    placed_at = models.DateTimeField()
    released_by = models.UUIDField(null=True)
    released_at = models.DateTimeField(null=True)
    release_reason = models.CharField(max_length=500, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(patient__isnull=False, study__isnull=True)
                | models.Q(patient__isnull=True, study__isnull=False),
                name="hold_is_on_one_thing",
            )
        ]
        indexes = [
            models.Index(fields=["tenant_id", "patient"], name="hold_patient", condition=models.Q(released_at=None)),
            models.Index(fields=["tenant_id", "study"], name="hold_study", condition=models.Q(released_at=None)),
        ]


class Erasure(TenantModel):
    """One act of destruction, from plan to certificate. Ids, counts and keys' ids: it outlives what it destroyed."""

    target = models.CharField(max_length=16, choices=[(one.value, one.value) for one in ErasureTarget])
    part = models.CharField(max_length=16, default=ErasurePart.WHOLE)
    #: Ids of rows that will be gone, therefore no foreign keys; of what is in quarantine where that is meant.
    patient_id = models.UUIDField(null=True)
    study_ids = models.JSONField(default=list)
    cause = models.CharField(max_length=32)
    reference = models.CharField(max_length=128, blank=True)
    state = models.CharField(max_length=16, default=ErasureState.PLANNED)
    plan = models.JSONField()
    plan_hash = models.CharField(max_length=64)
    planned_by = models.UUIDField()
    planned_at = models.DateTimeField()
    confirmed_by = models.UUIDField(null=True)
    confirmed_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    #: While it is executed: objects and keys that are still to be destroyed.
    work = models.JSONField(default=dict)
    clause = models.CharField(max_length=64, blank=True)
    agreement_version = models.CharField(max_length=64, blank=True)
    #: Why it was stopped.
    code = models.CharField(max_length=64, blank=True)
    sentence = models.CharField(max_length=500, blank=True)
    certificate = models.JSONField(null=True)
    signature = models.BinaryField(max_length=64, null=True)
    public_key = models.BinaryField(max_length=32, null=True)
    next_attempt_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["tenant_id", "-planned_at"], name="erasure_planned"),
            models.Index(fields=["tenant_id", "-started_at"], name="erasure_started"),
            models.Index(
                fields=["next_attempt_at"],
                name="erasure_open",
                condition=models.Q(state__in=[ErasureState.CONFIRMED, ErasureState.EXECUTING]),
            ),
        ]


class RetentionRun(TenantModel):
    """One run of scheduled destruction, and what came of it."""

    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    started_by = models.UUIDField()
    agreement_version = models.CharField(max_length=64, blank=True)
    #: Counts by category, and what a hold kept.
    outcome = models.JSONField(default=dict)

    class Meta:
        indexes = [models.Index(fields=["tenant_id", "-started_at"], name="retention_run_started")]
