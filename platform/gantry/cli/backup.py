"""`gantry backup` and `gantry restore`: what survives the loss of this machine, and how it comes back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from gantry.embedded.state import StateFolder
    from gantry.recovery.backup import Source
    from gantry.recovery.target import Target

TargetOption = Annotated[Path | None, typer.Option("--target", help="Folder of backups; remembered after the first.")]
CustodyOption = Annotated[
    Path | None, typer.Option("--custody", help="Folder of keys and secrets, apart from the target; remembered.")
]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Backups of database, objects and keys (keys apart from both).", no_args_is_help=True)
    for command in (run, follow, verify, prune, drill):
        group.command()(command)
    group.command("list")(list_backups)
    app.add_typer(group, name="backup")
    app.command()(restore)


@contextmanager
def _sentences() -> Iterator[None]:
    """Say what went wrong in a sentence, and exit with 1."""
    from gantry.embedded.state import EmbeddedError
    from gantry.kernel.errors import GantryError
    from gantry.recovery.errors import RecoveryError
    from gantry.vault.public import VaultError

    try:
        yield
    except (RecoveryError, EmbeddedError, GantryError, VaultError) as error:
        typer.echo(f"✗ {error}", err=True)
        raise typer.Exit(1) from None


def _places(state: StateFolder, target: Path | None, custody: Path | None) -> tuple[Path, Path]:
    """Return where backups and keys go: as given, or as given last time."""
    from gantry.recovery.places import Places

    kept = Places.read(state.root)
    chosen = target or (kept.target if kept else None), custody or (kept.custody if kept else None)
    if chosen[0] is None or chosen[1] is None:
        typer.echo("Say where: --target FOLDER for database and objects, --custody FOLDER for the keys.", err=True)
        raise typer.Exit(2)
    return chosen[0].resolve(), chosen[1].resolve()


def _source(state: StateFolder) -> Source:
    from gantry.config.env import environment
    from gantry.config.wiring import vault_config
    from gantry.embedded.parts import Stack
    from gantry.recovery.backup import Source
    from gantry.recovery.errors import RecoveryError
    from gantry.vault.public import build_vault

    if not state.environment_file.is_file():
        raise RecoveryError("No embedded stack has run here. On managed PostgreSQL use its own point-in-time recovery.")
    env = environment()
    config = vault_config(env)
    vault = build_vault(config)
    connection = Stack(state=state, commands=frozenset()).cluster.connection(database="postgres")
    return Source(state.root, connection, vault.keys, config.keys_path, vault.objects)


def _open(state: StateFolder, target: Path | None, custody: Path | None) -> tuple[Target, Path]:
    from gantry.recovery.backup import open_target

    chosen, keys = _places(state, target, custody)
    return open_target(chosen, keys, state.root), keys


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[str, int], None]]:
    """Show what is being done, and how much of it is."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    if quiet:
        yield lambda _what, _done: None
        return
    with console.status("Starting …") as status:
        yield lambda what, done: status.update(f"{what}: {done / 1e6:,.0f} MB")


def run(
    context: typer.Context,
    target: TargetOption = None,
    custody: CustodyOption = None,
    *,
    objects: Annotated[bool, typer.Option(help="Copy the objects, too; a bucket may have copies of its own.")] = True,
    as_json: Json = False,
) -> None:
    """Take a base backup of the running stack, copy new objects, bring the custody of keys up to date."""
    with _sentences(), _progress(quiet=as_json) as say:
        from gantry.recovery.backup import run_backup
        from gantry.recovery.places import Places

        state: StateFolder = context.obj
        opened, keys = _open(state, target, custody)
        backup = run_backup(_source(state), opened, keys, say, with_objects=objects)
        Places(opened.root, keys).write(state.root)
        _record_backup()
    seconds = (backup.finished_at - backup.started_at).total_seconds()
    if as_json:
        typer.echo(json.dumps({**backup.to_json(), "seconds": seconds}))
        return
    counts = backup.counts
    typer.echo(
        f"Backup {backup.id}: database {counts['base_bytes'] / 1e6:,.1f} MB, {counts['objects']} objects "
        f"({counts['copied']} copied), {counts['log_entries']} entries of the deletion log, in {seconds:.1f} s."
    )
    typer.echo(f"Keys are in {keys}. `gantry backup follow` keeps both no more than 30 s behind.")


def _record_backup() -> None:
    import django

    from gantry.config.env import use_settings

    use_settings()
    django.setup()
    from gantry.audit.public import Outcome, kind_of, record_platform

    record_platform(
        kind=kind_of("backup.taken"), action="backup.taken", outcome=Outcome.SUCCESS, user_id=None,
        correlation_id="", detail={},
    )  # fmt: skip


def follow(
    context: typer.Context,
    target: TargetOption = None,
    custody: CustodyOption = None,
    every: Annotated[float, typer.Option(help="Seconds; what a disaster takes is younger.", min=1, max=300)] = 30.0,
    *,
    objects: Annotated[bool, typer.Option(help="Copy new objects, too; a bucket may have copies of its own.")] = True,
) -> None:
    """Keep the target up to date with the database's log until Ctrl-C: what is lost is at most seconds old."""
    import signal
    import threading

    from gantry.recovery.backup import Follower

    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    with _sentences():
        state: StateFolder = context.obj
        opened, keys = _open(state, target, custody)
        with Follower(_source(state), opened, keys, with_objects=objects) as follower:
            typer.echo("Following the database's log. Ctrl-C ends it.")
            for sealed in follower.run(over.is_set, every_s=every):
                if sealed:
                    typer.echo(f"{sealed} segments sealed.")


def list_backups(
    context: typer.Context, target: TargetOption = None, custody: CustodyOption = None, *, as_json: Json = False
) -> None:
    """List the backups of a target."""
    with _sentences():
        from gantry.recovery.custody import read_backup_key
        from gantry.recovery.target import Target

        chosen, keys = _places(context.obj, target, custody)
        opened = Target(chosen, read_backup_key(keys))
        backups = [opened.read_backup(one) for one in opened.list_backups()]
    if as_json:
        typer.echo(json.dumps([backup.to_json() for backup in backups]))
        return
    for backup in backups:
        counts = backup.counts
        typer.echo(f"{backup.id}  {counts['base_bytes'] / 1e6:9,.1f} MB  {counts['objects']:>8} objects")
    if not backups:
        typer.echo("There are none yet.")


def verify(
    context: typer.Context,
    target: TargetOption = None,
    custody: CustodyOption = None,
    backup: Annotated[str, typer.Option(help="Which one; the newest unless given.")] = "",
) -> None:
    """Read a backup to its end, as a restore would, and check every byte; writes nothing."""
    with _sentences(), _progress(quiet=False) as say:
        from gantry.recovery.checking import check_backup
        from gantry.recovery.custody import read_backup_key
        from gantry.recovery.target import Target

        chosen, keys = _places(context.obj, target, custody)
        report = check_backup(Target(chosen, read_backup_key(keys)), backup, say)
    typer.echo(
        f"Backup {report.backup} is whole: {report.base_bytes / 1e6:,.1f} MB of database, {report.segments} segments of "
        f"the log, {report.objects} objects listed, {report.missing} of them missing."
    )
    if report.missing:
        raise typer.Exit(1)


def prune(
    context: typer.Context,
    target: TargetOption = None,
    custody: CustodyOption = None,
    keep: Annotated[int, typer.Option(help="How many backups stay.", min=1)] = 7,
) -> None:
    """Remove old backups, and copies of objects that the newest does not list (they were deleted or erased)."""
    with _sentences():
        from gantry.recovery.backup import prune as remove
        from gantry.recovery.custody import read_backup_key
        from gantry.recovery.target import Target

        chosen, keys = _places(context.obj, target, custody)
        backups, objects = remove(Target(chosen, read_backup_key(keys)), keep=keep)
    typer.echo(f"{backups} backups and copies of {objects} objects are removed.")


def restore(
    context: typer.Context,
    target: Annotated[Path, typer.Option(help="Folder of backups.", exists=True, file_okay=False)],
    custody: Annotated[Path, typer.Option(help="Folder of keys and secrets.", exists=True, file_okay=False)],
    backup: Annotated[str, typer.Option(help="Which one; the newest unless given.")] = "",
    until: Annotated[str, typer.Option(help="ISO 8601 moment to stop at; the last word of the log otherwise.")] = "",
    log_from: Annotated[
        Path | None, typer.Option(help="A key folder that survived: its log of erasures may be newer.")
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """Restore into the new state folder given by --state-dir; erasures are done again before it can be started."""
    with _sentences(), _progress(quiet=as_json) as say:
        from gantry.recovery.restore import Wanted
        from gantry.recovery.restore import restore as run_restore

        wanted = Wanted(target.resolve(), custody.resolve(), backup, _moment(until), log_from)
        restored = run_restore(wanted=wanted, state=context.obj, say=say)
    _tell(restored.to_json(), as_json=as_json)
    if not as_json:
        typer.echo(f"Start it with `gantry --state-dir {context.obj.root} up`.")


def _moment(until: str) -> str:
    """Return a moment in the form that PostgreSQL is told it; nothing else may get into its configuration."""
    from datetime import UTC, datetime

    if not until:
        return ""
    try:
        moment = datetime.fromisoformat(until)
    except ValueError:
        typer.echo(f"{until!r} is no ISO 8601 moment, such as 2026-11-25T10:15:00+00:00.", err=True)
        raise typer.Exit(2) from None
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f+00")


def _tell(answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(answer))
        return
    total = sum(answer["seconds"].values())
    typer.echo(
        f"Restored backup {answer['backup']} with {answer['log_segments']} segments of the log in {total:.1f} s; its last "
        f"event is of {answer['state'] or 'no time'}."
    )
    typer.echo(
        f"{answer['objects']} objects ({answer['missing_objects']} listed ones are missing), {answer['keys_destroyed']} "
        f"keys destroyed again, {answer['erasures_replayed']} erasures done again, {len(answer['trees'])} audit trees verified."
    )


def drill(
    context: typer.Context,
    target: TargetOption = None,
    custody: CustodyOption = None,
    *,
    as_json: Json = False,
) -> None:
    """Restore the newest backup beside the running stack, say how long it took and what was lost, and remove it."""
    with _sentences(), _progress(quiet=as_json) as say:
        from gantry.recovery.drill import run_drill

        chosen, keys = _places(context.obj, target, custody)
        answer = run_drill(chosen, keys, say)
    _tell(answer, as_json=as_json)
    if not as_json:
        typer.echo(f"Recovery time {answer['rto_s']:.1f} s, recovery point {answer['rpo_s']:.1f} s behind.")
