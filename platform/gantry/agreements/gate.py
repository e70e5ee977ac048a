"""The gate: the one function that answers whether something may happen to patient data."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet

from gantry.agreements.domain import CURRENT, ENDED, Disposition, Status, Terms, judge, terms_from_json
from gantry.agreements.models import Agreement
from gantry.foundation.guard import note_decision
from gantry.kernel.actor import Actor, Subject
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.kernel.decision import Decision, Refused
from gantry.kernel.vocabulary import Activity, Purpose


def load_terms(*, clock: Clock = SYSTEM_CLOCK) -> Terms | None:
    """Return the terms that bind the tenant now: in force, suspended, or else the last that ended.

    A version whose time has come binds from that moment, whether or not a job has noticed yet.
    """
    now = clock.now()
    # One query in the ordinary case: every decision asks it.
    rows = list(_rows().filter(status__in=[*CURRENT, Status.SIGNED]).order_by("-valid_from", "-created_at"))
    current = next((row for row in rows if row.status != Status.SIGNED), None)
    coming = next(
        (row for row in rows if row.status == Status.SIGNED and row.valid_from and row.valid_from <= now), None
    )
    if coming is not None:
        # What was stopped stays stopped until somebody resumes it.
        is_stopped = current is not None and current.status == Status.SUSPENDED
        return terms_of(coming, status=Status.SUSPENDED if is_stopped else Status.IN_FORCE)
    row = current or _rows().filter(status__in=list(ENDED)).order_by("-ended_at").first()
    return None if row is None else terms_of(row)


def terms_of(row: Agreement, *, status: Status | None = None, valid_from: datetime | None = None) -> Terms:
    """Return what a version states, in its own state or in a supposed one."""
    # A draft changes; what left draft never does (the database sees to it), so it is read once.
    stated = terms_from_json(row.content["terms"]) if row.status == Status.DRAFT else _stated(row)
    return dataclasses.replace(
        stated,
        version=row.version,
        status=status or Status(row.status),
        valid_from=valid_from or row.valid_from,
        valid_until=row.valid_until,
        ended_at=row.ended_at,
        disposition=Disposition(row.disposition) if row.disposition else None,
    )


def _rows() -> QuerySet[Agreement]:
    return Agreement.objects.defer("content")


#: By the random key of the version, which nobody sees but through its row.
_read: dict[UUID, Terms] = {}
_MOST = 4096


def _stated(row: Agreement) -> Terms:
    found = _read.get(row.pk)
    if found is None:
        found = terms_from_json(row.content["terms"])
        if len(_read) >= _MOST:
            _read.clear()
        _read[row.pk] = found
    return found


def decide(
    *,
    actor: Actor,
    activity: Activity,
    subject: Subject,
    purpose: Purpose = Purpose.TREATMENT,
    clock: Clock = SYSTEM_CLOCK,
) -> Decision:
    """Answer whether `actor` may do `activity` to `subject`; the actor's place is part of the actor."""
    note_decision()
    return judge(
        load_terms(clock=clock),
        at=clock.now(),
        actor=actor,
        activity=activity,
        subject=subject,
        purpose=purpose,
        region=settings.REGION,
    )


def require(
    *,
    actor: Actor,
    activity: Activity,
    subject: Subject,
    purpose: Purpose = Purpose.TREATMENT,
    clock: Clock = SYSTEM_CLOCK,
) -> Decision:
    """Answer like `decide`, but raise when the answer is no.

    Raises
    ------
    Refused
        The gate said no; the entry point's boundary records it.
    """
    decision = decide(actor=actor, activity=activity, subject=subject, purpose=purpose, clock=clock)
    if not decision.allowed:
        raise Refused(decision, actor=actor, subject=subject)
    return decision
