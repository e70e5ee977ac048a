"""`gantry retention`: what the agreement's periods let go, and when it was destroyed."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from gantry.cli.erasure import Json, TenantOption, acting


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Scheduled destruction by the agreement's periods.", no_args_is_help=True)
    for command in (status, preview, run):
        group.command()(command)
    group.command("list")(list_runs)
    app.add_typer(group, name="retention")


def status(tenant: TenantOption, *, as_json: Json = False) -> None:
    """Say when destruction ran last and must run next. Exits 1 when it is overdue."""
    with acting(tenant) as actor:
        from gantry.studies.public import retention_schedule

        schedule = retention_schedule(actor=actor)
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "last_run": schedule.last_run.isoformat() if schedule.last_run else None,
                    "next_due": schedule.next_due.isoformat(),
                    "must_run_by": schedule.must_run_by.isoformat(),
                    "is_overdue": schedule.is_overdue,
                }
            )
        )
    else:
        last = f"{schedule.last_run:%Y-%m-%d %H:%M}" if schedule.last_run else "never"
        typer.echo(
            f"Last run: {last}. Next: {schedule.next_due:%Y-%m-%d}. At the latest: {schedule.must_run_by:%Y-%m-%d}."
        )
    if schedule.is_overdue:
        typer.echo("It is overdue: is a worker running?", err=True)
        raise typer.Exit(1)


def preview(tenant: TenantOption, *, as_json: Json = False) -> None:
    """List what a run would destroy now; destroys nothing."""
    with acting(tenant) as actor:
        from gantry.studies.public import preview_retention

        found = preview_retention(actor=actor)
    if as_json:
        typer.echo(json.dumps(found.to_json()))
        return
    for due in found.due:
        typer.echo(f"{due.part}: {len(due.ids)} due, {due.held} kept by holds")
    for share in found.categories:
        objects = f", {share['objects']} objects, {share['bytes'] / 1e6:,.1f} MB" if share["objects"] else ""
        typer.echo(f"  {share['category']}: {share['rows']} rows{objects}")
    if found.is_more:
        typer.echo("There is more than one run destroys.")


def run(
    tenant: TenantOption,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List only, like `preview`.")] = False,
    as_json: Json = False,
) -> None:
    """Destroy what is due now; the worker does it every 30 days by itself."""
    if dry_run:
        preview(tenant, as_json=as_json)
        return
    with acting(tenant) as actor:
        from gantry.studies.public import run_retention

        done = run_retention(actor=actor)
    if as_json:
        typer.echo(json.dumps({"id": str(done.pk), **done.outcome}))
        return
    typer.echo(f"Run {done.pk}: {done.outcome['erasures']} erasures, {done.outcome['stopped']} stopped.")
    for part, counts in done.outcome["parts"].items():
        typer.echo(f"  {part}: {counts['destroyed']} destroyed, {counts['held']} kept by holds")


def list_runs(tenant: TenantOption, *, as_json: Json = False) -> None:
    """List the runs, newest first."""
    with acting(tenant) as actor:
        from gantry.studies.public import list_retention_runs

        count, rows = list_retention_runs(actor=actor, limit=1000)
    if as_json:
        runs = [{"id": str(row.pk), "started_at": row.started_at.isoformat(), **row.outcome} for row in rows]
        typer.echo(json.dumps({"count": count, "runs": runs}))
        return
    for row in rows:
        typer.echo(f"{row.pk}  {row.started_at:%Y-%m-%d %H:%M}  {row.outcome.get('erasures', '?')} erasures")
    if not rows:
        typer.echo("There were none.")
