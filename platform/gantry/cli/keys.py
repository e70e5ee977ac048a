"""`gantry keys`: a tenant's keys, rotated, finished, destroyed."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer

from gantry.cli.acting import AsJson, Tenant, acting, fail, set_up


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Keys of a tenant.", no_args_is_help=True)
    group.command("status")(status)
    group.command("rotate")(rotate)
    group.command("rewrap")(rewrap)
    group.command("destroy")(destroy)
    app.add_typer(group, name="keys")


def status(*, tenant: Tenant, as_json: AsJson = False) -> None:
    """Say which versions of the tenant's key there are, and how many keys lie under it."""
    set_up()
    from gantry.access.public import describe_keys

    with acting(tenant) as actor:
        report = describe_keys(actor=actor)
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(report)))
        return
    versions = ", ".join(map(str, report.kek_versions)) or "none"
    typer.echo(f"tenant key versions: {versions}\nkeys under it: {report.keys}\ndestroyed: {report.destroyed}")
    if len(report.kek_versions) > 1:
        typer.echo("A rotation was cut short: `gantry keys rewrap` finishes it.")


def rotate(*, tenant: Tenant) -> None:
    """Put every key of the tenant under a new tenant key, and destroy the old one."""
    set_up()
    from gantry.access.public import rotate_keys

    with acting(tenant) as actor:
        version = rotate_keys(actor=actor)
    typer.echo(f"The tenant key is version {version}.")


def rewrap(*, tenant: Tenant) -> None:
    """Finish a rotation that was cut short."""
    set_up()
    from gantry.access.public import finish_rotation

    with acting(tenant) as actor:
        version = finish_rotation(actor=actor)
    typer.echo("Nothing is left to do." if version is None else f"The tenant key is version {version}.")


def destroy(
    *,
    tenant: Tenant,
    confirm: Annotated[str, typer.Option(help="The tenant's slug again: this cannot be undone.")],
    reason: Annotated[str, typer.Option(help="Why, in a sentence; it is kept.")],
) -> None:
    """Destroy every key of a tenant: nothing it has stored can be read again, from no backup either."""
    set_up()
    from gantry.access.public import destroy_keys
    from gantry.studies.public import list_holds

    if confirm != tenant:
        raise fail("`--confirm` must be the tenant's slug.")
    with acting(tenant) as actor:
        if list_holds(actor=actor, limit=1)[0]:
            raise fail("A legal hold is in force. Release it first, or erase what it does not cover.")
        destroy_keys(actor=actor, reason=reason)
    typer.echo("The keys are gone.")
