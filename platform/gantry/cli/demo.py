"""`gantry demo`: the demo tenants of an embedded stack."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from gantry.embedded.state import StateFolder


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="The demo tenants of an embedded stack.", invoke_without_command=True)
    group.callback()(demo)
    group.command("load")(load)
    app.add_typer(group, name="demo")


def _set_up() -> None:
    import django

    from gantry.config.env import environment, use_settings

    use_settings()
    if not environment().is_embedded:
        typer.echo("Demo tenants exist in an embedded stack only; this is a production configuration.", err=True)
        raise typer.Exit(2)
    django.setup()


def demo(
    context: typer.Context,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """Show the demo tenants, accounts and tokens of the running stack."""
    if context.invoked_subcommand is not None:
        return
    from gantry.demo.credentials import DemoFile
    from gantry.embedded.record import StackRecord

    state: StateFolder = context.obj
    record = StackRecord.read(state.record_file)
    if record is None or not record.url:
        typer.echo("No embedded stack is running here. Start one with `make run` or `gantry up`.", err=True)
        raise typer.Exit(2)
    file = DemoFile.read(state.root)
    if file is None:
        typer.echo("This stack has no demo tenants yet. `gantry demo load` makes them.", err=True)
        raise typer.Exit(2)
    description = file.describe(record.url)
    if as_json:
        typer.echo(json.dumps(description, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"Demo accounts at {record.url}", title_justify="left")
    for column in ("tenant", "role", "e-mail", "password"):
        table.add_column(column)
    for account in description["accounts"]:
        table.add_row(account["tenant"], account["role"], account["email"], account["password"])
    Console().print(table)


def load(
    context: typer.Context,
    slices: Annotated[
        int | None, typer.Option(help="Slices of each phantom.", envvar="GANTRY_EMBEDDED_SLICES", min=8)
    ] = None,
) -> None:
    """Make the demo tenants where they are missing; what is there stays."""
    _set_up()
    from gantry.demo.load import load_demo

    state: StateFolder = context.obj
    load_demo(state.root, say=typer.echo, slices=slices)
