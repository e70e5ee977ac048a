"""`gantry tenant` and `gantry token`: acts of the operator, recorded as such."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

if TYPE_CHECKING:
    from gantry.kernel.actor import Actor


def register(app: typer.Typer) -> None:
    """Add the commands."""
    tenants = typer.Typer(help="Tenants of this installation.", no_args_is_help=True)
    tenants.command("create")(create_tenant)
    tenants.command("list")(list_tenants)
    app.add_typer(tenants, name="tenant")
    tokens = typer.Typer(help="Access tokens of service accounts.", no_args_is_help=True)
    tokens.command("create")(create_token)
    tokens.command("revoke")(revoke_token)
    app.add_typer(tokens, name="token")


def _set_up() -> None:
    import django

    from gantry.config.env import use_settings

    use_settings()
    django.setup()


def _operator(tenant: str) -> Actor:
    """Return the platform's own actor in a tenant, which cannot see patient data."""
    from gantry.kernel.actor import system_actor
    from gantry.tenancy.public import find_tenant

    tenant_id = find_tenant(tenant)
    if tenant_id is None:
        typer.echo(f"There is no tenant {tenant}. `gantry tenant list` shows them.", err=True)
        raise typer.Exit(2)
    return system_actor(tenant_id)


def create_tenant(
    slug: Annotated[str, typer.Argument(help="Its part of the address: /t/SLUG/.")],
    name: Annotated[str, typer.Option(help="The organisation's name.")],
    institution: Annotated[str, typer.Option(help="Name of its first hospital.")],
) -> None:
    """Make a tenant with its first institution. Nothing can be stored until an agreement is in force."""
    import re

    _set_up()
    from gantry.foundation.scope import tenant_scope
    from gantry.kernel.actor import system_actor
    from gantry.tenancy import public as tenancy

    if not re.fullmatch(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?", slug):
        typer.echo(
            "A slug has 1 to 32 small letters, digits and hyphens, and begins and ends without a hyphen.", err=True
        )
        raise typer.Exit(2)
    if tenancy.find_tenant(slug) is not None:
        typer.echo(f"The tenant {slug} exists already.", err=True)
        raise typer.Exit(2)
    actor = system_actor(tenancy.create_tenant(slug=slug, name=name, networks=[]))
    with tenant_scope(actor):
        tenancy.create_institution(actor=actor, code="main", name=institution)
    typer.echo(f"Tenant {slug} is made.")


def list_tenants() -> None:
    """List the tenants."""
    _set_up()
    from gantry.foundation.scope import tenant_scope
    from gantry.kernel.actor import system_actor
    from gantry.tenancy import public as tenancy

    for tenant_id in tenancy.list_tenant_ids():
        with tenant_scope(system_actor(tenant_id)):
            tenant = tenancy.get_tenant()
        typer.echo(f"{tenant.slug}\t{tenant.name}")


def create_token(
    tenant: Annotated[str, typer.Option(help="Slug of the tenant.")],
    account: Annotated[str, typer.Option(help="Name of the system that uses it, such as 'PACS router'.")],
    days: Annotated[int, typer.Option(help="Days until it ends.", min=1)] = 365,
) -> None:
    """Make an integrator's token and print it, once; only its digest is kept."""
    _set_up()
    from datetime import timedelta

    from gantry.foundation.scope import tenant_scope
    from gantry.kernel.vocabulary import Role
    from gantry.tenancy.public import issue_token

    actor = _operator(tenant)
    with tenant_scope(actor):
        issued = issue_token(
            actor=actor, account_name=account, role=Role.INTEGRATOR, label=account[:64], lifetime=timedelta(days=days)
        )
    typer.echo(f"id: {issued.id}\nends: {issued.expires_at:%Y-%m-%d}\ntoken: {issued.secret}")


def revoke_token(
    token_id: Annotated[UUID, typer.Argument(help="The id that `gantry token create` printed.")],
    tenant: Annotated[str, typer.Option(help="Slug of the tenant.")],
) -> None:
    """End a token at once."""
    _set_up()
    from gantry.foundation.scope import tenant_scope
    from gantry.kernel.errors import NotFoundError
    from gantry.tenancy.public import revoke_token as revoke

    actor = _operator(tenant)
    try:
        with tenant_scope(actor):
            revoke(actor=actor, token_id=token_id)
    except NotFoundError:
        typer.echo("There is no such token in this tenant, or it was revoked before.", err=True)
        raise typer.Exit(2) from None
    typer.echo("The token is worth nothing any more.")
