from __future__ import annotations

from typing import Any

import django.db.models.deletion
from django.db import migrations, models

import gantry.foundation.scope
import gantry.kernel.ids
from gantry.foundation.isolation import isolate

_ID = models.UUIDField(default=gantry.kernel.ids.new_uuid, editable=False, primary_key=True, serialize=False)


def _tenant() -> models.UUIDField[Any, Any]:
    return models.UUIDField(default=gantry.foundation.scope.current_tenant_id, editable=False)


def _parent(to: str) -> models.ForeignKey[Any, Any]:
    return models.ForeignKey(
        db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name="+", to=to
    )


class Migration(migrations.Migration):
    initial = True
    dependencies = [("tenancy", "0003_scopes_support")]
    operations = [
        migrations.CreateModel(
            name="CareTeam",
            fields=[
                ("id", _ID),
                ("tenant_id", _tenant()),
                ("name", models.CharField(max_length=128)),
                ("is_active", models.BooleanField(default=True)),
                ("created_at", models.DateTimeField()),
                ("created_by", models.UUIDField()),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=["tenant_id", "name"], name="care_team_name")],
            },
        ),
        migrations.CreateModel(
            name="CareTeamMember",
            fields=[
                ("id", _ID),
                ("tenant_id", _tenant()),
                ("team", _parent("access.careteam")),
                ("membership", _parent("tenancy.membership")),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=["tenant_id", "team", "membership"], name="care_team_member")
                ],
                "indexes": [models.Index(fields=["tenant_id", "membership"], name="care_team_of_member")],
            },
        ),
        isolate("access_careteam"),
        isolate(
            "access_careteammember",
            parents={"team_id": "access_careteam", "membership_id": "tenancy_membership"},
        ),
    ]
