"""`gantry privacy`: requests of people about their data, incidents, records of processing."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from gantry.cli.acting import AsJson, Tenant, acting, fail, set_up, show

if TYPE_CHECKING:
    from gantry.foundation.documents import Block
    from gantry.oversight.models import Incident, SubjectRequest

Officer = Annotated[str, typer.Option("--as", help="E-mail address of the compliance officer.")]
Note = Annotated[str, typer.Option(help="A reason, in your words.")]
Output = Annotated[
    Path | None, typer.Option(help="File to write; its ending says how: .txt, .html or .pdf. Without: text, here.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    privacy = typer.Typer(help="Duties towards people and authorities.", no_args_is_help=True)
    requests = typer.Typer(help="Requests of people about their data.", no_args_is_help=True)
    requests.command("list")(list_requests)
    requests.command("open")(open_request)
    requests.command("show")(show_request)
    requests.command("step")(step_request)
    requests.command("report")(report_request)
    privacy.add_typer(requests, name="request")
    incidents = typer.Typer(help="Breaches of personal data.", no_args_is_help=True)
    incidents.command("list")(list_incidents)
    incidents.command("open")(open_incident)
    incidents.command("assess")(assess_incident)
    incidents.command("told")(record_notice)
    incidents.command("close")(close_incident)
    incidents.command("form")(incident_form)
    privacy.add_typer(incidents, name="incident")
    privacy.command("records")(records)
    privacy.command("assessment")(assessment)
    app.add_typer(privacy, name="privacy")


def list_requests(tenant: Tenant, officer: Officer = "", *, as_json: AsJson = False) -> None:
    """List requests: open ones first, what is due first on top."""
    set_up()
    from gantry.oversight.duties.requests import list_requests as listed

    with acting(tenant, officer) as actor:
        _, rows = listed(actor=actor, limit=1000)
    show([_request_row(row) for row in rows], as_json=as_json, empty="There are no requests.")


def open_request(
    tenant: Tenant,
    kind: Annotated[str, typer.Argument(help="access, erasure, portability, restriction or disclosures.")],
    law: Annotated[str, typer.Option(help="gdpr, kvkk or hipaa.")] = "gdpr",
    received: Annotated[datetime | None, typer.Option(help="When it was received (UTC); now without.")] = None,
    note: Note = "",
    officer: Officer = "",
) -> None:
    """Take in what a person asked; the time to answer runs from when it was received."""
    set_up()
    from gantry.oversight.duties.domain import Law, RequestKind
    from gantry.oversight.duties.requests import open_request as opened

    with acting(tenant, officer) as actor:
        row = opened(
            actor=actor, kind=_word(RequestKind, kind), law=_word(Law, law), received_at=_utc(received), note=note
        )
    typer.echo(f"Request {row.number} ({row.pk}) is due {row.due_at:%Y-%m-%d}.")


def show_request(tenant: Tenant, number: int, officer: Officer = "", *, as_json: AsJson = False) -> None:
    """Show a request's history and what is to be done next."""
    set_up()
    from gantry.oversight.duties.requests import get_request

    request_id = _find_request(tenant, officer, number)
    with acting(tenant, officer) as actor:
        card = get_request(actor=actor, request_id=request_id)
    steps = [
        {"at": f"{one.at:%Y-%m-%d %H:%M}", "step": one.step, "state": one.state, "note": one.note} for one in card.steps
    ]
    show(steps, as_json=as_json, empty="")
    if not as_json:
        typer.echo(f"{card.basis}, due {card.row.due_at:%Y-%m-%d}. {card.next_step}".strip())


def step_request(
    tenant: Tenant,
    number: int,
    step: Annotated[str, typer.Argument(help="identify, begin, extend, answer, refuse, withdraw or lift.")],
    patient: Annotated[str, typer.Option(help="With identify: the patient's number.")] = "",
    note: Note = "",
    officer: Officer = "",
) -> None:
    """Take the next step of a request."""
    set_up()
    from gantry.oversight.duties import requests
    from gantry.oversight.duties.domain import RequestStep

    request_id = _find_request(tenant, officer, number)
    if step in {"extend", "refuse"} and not note.strip():
        raise fail("Say why with --note; the person is told the reason.")
    with acting(tenant, officer) as actor:
        how: dict[str, Any] = {"actor": actor, "request_id": request_id}
        if step == "lift":
            card = requests.end_restriction(**how, note=note)
        elif step == RequestStep.IDENTIFY:
            card = requests.identify_subject(**how, patient_number=patient)
        elif step == RequestStep.BEGIN:
            card = requests.begin_request(**how, note=note)
        elif step == RequestStep.EXTEND:
            card = requests.extend_request(**how, reason=note)
        else:
            card = requests.close_request(**how, step=_word(RequestStep, step), note=note)
    typer.echo(f"Request {number} is {card.row.state.replace('_', ' ')}. {card.next_step}".strip())
    if card.row.fulfilment_id:
        typer.echo(f"Carried out by {card.row.fulfilment_id}.")


def report_request(tenant: Tenant, number: int, output: Output = None, officer: Officer = "") -> None:
    """Write the answer to a request for access, or the account of disclosures."""
    set_up()
    from gantry.oversight.duties.reports import open_report

    request_id = _find_request(tenant, officer, number)
    with acting(tenant, officer) as actor:
        blocks = open_report(actor=actor, request_id=request_id)
    _write(blocks, f"Request {number}", output)


def list_incidents(tenant: Tenant, officer: Officer = "", *, as_json: AsJson = False) -> None:
    """List incidents: open ones first, by when the authority must be told."""
    set_up()
    from gantry.oversight.duties.incidents import list_incidents as listed

    with acting(tenant, officer) as actor:
        _, rows = listed(actor=actor, limit=1000)
    show([_incident_row(row) for row in rows], as_json=as_json, empty="There are no incidents.")


def open_incident(
    tenant: Tenant,
    title: str,
    law: Annotated[str, typer.Option(help="gdpr, kvkk or hipaa.")] = "gdpr",
    known: Annotated[datetime | None, typer.Option(help="Since when it is known (UTC); now without.")] = None,
    officer: Officer = "",
) -> None:
    """Open an incident; its clocks run from when it was known."""
    set_up()
    from gantry.oversight.duties.domain import Law
    from gantry.oversight.duties.incidents import open_incident as opened

    with acting(tenant, officer) as actor:
        row = opened(actor=actor, title=title, law=_word(Law, law), known_at=_utc(known)).row
    typer.echo(
        f"Incident {row.number} is open. The controller is to be told by {row.controller_due:%Y-%m-%d %H:%M} UTC, "
        f"the authority by {row.authority_due:%Y-%m-%d %H:%M} UTC."
    )


def assess_incident(
    tenant: Tenant,
    number: int,
    risk: Annotated[str, typer.Argument(help="unlikely, likely or high.")],
    officer: Officer = "",
) -> None:
    """Say what the people concerned may expect; it decides who must be told."""
    set_up()
    from gantry.oversight.duties.domain import Risk
    from gantry.oversight.duties.incidents import assess_incident as assessed

    incident_id = _find_incident(tenant, officer, number)
    with acting(tenant, officer) as actor:
        card = assessed(actor=actor, incident_id=incident_id, risk=_word(Risk, risk))
    typer.echo(" ".join(card.missing) or "Nothing is missing: it may be closed.")


def record_notice(
    tenant: Tenant,
    number: int,
    recipient: Annotated[str, typer.Argument(help="controller, authority or subjects.")],
    at: Annotated[datetime | None, typer.Option(help="When (UTC); now without.")] = None,
    reference: Annotated[str, typer.Option(help="The recipient's reference.")] = "",
    late_reason: Annotated[str, typer.Option(help="Why it came after its time.")] = "",
    officer: Officer = "",
) -> None:
    """Record that somebody was told of an incident."""
    set_up()
    from gantry.oversight.duties.domain import Recipient
    from gantry.oversight.duties.incidents import record_notice as recorded

    incident_id = _find_incident(tenant, officer, number)
    with acting(tenant, officer) as actor:
        card = recorded(
            actor=actor,
            incident_id=incident_id,
            recipient=_word(Recipient, recipient),
            given_at=_utc(at),
            reference=reference,
            late_reason=late_reason,
        )
    typer.echo(" ".join(card.missing) or "Nothing is missing: it may be closed.")


def close_incident(tenant: Tenant, number: int, officer: Officer = "") -> None:
    """Close an incident when everybody was told whom its risk asks for."""
    set_up()
    from gantry.oversight.duties.incidents import close_incident as closed

    incident_id = _find_incident(tenant, officer, number)
    with acting(tenant, officer) as actor:
        closed(actor=actor, incident_id=incident_id)
    typer.echo(f"Incident {number} is closed.")


def incident_form(tenant: Tenant, number: int, output: Output = None, officer: Officer = "") -> None:
    """Write the notice to the authority, filled with what is known."""
    set_up()
    from gantry.oversight.duties.incidents import open_form, write_form

    incident_id = _find_incident(tenant, officer, number)
    with acting(tenant, officer) as actor:
        card, fields = open_form(actor=actor, incident_id=incident_id)
    _write(write_form(card, fields), f"Incident {number}", output)


def records(tenant: Tenant, output: Output = None, officer: Officer = "") -> None:
    """Write the records of processing activities (GDPR art. 30) as they stand now."""
    set_up()
    from gantry.oversight.duties.records import open_records

    with acting(tenant, officer) as actor:
        blocks = open_records(actor=actor)
    _write(blocks, "Records of processing activities", output)


def assessment(tenant: Tenant, output: Output = None, officer: Officer = "") -> None:
    """Write the skeleton of an impact assessment (GDPR art. 35), filled from the configuration."""
    set_up()
    from gantry.oversight.duties.records import open_assessment

    with acting(tenant, officer) as actor:
        blocks = open_assessment(actor=actor)
    _write(blocks, "Data protection impact assessment", output)


def _write(blocks: list[Block], title: str, output: Path | None) -> None:
    from gantry.foundation.documents import to_html, to_pdf, to_text
    from gantry.kernel.errors import GantryError

    if output is None:
        typer.echo(to_text(blocks), nl=False)
        return
    try:
        if output.suffix == ".pdf":
            data = to_pdf(to_html(blocks, title=title))
        else:
            data = (to_html(blocks, title=title) if output.suffix == ".html" else to_text(blocks)).encode()
        output.touch(mode=0o600)
        output.write_bytes(data)
    except (GantryError, OSError) as error:
        raise fail(str(error)) from None
    typer.echo(f"Written to {output}.")


def _find_request(tenant: str, officer: str, number: int) -> UUID:
    from gantry.oversight.duties.requests import list_requests as listed

    with acting(tenant, officer) as actor:
        _, rows = listed(actor=actor, number=number)
    if not rows:
        raise fail(f"There is no request {number}. `gantry privacy request list` shows them.")
    found: UUID = rows[0].pk
    return found


def _find_incident(tenant: str, officer: str, number: int) -> UUID:
    from gantry.oversight.duties.incidents import list_incidents as listed

    with acting(tenant, officer) as actor:
        _, rows = listed(actor=actor, number=number)
    if not rows:
        raise fail(f"There is no incident {number}. `gantry privacy incident list` shows them.")
    found: UUID = rows[0].pk
    return found


def _word(kind: Any, text: str) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise fail(f"{text!r} is none of: {', '.join(one.value for one in kind)}.") from None


def _utc(moment: datetime | None) -> datetime | None:
    from datetime import UTC

    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def _request_row(row: SubjectRequest) -> dict[str, Any]:
    return {
        "number": row.number,
        "kind": row.kind,
        "law": row.law,
        "state": row.state,
        "due": f"{row.due_at:%Y-%m-%d}",
        "id": str(row.pk),
    }


def _incident_row(row: Incident) -> dict[str, Any]:
    return {
        "number": row.number,
        "state": row.state,
        "risk": row.risk,
        "authority_due": f"{row.authority_due:%Y-%m-%d %H:%M}",
        "title": row.title,
        "id": str(row.pk),
    }
