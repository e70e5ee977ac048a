"""Every owned table, as the system catalogue sees it: no table is isolated by promise."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps

from gantry.foundation.models import TenantModel

pytestmark = pytest.mark.usefixtures("database")

PLATFORM = Path(__file__).resolve().parents[2] / "platform" / "gantry"
OWNED = sorted(model._meta.db_table for model in apps.get_models() if issubclass(model, TenantModel))


def _one(connection: Any, query: str, *parameters: object) -> Any:
    return connection.execute(query, parameters).fetchall()


@pytest.fixture(scope="module")
def owner(connect: Callable[[str], Any]) -> Any:
    with connect("owner") as connection:
        yield connection


def test_every_table_with_a_tenant_is_an_owned_model(owner: Any) -> None:
    rows = _one(
        owner,
        "select table_name from information_schema.columns where column_name = 'tenant_id' and table_schema = 'public'",
    )
    assert sorted(name for (name,) in rows) == OWNED


@pytest.mark.parametrize("table", OWNED)
def test_owned_table_is_isolated(owner: Any, table: str) -> None:
    ((enabled, forced),) = _one(
        owner, "select relrowsecurity, relforcerowsecurity from pg_class where oid = %s::regclass", table
    )
    assert (enabled, forced) == (True, True)
    policies = _one(
        owner, "select cmd, qual, with_check from pg_policies where tablename = %s and 'gantry_app' = any(roles)", table
    )
    assert policies, "no policy for the application role"
    for command, using, check in policies:
        assert command == "ALL"
        assert "gantry.current_tenant()" in using
        assert "gantry.current_tenant()" in check


@pytest.mark.parametrize("table", OWNED)
def test_unique_keys_hold_the_tenant(owner: Any, table: str) -> None:
    rows = _one(
        owner,
        "select i.indexrelid::regclass::text, i.indisprimary, array(select a.attname::text from unnest(i.indkey) k "
        "join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k) "
        "from pg_index i where i.indrelid = %s::regclass and i.indisunique",
        table,
    )
    for name, is_primary, columns in rows:
        assert columns == ["id"] if is_primary else "tenant_id" in columns, name


@pytest.mark.parametrize("table", OWNED)
def test_foreign_keys_between_owned_tables_are_composite(owner: Any, table: str) -> None:
    rows = _one(
        owner,
        "select conname, confrelid::regclass::text, array(select a.attname::text from unnest(conkey) k "
        "join pg_attribute a on a.attrelid = conrelid and a.attnum = k) "
        "from pg_constraint where contype = 'f' and conrelid = %s::regclass",
        table,
    )
    for name, parent, columns in rows:
        if parent in OWNED:
            assert "tenant_id" in columns, name


def test_every_parent_column_has_its_composite_key(owner: Any) -> None:
    missing = []
    for model in apps.get_models():
        if not issubclass(model, TenantModel):
            continue
        for field in model._meta.concrete_fields:
            parent = field.related_model
            if not isinstance(parent, type) or not issubclass(parent, TenantModel):
                continue
            rows = _one(
                owner,
                "select 1 from pg_constraint where contype = 'f' and conrelid = %s::regclass and confrelid = %s::regclass "
                "and array_length(conkey, 1) = 2",
                model._meta.db_table,
                parent._meta.db_table,
            )
            if not rows:
                missing.append(f"{model._meta.db_table}.{field.column}")
    assert not missing


def test_roles_have_no_way_around(owner: Any) -> None:
    rows = _one(
        owner,
        "select rolname from pg_roles where rolname like 'gantry_%%' and (rolsuper or rolbypassrls or rolcreaterole)",
    )
    assert rows == []


def test_definer_functions_pin_their_search_path(owner: Any) -> None:
    rows = _one(
        owner,
        "select proname from pg_proc p join pg_namespace n on n.oid = p.pronamespace where prosecdef and nspname in "
        "('gantry', 'public') and not exists (select 1 from unnest(coalesce(proconfig, '{}')) c where c like 'search_path=%%')",
    )
    assert rows == []


def test_no_materialised_views_and_no_owner_rights_views(owner: Any) -> None:
    rows = _one(
        owner,
        "select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace "
        "where n.nspname in ('public', 'gantry') and c.relkind in ('m', 'v')",
    )
    assert rows == []


#: What the application compares owned columns with. Under row-level security an operator that is not leakproof becomes a
#: filter after all of the tenant's rows were read (reliability.md §2.1, item 7).
COMPARED = [
    ("uuid", "=", "uuid"), ("text", "=", "text"), ("text", "<", "text"), ("text", ">=", "text"),
    ("int4", "=", "int4"), ("int8", "=", "int8"), ("int8", ">", "int8"), ("bool", "=", "bool"),
    ("date", ">=", "date"), ("date", "<=", "date"), ("bytea", "=", "bytea"), ("bytea", ">=", "bytea"),
    ("timestamptz", "<", "timestamptz"), ("timestamptz", ">", "timestamptz"), ("timestamptz", "<=", "timestamptz"),
]  # fmt: skip


@pytest.mark.parametrize(("left", "operator", "right"), COMPARED)
def test_operators_that_searches_stand_on_are_leakproof(owner: Any, left: str, operator: str, right: str) -> None:
    rows = _one(
        owner,
        "select p.proleakproof from pg_operator o join pg_proc p on p.oid = o.oprcode "
        "where o.oprname = %s and o.oprleft = %s::regtype and o.oprright = %s::regtype",
        operator,
        left,
        right,
    )
    assert rows == [(True,)]


#: Lookups that become LIKE, a regular expression, or upper(): none is leakproof.
LEAKY = re.compile(
    r"__(?:i?contains|i?startswith|i?endswith|i?regex|iexact|contained_by|has_keys?|has_any_keys|overlap|search|trigram_\w+)\b"
)
#: Tables that are nobody's: people, by their address, through the identity role.
NOT_OWNED = {"identity/services.py"}


def test_no_lookup_loses_its_index_to_row_level_security() -> None:
    found = []
    for path in sorted(PLATFORM.rglob("*.py")):
        name = path.relative_to(PLATFORM).as_posix()
        if "migrations" in name or name in NOT_OWNED:
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if LEAKY.search(line) and "def __contains__" not in line:
                found.append(f"{name}:{number}: {line.strip()}")
    assert not found


def test_no_statement_compares_by_pattern() -> None:
    """SQL of ours is written in strings: no LIKE, no regular expression, no containment of jsonb."""
    pattern = re.compile(r"\b(?:i?like|similar to)\s+(?:%s|'|\$)|\s(?:!?~\*?|@>|<@)\s+(?:%s|'|\$)", re.IGNORECASE)
    found = [
        f"{path.relative_to(PLATFORM)}:{number}"
        for path in sorted(PLATFORM.rglob("*.py"))
        if path.parent.name != "migrations"  # what they compare, no request waits for
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if pattern.search(line)
    ]
    assert not found


def test_terms_are_in_the_order_of_bytes(owner: Any) -> None:
    """A prefix is a range only where text is ordered by its bytes."""
    rows = _one(
        owner,
        "select c.collname from pg_attribute a join pg_collation c on c.oid = a.attcollation "
        "where a.attrelid = 'studies_studyterm'::regclass and a.attname = 'term'",
    )
    assert rows == [("C",)]
