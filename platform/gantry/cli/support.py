"""`gantry support`: an operator of the platform looks into a tenant for a while, and the tenant sees it."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import typer

from gantry.cli.acting import AsJson, Member, Tenant, acting, fail, set_up, show


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Support sessions.", no_args_is_help=True)
    group.command("operator")(make_operator)
    group.command("open")(open_session)
    group.command("list")(list_sessions)
    group.command("consent")(consent)
    group.command("end")(end)
    app.add_typer(group, name="support")


def make_operator(
    email: Annotated[str, typer.Argument(help="Of the person.")],
    *,
    name: Annotated[str, typer.Option(help="The person's name, which tenants read.")],
) -> None:
    """Make a person of the platform's own, a member of no tenant, and print their password, once."""
    set_up()
    from gantry.identity.public import find_or_invite, find_person, give_password
    from gantry.kernel.errors import GantryError

    if find_person(email) is not None:
        raise fail("There is a person with this address already.")
    try:
        find_or_invite(email=email, name=name)
    except GantryError as error:
        raise fail(str(error)) from None
    typer.echo(f"password, to be changed after signing in: {give_password(email=email)}")


def open_session(
    *,
    tenant: Tenant,
    operator: Annotated[str, typer.Option(help="E-mail address of the person who will look; a member nowhere.")],
    reason: Annotated[str, typer.Option(help="What for, in a sentence that the tenant reads.")],
    minutes: Annotated[int, typer.Option(help="Until it ends by itself.", min=5, max=480)] = 60,
    ask_for: Annotated[
        list[str] | None, typer.Option(help="Category of data to be shown, such as pixel_data, if the tenant agrees.")
    ] = None,
) -> None:
    """Open a tenant to an operator: configuration and counts, and what else the tenant then consents to."""
    set_up()
    from datetime import timedelta

    from gantry.identity.public import find_person
    from gantry.kernel.vocabulary import DataCategory
    from gantry.studies.public import list_names
    from gantry.tenancy.public import open_support

    operator_id = find_person(operator)
    if operator_id is None:
        raise fail("There is nobody with this address. `gantry support operator` makes a person of the platform's own.")
    unknown = sorted(set(ask_for or []) - {category.value for category in DataCategory})
    if unknown:
        raise fail(f"{unknown[0]!r} is none of {', '.join(DataCategory)}.")
    with acting(tenant) as actor:
        card = open_support(
            actor=actor,
            operator_id=operator_id,
            operator_name=list_names([operator_id]).get(operator_id, ""),
            reason=reason,
            lifetime=timedelta(minutes=minutes),
            requested=[DataCategory(text) for text in ask_for or []],
        )
    typer.echo(f"id: {card.id}\nends: {card.expires_at:%Y-%m-%d %H:%M} UTC")
    if card.requested:
        typer.echo("Nothing of a patient is shown until the tenant consents.")


def list_sessions(*, tenant: Tenant, as_json: AsJson = False) -> None:
    """List the support sessions of a tenant, newest first."""
    set_up()
    from gantry.access import administration

    with acting(tenant) as actor:
        _, cards = administration.list_support(actor=actor, offset=0, limit=500)
    rows = [
        {
            "id": card.id,
            "operator": card.operator_name,
            "opened_at": card.opened_at.isoformat(timespec="seconds"),
            "is_open": card.is_open,
            "requested": ",".join(card.requested),
            "consents": ",".join(card.consents),
            "reason": card.reason,
        }
        for card in cards
    ]
    show(rows, as_json=as_json, empty="There were none.")


def consent(
    session_id: Annotated[UUID, typer.Argument(help="The id that `list` shows.")],
    categories: Annotated[list[str] | None, typer.Argument(help="What may be shown; none takes it all back.")] = None,
    *,
    tenant: Tenant,
    officer: Member,
) -> None:
    """Agree, as the tenant's administrator or compliance officer, to what support may be shown."""
    set_up()
    from gantry.access import administration
    from gantry.kernel.vocabulary import DataCategory

    unknown = sorted(set(categories or []) - {category.value for category in DataCategory})
    if unknown:
        raise fail(f"{unknown[0]!r} is none of {', '.join(DataCategory)}.")
    with acting(tenant, officer) as actor:
        card = administration.consent_to_support(
            actor=actor, session_id=session_id, categories=[DataCategory(text) for text in categories or []]
        )
    typer.echo(f"shown: {', '.join(card.consents) or 'nothing of a patient'}")


def end(
    session_id: Annotated[UUID, typer.Argument(help="The id that `list` shows.")],
    *,
    tenant: Tenant,
) -> None:
    """End a support session at once."""
    set_up()
    from gantry.access import administration

    with acting(tenant) as actor:
        administration.end_support(actor=actor, session_id=session_id)
    typer.echo("The support session has ended.")
