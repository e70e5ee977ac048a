"""The answer to a request for access or for an account of disclosures, as a document."""

from __future__ import annotations

from uuid import UUID

from gantry.agreements.public import require
from gantry.foundation.documents import Block, Heading, Paragraph
from gantry.foundation.scope import atomic_service
from gantry.kernel.actor import Actor, Subject, system_actor
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.kernel.vocabulary import Activity, DataCategory, Purpose
from gantry.oversight.duties.disclosures import open_disclosures, write_disclosures, write_report
from gantry.oversight.duties.domain import RequestKind
from gantry.oversight.duties.errors import IllegalDutyStepError, NoPatientError
from gantry.oversight.duties.requests import get_request
from gantry.studies.public import Holdings, open_holdings
from gantry.tenancy.public import get_tenant


def open_report(*, actor: Actor, request_id: UUID, clock: Clock = SYSTEM_CLOCK) -> list[Block]:
    """Return what a person is answered: what is held of them (for access), to whom it went and who used it.

    Raises
    ------
    NoPatientError
        It is not known yet whom the request is about.
    IllegalDutyStepError
        It asks for something else, or was closed without an answer.
    """
    _ask_gate(actor, clock)
    card = get_request(actor=actor, request_id=request_id)
    row = card.row
    if row.patient_id is None or row.pseudonym is None:
        raise NoPatientError("Say first whom this request is about.")
    if row.kind not in {RequestKind.ACCESS, RequestKind.DISCLOSURES}:
        raise IllegalDutyStepError(f"A request of the kind {row.kind} has no report.")
    if row.state not in {"in_progress", "answered"}:
        raise IllegalDutyStepError("Begin to carry the request out first.")
    report = open_disclosures(actor=actor, pseudonym=row.pseudonym, clock=clock)
    holdings, controller = _held(actor=actor, patient_id=row.patient_id, reference=f"Request {row.number}", clock=clock)
    if row.kind == RequestKind.ACCESS:
        return write_report(holdings, report, controller=controller, basis=card.basis)
    return [
        Heading(1, "Account of disclosures"),
        Paragraph(
            f"{controller} · {card.basis} · patient number {holdings.patient_number or 'none'} · "
            f"as of {report.until:%Y-%m-%d %H:%M} UTC"
        ),
        *write_disclosures(report),
    ]


@atomic_service
def _ask_gate(actor: Actor, clock: Clock) -> None:
    """Ask about nobody in particular first: without an agreement, what is there and what is not get the same answer."""
    require(
        actor=system_actor(actor.tenant_id, correlation_id=actor.correlation_id),
        activity=Activity.EXPORT,
        subject=Subject(actor.tenant_id, DataCategory.IDENTIFYING_METADATA),
        purpose=Purpose.PATIENT_REQUEST,
        clock=clock,
    )


@atomic_service
def _held(*, actor: Actor, patient_id: UUID, reference: str, clock: Clock) -> tuple[Holdings, str]:
    return (
        open_holdings(actor=actor, patient_id=patient_id, reference=reference, clock=clock),
        get_tenant().name,
    )
