"""`gantry hold` and `gantry erasure`: what must be kept, and what is destroyed for good."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

if TYPE_CHECKING:
    from gantry.kernel.actor import Actor
    from gantry.studies.models import Erasure

TenantOption = Annotated[str, typer.Option("--tenant", help="Slug of the tenant.")]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    holds = typer.Typer(help="Legal holds: what retention and erasure must leave.", no_args_is_help=True)
    holds.command("place")(place)
    holds.command("release")(release)
    holds.command("list")(list_all_holds)
    app.add_typer(holds, name="hold")
    erasures = typer.Typer(help="Erasure of patients, studies and tenants, in two steps.", no_args_is_help=True)
    for name, command in (
        ("find", find), ("plan", plan), ("confirm", confirm), ("withdraw", withdraw), ("list", list_all), ("show", show),
        ("certificate", certificate), ("verify", verify),
    ):  # fmt: skip
        erasures.command(name)(command)
    app.add_typer(erasures, name="erasure")


@contextmanager
def acting(tenant: str) -> Iterator[Actor]:
    """Act as the platform's operator in a tenant; say what goes wrong in a sentence, and exit with 1."""
    import django

    from gantry.config.env import use_settings

    use_settings()
    django.setup()
    from gantry.foundation.boundary import record_refusal
    from gantry.foundation.scope import tenant_scope
    from gantry.kernel.actor import system_actor
    from gantry.kernel.decision import Refused
    from gantry.kernel.errors import GantryError
    from gantry.tenancy.public import find_tenant

    tenant_id = find_tenant(tenant)
    if tenant_id is None:
        typer.echo(f"There is no tenant {tenant}. `gantry tenant list` shows them.", err=True)
        raise typer.Exit(2)
    try:
        with tenant_scope(system_actor(tenant_id)) as scope:
            yield scope.actor
    except Refused as refused:
        record_refusal(refused)
        typer.echo(f"✗ {refused} ({refused.code})", err=True)
        raise typer.Exit(1) from None
    except GantryError as error:
        typer.echo(f"✗ {error} ({error.code})", err=True)
        raise typer.Exit(1) from None


def place(
    tenant: TenantOption,
    reason: Annotated[str, typer.Option(help="Why it must be kept.")],
    patient: Annotated[UUID | None, typer.Option(help="Id of the patient (`gantry erasure find`).")] = None,
    study: Annotated[UUID | None, typer.Option(help="Id of the study.")] = None,
    reference: Annotated[str, typer.Option(help="File number.")] = "",
) -> None:
    """Place a legal hold on a patient or a study."""
    with acting(tenant) as actor:
        from gantry.studies.public import place_hold

        hold = place_hold(actor=actor, patient_id=patient, study_id=study, reason=reason, reference=reference)
    typer.echo(f"Hold {hold.pk} is placed.")


def release(
    hold: Annotated[UUID, typer.Argument(help="Id of the hold.")],
    tenant: TenantOption,
    reason: Annotated[str, typer.Option(help="Why it need not be kept any longer.")],
) -> None:
    """Release a legal hold."""
    with acting(tenant) as actor:
        from gantry.studies.public import release_hold

        release_hold(actor=actor, hold_id=hold, reason=reason)
    typer.echo("The hold is released.")


def list_all_holds(
    tenant: TenantOption,
    *,
    released: Annotated[bool, typer.Option("--all", help="Released ones, too.")] = False,
    as_json: Json = False,
) -> None:
    """List legal holds."""
    with acting(tenant) as actor:
        from gantry.studies.public import list_holds

        count, holds = list_holds(actor=actor, include_released=released, limit=1000)
    rows = [
        {
            "id": str(hold.pk),
            "patient_id": str(hold.patient_id) if hold.patient_id else None,
            "study_id": str(hold.study_id) if hold.study_id else None,
            "placed_at": hold.placed_at.isoformat(),
            "released_at": hold.released_at.isoformat() if hold.released_at else None,
            "reference": hold.reference,
            "reason": hold.reason,
        }
        for hold in holds
    ]
    if as_json:
        typer.echo(json.dumps({"count": count, "holds": rows}))
        return
    for row in rows:
        on = f"patient {row['patient_id']}" if row["patient_id"] else f"study {row['study_id']}"
        ended = f", released {row['released_at'][:10]}" if row["released_at"] else ""
        typer.echo(f"{row['id']}  {on}  since {str(row['placed_at'])[:10]}{ended}  {row['reference']}")
    if not rows:
        typer.echo("There are none.")


def find(
    tenant: TenantOption,
    number: Annotated[str, typer.Option(help="The patient's number (PatientID).")] = "",
    study_uid: Annotated[str, typer.Option(help="Study Instance UID of one of their studies.")] = "",
) -> None:
    """Find the id of a patient, by their number or one of their studies. Shows ids alone."""
    with acting(tenant) as actor:
        from gantry.studies.public import find_patients

        found = find_patients(actor=actor, patient_id=number, study_instance_uid=study_uid)
    for patient_id, studies in found:
        typer.echo(f"{patient_id}  {studies} studies")
    if not found:
        typer.echo("There is no such patient.", err=True)
        raise typer.Exit(1)


def plan(
    tenant: TenantOption,
    cause: Annotated[
        str, typer.Option(help="subject_request, controller_instruction or agreement_ended.")
    ] = "subject_request",
    patient: Annotated[UUID | None, typer.Option(help="Id of the patient (`gantry erasure find`).")] = None,
    study: Annotated[list[UUID] | None, typer.Option(help="Id of a study; may be repeated for one patient.")] = None,
    reference: Annotated[str, typer.Option(help="Number of the request.")] = "",
    *,
    whole_tenant: Annotated[
        bool, typer.Option("--whole-tenant", help="Everything, after the agreement's end.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List what an erasure would destroy. Nothing happens until `gantry erasure confirm`."""
    with acting(tenant) as actor:
        from gantry.studies.public import ErasureCause, ErasureTarget, plan_erasure

        if cause not in {one.value for one in ErasureCause} - {ErasureCause.RETENTION}:
            typer.echo(f"{cause!r} is no cause.", err=True)
            raise typer.Exit(2)
        if sum((patient is not None, bool(study), whole_tenant)) != 1:
            typer.echo("Say what: --patient, --study or --whole-tenant.", err=True)
            raise typer.Exit(2)
        target = ErasureTarget.TENANT if whole_tenant else ErasureTarget.PATIENT if patient else ErasureTarget.STUDY
        made = plan_erasure(
            actor=actor, target=target, patient_id=patient, study_ids=study or (), cause=ErasureCause(cause),
            reference=reference,
        )  # fmt: skip
    _tell(made, as_json=as_json)
    if not as_json:
        if made.plan["holds"]:
            typer.echo(f"{len(made.plan['holds'])} legal holds are on it: it cannot be confirmed.")
        else:
            typer.echo(
                f"To destroy this for good: gantry erasure confirm {made.pk} --tenant {tenant} --hash {made.plan_hash}"
            )


def _row(erasure: Erasure) -> dict[str, Any]:
    return {
        "id": str(erasure.pk),
        "target": erasure.target,
        "part": erasure.part,
        "cause": erasure.cause,
        "reference": erasure.reference,
        "state": erasure.state,
        "code": erasure.code,
        "sentence": erasure.sentence,
        "plan": erasure.plan,
        "plan_hash": erasure.plan_hash,
        "planned_at": erasure.planned_at.isoformat(),
        "finished_at": erasure.finished_at.isoformat() if erasure.finished_at else None,
    }


def _tell(erasure: Erasure, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(_row(erasure)))
        return
    typer.echo(f"Erasure {erasure.pk} of a {erasure.target}: {erasure.state}. {erasure.sentence}".rstrip())
    for share in erasure.plan["categories"]:
        objects = f", {share['objects']} objects, {share['bytes'] / 1e6:,.1f} MB" if share["objects"] else ""
        typer.echo(f"  {share['category']}: {share['rows']} rows{objects}")


def confirm(
    erasure: Annotated[UUID, typer.Argument(help="Id of the plan.")],
    tenant: TenantOption,
    plan_hash: Annotated[str, typer.Option("--hash", help="The plan's hash: what you confirm is what you read.")],
    *,
    wait: Annotated[bool, typer.Option(help="Execute it here; else a worker does.")] = True,
    as_json: Json = False,
) -> None:
    """Confirm a plan and destroy what it lists. There is no way back."""
    with acting(tenant) as actor:
        from gantry.studies.public import confirm_erasure, execute_erasure, get_erasure

        confirm_erasure(actor=actor, erasure_id=erasure, plan_hash=plan_hash)
        if wait:
            execute_erasure(erasure_id=erasure)
        found = get_erasure(actor=actor, erasure_id=erasure)
    _tell(found, as_json=as_json)
    if wait and found.state != "done":
        raise typer.Exit(1)


def withdraw(erasure: Annotated[UUID, typer.Argument(help="Id of the plan.")], tenant: TenantOption) -> None:
    """Drop a plan whose execution has not begun."""
    with acting(tenant) as actor:
        from gantry.studies.public import withdraw_erasure

        withdraw_erasure(actor=actor, erasure_id=erasure)
    typer.echo("The plan is withdrawn.")


def list_all(tenant: TenantOption, *, as_json: Json = False) -> None:
    """List erasures, newest first."""
    with acting(tenant) as actor:
        from gantry.studies.public import list_erasures

        count, rows = list_erasures(actor=actor, limit=1000)
    if as_json:
        typer.echo(json.dumps({"count": count, "erasures": [_row(row) for row in rows]}))
        return
    for row in rows:
        typer.echo(f"{row.pk}  {row.planned_at:%Y-%m-%d}  {row.target:8} {row.part:10} {row.cause:22} {row.state}")
    if not rows:
        typer.echo("There are none.")


def show(
    erasure: Annotated[UUID, typer.Argument(help="Id of the erasure.")], tenant: TenantOption, *, as_json: Json = False
) -> None:
    """Show one erasure: what it lists and how far it is."""
    with acting(tenant) as actor:
        from gantry.studies.public import get_erasure

        found = get_erasure(actor=actor, erasure_id=erasure)
    _tell(found, as_json=as_json)


def certificate(
    erasure: Annotated[UUID, typer.Argument(help="Id of the erasure.")],
    tenant: TenantOption,
    out: Annotated[Path, typer.Option(help="File to write: .json (signed) or .pdf.")],
) -> None:
    """Write the certificate of an erasure."""
    with acting(tenant) as actor:
        from gantry.studies.public import certificate_json, certificate_pdf, get_erasure

        found = get_erasure(actor=actor, erasure_id=erasure)
        if found.certificate is None:
            typer.echo("It is not done yet, so there is no certificate.", err=True)
            raise typer.Exit(1)
        data = certificate_pdf(found) if out.suffix == ".pdf" else certificate_json(found)
    out.write_bytes(data)
    typer.echo(f"{out}: {len(data)} bytes.")


def verify(
    file: Annotated[Path, typer.Argument(help="A certificate, as JSON.", exists=True, dir_okay=False)],
    key: Annotated[str, typer.Option(help="Fingerprint of the key that you trust (SHA-256, hexadecimal).")] = "",
) -> None:
    """Check a certificate's signature; needs no stack. Exits 3 when its origin is not proven, 1 when it is not genuine."""
    import django

    from gantry.config.env import use_settings

    use_settings()
    django.setup()
    from gantry.studies.public import check_certificate

    verdict = check_certificate(file.read_bytes(), trusted=key)
    typer.echo(verdict.sentence)
    if not verdict.is_genuine:
        raise typer.Exit(1)
    if not verdict.is_origin_proven:
        raise typer.Exit(3)
