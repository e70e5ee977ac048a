"""`gantry audit export | who-saw | coverage | feed`: what the trail tells, and to whom."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gantry.cli.acting import AsJson, Tenant, acting, fail, set_up, show

if TYPE_CHECKING:
    from uuid import UUID

    from gantry.kernel.actor import Actor

Officer = Annotated[str, typer.Option("--as", help="E-mail address of the compliance officer who asks.")]
Since = Annotated[datetime, typer.Option(help="From this moment on (UTC).", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])]
Until = Annotated[datetime, typer.Option(help="Before this moment (UTC).", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])]
Patient = Annotated[str, typer.Option(help="The patient's number.")]
Issuer = Annotated[str, typer.Option(help="Who gave the number, where several hospitals use it.")]


def register(audit: typer.Typer) -> None:
    """Add the commands to `gantry audit`."""
    audit.command()(export)
    audit.command("who-saw")(who_saw)
    audit.command()(coverage)
    audit.command()(feed)


def export(
    *,
    tenant: Tenant,
    officer: Officer,
    since: Since,
    until: Until,
    out: Annotated[Path, typer.Option(help="File to write the bundle to; it must not exist.")],
    form: Annotated[list[str] | None, typer.Option("--format", help="fhir, dicom, csv or pdf; all without it.")] = None,
    patient: Patient = "",
    issuer: Issuer = "",
    kind: Annotated[list[str] | None, typer.Option(help="Only events of this kind.")] = None,
    role: Annotated[str, typer.Option(help="Only events by this role.")] = "",
    here: Annotated[bool, typer.Option("--here", help="Write it in this process, where no worker runs.")] = False,
) -> None:
    """Export a tenant's audit trail as a bundle that proves itself (`gantry audit verify`)."""
    set_up()
    from gantry.audit.public import Kind
    from gantry.foundation.scope import tenant_scope
    from gantry.kernel.actor import system_actor
    from gantry.oversight.exports.domain import ExportQuery
    from gantry.oversight.exports.services import open_bundle, parse_formats, request_export, run_export

    if out.exists():
        raise fail(f"{out} exists already.")
    with acting(tenant, officer) as actor:
        try:
            kinds = frozenset(map(Kind, kind or []))
        except ValueError:
            raise fail(f"Kinds are {', '.join(Kind)}.") from None
        query = ExportQuery(
            since=_utc(since), until=_utc(until), patient=_pseudonym(actor, patient, issuer), kinds=kinds, role=role
        )
        wanted = request_export(actor=actor, query=query, formats=parse_formats(form or []))
    if here:
        worker = system_actor(actor.tenant_id)
        with tenant_scope(worker):
            run_export(export_id=wanted.pk)
    with acting(tenant, officer) as actor:
        _wait(actor, wanted.pk)
        bundle = open_bundle(actor=actor, export_id=wanted.pk)
        partial = out.with_name(out.name + ".part")
        partial.touch(mode=0o600)
        with bundle.reading() as reader, partial.open("wb") as file:
            for piece in reader.iter_chunks():
                file.write(piece)
        partial.rename(out)
    typer.echo(f"{out} ({bundle.ref.size_bytes:,} bytes, SHA-256 {bundle.etag})")


def who_saw(
    *,
    tenant: Tenant,
    officer: Officer,
    since: Since,
    until: Until,
    patient: Patient,
    issuer: Issuer = "",
    as_json: AsJson = False,
) -> None:
    """Say who saw a patient's data in a time."""
    set_up()
    from gantry.oversight.exports.tracing import trace_patient

    with acting(tenant, officer) as actor:
        traces = trace_patient(actor=actor, since=_utc(since), until=_utc(until), patient_id=patient, issuer=issuer)
    rows: list[dict[str, Any]] = [
        {
            "patient": trace.patient_id, "name": one.name or one.actor_id, "role": one.role,
            "saw": "seen" if one.has_seen else "refused", "first": f"{one.first_at:%Y-%m-%d %H:%M:%S}",
            "last": f"{one.last_at:%Y-%m-%d %H:%M:%S}", "events": one.events,
            "emergency": "emergency access" if one.in_emergency else None,
        }
        for trace in traces
        for one in trace.people
    ]  # fmt: skip
    show(rows, as_json=as_json, empty="Nobody in this time.")


def coverage(*, as_json: AsJson = False) -> None:
    """List every way into the platform with the events that it leaves, or why it leaves none."""
    set_up()
    from gantry.config import audit_coverage as table

    lines: list[tuple[str, table.Coverage]] = [
        (f"{method} /{path}", one) for (method, path), one in table.ROUTES.items()
    ]
    lines += [(f"{method} /t/{{tenant}}/dicomweb{path}", one) for (method, path), one in table.DICOMWEB.items()]
    lines += [(f"POST {path}", one) for path, one in table.INTERNAL.items()]
    lines += [
        (f"socket /{path} {kind or 'open'}", one)
        for path, kinds in table.SOCKETS.items()
        for kind, one in kinds.items()
    ]
    lines += [(f"job {name}", one) for name, one in table.JOBS.items()]
    lines += [(f"gantry {name}", one) for name, one in table.COMMANDS.items()]
    rows = [
        {"way": way, "events": None if isinstance(one, table.NONE) else ", ".join(one),
         "none": one.reason if isinstance(one, table.NONE) else None}
        for way, one in lines
    ]  # fmt: skip
    show(rows, as_json=as_json, empty="")


def feed(
    *,
    tenant: Tenant,
    officer: Officer,
    host: Annotated[str, typer.Option(help="Name of the receiver; empty shows the feed.")] = "",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 6514,
    authorities: Annotated[
        Path | None, typer.Option(help="Certificates that the receiver's must lead to (PEM).")
    ] = None,
    certificate: Annotated[Path | None, typer.Option(help="Our certificate, where the receiver asks (PEM).")] = None,
    private_key: Annotated[Path | None, typer.Option(help="Its key (PEM).")] = None,
    off: Annotated[bool, typer.Option("--off", help="Stop sending.")] = False,
    as_json: AsJson = False,
) -> None:
    """Send a tenant's events to its own audit repository (ATNA: syslog over TLS), or show how far that is."""
    set_up()
    from gantry.oversight.exports import feeding

    with acting(tenant, officer) as actor:
        if off:
            feeding.stop_feed(actor=actor)
        elif host:
            feeding.set_feed(
                actor=actor, host=host, port=port,
                authorities_pem=authorities.read_text() if authorities else "",
                certificate_pem=certificate.read_text() if certificate else "",
                private_key_pem=private_key.read_bytes() if private_key else b"",
            )  # fmt: skip
        card = feeding.get_feed(actor=actor)
    show([card.to_row()] if card else [], as_json=as_json, empty="There is no feed.")


def _pseudonym(actor: Actor, patient: str, issuer: str) -> UUID | None:
    if not patient:
        return None
    from gantry.oversight.exports.services import require_reader
    from gantry.studies.public import find_pseudonyms

    require_reader(actor)
    found = find_pseudonyms(patient_id=patient, issuer=issuer)
    if len(found) != 1:
        word = "No patient has" if not found else f"{len(found)} patients have"
        raise fail(f"{word} this number. Name the issuer, too.")
    return found[0]


def _wait(actor: Actor, export_id: UUID) -> None:
    """Wait until a worker has written an export, and say how far it is."""
    from gantry.oversight.exports.services import get_export

    said = -1
    while True:
        state = get_export(actor=actor, export_id=export_id)
        if state.state == "done":
            return
        if state.state not in {"queued", "running"}:
            raise fail(state.sentence or f"The export was {state.state}.")
        if state.events_done != said and state.events_total:
            said = state.events_done
            typer.echo(f"{said:,} of {state.events_total:,} events", err=True)
        time.sleep(timedelta(seconds=1).total_seconds())


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC)
