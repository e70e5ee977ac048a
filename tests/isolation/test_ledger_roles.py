"""Who may touch the ledger, and how: asked of the database as each of its roles (reliability.md §9.7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from gantry.audit.line import PLATFORM_LOG
from ledger import connect as connect_in_autocommit
from ledger import enter, insert_event, sequence_all
from world import World, make_world

pytestmark = pytest.mark.usefixtures("database")

LEDGER = (
    "audit_sequence", "audit_patient", "audit_node", "audit_checkpoint", "audit_cosignature", "audit_signature",
    "audit_generation",
)  # fmt: skip
EVENTS = ("audit_auditevent", "audit_platformevent")
KEYS = ("gantry.context_key", "identity_user", "identity_session", "mfa_authenticator")
CHANGES = (
    "update {table} set {column} = {column}",
    "delete from {table}",
    "truncate {table}",
    "truncate {table} cascade",
    "alter table {table} add column mine int",
    "alter table {table} disable trigger all",
    "alter table {table} disable row level security",
    "alter table {table} no force row level security",
    "alter table {table} owner to {role}",
    "drop table {table}",
    "create policy mine on {table} using (true)",
    "create trigger mine before insert on {table} for each row execute function suppress_redundant_updates_trigger()",
    "create rule mine as on insert to {table} do instead nothing",
    "lock table {table} in access exclusive mode",
)
WAYS_AROUND = (
    "set session_replication_role = replica",
    "set role gantry_owner",
    "set role gantry_definer",
    "set session authorization gantry_owner",
    "alter role {role} bypassrls",
    "copy audit_auditevent to program 'cat'",
    "select pg_read_file('/etc/passwd')",
    "select lo_import('/etc/passwd')",
    "create schema mine",
    "create function pg_temp.f() returns int language c as '/lib/x.so', 'f'",
)
ROLES = ("app", "identity", "sequencer", "auditor")


def refused(connection: Any, statement: str) -> bool:
    """Say whether the database refuses a statement for want of rights."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(statement)
    except psycopg.errors.InsufficientPrivilege:
        return True
    return False


@pytest.fixture(scope="module")
def world(database: None) -> World:
    world = make_world()
    sequence_all()
    return world


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("table", [*EVENTS, *LEDGER])
def test_nobody_but_the_owner_changes_what_is_recorded(role: str, table: str) -> None:
    column = "kind" if table in EVENTS else "log_id"
    with connect_in_autocommit(role) as connection:
        for change in CHANGES:
            statement = change.format(table=table, column=column, role=f"gantry_{role}")
            assert refused(connection, statement), statement


@pytest.mark.parametrize("role", ROLES)
def test_nobody_passes_on_what_they_may(role: str) -> None:
    with connect_in_autocommit(role) as connection, connection.transaction(force_rollback=True):
        for table in (*EVENTS, *LEDGER):
            try:
                with connection.transaction():
                    connection.execute(f"grant all on {table} to public")  # a warning, where they may do something
            except psycopg.errors.InsufficientPrivilege:
                continue
        rows = connection.execute(
            "select c.relname from pg_class c, aclexplode(c.relacl) a where a.grantee = 0 and c.relname = any(%s)",
            [[*EVENTS, *LEDGER]],
        ).fetchall()
        assert rows == []


@pytest.mark.parametrize("role", ROLES)
def test_there_is_no_way_around(role: str) -> None:
    with connect_in_autocommit(role) as connection:
        for statement in WAYS_AROUND:
            assert refused(connection, statement.format(role=f"gantry_{role}")), statement


@pytest.mark.parametrize("role", ["app", "sequencer", "auditor"])
@pytest.mark.parametrize("table", KEYS)
def test_key_material_is_not_read(role: str, table: str) -> None:
    with connect_in_autocommit(role) as connection:
        assert refused(connection, f"select * from {table}")


@pytest.mark.parametrize("table", [*EVENTS, "audit_sequence", "audit_patient", "audit_node"])
def test_application_cannot_read_the_ledger(table: str) -> None:
    with connect_in_autocommit("app") as connection:
        for statement in (
            f"select * from {table}",
            f"select count(*) from {table}",
            f"copy {table} to stdout",
            f"insert into {table} select * from {table}",
        ):
            assert refused(connection, statement), statement


@pytest.mark.parametrize("column", ["xid", "recorded_at"])
@pytest.mark.parametrize("table", EVENTS)
@pytest.mark.parametrize("role", ["app", "identity"])
def test_what_the_database_says_of_an_event_nobody_else_says(role: str, table: str, column: str) -> None:
    """An event with a transaction number of its writer's choice would never be numbered."""
    with connect_in_autocommit(role) as connection:
        value = "'1'" if column == "xid" else "now()"
        assert refused(connection, f"insert into {table} (id, {column}) values (gen_random_uuid(), {value})")
        assert refused(connection, f"insert into {table} (id, {column}) values (gen_random_uuid(), default)")


@pytest.mark.parametrize("table", [*LEDGER, "audit_logkey", "audit_sequencer"])
@pytest.mark.parametrize("role", ["app", "identity", "auditor"])
def test_only_the_sequencer_numbers_and_signs(role: str, table: str) -> None:
    with connect_in_autocommit(role) as connection:
        assert refused(connection, f"insert into {table} default values")
        assert refused(connection, f"delete from {table}")


def test_sequencer_adds_no_events_and_reads_no_secrets(world: World) -> None:
    with connect_in_autocommit("sequencer") as connection:
        for statement in (
            "insert into audit_auditevent (id) values (gen_random_uuid())",
            "insert into audit_platformevent (id) values (gen_random_uuid())",
            "insert into audit_signingrequest (id) values (gen_random_uuid())",
            "select sealed from audit_auditevent",
            "select sealed_key_id from audit_auditevent",
            "select * from audit_auditevent",
            "select * from studies_patient",
            "select * from studies_study",
            "select * from tenancy_tenant",
            "select * from audit_accesswindow",
            "update audit_logkey set installation = 'x'",
        ):
            assert refused(connection, statement), statement


def _seen(connection: Any, world: World | None, table: str, column: str) -> set[Any]:
    with connection.transaction(force_rollback=True):
        if world is not None:
            enter(connection, world.tenant_id)
        return {value for (value,) in connection.execute(f"select {column} from {table}")}


@pytest.mark.parametrize(
    ("table", "column"), [("audit_auditevent", "tenant_id"), *[(table, "log_id") for table in LEDGER[:4]]]
)
def test_auditor_sees_one_log_at_a_time(world: World, table: str, column: str) -> None:
    other = make_world()
    with connect_in_autocommit("app") as app, app.transaction():
        insert_event(app, world.tenant_id, patients=[uuid4()])
    sequence_all()
    with connect_in_autocommit("auditor") as auditor:
        assert _seen(auditor, None, table, column) == set()
        assert _seen(auditor, world, table, column) <= {world.tenant_id}
        assert _seen(auditor, other, table, column) <= {other.tenant_id}
        if table in {"audit_auditevent", "audit_sequence", "audit_checkpoint"}:
            assert _seen(auditor, world, table, column) == {world.tenant_id}


def test_auditor_sees_the_platforms_events_in_no_tenants_context(world: World, connect: Callable[[str], Any]) -> None:
    with connect("app") as app:
        app.execute(
            "insert into audit_platformevent (id, occurred_at, kind, action, outcome, correlation_id, detail) "
            "values (%s, now(), 'user_authentication', 'sign_in.failed', 'failure', '', '{}')",
            [uuid4()],
        )
    with connect_in_autocommit("auditor") as auditor:
        assert _seen(auditor, None, "audit_platformevent", "id") == set()
        assert _seen(auditor, world, "audit_platformevent", "id") == set()
        with auditor.transaction(force_rollback=True):
            enter(auditor, PLATFORM_LOG)
            assert auditor.execute("select 1 from audit_platformevent limit 1").fetchone()


def test_application_sees_signatures_of_its_own_tenant_alone(world: World) -> None:
    with connect_in_autocommit("app") as app:
        assert _seen(app, None, "audit_checkpoint", "log_id") == set()
        assert _seen(app, world, "audit_checkpoint", "log_id") == {world.tenant_id}
        assert _seen(app, world, "audit_signature", "log_id") <= {world.tenant_id}


def test_every_table_of_the_sequencer_is_isolated(connect: Callable[[str], Any]) -> None:
    with connect("owner") as owner:
        rows = owner.execute(
            "select c.relname, c.relrowsecurity, c.relforcerowsecurity from pg_attribute a "
            "join pg_class c on c.oid = a.attrelid where a.attname = 'log_id' and c.relkind = 'r'"
        ).fetchall()
    assert {name for name, _, _ in rows} == set(LEDGER)
    assert all(enabled and forced for _, enabled, forced in rows)
