from django.db import migrations

from gantry.foundation.isolation import isolate


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial"), ("foundation", "0003_isolation")]
    operations = [
        # The application adds events and can do nothing else to them, not even read.
        isolate("audit_auditevent", grants="insert"),
        isolate("audit_accesswindow", grants="select, insert"),
        migrations.RunSQL(
            [
                "grant insert on audit_platformevent to gantry_app, gantry_identity",
                "grant select on audit_auditevent, audit_platformevent to gantry_auditor",
                # The auditor, too, sees one tenant at a time, by signed context.
                (
                    "create policy auditor on audit_auditevent for select to gantry_auditor "
                    "using (tenant_id = (select gantry.current_tenant()))"
                ),
            ],
            migrations.RunSQL.noop,
        ),
    ]
