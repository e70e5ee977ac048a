"""`gantry audit` and `gantry sequencer`: the ledger, its checkpoints, and exports of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gantry.cli import audit_export

if TYPE_CHECKING:
    from gantry.config.sequencer import SequencerEnvironment
    from gantry.embedded.state import StateFolder


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(sequencer)
    audit = typer.Typer(help="The audit trail: state, checkpoints, verification.", no_args_is_help=True)
    for command in (verify, status, checkpoint, check, reopen):
        audit.command()(command)
    audit_export.register(audit)
    app.add_typer(audit, name="audit")


def sequencer() -> None:
    """Number events and sign checkpoints. One leads, others wait to take over; has an environment of its own."""
    from gantry.config.sequencer import run

    run()


def verify(
    export: Annotated[Path, typer.Argument(help="The ZIP file of an export, or the folder it was unpacked to.")],
    key: Annotated[str, typer.Option(help="Fingerprint of the key that you trust.")] = "",
    checkpoint: Annotated[Path | None, typer.Option(help="Checkpoint of an earlier export, kept by you.")] = None,
    witness: Annotated[list[str] | None, typer.Option(help="Key of a witness that must have cosigned.")] = None,
    jobs: Annotated[int, typer.Option(help="Processes to use; 0 for one a core.", min=0)] = 0,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Check an export, offline. Exits 0 intact, 1 not intact, 2 unreadable, 3 intact but origin not proven."""
    import os

    from gantry.audit.verify import UnreadableError
    from gantry.audit.verify import verify as run

    try:
        kept = checkpoint.read_bytes() if checkpoint else None
        report = run(export, pin=key, kept=kept, witnesses=witness or [], jobs=jobs or os.cpu_count() or 1)
    except (UnreadableError, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    typer.echo(report.json() if as_json else report.text(), nl=False)
    raise typer.Exit(report.status)


def status(*, as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """Say how far numbering and signing are behind. Exits 1 when something is wrong."""
    import json
    from dataclasses import asdict

    _set_up()
    from gantry.audit.public import ledger_status

    with _the_database():
        found = ledger_status()
    if as_json:
        typer.echo(json.dumps({**asdict(found), "state": found.state, "is_well": found.is_well}, indent=2, default=str))
    else:
        typer.echo(found.sentence)
        for fingerprint in found.fingerprints:
            typer.echo(f"key {fingerprint}")
    if not found.is_well:
        raise typer.Exit(1)


def checkpoint(
    tenant: Annotated[str, typer.Option(help="Slug of the tenant; the platform's own log without one.")] = "",
    wait_s: Annotated[float, typer.Option(help="Seconds to wait for the sequencer.")] = 30.0,
) -> None:
    """Have a checkpoint signed over everything that is recorded by now, and print it: to be kept."""
    _set_up()
    from gantry.audit.public import PLATFORM_LOG, request_checkpoint, wait_for_signature
    from gantry.foundation.scope import tenant_scope
    from gantry.kernel.actor import system_actor
    from gantry.kernel.ids import TenantId
    from gantry.tenancy.public import find_tenant

    with _the_database():
        log = find_tenant(tenant) if tenant else TenantId(PLATFORM_LOG)
    if log is None:
        typer.echo(f"There is no tenant {tenant}. `gantry tenant list` shows them.", err=True)
        raise typer.Exit(2)
    with _the_database(), tenant_scope(system_actor(log)):
        note = wait_for_signature(request_checkpoint(), timeout_s=wait_s)
    if note is None:
        typer.echo("The sequencer did not answer, or the log is empty. `gantry audit status` says more.", err=True)
        raise typer.Exit(1)
    typer.echo(note, nl=False)


def check(
    context: typer.Context, *, as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False
) -> None:
    """Compare every log in the database with its tree and its kept checkpoints. Exits 1 when one differs."""
    import json
    from dataclasses import asdict

    from gantry.audit.inspection import inspect_logs

    environment = _sequencer_environment(context)
    config = environment.config
    with _the_database(), environment.connect() as connection:
        verdicts = inspect_logs(
            connection,
            installation=config.installation,
            public_key=config.signer.public_key,
            copies=config.copies,
        )
    if as_json:
        typer.echo(json.dumps([asdict(verdict) for verdict in verdicts], indent=2, default=str))
    else:
        for verdict in verdicts:
            typer.echo(f"{'ok ' if verdict.is_intact else 'NOT'} {verdict.log}  {verdict.sentence}")
    if not all(verdict.is_intact for verdict in verdicts):
        raise typer.Exit(1)


def reopen(
    context: typer.Context,
    reason: Annotated[str, typer.Option(help="Why events are missing, such as which backup was restored.")],
) -> None:
    """After a restore that lost events: let the logs it cut go on under a new name, which shows that."""
    from gantry.audit.inspection import inspect_logs, reopen_log

    environment = _sequencer_environment(context)
    config = environment.config
    installation, public_key, copies = config.installation, config.signer.public_key, config.copies
    with _the_database(), environment.connect() as connection:
        verdicts = inspect_logs(connection, installation=installation, public_key=public_key, copies=copies)
        cut = [verdict for verdict in verdicts if verdict.is_intact and verdict.lost]
        for verdict in cut:
            name = reopen_log(
                connection,
                verdict.log,
                installation=installation,
                public_key=public_key,
                copies=copies,
                reason=reason,
            )
            typer.echo(f"{verdict.log} lost {verdict.lost} events and goes on as {name.origin}.")
    if not cut:
        typer.echo("No log has lost events.")


@contextlib.contextmanager
def _the_database() -> Iterator[None]:
    """Turn a database that does not answer into a sentence."""
    import psycopg
    from django.db import Error

    from gantry.audit.copies import CopyError

    try:
        yield
    except (psycopg.OperationalError, Error):
        typer.echo("The database does not answer. Is the stack running (`gantry status`)?", err=True)
        raise typer.Exit(1) from None
    except CopyError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


def _set_up() -> None:
    import django

    from gantry.config.env import use_settings

    use_settings()
    django.setup()


def _sequencer_environment(context: typer.Context) -> SequencerEnvironment:
    """Return the sequencer's environment: this process's, or that of the embedded stack."""
    from gantry.config.sequencer import sequencer_environment
    from gantry.embedded.parts import sequencer_settings

    state: StateFolder = context.obj
    known = sequencer_settings(state) if state.environment_file.is_file() else {}
    return sequencer_environment(known)
