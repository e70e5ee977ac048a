"""Every owned table, as the system catalogue sees it: no table is isolated by promise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps

from gantry.foundation.models import TenantModel

pytestmark = pytest.mark.usefixtures("database")

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
