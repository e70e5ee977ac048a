from django.db import migrations

from gantry.foundation.isolation import isolate

QUEUE_GRANTS = """
grant select, insert, update, delete on
    procrastinate_jobs, procrastinate_events, procrastinate_periodic_defers, procrastinate_workers to gantry_app;
grant usage on all sequences in schema public to gantry_app;
grant select on django_content_type, auth_permission to gantry_app, gantry_identity;
grant select on django_migrations to gantry_app;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("foundation", "0002_initial"),
        ("procrastinate", "__latest__"),
        ("auth", "__latest__"),
        ("contenttypes", "__latest__"),
    ]
    operations = [
        isolate("foundation_stream"),
        isolate("foundation_streamevent", parents={"stream_id": "foundation_stream"}, grants="select, insert"),
        migrations.RunSQL(QUEUE_GRANTS, migrations.RunSQL.noop),
    ]
