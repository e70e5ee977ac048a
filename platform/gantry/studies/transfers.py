"""That a system took instances away: begun before the first byte, finished or broken off after the last (PS3.15 A.5.3.3, 7)."""

from __future__ import annotations

from uuid import UUID

from gantry.audit.public import Entry, Outcome, kind_of, record, record_access
from gantry.foundation.scope import atomic_service
from gantry.kernel.actor import Actor
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.kernel.vocabulary import ActorKind, DataCategory
from gantry.studies.models import Study
from gantry.studies.policies import subject_of


def retrieval_action(actor: Actor) -> str:
    """Return what fetching instances is in the trail: a person's viewer reads, a system begins a transfer."""
    return "instances.retrieved" if actor.kind is ActorKind.PERSON else "transfer.begun"


@atomic_service
def end_transfer(*, actor: Actor, study_id: UUID, sent: int, of: int, clock: Clock = SYSTEM_CLOCK) -> None:
    """Record how a system's retrieval ended; a person's was recorded when it began.

    Whole ones of one study are one event in five minutes; each that broke off is an event.
    """
    study = Study.objects.select_related("patient").filter(pk=study_id).first()
    if actor.kind is ActorKind.PERSON or study is None:
        return
    subject = subject_of(study, actor, DataCategory.PIXEL_DATA)
    detail = {"instances": str(sent), "of": str(of)}
    if sent == of:
        record_access(
            actor=actor, action="transfer.finished", decision=None, subject=subject, study_id=study.pk, detail=detail,
            clock=clock,
        )  # fmt: skip
        return
    action = "transfer.broken"
    entry = Entry(kind=kind_of(action), action=action, outcome=Outcome.FAILURE, subject=subject, detail=detail)
    record(actor=actor, entry=entry, clock=clock)
