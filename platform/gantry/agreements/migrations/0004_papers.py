"""The data key of an uploaded paper, wrapped under the tenant's own key."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("agreements", "0003_versions")]
    operations = [
        migrations.AddField("signature", "paper_wrapped_key", models.BinaryField(default=b"", blank=True)),
    ]
