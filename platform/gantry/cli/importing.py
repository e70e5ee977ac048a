"""`gantry import PATH`: send a folder, a ZIP or files to a Gantry over STOW-RS."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from gantry.embedded.state import StateFolder
    from gantry.transfer.client import Destination


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("import")(import_path)


def import_path(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(help="Folders, ZIP files or DICOM files.", exists=True)],
    tenant: Annotated[str, typer.Option(help="Tenant to store for.")] = "north",
    url: Annotated[str, typer.Option(help="Address of the site; the embedded stack's unless given.")] = "",
    token: Annotated[
        str, typer.Option(help="Access token; the demo integrator's unless given.", envvar="GANTRY_EMBEDDED_TOKEN")
    ] = "",
    institution: Annotated[str, typer.Option(help="Id of the institution, where the tenant has several.")] = "",
    *,
    follow: Annotated[bool, typer.Option(help="Wait for the analyses and say how they end.")] = True,
) -> None:
    """Store DICOM from PATH and follow its analysis. Exits with 1 when a file was not stored."""
    from rich.console import Console

    from gantry.transfer.client import TransferError
    from gantry.transfer.importer import run_import

    console = Console(highlight=False)
    try:
        destination = _destination(context.obj, tenant, url, token, institution)
        ok = run_import(paths, destination, console, follow=follow)
    except TransferError as error:
        console.print(f"[red]✗[/red] {error}")
        raise typer.Exit(2) from None
    if not ok:
        raise typer.Exit(1)


def _destination(state: StateFolder, tenant: str, url: str, token: str, institution: str) -> Destination:
    from gantry.demo.credentials import DemoFile
    from gantry.embedded.record import StackRecord
    from gantry.kernel.vocabulary import Role
    from gantry.transfer.client import Destination, TransferError

    if not url:
        record = StackRecord.read(state.record_file)
        if record is None or not record.url:
            raise TransferError(
                "No embedded stack is running here. Start one with `make run`, or give --url and --token."
            )
        url = record.url
    if not token:
        demo = DemoFile.read(state.root)
        token = (demo.tokens.get(tenant, {}) if demo else {}).get(Role.INTEGRATOR.value, "")
    if not token:
        raise TransferError(f"There is no token for the tenant {tenant}. Give one with --token.")
    return Destination(base=f"{url.rstrip('/')}/t/{tenant}", token=token, institution=institution)
