"""`gantry up`, `down`, `status`: the embedded stack on this machine."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from gantry.embedded.record import StackRecord
    from gantry.embedded.state import StateFolder

_DETACHED_START_S = 900.0
_STOP_S = 60.0


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (up, down, status):
        app.command()(command)


def up(
    context: typer.Context,
    port: Annotated[int, typer.Option(help="First port to try for the web address.")] = 8000,
    only: Annotated[list[str] | None, typer.Option(help="Start this part alone; may be repeated.")] = None,
    *,
    detach: Annotated[bool, typer.Option("--detach", help="Go on in the background.")] = False,
) -> None:
    """Start PostgreSQL, Redis, Triton, worker and web; Ctrl-C stops them all."""
    from rich.console import Console
    from rich.markup import escape

    from gantry.embedded.state import AlreadyRunningError, EmbeddedError

    console = Console(highlight=False)
    state: StateFolder = context.obj
    try:
        state.prepare()
        if detach:
            _start_detached(state, port, only or [], console)
        else:
            _run_here(state, port, only or [], console, _command_names(context))
    except AlreadyRunningError as running:
        record = _record(state)
        where = f" at {record.url}" if record and record.url else ""
        console.print(f"{escape(str(running).rstrip('.'))}{where}. `gantry down` stops it.", soft_wrap=True)
    except EmbeddedError as error:
        console.print(f"[red]✗[/red] {escape(str(error))}", soft_wrap=True)
        raise typer.Exit(1) from None


def _run_here(state: StateFolder, port: int, only: list[str], console: Console, commands: frozenset[str]) -> None:
    import asyncio

    from gantry.cli.reporter import ConsoleReporter
    from gantry.embedded.parts import Stack, choose_parts
    from gantry.embedded.supervisor import Supervisor

    async def supervise() -> None:
        with ConsoleReporter(console, stack) as reporter:
            await Supervisor(stack, reporter, parts).run()

    parts = choose_parts(only)
    with state.hold():
        stack = Stack(state=state, commands=commands, first_web_port=port)
        asyncio.run(supervise())


def _start_detached(state: StateFolder, port: int, only: list[str], console: Console) -> None:
    import subprocess

    from gantry.embedded.state import AlreadyRunningError, EmbeddedError

    if state.is_held():
        raise AlreadyRunningError(f"Gantry is already running from {state.root}.")
    log = state.logs / "supervisor.log"
    command = [
        sys.executable,
        "-m",
        "gantry.cli.main",
        "--state-dir",
        str(state.root),
        "up",
        "--port",
        str(port),
        *(word for name in only for word in ("--only", name)),
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, cwd="/"
        )
    deadline = time.monotonic() + _DETACHED_START_S
    with console.status("Starting …"):
        while process.poll() is None and time.monotonic() < deadline:
            record = _record(state)
            if record and record.pid == process.pid and record.is_up:
                break
            time.sleep(0.1)
    console.print(log.read_text(encoding="utf-8"), markup=False, soft_wrap=True)
    if process.poll() is not None:
        raise EmbeddedError(f"The stack did not start; see {log}.")


def down(context: typer.Context) -> None:
    """Stop the stack that runs from this state folder."""
    import os
    import signal

    state: StateFolder = context.obj
    record = _record(state)
    if record is None or not state.is_held():
        typer.echo("Gantry is not running.")
        return
    os.kill(record.pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_S
    while state.is_held():
        if time.monotonic() > deadline:
            typer.echo(f"Process {record.pid} is still stopping the stack; see {state.logs}.", err=True)
            raise typer.Exit(1)
        time.sleep(0.1)
    typer.echo("Stopped.")


def status(
    context: typer.Context, *, as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False
) -> None:
    """Say whether the stack runs, where, and which processes it has. Exits 3 when it does not run."""
    import json

    from gantry.embedded.process import started_ticks

    state: StateFolder = context.obj
    record = _record(state) if state.is_held() else None
    processes = {
        name: {"pid": pid, "is_running": started_ticks(pid) == ticks}
        for name, (pid, ticks) in (record.processes.items() if record else ())
    }
    is_up = bool(record and record.is_up)
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "running": record is not None,
                    "up": is_up,
                    "url": record.url if record else None,
                    "processes": processes,
                    "fallbacks": record.fallbacks if record else {},
                },
                indent=2,
            )
        )
    elif record is None:
        typer.echo("Gantry is not running.")
    else:
        typer.echo(f"{record.url}  {'up' if is_up else 'starting'}, supervisor {record.pid}")
        for name, process in processes.items():
            typer.echo(f"  {name:10} {process['pid']:>8}  {'running' if process['is_running'] else 'ended'}")
        for title, sentence in record.fallbacks.items():
            typer.echo(f"  {title}: {sentence}")
    if record is None:
        raise typer.Exit(3)


def _command_names(context: typer.Context) -> frozenset[str]:
    group = context.find_root().command
    assert isinstance(group, typer.core.TyperGroup)
    return frozenset(group.commands)


def _record(state: StateFolder) -> StackRecord | None:
    from gantry.embedded.record import StackRecord

    return StackRecord.read(state.record_file)
