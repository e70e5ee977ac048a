"""`gantry tenant` and `gantry token`: acts of the operator, recorded as such."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from gantry.cli.acting import AsJson, Tenant, acting, fail, set_up, show

if TYPE_CHECKING:
    from gantry.kernel.actor import Actor
    from gantry.tenancy.public import IssuedToken

SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")
BAD_SLUG = "It has 1 to 32 small letters, digits and hyphens, and begins and ends without a hyphen."


def register(app: typer.Typer) -> None:
    """Add the commands."""
    tenants = typer.Typer(help="Tenants of this installation.", no_args_is_help=True)
    tenants.command("create")(create_tenant)
    tenants.command("list")(list_tenants)
    tenants.command("networks")(networks)
    tenants.command("password")(give_password)
    members = typer.Typer(help="Members of a tenant.", no_args_is_help=True)
    members.command("add")(add_member)
    members.command("list")(list_members)
    members.command("change")(change_member)
    tenants.add_typer(members, name="member")
    institutions = typer.Typer(help="Hospitals of a tenant.", no_args_is_help=True)
    institutions.command("add")(add_institution)
    institutions.command("list")(list_institutions)
    tenants.add_typer(institutions, name="institution")
    app.add_typer(tenants, name="tenant")
    tokens = typer.Typer(help="Access tokens of service accounts.", no_args_is_help=True)
    tokens.command("create")(create_token)
    tokens.command("list")(list_tokens)
    tokens.command("rotate")(rotate_token)
    tokens.command("revoke")(revoke_token)
    app.add_typer(tokens, name="token")


def create_tenant(
    slug: Annotated[str, typer.Argument(help="Its part of the address: /t/SLUG/.")],
    name: Annotated[str, typer.Option(help="The organisation's name.")],
    institution: Annotated[str, typer.Option(help="Name of its first hospital.")],
) -> None:
    """Make a tenant with its first institution. Nothing can be stored until an agreement is in force."""
    set_up()
    from gantry.foundation.scope import tenant_scope
    from gantry.kernel.actor import system_actor
    from gantry.tenancy import public as tenancy

    if not SLUG.fullmatch(slug):
        raise fail(BAD_SLUG)
    if tenancy.find_tenant(slug) is not None:
        raise fail(f"The tenant {slug} exists already.")
    actor = system_actor(tenancy.create_tenant(slug=slug, name=name, networks=[]))
    with tenant_scope(actor):
        tenancy.create_institution(actor=actor, code="main", name=institution)
    typer.echo(f"Tenant {slug} is made.")


def list_tenants() -> None:
    """List the tenants."""
    set_up()
    from gantry.foundation.scope import tenant_scope
    from gantry.kernel.actor import system_actor
    from gantry.tenancy import public as tenancy

    for tenant_id in tenancy.list_tenant_ids():
        with tenant_scope(system_actor(tenant_id)):
            tenant = tenancy.get_tenant()
        typer.echo(f"{tenant.slug}\t{tenant.name}")


def add_member(
    email: Annotated[str, typer.Argument(help="Of the person; who is new to the platform is made.")],
    *,
    tenant: Tenant,
    name: Annotated[str, typer.Option(help="The person's name.")],
    role: Annotated[str, typer.Option(help="admin, compliance, radiologist, surgeon, referrer or integrator.")],
    institution: Annotated[list[str] | None, typer.Option(help="Code of a hospital to confine them to.")] = None,
    password: Annotated[bool, typer.Option("--password", help="Give them a password and print it, once.")] = False,
) -> None:
    """Make a person a member, with a one-time password where asked for."""
    set_up()
    from gantry.access import administration
    from gantry.identity.public import give_password
    from gantry.kernel.vocabulary import MEMBER_ROLES, Role

    chosen = Role(_choice(role, [one.value for one in MEMBER_ROLES]))
    with acting(tenant) as actor:
        ids = _institution_ids(actor, institution or [])
        member = administration.invite_member(actor=actor, email=email, name=name, role=chosen, institution_ids=ids)
        secret = give_password(email=email) if password else ""
    typer.echo(f"id: {member.id}")
    if secret:
        typer.echo(f"password, to be changed after signing in: {secret}")


def list_members(*, tenant: Tenant, as_json: AsJson = False) -> None:
    """List members, former ones among them."""
    set_up()
    from gantry.access import administration

    with acting(tenant) as actor:
        _, members = administration.list_members(actor=actor, offset=0, limit=1000)
    rows = [
        {
            "id": one.id,
            "email": one.email,
            "name": one.name,
            "role": one.role.value,
            "is_active": one.is_active,
            "institutions": ",".join(map(str, one.institution_ids)),
        }
        for one in members
    ]
    show(rows, as_json=as_json, empty="There are no members.")


def change_member(
    member_id: Annotated[UUID, typer.Argument(help="The id that `list` shows.")],
    *,
    tenant: Tenant,
    role: Annotated[str, typer.Option(help="Their new role.")] = "",
    institution: Annotated[
        list[str] | None, typer.Option(help="Code of a hospital to confine them to; replaces those before.")
    ] = None,
    everywhere: Annotated[bool, typer.Option("--everywhere", help="Confine them to no hospital.")] = False,
    end: Annotated[bool, typer.Option("--end", help="End the membership; what they have open closes.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Begin an ended membership again.")] = False,
) -> None:
    """Change a member's role or hospitals, or end their membership."""
    set_up()
    from gantry.access import administration
    from gantry.kernel.vocabulary import MEMBER_ROLES, Role

    if end and resume:
        raise fail("Choose one of --end and --resume.")
    chosen = Role(_choice(role, [one.value for one in MEMBER_ROLES])) if role else None
    with acting(tenant) as actor:
        ids = [] if everywhere else _institution_ids(actor, institution) if institution else None
        member = administration.change_member(
            actor=actor,
            membership_id=member_id,
            role=chosen,
            institution_ids=ids,
            is_active=False if end else True if resume else None,
        )
    typer.echo(f"{member.email}: {member.role}, {'a member' if member.is_active else 'no member any more'}")


def give_password(
    email: Annotated[str, typer.Argument(help="Of the person.")],
) -> None:
    """Give a person a new password and print it, once; their sessions end."""
    set_up()
    from gantry.identity.public import give_password as give
    from gantry.kernel.errors import NotFoundError

    try:
        secret = give(email=email)
    except NotFoundError:
        raise fail("There is nobody with this address.") from None
    typer.echo(f"password, to be changed after signing in: {secret}")


def list_institutions(*, tenant: Tenant, as_json: AsJson = False) -> None:
    """List the hospitals of a tenant."""
    set_up()
    from gantry.access import administration

    with acting(tenant) as actor:
        found = administration.list_institutions(actor=actor)
    rows = [{"id": one.pk, "code": one.code, "name": one.name, "is_default": one.is_default} for one in found]
    show(rows, as_json=as_json, empty="There are no hospitals.")


def add_institution(
    code: Annotated[str, typer.Argument(help="Small letters, digits and hyphens.")],
    *,
    tenant: Tenant,
    name: Annotated[str, typer.Option(help="The hospital's name.")],
) -> None:
    """Add a hospital to a tenant."""
    set_up()
    from gantry.access import administration

    if not SLUG.fullmatch(code):
        raise fail(BAD_SLUG)
    with acting(tenant) as actor:
        made = administration.create_institution(actor=actor, code=code, name=name)
    typer.echo(f"id: {made.pk}")


def networks(
    pairs: Annotated[list[str] | None, typer.Argument(help="Such as 192.0.2.0/24=site; replaces those before.")] = None,
    *,
    tenant: Tenant,
    as_json: AsJson = False,
) -> None:
    """Show which networks are which place, or say it anew; an address of none counts as abroad."""
    set_up()
    from gantry.access import administration
    from gantry.kernel.vocabulary import Place

    wanted = [(cidr, _choice(place, list(Place))) for cidr, _, place in (pair.partition("=") for pair in pairs or [])]
    with acting(tenant) as actor:
        if wanted:
            found = administration.set_networks(actor=actor, networks=[(cidr, Place(place)) for cidr, place in wanted])
        else:
            found = administration.list_networks(actor=actor)
    show([{"cidr": cidr, "place": place} for cidr, place in found], as_json=as_json, empty="All the world is abroad.")


def create_token(
    *,
    tenant: Tenant,
    account: Annotated[str, typer.Option(help="Name of the system that uses it, such as 'PACS router'.")],
    scope: Annotated[
        list[str] | None, typer.Option(help="What it is for, such as dicomweb:store; all but the audit trail if none.")
    ] = None,
    institution: Annotated[str, typer.Option(help="Code of the only hospital that it acts for.")] = "",
    days: Annotated[int, typer.Option(help="Days until it ends.", min=1)] = 365,
) -> None:
    """Make a service account's token and print it, once; only its digest is kept."""
    set_up()
    from datetime import timedelta

    from gantry.kernel.vocabulary import Role, Scope
    from gantry.tenancy.public import issue_token

    texts = [_choice(one, list(Scope)) for one in scope or [one for one in Scope if one is not Scope.AUDIT_READ]]
    with acting(tenant) as actor:
        ids = _institution_ids(actor, [institution] if institution else [])
        issued = issue_token(
            actor=actor,
            account_name=account,
            role=Role.INTEGRATOR,
            institution_id=ids[0] if ids else None,
            label=account[:64],
            lifetime=timedelta(days=days),
            scopes=[Scope(text) for text in texts],
        )
    _print_token(issued)


def rotate_token(
    token_id: Annotated[UUID, typer.Argument(help="The id that `gantry token list` shows.")],
    *,
    tenant: Tenant,
    overlap_hours: Annotated[int, typer.Option(help="How long the old one stays good.", min=0, max=168)] = 24,
) -> None:
    """Replace a token by a new one, printed once; the old one stays good for a while."""
    set_up()
    from datetime import timedelta

    from gantry.tenancy.public import rotate_token as rotate

    with acting(tenant) as actor:
        issued = rotate(actor=actor, token_id=token_id, overlap=timedelta(hours=overlap_hours))
    _print_token(issued)


def list_tokens(*, tenant: Tenant, as_json: AsJson = False) -> None:
    """List service accounts and their tokens: scopes, end, and when each was last used."""
    set_up()
    from gantry.access import administration

    with acting(tenant) as actor:
        _, accounts = administration.list_accounts(actor=actor, offset=0, limit=1000)
    rows = [
        {
            "id": token.id,
            "account": one.name,
            "scopes": "all of the role" if one.scopes is None else ",".join(one.scopes),
            "ends": token.expires_at.date(),
            "revoked": token.revoked_at is not None or not one.is_active,
            "last_used": token.last_used_at.date() if token.last_used_at else None,
        }
        for one in accounts
        for token in one.tokens
    ]
    show(rows, as_json=as_json, empty="There are no tokens.")


def revoke_token(
    token_id: Annotated[UUID, typer.Argument(help="The id that `gantry token list` shows.")],
    *,
    tenant: Tenant,
) -> None:
    """End a token at once."""
    set_up()
    from gantry.tenancy.public import revoke_token as revoke

    with acting(tenant) as actor:
        revoke(actor=actor, token_id=token_id)
    typer.echo("The token is worth nothing any more.")


def _print_token(issued: IssuedToken) -> None:
    typer.echo(f"id: {issued.id}\nends: {issued.expires_at:%Y-%m-%d}\ntoken: {issued.secret}")


def _institution_ids(actor: Actor, codes: list[str]) -> list[UUID]:
    from gantry.tenancy.public import list_institutions

    known = {one.code: one.pk for one in list_institutions(actor=actor)}
    for code in codes:
        if code not in known:
            raise fail(f"There is no hospital {code}; there are {', '.join(sorted(known))}.")
    return [known[code] for code in codes]


def _choice(text: str, allowed: list[str]) -> str:
    if text not in allowed:
        raise fail(f"{text!r} is none of {', '.join(allowed)}.")
    return text
