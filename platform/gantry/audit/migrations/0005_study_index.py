from django.db import migrations, models


class Migration(migrations.Migration):
    """To whom a study's results were shown is read from its own events, however many the log has."""

    dependencies = [("audit", "0004_generations")]
    operations = [
        migrations.AddIndex(
            "auditevent", models.Index(fields=["tenant_id", "study_id", "occurred_at"], name="audit_event_study")
        ),
    ]
