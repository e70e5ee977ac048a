"""`gantry export`: a patient's data for them, all of a tenant's for its controller."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from gantry.cli.erasure import TenantOption, acting


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Data for patients (GDPR art. 20) and controllers (art. 28).", no_args_is_help=True)
    group.command("patient")(patient)
    group.command("tenant")(tenant_data)
    app.add_typer(group, name="export")


def patient(
    subject: Annotated[UUID, typer.Argument(help="Id of the patient (`gantry erasure find`).")],
    tenant: TenantOption,
    out: Annotated[Path, typer.Option(help="ZIP file to write.")],
    reference: Annotated[str, typer.Option(help="Number of the request.")] = "",
) -> None:
    """Write a patient's images (with DICOMDIR), results (FHIR) and audit trail into one ZIP."""
    from rich.console import Console

    with acting(tenant) as actor:
        from gantry.oversight.public import open_patient_export, stream_zip, write_file

        opened = open_patient_export(actor=actor, patient_id=subject, reference=reference)
        with Console(stderr=True, highlight=False).status("Writing …") as status:

            def say(done: int) -> None:
                status.update(f"{done / 1e6:,.0f} of {opened.total_bytes / 1e6:,.0f} MB")

            size = write_file(out, stream_zip(opened, say))
    typer.echo(f"{out}: {len(opened.files)} DICOM files, {size / 1e6:,.1f} MB.")


def tenant_data(
    tenant: TenantOption,
    out: Annotated[Path, typer.Option(help="Folder to write to, one ZIP a patient; run again to go on.")],
) -> None:
    """Write all data of a tenant, to be returned to its controller; what was written whole before stays."""
    from rich.console import Console

    with acting(tenant):
        from gantry.oversight.public import export_tenant

        with Console(stderr=True, highlight=False).status("Writing …") as status:
            patients, written = export_tenant(folder=out, progress=status.update)
    typer.echo(f"{out}: {patients} patients, {written} of them written now.")
