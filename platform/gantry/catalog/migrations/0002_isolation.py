from django.db import migrations

from gantry.foundation.isolation import isolate


class Migration(migrations.Migration):
    dependencies = [("catalog", "0001_initial"), ("foundation", "0003_isolation")]
    operations = [isolate("catalog_deployment")]
