"""Requests of people about their data: taken in, identified, carried out, answered in time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import F

from gantry.access.public import require_permission
from gantry.audit.public import Entry, Kind, record
from gantry.foundation.scope import atomic_service
from gantry.kernel.actor import Actor, Subject
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.kernel.errors import NotFoundError
from gantry.kernel.vocabulary import AdminPermission, DataCategory
from gantry.oversight.duties.domain import (
    BASES,
    OPEN_REQUESTS,
    REQUEST_NEXT,
    Law,
    RequestKind,
    RequestState,
    RequestStep,
    clock_of,
)
from gantry.oversight.duties.errors import (
    IllegalDutyStepError,
    NoPatientError,
    NotExtendableError,
    SeveralPatientsError,
    UnknownRightError,
)
from gantry.oversight.duties.numbers import next_number
from gantry.oversight.models import SubjectRequest, SubjectRequestStep
from gantry.studies.public import (
    ErasureCause,
    ErasureTarget,
    find_patients,
    get_pseudonym,
    lift_restriction,
    plan_erasure,
    restrict_patient,
)


@dataclass(frozen=True, slots=True)
class RequestCard:
    """A request with its history."""

    row: SubjectRequest
    basis: str
    steps: list[SubjectRequestStep]
    #: What a person does next, in a sentence; empty when it is closed.
    next_step: str


@atomic_service
def open_request(
    *,
    actor: Actor,
    kind: RequestKind,
    law: Law,
    received_at: datetime | None = None,
    channel: str = "",
    note: str = "",
    clock: Clock = SYSTEM_CLOCK,
) -> SubjectRequest:
    """Take in what a person asked; the time to answer runs from when it was received.

    Raises
    ------
    UnknownRightError
        The law that was named does not know this right.
    """
    require_permission(actor, AdminPermission.PRIVACY_MANAGE)
    if (law, kind) not in BASES:
        raise UnknownRightError(f"{law.upper()} knows no right of {kind}. Choose another law, or another kind.")
    received = min(received_at or clock.now(), clock.now())
    row = SubjectRequest.objects.create(
        number=next_number(SubjectRequest),
        kind=kind,
        law=law,
        state=RequestState.RECEIVED,
        channel=channel,
        received_at=received,
        due_at=clock_of(law, kind).answer.after(received),
        created_by=actor.id,
    )
    _note_step(actor, row, "receive", note, clock)
    record(actor=actor, entry=_entry("subject_request.received", row, note), clock=clock)
    return row


@atomic_service
def list_requests(
    *,
    actor: Actor,
    is_open: bool | None = None,
    number: int | None = None,
    offset: int = 0,
    limit: int = 25,
    clock: Clock = SYSTEM_CLOCK,
) -> tuple[int, list[SubjectRequest]]:
    """Return how many requests there are and one page of them: open ones first, what is due first on top."""
    require_permission(actor, AdminPermission.PRIVACY_MANAGE)
    record(actor=actor, entry=Entry(Kind.CONFIGURATION, "subject_request.read"), clock=clock)
    rows = SubjectRequest.objects.all() if number is None else SubjectRequest.objects.filter(number=number)
    if is_open is not None:
        rows = rows.filter(state__in=OPEN_REQUESTS) if is_open else rows.exclude(state__in=OPEN_REQUESTS)
    # Open ones have no `closed_at`, which sorts behind every date unless it is said otherwise.
    order = F("closed_at").desc(nulls_first=True)
    return rows.count(), list(rows.order_by(order, "due_at", "number")[offset : offset + limit])


@atomic_service
def get_request(*, actor: Actor, request_id: UUID, clock: Clock = SYSTEM_CLOCK) -> RequestCard:
    """Return a request with its history."""
    require_permission(actor, AdminPermission.PRIVACY_MANAGE)
    row = SubjectRequest.objects.filter(pk=request_id).first()
    if row is None:
        raise NotFoundError
    record(actor=actor, entry=_entry("subject_request.read", row, ""), clock=clock)
    return _card(row)


@atomic_service
def identify_subject(
    *,
    actor: Actor,
    request_id: UUID,
    patient_number: str = "",
    patient_id: UUID | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> RequestCard:
    """Say whom a request is about: by the number that the person brought, or by the id of a patient who has it.

    Raises
    ------
    NotFoundError
        Nobody has that number, or that id.
    SeveralPatientsError
        Patients of several hospitals have that number; the ids are in the sentence.
    """
    row = _lock(actor, request_id)
    if patient_id is None:
        found = find_patients(actor=actor, patient_id=patient_number, clock=clock)
        if not found:
            raise NotFoundError
        if len(found) > 1:
            ids = ", ".join(f"{one} ({count} studies)" for one, count in found[:10])
            raise SeveralPatientsError(f"Several patients have this number; identify one by id: {ids}.")
        patient_id = found[0][0]
    row.patient_id, row.pseudonym = patient_id, get_pseudonym(actor=actor, patient_id=patient_id)
    _advance(actor, row, RequestStep.IDENTIFY, "", clock)
    return _card(row)


@atomic_service
def begin_request(*, actor: Actor, request_id: UUID, note: str = "", clock: Clock = SYSTEM_CLOCK) -> RequestCard:
    """Begin to carry out a request: a restriction takes effect, and an erasure is planned, to be confirmed."""
    row = _lock(actor, request_id)
    if row.patient_id is None:
        raise NoPatientError("Say first whom this request is about.")
    if row.kind == RequestKind.RESTRICTION:
        restrict_patient(actor=actor, patient_id=row.patient_id, clock=clock)
    elif row.kind == RequestKind.ERASURE:
        plan = plan_erasure(
            actor=actor,
            target=ErasureTarget.PATIENT,
            patient_id=row.patient_id,
            cause=ErasureCause.SUBJECT_REQUEST,
            reference=f"Request {row.number}",
            clock=clock,
        )
        row.fulfilment_id = plan.pk
    _advance(actor, row, RequestStep.BEGIN, note, clock)
    return _card(row)


@atomic_service
def attach_fulfilment(
    *, actor: Actor, request_id: UUID, fulfilment_id: UUID, clock: Clock = SYSTEM_CLOCK
) -> RequestCard:
    """Note what carries the request out: the plan of an erasure, an export."""
    row = _lock(actor, request_id)
    if row.state != RequestState.IN_PROGRESS:
        raise IllegalDutyStepError("Only a request that was begun can be carried out.")
    row.fulfilment_id = fulfilment_id
    row.save(update_fields=["fulfilment_id"])
    _note_step(actor, row, "attach", str(fulfilment_id), clock)
    record(actor=actor, entry=_entry("subject_request.advanced", row, ""), clock=clock)
    return _card(row)


@atomic_service
def extend_request(*, actor: Actor, request_id: UUID, reason: str, clock: Clock = SYSTEM_CLOCK) -> RequestCard:
    """Lengthen the time to answer, once, with the reason that the person is told (GDPR art. 12(3)).

    Raises
    ------
    NotExtendableError
        The law knows no extension, it was used, or the time is over.
    """
    row = _lock(actor, request_id)
    extension = clock_of(Law(row.law), RequestKind(row.kind)).extension
    if extension is None:
        raise NotExtendableError(f"{row.law.upper()} knows no longer time to answer.")
    if row.is_extended:
        raise NotExtendableError("The time to answer was lengthened already.")
    if clock.now() > row.due_at:
        raise NotExtendableError("The time to answer is over; it can be lengthened only before.")
    row.is_extended, row.due_at, row.reminded_at = True, extension.after(row.due_at), None
    _advance(actor, row, RequestStep.EXTEND, reason, clock)
    return _card(row)


@atomic_service
def close_request(
    *, actor: Actor, request_id: UUID, step: RequestStep, note: str = "", clock: Clock = SYSTEM_CLOCK
) -> RequestCard:
    """Answer, refuse or withdraw a request; a restriction that is withdrawn is lifted."""
    row = _lock(actor, request_id)
    was_begun = row.state == RequestState.IN_PROGRESS
    row.closed_at = clock.now()
    _advance(actor, row, step, note, clock)
    if row.kind == RequestKind.RESTRICTION and was_begun and step is not RequestStep.ANSWER and row.patient_id:
        lift_restriction(actor=actor, patient_id=row.patient_id, clock=clock)
    return _card(row)


@atomic_service
def end_restriction(*, actor: Actor, request_id: UUID, note: str, clock: Clock = SYSTEM_CLOCK) -> RequestCard:
    """Lift the restriction that an answered request put in place; the person was told before (GDPR art. 18(3))."""
    row = _lock(actor, request_id)
    if row.kind != RequestKind.RESTRICTION or row.state != RequestState.ANSWERED or row.patient_id is None:
        raise IllegalDutyStepError("Only the restriction of an answered request can be lifted.")
    lift_restriction(actor=actor, patient_id=row.patient_id, clock=clock)
    _note_step(actor, row, "lift", note, clock)
    record(actor=actor, entry=_entry("subject_request.advanced", row, note), clock=clock)
    return _card(row)


def _lock(actor: Actor, request_id: UUID) -> SubjectRequest:
    require_permission(actor, AdminPermission.PRIVACY_MANAGE)
    row = SubjectRequest.objects.select_for_update().filter(pk=request_id).first()
    if row is None:
        raise NotFoundError
    return row


def _advance(actor: Actor, row: SubjectRequest, step: RequestStep, note: str, clock: Clock) -> None:
    state = REQUEST_NEXT.get((RequestState(row.state), step))
    if state is None:
        raise IllegalDutyStepError(f"A request that is {row.state} cannot take the step {step}.")
    row.state = state
    row.save()
    _note_step(actor, row, step, note, clock)
    record(actor=actor, entry=_entry("subject_request.advanced", row, note), clock=clock)


def _note_step(actor: Actor, row: SubjectRequest, step: str, note: str, clock: Clock) -> None:
    SubjectRequestStep.objects.create(
        request=row, step=step, state=row.state, at=clock.now(), by=actor.id, note=note.strip()
    )


def _card(row: SubjectRequest) -> RequestCard:
    steps = list(SubjectRequestStep.objects.filter(request=row).order_by("at", "pk"))
    return RequestCard(row, BASES[Law(row.law), RequestKind(row.kind)], steps, _next_step(row))


def _next_step(row: SubjectRequest) -> str:
    state, kind = RequestState(row.state), RequestKind(row.kind)
    if state is RequestState.RECEIVED:
        return "Make sure who asks, then say whose data it is: identify."
    if state is RequestState.IDENTIFIED:
        return "Begin to carry it out: begin."
    if state is RequestState.IN_PROGRESS:
        return _CARRIED_OUT_BY[kind] + " Then: answer."
    return ""


_CARRIED_OUT_BY = {
    RequestKind.ACCESS: "Fetch the report of what is held and who saw it.",
    RequestKind.ERASURE: "Look at the erasure's plan and confirm it.",
    RequestKind.PORTABILITY: "Order the patient's export and attach it.",
    RequestKind.RESTRICTION: "The restriction is in place: images and reports are kept, and open in an emergency only.",
    RequestKind.DISCLOSURES: "Fetch the report of disclosures.",
}


def _entry(action: str, row: SubjectRequest, note: str) -> Entry:
    subject = Subject(row.tenant_id, DataCategory.IDENTIFYING_METADATA, patient_pseudonym=row.pseudonym)  # type: ignore[arg-type]  # a TenantId
    return Entry(
        kind=Kind.CONFIGURATION,
        action=action,
        subject=subject,
        detail={"request_id": str(row.pk), "kind": row.kind, "law": row.law, "state": row.state},
        sealed=note.encode(),
    )
