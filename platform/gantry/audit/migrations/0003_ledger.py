"""The ledger: what the sequencer writes beside the events, and who may touch what. See ADR 0015."""

import django.contrib.postgres.fields
from django.db import migrations, models

import gantry.foundation.scope
import gantry.kernel.ids
from gantry.audit.line import PLATFORM_LOG
from gantry.foundation.isolation import isolate

#: The database's own columns. What there is already was written before there was a sequencer.
OWN_COLUMNS = """
alter table {table} add column xid xid8 not null default '3';
alter table {table} alter column xid set default pg_current_xact_id();
alter table {table} add column recorded_at timestamptz;
alter table {table} no force row level security;
update {table} set recorded_at = occurred_at;
alter table {table} alter column recorded_at set not null;
alter table {table} alter column recorded_at set default clock_timestamp();
create index {table}_xid on {table} (xid);
"""

EVENT_COLUMNS = (
    "id, tenant_id, occurred_at, kind, action, outcome, actor_kind, actor_id, role, place, session, correlation_id, "
    "address, activity, purpose, code, clause, agreement_version, data_category, study_id, patient_pseudonym, patients, "
    "institution_id, detail, sealed_sha256"
)
SEALED_COLUMNS = "sealed, sealed_key_id"
PLATFORM_COLUMNS = "id, occurred_at, kind, action, outcome, user_id, correlation_id, detail"

TABLES = f"""
create table audit_sequence (
    log_id uuid not null,
    index bigint not null check (index >= 0),
    event_id uuid not null unique,
    leaf bytea not null check (octet_length(leaf) = 32),
    counters bigint[] not null,
    primary key (log_id, index)
);
create table audit_patient (
    log_id uuid not null,
    pseudonym uuid not null,
    counter bigint not null check (counter >= 1),
    index bigint not null,
    primary key (log_id, pseudonym, counter)
);
create table audit_node (
    log_id uuid not null,
    level smallint not null check (level > 0 and level % 8 = 0),
    index bigint not null,
    hash bytea not null check (octet_length(hash) = 32),
    primary key (log_id, level, index)
);
create table audit_checkpoint (
    log_id uuid not null,
    size bigint not null check (size > 0),
    note text not null,
    created_at timestamptz not null default clock_timestamp(),
    primary key (log_id, size)
);
create table audit_cosignature (
    log_id uuid not null,
    size bigint not null,
    witness text not null,
    line text not null,
    created_at timestamptz not null default clock_timestamp(),
    primary key (log_id, size, witness)
);
create table audit_signature (
    request_id uuid primary key,
    log_id uuid not null,
    note text not null,
    created_at timestamptz not null default clock_timestamp()
);
create table audit_logkey (
    fingerprint text primary key,
    public_key bytea not null check (octet_length(public_key) = 32),
    installation text not null,
    since timestamptz not null default clock_timestamp()
);
create table audit_sequencer (
    id boolean primary key default true check (id),
    system_identifier bigint,
    horizon xid8 not null default '0',
    beat_at timestamptz,
    pending bigint not null default 0,
    oldest_at timestamptz,
    checkpoint_at timestamptz,
    problem text not null default ''
);
insert into audit_sequencer default values;
grant select on audit_logkey, audit_sequencer to gantry_app, gantry_auditor, gantry_sequencer;
grant insert on audit_logkey to gantry_sequencer;
grant update on audit_sequencer to gantry_sequencer;

-- Events: whoever adds them may add their content and nothing else, the sequencer may read it and nothing else.
revoke insert on audit_auditevent from gantry_app;
grant insert ({EVENT_COLUMNS}, {SEALED_COLUMNS}) on audit_auditevent to gantry_app;
grant select ({EVENT_COLUMNS}, xid, recorded_at) on audit_auditevent to gantry_sequencer;
create policy sequencer on audit_auditevent for select to gantry_sequencer using (true);
create policy sequencer on audit_signingrequest for select to gantry_sequencer using (true);
grant select on audit_signingrequest to gantry_sequencer;

-- The platform's events: by the auditor only in the context of the platform's log.
revoke insert on audit_platformevent from gantry_app, gantry_identity;
grant insert ({PLATFORM_COLUMNS}) on audit_platformevent to gantry_app, gantry_identity;
grant select on audit_platformevent to gantry_sequencer;
alter table audit_platformevent enable row level security;
create policy anybody on audit_platformevent for insert to gantry_app, gantry_identity with check (true);
create policy sequencer on audit_platformevent for select to gantry_sequencer using (true);
create policy auditor on audit_platformevent for select to gantry_auditor
    using ((select gantry.current_tenant()) = '{PLATFORM_LOG}');
"""  # noqa: S608 - our own names

#: The sequencer adds to these and reads them; the auditor reads those of one log, by signed context.
LEDGER_TABLES = (
    "audit_sequence", "audit_patient", "audit_node", "audit_checkpoint", "audit_cosignature", "audit_signature",
)  # fmt: skip
LEDGER = """
alter table {table} enable row level security;
alter table {table} force row level security;
grant select, insert on {table} to gantry_sequencer;
grant select on {table} to gantry_auditor;
create policy sequencer on {table} to gantry_sequencer using (true) with check (true);
create policy auditor on {table} for select to gantry_auditor using (log_id = (select gantry.current_tenant()));
"""
FOR_THE_APPLICATION = """
grant select on audit_signature, audit_checkpoint, audit_cosignature to gantry_app;
create policy application on audit_signature for select to gantry_app
    using (log_id = (select gantry.current_tenant()));
create policy application on audit_checkpoint for select to gantry_app
    using (log_id = (select gantry.current_tenant()));
create policy application on audit_cosignature for select to gantry_app
    using (log_id = (select gantry.current_tenant()));
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0002_isolation"), ("foundation", "0003_isolation")]
    operations = [
        migrations.RemoveIndex(model_name="auditevent", name="audit_event_patient"),
        migrations.AddField("auditevent", "address", models.CharField(blank=True, default="", max_length=64)),
        migrations.AlterField("auditevent", "address", models.CharField(blank=True, max_length=64)),
        migrations.AddField(
            "auditevent",
            "patients",
            django.contrib.postgres.fields.ArrayField(base_field=models.UUIDField(), default=list, size=None),
        ),
        migrations.AddField("auditevent", "sealed", models.BinaryField(null=True)),
        migrations.AddField("auditevent", "sealed_key_id", models.UUIDField(null=True)),
        migrations.AddField("auditevent", "sealed_sha256", models.CharField(blank=True, default="", max_length=64)),
        migrations.AlterField("auditevent", "sealed_sha256", models.CharField(blank=True, max_length=64)),
        migrations.CreateModel(
            name="SigningRequest",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=gantry.kernel.ids.new_uuid, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("tenant_id", models.UUIDField(default=gantry.foundation.scope.current_tenant_id, editable=False)),
                ("kind", models.CharField(max_length=16)),
                ("digest", models.CharField(blank=True, max_length=64)),
                ("pseudonym", models.UUIDField(null=True)),
                ("size", models.BigIntegerField(null=True)),
                ("requested_at", models.DateTimeField()),
            ],
            options={"abstract": False},
        ),
        isolate("audit_signingrequest", grants="select, insert"),
        migrations.RunSQL(OWN_COLUMNS.format(table="audit_auditevent"), migrations.RunSQL.noop),
        migrations.RunSQL("alter table audit_auditevent force row level security", migrations.RunSQL.noop),
        migrations.RunSQL(OWN_COLUMNS.format(table="audit_platformevent"), migrations.RunSQL.noop),
        migrations.RunSQL(TABLES, migrations.RunSQL.noop),
        *[migrations.RunSQL(LEDGER.format(table=table), migrations.RunSQL.noop) for table in LEDGER_TABLES],
        migrations.RunSQL(FOR_THE_APPLICATION, migrations.RunSQL.noop),
    ]
