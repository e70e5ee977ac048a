"""Versions with content, signatures and steps; what left draft is never changed, by the database's own hand (ADR 0014)."""

from typing import Any

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import gantry.foundation.scope
import gantry.kernel.ids
from gantry.foundation.isolation import definer_function, isolate

STATUSES = [
    "draft", "reviewed", "countersigning", "signed", "in_force", "suspended", "superseded", "terminated", "expired",
    "withdrawn",
]  # fmt: skip
STEPS = [
    "edit", "review", "sign", "countersign", "enter", "enter_suspended", "suspend", "resume", "supersede", "terminate",
    "expire", "withdraw",
]  # fmt: skip


def _choices(words: list[str]) -> list[tuple[str, str]]:
    return [(word, word) for word in words]


def _owned() -> list[tuple[str, Any]]:
    return [
        (
            "id",
            models.UUIDField(default=gantry.kernel.ids.new_uuid, editable=False, primary_key=True, serialize=False),
        ),
        ("tenant_id", models.UUIDField(default=gantry.foundation.scope.current_tenant_id, editable=False)),
    ]


def _of_agreement() -> models.ForeignKey[Any, Any]:
    return models.ForeignKey(
        db_constraint=False,
        on_delete=django.db.models.deletion.DO_NOTHING,
        related_name="+",
        to="agreements.agreement",
    )


#: What was signed before agreements named regions and sub-processors was signed for where the data lay then, and
#: for the models that shipped with the platform.
CARRY_OVER = """
update agreements_agreement set
    template = 'custom',
    created_at = coalesce(signed_at, now()),
    created_by = coalesce(signed_by, '00000000-0000-4000-8000-000000000001'),
    ended_at = case when status = 'terminated' then now() end,
    disposition = case when status = 'terminated' then 'delete' else '' end,
    content = jsonb_build_object(
        'title', title,
        'template', 'custom',
        'controller', jsonb_build_object('name', '', 'address', '', 'contact', ''),
        'processor', jsonb_build_object('name', '', 'address', '', 'contact', ''),
        'sections', '[]'::jsonb,
        'effective_from', null,
        'duration_days', 365,
        'terms', jsonb_build_object(
            'boundary', jsonb_build_object('value', boundary, 'clause', boundary_clause),
            'viewing', jsonb_build_object('places', viewing_places, 'clause', viewing_clause),
            'regions', jsonb_build_object('names', jsonb_build_array(%s::text), 'clause', boundary_clause),
            'permissions', permissions,
            'sub_processors', jsonb_build_object(
                'clause', boundary_clause,
                'list', (
                    select coalesce(jsonb_agg(jsonb_build_object(
                        'name', 'Gantry project', 'clause', permission->>'clause', 'task', 'Models that ship with the platform',
                        'activities', jsonb_build_array('infer'), 'categories', permission->'categories',
                        'regions', jsonb_build_array(%s::text), 'address', '')), '[]'::jsonb)
                    from (
                        select permission from jsonb_array_elements(permissions) permission
                        where permission->>'activity' = 'infer' limit 1
                    ) found
                )
            ),
            'retention', '{}'::jsonb,
            'transfers', '[]'::jsonb,
            'breach', jsonb_build_object(
                'clause', '', 'processor_within_h', 24, 'authority_within_h', 72, 'authority', '',
                'controller_contact', '', 'processor_contact', ''),
            'end', jsonb_build_object('clause', '', 'return_within_days', 30, 'delete_within_days', 60)
        )
    )
"""
CARRY_SIGNATURES = """
insert into agreements_signature (
    id, tenant_id, agreement_id, side, name, function, method, document_sha256, signed_at, recorded_by, session,
    paper_sha256, paper_size_bytes)
select gen_random_uuid(), tenant_id, id, 'controller', 'Signed before signatories were named', '', 'accepted', '',
    signed_at, signed_by, '', '', 0
from agreements_agreement where signed_by is not null and signed_at is not null
"""


def carry_over(_apps: Any, schema_editor: Any) -> None:
    """Turn the columns of the first versions into content, and their one signature into a row."""
    tables = ("agreements_agreement", "agreements_signature")
    for table in tables:
        # The owner has no tenant: for once, and within this transaction, it sees all of them.
        schema_editor.execute(f"alter table {table} no force row level security")
    schema_editor.execute(CARRY_OVER, [settings.REGION, settings.REGION])
    schema_editor.execute(CARRY_SIGNATURES)
    for table in tables:
        schema_editor.execute(f"alter table {table} force row level security")


GUARDS = """
create function gantry.guard_agreement() returns trigger language plpgsql
set search_path = pg_catalog, public, pg_temp as $$
begin
    if tg_op = 'DELETE' then
        raise exception 'agreements are never deleted' using errcode = 'check_violation';
    end if;
    if tg_op = 'INSERT' then
        if new.status <> 'draft' or new.document_sha256 <> '' or new.disposition <> ''
            or new.valid_from is not null or new.valid_until is not null or new.ended_at is not null then
            raise exception 'an agreement begins as a draft' using errcode = 'check_violation';
        end if;
        return new;
    end if;
    if (new.id, new.tenant_id, new.version, new.amends_id, new.created_at, new.created_by)
        is distinct from (old.id, old.tenant_id, old.version, old.amends_id, old.created_at, old.created_by) then
        raise exception 'what a version is never changes' using errcode = 'check_violation';
    end if;
    if old.status <> 'draft' and (new.content, new.title, new.template, new.revision, new.document_sha256)
        is distinct from (old.content, old.title, old.template, old.revision, old.document_sha256) then
        raise exception 'what a version says is fixed when it leaves draft' using errcode = 'check_violation';
    end if;
    if old.valid_from is not null
        and (new.valid_from, new.valid_until) is distinct from (old.valid_from, old.valid_until) then
        raise exception 'the time of a signed version is fixed' using errcode = 'check_violation';
    end if;
    if old.valid_from is null and new.valid_from is not null and new.status <> 'signed' then
        raise exception 'a version has its time from its signatures' using errcode = 'check_violation';
    end if;
    if (old.ended_at is not null and new.ended_at is distinct from old.ended_at)
        or (old.disposition <> '' and new.disposition <> old.disposition) then
        raise exception 'the end of a version is fixed' using errcode = 'check_violation';
    end if;
    if new.status <> old.status and not (old.status || ' ' || new.status = any (array[
        'draft reviewed', 'reviewed countersigning', 'countersigning signed', 'signed in_force', 'signed suspended',
        'in_force suspended', 'suspended in_force', 'in_force superseded', 'suspended superseded',
        'in_force terminated', 'suspended terminated', 'in_force expired', 'suspended expired',
        'draft withdrawn', 'reviewed withdrawn', 'countersigning withdrawn', 'signed withdrawn'])) then
        raise exception 'no such step' using errcode = 'check_violation';
    end if;
    if new.status <> old.status and new.status = 'reviewed' and new.document_sha256 !~ '^[0-9a-f]{64}$' then
        raise exception 'a reviewed version has the hash of its document' using errcode = 'check_violation';
    end if;
    if new.status <> old.status and new.status in ('countersigning', 'signed') and (
        select count(distinct side) from public.agreements_signature signature
        where signature.tenant_id = new.tenant_id and signature.agreement_id = new.id
            and signature.document_sha256 = new.document_sha256
    ) < (case new.status when 'signed' then 2 else 1 end) then
        raise exception 'the signatures are missing' using errcode = 'check_violation';
    end if;
    return new;
end $$;
revoke all on function gantry.guard_agreement() from public;
create trigger guard before insert or update or delete on agreements_agreement
    for each row execute function gantry.guard_agreement();

create function gantry.guard_signature() returns trigger language plpgsql
set search_path = pg_catalog, public, pg_temp as $$
begin
    if tg_op <> 'INSERT' then
        raise exception 'signatures are never changed' using errcode = 'check_violation';
    end if;
    if not exists (
        select 1 from public.agreements_agreement agreement
        where agreement.tenant_id = new.tenant_id and agreement.id = new.agreement_id
            and agreement.status in ('reviewed', 'countersigning')
            and agreement.document_sha256 = new.document_sha256
    ) then
        raise exception 'there is nothing to sign here' using errcode = 'check_violation';
    end if;
    return new;
end $$;
revoke all on function gantry.guard_signature() from public;
create trigger guard before insert or update or delete on agreements_signature
    for each row execute function gantry.guard_signature();
"""

#: What a periodic look has to do: put in force, expire, remind.
DUE = """
select tenant_id, id from public.agreements_agreement
where (status = 'signed' and valid_from <= now())
    or (status in ('in_force', 'suspended') and valid_until <= now())
    or (status in ('in_force', 'suspended') and valid_until <= now() + interval '90 days'
        and coalesce(reminded_days, 91) > extract(day from valid_until - now()))
"""
DUE_NOTICES = """
select tenant_id, id from public.agreements_transfernotice
where given_on is null and due_on <= (now() + interval '2 days')::date
    and (reminded_at is null or reminded_at <= now() - interval '1 day')
"""

_COLUMNS: list[tuple[str, Any]] = [
    ("template", models.CharField(max_length=32, default="custom")),
    ("content", models.JSONField(default=dict)),
    ("revision", models.PositiveIntegerField(default=1)),
    ("document_sha256", models.CharField(max_length=64, blank=True, default="")),
    ("created_at", models.DateTimeField(null=True)),
    ("created_by", models.UUIDField(null=True)),
    ("ended_at", models.DateTimeField(null=True)),
    ("disposition", models.CharField(max_length=8, blank=True, default="", choices=_choices(["return", "delete"]))),
    ("reminded_days", models.PositiveSmallIntegerField(null=True)),
]
_FINAL: list[tuple[str, Any]] = [
    ("template", models.CharField(max_length=32)),
    ("content", models.JSONField()),
    ("document_sha256", models.CharField(max_length=64, blank=True)),
    ("created_at", models.DateTimeField()),
    ("created_by", models.UUIDField()),
    ("disposition", models.CharField(max_length=8, blank=True, choices=_choices(["return", "delete"]))),
    ("status", models.CharField(max_length=16, choices=_choices(STATUSES))),
]
_OLD = (
    "boundary", "boundary_clause", "viewing_places", "viewing_clause", "permissions", "signed_by", "signed_at",
)  # fmt: skip


class Migration(migrations.Migration):
    dependencies = [("agreements", "0002_isolation")]
    operations = [
        *[migrations.AddField("agreement", name, field) for name, field in _COLUMNS],
        migrations.AddField(
            "agreement",
            "amends",
            models.ForeignKey(
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="agreements.agreement",
            ),
        ),
        migrations.CreateModel(
            name="Signature",
            fields=[
                *_owned(),
                ("agreement", _of_agreement()),
                ("side", models.CharField(max_length=16, choices=_choices(["controller", "processor"]))),
                ("name", models.CharField(max_length=200)),
                ("function", models.CharField(max_length=200, blank=True)),
                ("method", models.CharField(max_length=16)),
                ("document_sha256", models.CharField(max_length=64)),
                ("signed_at", models.DateTimeField()),
                ("recorded_by", models.UUIDField()),
                ("session", models.CharField(max_length=64, blank=True)),
                ("paper_sha256", models.CharField(max_length=64, blank=True)),
                ("paper_object_id", models.UUIDField(null=True)),
                ("paper_size_bytes", models.PositiveIntegerField(default=0)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("tenant_id", "agreement", "side"), name="signature_side")
                ]
            },
        ),
        migrations.CreateModel(
            name="AgreementStep",
            fields=[
                *_owned(),
                ("agreement", _of_agreement()),
                ("step", models.CharField(max_length=16, choices=_choices(STEPS))),
                ("from_status", models.CharField(max_length=16)),
                ("to_status", models.CharField(max_length=16)),
                ("at", models.DateTimeField()),
                ("actor_id", models.UUIDField()),
                ("reason", models.CharField(max_length=500, blank=True)),
            ],
            options={"indexes": [models.Index(fields=["tenant_id", "agreement", "at"], name="agreement_steps")]},
        ),
        migrations.CreateModel(
            name="TransferNotice",
            fields=[
                *_owned(),
                ("agreement", _of_agreement()),
                ("recipient", models.CharField(max_length=200)),
                ("region", models.CharField(max_length=32)),
                ("signed_on", models.DateField()),
                ("due_on", models.DateField()),
                ("given_on", models.DateField(null=True)),
                ("reference", models.CharField(max_length=100, blank=True)),
                ("recorded_by", models.UUIDField(null=True)),
                ("reminded_at", models.DateTimeField(null=True)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("tenant_id", "agreement", "recipient", "region"), name="transfer_notice_recipient"
                    )
                ]
            },
        ),
        migrations.RunPython(carry_over, migrations.RunPython.noop),
        *[migrations.RemoveField("agreement", name) for name in _OLD],
        *[migrations.AlterField("agreement", name, field) for name, field in _FINAL],
        migrations.RunSQL(
            [
                (
                    "alter table agreements_agreement add constraint agreements_agreement_amends_id_parent "
                    "foreign key (tenant_id, amends_id) references agreements_agreement (tenant_id, id)"
                ),
                "create policy across_tenants on agreements_agreement for select to gantry_definer using (true)",
                (
                    "grant select (id, tenant_id, status, valid_from, valid_until, reminded_days) on "
                    "agreements_agreement to gantry_definer"
                ),
            ],
            migrations.RunSQL.noop,
        ),
        isolate("agreements_signature", parents={"agreement_id": "agreements_agreement"}, grants="select, insert"),
        isolate("agreements_agreementstep", parents={"agreement_id": "agreements_agreement"}, grants="select, insert"),
        isolate(
            "agreements_transfernotice",
            parents={"agreement_id": "agreements_agreement"},
            grants="select, insert, update",
            definer_columns=("id", "tenant_id", "given_on", "due_on", "reminded_at"),
        ),
        migrations.RunSQL(GUARDS, migrations.RunSQL.noop),
        definer_function("due_agreements()", "table (tenant_id uuid, agreement_id uuid)", DUE),
        definer_function("due_transfer_notices()", "table (tenant_id uuid, notice_id uuid)", DUE_NOTICES),
    ]
