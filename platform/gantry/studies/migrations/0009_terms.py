import django.db.models.deletion
from django.db import migrations, models

import gantry.foundation.scope
import gantry.kernel.ids
from gantry.foundation.isolation import isolate


class Migration(migrations.Migration):
    dependencies = [("studies", "0008_restriction")]
    operations = [
        migrations.CreateModel(
            name="StudyTerm",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=gantry.kernel.ids.new_uuid, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("tenant_id", models.UUIDField(default=gantry.foundation.scope.current_tenant_id, editable=False)),
                ("kind", models.CharField(max_length=1)),
                ("term", models.CharField(db_collation="C", max_length=512)),
                (
                    "study",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="studies.study",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("tenant_id", "kind", "term", "study"), name="study_term")
                ],
                "indexes": [models.Index(fields=["tenant_id", "study"], name="study_term_study")],
            },
        ),
        isolate("studies_studyterm", parents={"study_id": "studies_study"}, grants="select, insert, delete"),
    ]
