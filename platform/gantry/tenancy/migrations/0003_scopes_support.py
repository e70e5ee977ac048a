import django.contrib.postgres.fields
from django.db import migrations, models

import gantry.foundation.scope
import gantry.kernel.ids
from gantry.foundation.isolation import definer_function, isolate

FIND_TOKEN = """
    select t.slug::text, a.id, m.user_id, t.id, coalesce(m.role, a.role)::text, t.networks::text,
        case when m.id is not null then array(
                select mi.institution_id from tenancy_membershipinstitution mi
                where mi.tenant_id = m.tenant_id and mi.membership_id = m.id)
            when a.institution_id is null then array[]::uuid[] else array[a.institution_id] end,
        a.scopes::text[], k.id, k.last_used_at
    from tenancy_accesstoken k
    join tenancy_serviceaccount a on a.tenant_id = k.tenant_id and a.id = k.account_id
    join tenancy_tenant t on t.id = k.tenant_id
    left join tenancy_membership m on m.tenant_id = a.tenant_id and m.id = a.membership_id
    where k.digest = $1 and k.revoked_at is null and k.expires_at > now() and a.is_active
      and (a.membership_id is null or m.is_active)
"""
FIND_SUPPORT = """
    select t.id, t.networks::text, s.consents::text[]
    from tenancy_tenant t join tenancy_supportsession s on s.tenant_id = t.id
    where t.slug = $1 and s.operator_id = $2 and s.ended_at is null and s.expires_at > now()
"""


class Migration(migrations.Migration):
    dependencies = [("tenancy", "0002_isolation")]
    operations = [
        migrations.AddField(
            model_name="serviceaccount",
            name="scopes",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=32), null=True, size=None
            ),
        ),
        migrations.AddField(model_name="accesstoken", name="last_used_at", field=models.DateTimeField(null=True)),
        migrations.CreateModel(
            name="SupportSession",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=gantry.kernel.ids.new_uuid, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("tenant_id", models.UUIDField(default=gantry.foundation.scope.current_tenant_id, editable=False)),
                ("operator_id", models.UUIDField()),
                ("operator_name", models.CharField(max_length=128)),
                ("reason", models.CharField(max_length=500)),
                (
                    "requested",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=32), default=list, size=None
                    ),
                ),
                (
                    "consents",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=32), default=list, size=None
                    ),
                ),
                ("consented_by", models.UUIDField(null=True)),
                ("consented_at", models.DateTimeField(null=True)),
                ("opened_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                ("ended_by", models.UUIDField(null=True)),
            ],
            options={
                "indexes": [
                    models.Index(fields=["operator_id"], name="support_operator"),
                    models.Index(fields=["tenant_id", "-opened_at"], name="support_opened"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("ended_at", None)),
                        fields=("tenant_id", "operator_id"),
                        name="support_one_open",
                    )
                ],
            },
        ),
        isolate(
            "tenancy_supportsession",
            grants="select, insert, update",
            definer_columns=["tenant_id", "operator_id", "consents", "ended_at", "expires_at"],
        ),
        migrations.RunSQL(
            [
                "grant select (scopes) on tenancy_serviceaccount to gantry_definer",
                "grant select (last_used_at) on tenancy_accesstoken to gantry_definer",
                "drop function gantry.find_token(bytea)",
            ],
            migrations.RunSQL.noop,
        ),
        definer_function(
            "find_token(digest bytea)",
            "table (slug text, account_id uuid, user_id uuid, tenant_id uuid, role text, networks text, "
            "institutions uuid[], scopes text[], token_id uuid, last_used_at timestamptz)",
            FIND_TOKEN,
        ),
        definer_function(
            "find_support(slug text, operator_id uuid)",
            "table (tenant_id uuid, networks text, consents text[])",
            FIND_SUPPORT,
        ),
    ]
