"""Only the identity role reads password hashes, sessions and second factors."""

from django.db import migrations

SQL = """
grant select, insert, update, delete on identity_user, account_emailaddress, account_emailconfirmation,
    mfa_authenticator to gantry_identity;
grant usage on all sequences in schema public to gantry_identity;
grant select (id, email, name, is_active) on identity_user to gantry_app;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("identity", "0001_initial"),
        ("foundation", "0003_isolation"),
        ("account", "__latest__"),
        ("mfa", "__latest__"),
    ]
    operations = [migrations.RunSQL(SQL, migrations.RunSQL.noop)]
