from django.db import migrations

from gantry.foundation.isolation import definer_function

FED = "select tenant_id from oversight_syslogfeed where is_enabled"


class Migration(migrations.Migration):
    dependencies = [("oversight", "0004_duties_isolation")]
    operations = [
        migrations.RunSQL(
            [
                "create policy across_tenants on oversight_syslogfeed for select to gantry_definer using (true)",
                "grant select (tenant_id, is_enabled) on oversight_syslogfeed to gantry_definer",
            ],
            migrations.RunSQL.noop,
        ),
        definer_function("fed_tenants()", "setof uuid", FED),
    ]
