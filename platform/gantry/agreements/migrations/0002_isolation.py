from django.db import migrations

from gantry.foundation.isolation import isolate


class Migration(migrations.Migration):
    dependencies = [("agreements", "0001_initial"), ("foundation", "0003_isolation")]
    operations = [isolate("agreements_agreement", grants="select, insert, update")]
