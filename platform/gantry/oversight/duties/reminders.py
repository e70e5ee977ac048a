"""Clocks that must not be missed: who administers is told before a request or a notice is due, and once it is late."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Final
from uuid import UUID

from gantry.audit.public import Entry, Kind, record
from gantry.foundation.outbox import COMPLIANCE, emit
from gantry.foundation.scope import atomic_service
from gantry.kernel.actor import Actor
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.kernel.events import DomainEvent
from gantry.oversight.duties.domain import OPEN_REQUESTS, IncidentState, Recipient
from gantry.oversight.models import Incident, IncidentNotice, SubjectRequest

#: How long before its time somebody is reminded.
REQUEST_WARNING: Final = timedelta(days=7)
INCIDENT_WARNING: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class SubjectRequestDue(DomainEvent):
    """A person's request must be answered soon, or should have been."""

    NAME: ClassVar[str] = "subject_request.due.v1"
    request_id: UUID
    due_at: str


@dataclass(frozen=True, slots=True)
class IncidentNoticeDue(DomainEvent):
    """An authority must be told of an incident soon, or should have been."""

    NAME: ClassVar[str] = "incident.notice_due.v1"
    incident_id: UUID
    due_at: str


@atomic_service
def remind_of_duties(*, actor: Actor, clock: Clock = SYSTEM_CLOCK) -> int:
    """Tell once of each request and incident whose time is near; return of how many."""
    now, told = clock.now(), 0
    requests = SubjectRequest.objects.select_for_update(skip_locked=True).filter(
        state__in=OPEN_REQUESTS, due_at__lte=now + REQUEST_WARNING, reminded_at=None
    )
    for request in requests:
        request.reminded_at = now
        request.save(update_fields=["reminded_at"])
        detail = {"request_id": str(request.pk), "due_at": request.due_at.isoformat()}
        record(actor=actor, entry=Entry(Kind.CONFIGURATION, "subject_request.due", detail=detail), clock=clock)
        emit(SubjectRequestDue(request.pk, request.due_at.isoformat()), streams=(COMPLIANCE,), clock=clock)
        told += 1
    incidents = (
        Incident.objects.select_for_update(skip_locked=True)
        .exclude(state=IncidentState.CLOSED)
        .filter(authority_due__lte=now + INCIDENT_WARNING, reminded_at=None)
    )
    for incident in incidents:
        if IncidentNotice.objects.filter(incident=incident, recipient=Recipient.AUTHORITY).exists():
            continue
        incident.reminded_at = now
        incident.save(update_fields=["reminded_at"])
        detail = {"incident_id": str(incident.pk), "due_at": incident.authority_due.isoformat()}
        record(actor=actor, entry=Entry(Kind.CONFIGURATION, "incident.due", detail=detail), clock=clock)
        emit(IncidentNoticeDue(incident.pk, incident.authority_due.isoformat()), streams=(COMPLIANCE,), clock=clock)
        told += 1
    return told
