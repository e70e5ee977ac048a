"""`gantry doctor`: what this machine has, what is used instead of what it has not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from gantry.embedded.state import StateFolder


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor(
    context: typer.Context, *, as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False
) -> None:
    """Say for every part what is used here, why, and what to do next. Exits 1 if one is missing."""
    import json
    from dataclasses import asdict

    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from gantry.embedded.doctor import Verdict, examine

    state: StateFolder = context.obj
    findings = examine(state)
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        colours = {Verdict.OK: "green", Verdict.FALLBACK: "yellow", Verdict.MISSING: "red"}
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for heading in ("part", "", "in use", "why", "next step"):
            table.add_column(heading, overflow="fold")
        for found in findings:
            verdict = f"[{colours[found.verdict]}]{found.verdict}[/]"
            table.add_row(found.part, verdict, *(escape(text) for text in (found.using, found.why, found.next_step)))
        Console().print(table)
    if any(found.verdict is Verdict.MISSING for found in findings):
        raise typer.Exit(1)
