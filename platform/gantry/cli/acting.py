"""Who a command acts as: the operator, as the platform's own actor, or a member who is named."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from gantry.kernel.actor import Actor

Tenant = Annotated[str, typer.Option(help="Slug of the tenant.")]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable.")]
Member = Annotated[str, typer.Option("--as", help="E-mail address of the member who decides this.")]


def set_up() -> None:
    """Make Django ready."""
    import django

    from gantry.config.env import use_settings

    use_settings()
    django.setup()


def fail(sentence: str) -> typer.Exit:
    """Say what is wrong, and return what ends the command with exit code 2."""
    typer.echo(sentence, err=True)
    return typer.Exit(2)


@contextlib.contextmanager
def acting(tenant: str, member: str = "") -> Iterator[Actor]:
    """Act in a tenant: as the platform's own actor, which sees no patient data, or as a member of the tenant.

    Errors of ours end the command with their sentence; a refusal is recorded first.
    """
    from django.db import DatabaseError

    from gantry.foundation.boundary import record_refusal
    from gantry.foundation.scope import tenant_scope
    from gantry.kernel.decision import Refused
    from gantry.kernel.errors import GantryError, NotFoundError

    try:
        actor = _member(tenant, member) if member else _operator(tenant)
        with tenant_scope(actor):
            yield actor
    except Refused as refused:
        record_refusal(refused)
        raise fail(str(refused)) from None
    except NotFoundError:
        raise fail("There is no such thing in this tenant.") from None
    except GantryError as error:
        raise fail(str(error)) from None
    except DatabaseError:
        raise fail("The database does not answer. Is the stack running?") from None


def _operator(tenant: str) -> Actor:
    from gantry.kernel.actor import system_actor
    from gantry.tenancy.public import find_tenant

    tenant_id = find_tenant(tenant)
    if tenant_id is None:
        raise fail(f"There is no tenant {tenant}. `gantry tenant list` shows them.")
    return system_actor(tenant_id)


def _member(tenant: str, email: str) -> Actor:
    from gantry.foundation.web.correlation import correlation_id
    from gantry.identity.public import find_person
    from gantry.kernel.errors import NotFoundError
    from gantry.tenancy.public import resolve_person

    user_id = find_person(email)
    try:
        if user_id is None:
            raise NotFoundError
        return resolve_person(
            slug=tenant, user_id=user_id, address="127.0.0.1", session="command", correlation_id=correlation_id()
        )
    except NotFoundError:
        raise fail(f"{email} is no member of a tenant {tenant}.") from None


def show(rows: list[dict[str, Any]], *, as_json: bool, empty: str) -> None:
    """Print rows: one JSON array, or a line each, with tabs between."""
    if as_json:
        typer.echo(json.dumps(rows, indent=2, default=str))
        return
    if not rows:
        typer.echo(empty)
    for row in rows:
        typer.echo("\t".join("" if value is None else str(value) for value in row.values()))
