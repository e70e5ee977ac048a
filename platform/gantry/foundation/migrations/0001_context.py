"""The schema of functions that bind a transaction to a tenant. See ADR 0003."""

from django.db import migrations

SQL = """
create schema gantry;
grant usage on schema gantry to gantry_app, gantry_identity, gantry_sequencer, gantry_auditor;
-- A function's new owner must hold CREATE on its schema; the role has no login.
grant usage, create on schema gantry to gantry_definer;
revoke create on schema public from public;

create table gantry.context_key (
    id boolean primary key default true check (id),
    inner_pad bytea not null check (octet_length(inner_pad) = 64),
    outer_pad bytea not null check (octet_length(outer_pad) = 64)
);
revoke all on gantry.context_key from public;

create function gantry.current_context() returns text[]
language plpgsql stable parallel restricted security definer
set search_path = pg_catalog, pg_temp as $$
declare
    context text := nullif(current_setting('gantry.context', true), '');
    parts text[];
    message text;
    expected bytea;
begin
    if context is null then return null; end if;
    parts := string_to_array(context, '|');
    if array_length(parts, 1) is distinct from 5 then return null; end if;
    if parts[3] is distinct from pg_backend_pid()::text then return null; end if;
    message := parts[1] || '|' || parts[2] || '|' || parts[3] || '|' || parts[4];
    select sha256(outer_pad || sha256(inner_pad || convert_to(message, 'UTF8')))
        into expected from gantry.context_key;
    -- Both sides are hashed once more, so that comparing them leaks nothing about the right one.
    if expected is null or sha256(expected) is distinct from sha256(decode(
        case when parts[5] ~ '^[0-9a-f]{64}$' then parts[5] else '' end, 'hex')) then return null; end if;
    if parts[4]::bigint < extract(epoch from transaction_timestamp()) then return null; end if;
    return parts;
end $$;

create function gantry.current_tenant() returns uuid
language sql stable parallel restricted security definer
set search_path = pg_catalog, pg_temp as $$ select ((gantry.current_context())[1])::uuid $$;

create function gantry.current_actor() returns uuid
language sql stable parallel restricted security definer
set search_path = pg_catalog, pg_temp as $$ select ((gantry.current_context())[2])::uuid $$;

revoke all on function gantry.current_context() from public;
revoke all on function gantry.current_tenant() from public;
revoke all on function gantry.current_actor() from public;
grant execute on function gantry.current_tenant() to gantry_app, gantry_identity, gantry_sequencer, gantry_auditor;
grant execute on function gantry.current_actor() to gantry_app;
"""


class Migration(migrations.Migration):
    initial = True
    operations = [migrations.RunSQL(SQL, "drop schema gantry cascade")]
