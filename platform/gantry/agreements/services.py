"""Drafting an agreement and moving it through its states."""

from __future__ import annotations

from datetime import datetime, timedelta

from gantry.agreements.domain import NEXT, Permission, Status, Step, permissions_to_json
from gantry.agreements.errors import IllegalStepError
from gantry.agreements.models import Agreement
from gantry.audit.public import Entry, Kind, record
from gantry.foundation.scope import atomic_service
from gantry.kernel.actor import Actor
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.kernel.ids import AgreementId
from gantry.kernel.vocabulary import Place, ProcessingBoundary


@atomic_service
def draft_agreement(
    *,
    actor: Actor,
    version: str,
    title: str,
    permissions: tuple[Permission, ...],
    boundary: ProcessingBoundary,
    boundary_clause: str,
    viewing_places: frozenset[Place],
    viewing_clause: str,
    clock: Clock = SYSTEM_CLOCK,
) -> Agreement:
    """Write a new version as a draft; it permits nothing until it is signed."""
    agreement = Agreement.objects.create(
        version=version,
        title=title,
        status=Status.DRAFT,
        boundary=boundary,
        boundary_clause=boundary_clause,
        viewing_places=sorted(viewing_places),
        viewing_clause=viewing_clause,
        permissions=permissions_to_json(permissions),
    )
    record(actor=actor, entry=_entry("agreement.drafted", agreement), clock=clock)
    return agreement


@atomic_service
def advance_agreement(
    *,
    actor: Actor,
    agreement_id: AgreementId,
    step: Step,
    clock: Clock = SYSTEM_CLOCK,
    valid_until: datetime | None = None,
) -> Agreement:
    """Sign, suspend, resume or terminate an agreement.

    Raises
    ------
    IllegalStepError
        The step does not lead on from the agreement's state.
    """
    agreement = Agreement.objects.select_for_update().get(pk=agreement_id)
    status = NEXT.get((Status(agreement.status), step))
    if status is None:
        raise IllegalStepError(f"An agreement that is {agreement.status} cannot take the step {step}.")
    agreement.status = status
    if step is Step.SIGN:
        agreement.signed_by, agreement.signed_at, agreement.valid_from = actor.id, clock.now(), clock.now()
        agreement.valid_until = valid_until or clock.now() + timedelta(days=365)
    agreement.save(update_fields=["status", "signed_by", "signed_at", "valid_from", "valid_until"])
    record(actor=actor, entry=_entry(f"agreement.{step}", agreement), clock=clock)
    return agreement


def _entry(action: str, agreement: Agreement) -> Entry:
    return Entry(
        kind=Kind.CONFIGURATION, action=action, detail={"agreement_id": str(agreement.pk), "version": agreement.version}
    )


@atomic_service
def list_agreements() -> list[Agreement]:
    """Return every version of the tenant's agreement."""
    return list(Agreement.objects.order_by("version"))
