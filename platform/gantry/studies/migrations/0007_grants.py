from __future__ import annotations

from typing import Any

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import gantry.foundation.scope
import gantry.kernel.ids
from gantry.access.public import GRANT_IN_TIME
from gantry.foundation.isolation import definer_function, isolate

_KINDS = [(kind, kind) for kind in ("referral", "share", "care_team", "break_glass")]
_VERDICTS = [(verdict, verdict) for verdict in ("pending", "justified", "not_justified")]
_REASONS = [
    (reason, reason)
    for reason in ("life_threatening", "urgent_treatment", "cover_on_call", "transfer_of_care", "other")
]

DUE_EMERGENCIES = """
    select tenant_id, id from studies_emergency
    where ended_at is null and expires_at <= now() order by expires_at limit 100
"""


def _id() -> models.UUIDField[Any, Any]:
    return models.UUIDField(default=gantry.kernel.ids.new_uuid, editable=False, primary_key=True, serialize=False)


def _tenant() -> models.UUIDField[Any, Any]:
    return models.UUIDField(default=gantry.foundation.scope.current_tenant_id, editable=False)


def _parent(to: str) -> models.ForeignKey[Any, Any]:
    return models.ForeignKey(
        db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name="+", to=to
    )


def _permission() -> models.ForeignKey[Any, Any]:
    return models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="auth.permission")


def _columns() -> list[tuple[str, models.Field[Any, Any]]]:
    return [
        ("granted_by", models.UUIDField()),
        ("granted_at", models.DateTimeField()),
        ("valid_until", models.DateTimeField()),
        ("reason", models.CharField(max_length=64)),
    ]


def _user_grant(name: str, of: str, constraint: str, index: str) -> migrations.CreateModel:
    return migrations.CreateModel(
        name=name,
        fields=[
            ("id", _id()),
            ("tenant_id", _tenant()),
            *_columns(),
            ("kind", models.CharField(choices=_KINDS, default="referral", max_length=16)),
            ("content_object", _parent(of)),
            ("permission", _permission()),
            (
                "user",
                models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to=settings.AUTH_USER_MODEL),
            ),
        ],
        options={
            "indexes": [models.Index(fields=["tenant_id", "content_object"], name=index)],
            "constraints": [
                models.UniqueConstraint(
                    fields=("tenant_id", "user", "permission", "content_object", "kind", "valid_until"),
                    name=constraint,
                )
            ],
        },
    )


def _team_grant(name: str, of: str, constraint: str, index: str) -> migrations.CreateModel:
    return migrations.CreateModel(
        name=name,
        fields=[
            ("id", _id()),
            ("tenant_id", _tenant()),
            *_columns(),
            ("content_object", _parent(of)),
            ("group", _parent("access.careteam")),
            ("permission", _permission()),
        ],
        options={
            "indexes": [models.Index(fields=["tenant_id", "content_object"], name=index)],
            "constraints": [
                models.UniqueConstraint(
                    fields=("tenant_id", "group", "permission", "content_object", "valid_until"), name=constraint
                )
            ],
        },
    )


def _cascade(table: str, parent: str) -> migrations.RunSQL:
    """A grant that ran out is hidden by its policy and would stand in the way of erasing what it was on."""
    name = f"{table}_content_object_id_parent"
    return migrations.RunSQL(
        f"alter table {table} drop constraint {name}; "
        f"alter table {table} add constraint {name} foreign key (tenant_id, content_object_id) "
        f"references {parent} (tenant_id, id) on delete cascade",
        migrations.RunSQL.noop,
    )


class Migration(migrations.Migration):
    dependencies = [
        ("studies", "0006_destruction"),
        ("access", "0001_care_teams"),
        ("auth", "__latest__"),
    ]
    operations = [
        migrations.AlterModelOptions(
            name="patient",
            options={
                "permissions": (("see_patient", "See a patient's studies that were shared or opened in an emergency"),)
            },
        ),
        migrations.AddField(
            model_name="studygrant",
            name="kind",
            field=models.CharField(choices=_KINDS, default="referral", max_length=16),
        ),
        migrations.RemoveConstraint(model_name="studygrant", name="study_grant"),
        migrations.AddConstraint(
            model_name="studygrant",
            constraint=models.UniqueConstraint(
                fields=("tenant_id", "user", "permission", "content_object", "kind", "valid_until"),
                name="study_grant",
            ),
        ),
        migrations.AddIndex(
            model_name="studygrant",
            index=models.Index(fields=["tenant_id", "content_object"], name="study_grant_object"),
        ),
        _user_grant("PatientGrant", "studies.patient", "patient_grant", "patient_grant_object"),
        _team_grant("StudyTeamGrant", "studies.study", "study_team_grant", "study_team_grant_object"),
        _team_grant("PatientTeamGrant", "studies.patient", "patient_team_grant", "patient_team_grant_obj"),
        migrations.CreateModel(
            name="Emergency",
            fields=[
                ("id", _id()),
                ("tenant_id", _tenant()),
                ("user_id", models.UUIDField()),
                ("role", models.CharField(max_length=16)),
                ("reason_code", models.CharField(choices=_REASONS, max_length=32)),
                ("reason", models.CharField(max_length=500)),
                ("opened_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                ("ended_by", models.UUIDField(null=True)),
                ("verdict", models.CharField(choices=_VERDICTS, default="pending", max_length=16)),
                ("reviewed_by", models.UUIDField(null=True)),
                ("reviewed_at", models.DateTimeField(null=True)),
                ("comment", models.CharField(blank=True, max_length=500)),
                ("patient", _parent("studies.patient")),
            ],
            options={
                "indexes": [
                    models.Index(fields=["tenant_id", "verdict", "-opened_at"], name="emergency_queue"),
                    models.Index(fields=["tenant_id", "patient"], name="emergency_patient"),
                    models.Index(condition=models.Q(("ended_at", None)), fields=["expires_at"], name="emergency_due"),
                ],
            },
        ),
        migrations.CreateModel(
            name="EmergencyAttempt",
            fields=[
                ("id", _id()),
                ("tenant_id", _tenant()),
                ("user_id", models.UUIDField()),
                ("at", models.DateTimeField()),
            ],
            options={
                "indexes": [models.Index(fields=["tenant_id", "user_id", "at"], name="emergency_attempt_user")],
            },
        ),
        isolate("studies_patientgrant", parents={"content_object_id": "studies_patient"}, extra_using=GRANT_IN_TIME),
        isolate(
            "studies_studyteamgrant",
            parents={"content_object_id": "studies_study", "group_id": "access_careteam"},
            extra_using=GRANT_IN_TIME,
        ),
        isolate(
            "studies_patientteamgrant",
            parents={"content_object_id": "studies_patient", "group_id": "access_careteam"},
            extra_using=GRANT_IN_TIME,
        ),
        isolate(
            "studies_emergency",
            parents={"patient_id": "studies_patient"},
            definer_columns=["tenant_id", "id", "ended_at", "expires_at"],
        ),
        isolate("studies_emergencyattempt", grants="select, insert, delete"),
        _cascade("studies_patientgrant", "studies_patient"),
        _cascade("studies_studyteamgrant", "studies_study"),
        _cascade("studies_patientteamgrant", "studies_patient"),
        definer_function("due_emergencies()", "table (tenant_id uuid, emergency_id uuid)", DUE_EMERGENCIES),
    ]
