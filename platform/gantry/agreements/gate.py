"""The gate: the one function that answers whether something may happen to patient data."""

from __future__ import annotations

from gantry.agreements.domain import Status, Terms, judge, permissions_from_json
from gantry.agreements.models import Agreement
from gantry.kernel.actor import Actor, Subject
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.kernel.decision import Decision, Refused
from gantry.kernel.vocabulary import Activity, Place, ProcessingBoundary, Purpose


def load_terms() -> Terms | None:
    """Return the terms of the tenant's current agreement, in force or suspended; `None` without one."""
    row = Agreement.objects.filter(status__in=[Status.IN_FORCE, Status.SUSPENDED]).first()
    if row is None:
        return None
    return Terms(
        version=row.version,
        status=Status(row.status),
        valid_from=row.valid_from,
        valid_until=row.valid_until,
        boundary=ProcessingBoundary(row.boundary),
        boundary_clause=row.boundary_clause,
        viewing_places=frozenset(map(Place, row.viewing_places)),
        viewing_clause=row.viewing_clause,
        permissions=permissions_from_json(row.permissions),
    )


def decide(
    *,
    actor: Actor,
    activity: Activity,
    subject: Subject,
    purpose: Purpose = Purpose.TREATMENT,
    clock: Clock = SYSTEM_CLOCK,
) -> Decision:
    """Answer whether `actor` may do `activity` to `subject`; the actor's place is part of the actor."""
    return judge(load_terms(), at=clock.now(), actor=actor, activity=activity, subject=subject, purpose=purpose)


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
