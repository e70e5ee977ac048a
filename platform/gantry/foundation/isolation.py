"""Migration operations that put a table under tenant isolation (ADR 0003)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import migrations

_ALL = "select, insert, update, delete"


def isolate(
    table: str,
    *,
    parents: Mapping[str, str] | None = None,
    grants: str = _ALL,
    definer_columns: Sequence[str] = (),
    extra_using: str = "",
) -> migrations.RunSQL:
    """Put `table` under row-level security with FORCE and give it composite keys.

    Parameters
    ----------
    parents
        Column to parent table: each becomes `FOREIGN KEY (tenant_id, column)`, so that a row cannot
        point into another tenant and a foreign parent looks exactly like an absent one.
    grants
        What the application role may do.
    definer_columns
        Columns that the functions which work across tenants may read (owner `gantry_definer`).
    extra_using
        A further condition of visibility, e.g. that a grant has not run out.
    """
    condition = "tenant_id = (select gantry.current_tenant())"
    visible = f"{condition} and ({extra_using})" if extra_using else condition
    statements: list[Any] = [
        f"alter table {table} add constraint {table}_tenant_key unique (tenant_id, id)",
        f"alter table {table} enable row level security",
        f"alter table {table} force row level security",
        f"create policy tenant on {table} to gantry_app, gantry_owner using ({visible}) with check ({condition})",
        f"grant {grants} on {table} to gantry_app",
    ]
    for column, parent in (parents or {}).items():
        statements.append(
            f"alter table {table} add constraint {table}_{column}_parent foreign key (tenant_id, {column}) "
            f"references {parent} (tenant_id, id)"
        )
    if definer_columns:
        statements += [
            f"create policy across_tenants on {table} for select to gantry_definer using (true)",
            f"grant select ({', '.join(definer_columns)}) on {table} to gantry_definer",
        ]
    return migrations.RunSQL(statements, migrations.RunSQL.noop)


def definer_function(signature: str, returns: str, body: str) -> migrations.RunSQL:
    """Create a function that works across tenants and may return only what it must.

    It runs as `gantry_definer`, which has no login and reads only the columns granted to it.
    """
    return migrations.RunSQL(
        [
            (
                f"create function gantry.{signature} returns {returns} language sql stable security definer "
                f"set search_path = pg_catalog, public, pg_temp as $$ {body} $$"
            ),
            f"revoke all on function gantry.{_header(signature)} from public",
            f"grant execute on function gantry.{_header(signature)} to gantry_app",
            f"alter function gantry.{_header(signature)} owner to gantry_definer",
        ],
        migrations.RunSQL.noop,
    )


def _header(signature: str) -> str:
    name, _, arguments = signature.partition("(")
    types = [argument.strip().split(None, 1)[1] for argument in arguments.rstrip(")").split(",") if argument.strip()]
    return f"{name}({', '.join(types)})"
