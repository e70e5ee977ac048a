from django.db import migrations, models

FIELDS = ("tenant_id", "user", "permission", "content_object", "valid_until")


class Migration(migrations.Migration):
    dependencies = [("studies", "0002_isolation")]
    operations = [
        migrations.RemoveConstraint(model_name="studygrant", name="study_grant"),
        migrations.AddConstraint(
            model_name="studygrant", constraint=models.UniqueConstraint(fields=FIELDS, name="study_grant")
        ),
    ]
