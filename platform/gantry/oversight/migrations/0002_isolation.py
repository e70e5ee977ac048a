from django.db import migrations

from gantry.foundation.isolation import isolate


class Migration(migrations.Migration):
    dependencies = [("oversight", "0001_initial"), ("foundation", "0003_isolation")]
    operations = [isolate("oversight_auditexport"), isolate("oversight_syslogfeed")]
