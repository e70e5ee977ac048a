"""The command `gantry`. Each module of this package registers the commands of one subject.

Only names and options are imported here; what a command needs it imports when it runs, so that
`gantry --help` answers at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gantry.cli import (
    access,
    agreement,
    audit,
    backup,
    database,
    demo,
    doctor,
    erasure,
    exporting,
    importing,
    keys,
    privacy,
    retention,
    stack,
    support,
    tenancy,
    worker,
)
from gantry.config.env import load_env_file
from gantry.embedded.state import DEFAULT_STATE, StateFolder

app = typer.Typer(
    help="Gantry: medical-imaging AI under a signed agreement.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_BEFORE_A_STACK = frozenset({"up", "down", "status", "doctor", "sequencer", "restore"})
"""Commands that find the embedded stack themselves; the others are told where it is."""

for module in (
    stack,
    doctor,
    audit,
    database,
    demo,
    importing,
    tenancy,
    agreement,
    access,
    support,
    keys,
    privacy,
    worker,
    backup,
    erasure,
    retention,
    exporting,
):
    module.register(app)


@app.callback()
def choose_state(
    context: typer.Context,
    state_dir: Annotated[
        Path, typer.Option(help="Folder of the embedded stack.", envvar="GANTRY_STATE_DIR")
    ] = DEFAULT_STATE,
) -> None:
    """Find the embedded stack that this command is about."""
    state = StateFolder(state_dir.resolve())
    context.obj = state
    if context.invoked_subcommand not in _BEFORE_A_STACK and state.environment_file.is_file():
        load_env_file(state.environment_file)


def command_names() -> frozenset[str]:
    """Return the names of the commands that are registered."""
    return frozenset(typer.main.get_group(app).commands)


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
