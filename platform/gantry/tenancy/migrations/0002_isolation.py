from typing import Any

from django.db import migrations

from gantry.foundation.isolation import definer_function, isolate

TENANT: list[Any] = [
    "alter table tenancy_tenant enable row level security",
    "alter table tenancy_tenant force row level security",
    (
        "create policy tenant on tenancy_tenant to gantry_app, gantry_owner "
        "using (id = (select gantry.current_tenant())) with check (id = (select gantry.current_tenant()))"
    ),
    "grant select, insert, update on tenancy_tenant to gantry_app",
    "create policy across_tenants on tenancy_tenant for select to gantry_definer using (true)",
    "grant select (id, slug, name, networks) on tenancy_tenant to gantry_definer",
]

# Whoever calls these has proven who they are (a session's person, a token's secret) and learns only
# what they may be within the tenant they named.
FIND_MEMBER = """
    select t.id, m.role::text, t.networks::text, array(
        select mi.institution_id from tenancy_membershipinstitution mi
        where mi.tenant_id = m.tenant_id and mi.membership_id = m.id)
    from tenancy_tenant t join tenancy_membership m on m.tenant_id = t.id
    where t.slug = $1 and m.user_id = $2 and m.is_active
"""
MEMBERSHIPS_OF = """
    select t.id, t.slug::text, t.name::text, m.role::text
    from tenancy_membership m join tenancy_tenant t on t.id = m.tenant_id
    where m.user_id = $1 and m.is_active
"""
FIND_TOKEN = """
    select t.slug::text, a.id, m.user_id, t.id, coalesce(m.role, a.role)::text, t.networks::text,
        case when m.id is not null then array(
                select mi.institution_id from tenancy_membershipinstitution mi
                where mi.tenant_id = m.tenant_id and mi.membership_id = m.id)
            when a.institution_id is null then array[]::uuid[] else array[a.institution_id] end
    from tenancy_accesstoken k
    join tenancy_serviceaccount a on a.tenant_id = k.tenant_id and a.id = k.account_id
    join tenancy_tenant t on t.id = k.tenant_id
    left join tenancy_membership m on m.tenant_id = a.tenant_id and m.id = a.membership_id
    where k.digest = $1 and k.revoked_at is null and k.expires_at > now() and a.is_active
      and (a.membership_id is null or m.is_active)
"""


class Migration(migrations.Migration):
    dependencies = [("tenancy", "0001_initial"), ("foundation", "0003_isolation"), ("identity", "0002_grants")]
    operations = [
        migrations.RunSQL(TENANT, migrations.RunSQL.noop),
        isolate("tenancy_institution"),
        isolate("tenancy_membership", definer_columns=["tenant_id", "id", "user_id", "role", "is_active"]),
        isolate(
            "tenancy_membershipinstitution",
            parents={"membership_id": "tenancy_membership", "institution_id": "tenancy_institution"},
            definer_columns=["tenant_id", "membership_id", "institution_id"],
        ),
        isolate(
            "tenancy_serviceaccount",
            parents={"institution_id": "tenancy_institution", "membership_id": "tenancy_membership"},
            definer_columns=["tenant_id", "id", "role", "institution_id", "membership_id", "is_active"],
        ),
        isolate(
            "tenancy_accesstoken",
            parents={"account_id": "tenancy_serviceaccount"},
            definer_columns=["tenant_id", "id", "account_id", "digest", "revoked_at", "expires_at"],
        ),
        definer_function(
            "find_member(slug text, user_id uuid)",
            "table (tenant_id uuid, role text, networks text, institutions uuid[])",
            FIND_MEMBER,
        ),
        definer_function(
            "memberships_of(user_id uuid)", "table (tenant_id uuid, slug text, name text, role text)", MEMBERSHIPS_OF
        ),
        definer_function(
            "find_token(digest bytea)",
            "table (slug text, account_id uuid, user_id uuid, tenant_id uuid, role text, networks text, institutions uuid[])",
            FIND_TOKEN,
        ),
        definer_function("tenant_ids()", "setof uuid", "select id from tenancy_tenant"),
        definer_function(
            "find_tenant(slug text)", "uuid", "select id from tenancy_tenant where tenancy_tenant.slug = $1"
        ),
    ]
