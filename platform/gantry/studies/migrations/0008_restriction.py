from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("studies", "0007_grants")]
    operations = [
        migrations.AddField(model_name="patient", name="restricted_at", field=models.DateTimeField(null=True))
    ]
