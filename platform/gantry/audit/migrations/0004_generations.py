from django.db import migrations

#: A restore that lost events makes a log shorter than its last checkpoint: it goes on under another name.
SQL = """
create table audit_generation (
    log_id uuid not null,
    generation integer not null check (generation > 0),
    size bigint not null check (size >= 0),
    lost_size bigint not null,
    reason text not null,
    created_at timestamptz not null default clock_timestamp(),
    primary key (log_id, generation)
);
alter table audit_generation enable row level security;
alter table audit_generation force row level security;
grant select, insert on audit_generation to gantry_sequencer;
grant select on audit_generation to gantry_auditor, gantry_app;
create policy sequencer on audit_generation to gantry_sequencer using (true) with check (true);
create policy readers on audit_generation for select to gantry_auditor, gantry_app
    using (log_id = (select gantry.current_tenant()));
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0003_ledger")]
    operations = [migrations.RunSQL(SQL, migrations.RunSQL.noop)]
