"""What an erasure is of, and what must hold before each of its steps."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from gantry.agreements.public import decide
from gantry.kernel.actor import Actor, Subject, system_actor
from gantry.kernel.clock import Clock
from gantry.kernel.decision import Decision
from gantry.kernel.errors import NotFoundError
from gantry.kernel.ids import StudyId
from gantry.kernel.vocabulary import Activity, DataCategory, Purpose
from gantry.studies.destruction import leftovers
from gantry.studies.destruction.domain import (
    NEXT,
    ErasureStep,
    IllegalErasureStepError,
    StalePlanError,
    digest,
)
from gantry.studies.destruction.holds import list_holds_on
from gantry.studies.destruction.inventory import Inventory, take_inventory
from gantry.studies.domain import ErasureCause, ErasurePart, ErasureState, ErasureTarget
from gantry.studies.models import Erasure, LegalHold, Patient, Study


@dataclass(frozen=True, slots=True)
class Scope:
    """Which rows an erasure is of. `patient_id` is set where the patient goes as a whole."""

    target: ErasureTarget
    study_ids: tuple[UUID, ...] = ()
    patient_id: UUID | None = None
    part: ErasurePart = ErasurePart.WHOLE


def scope_of(
    target: ErasureTarget,
    *,
    patient_id: UUID | None,
    study_ids: Collection[UUID],
    part: ErasurePart = ErasurePart.WHOLE,
) -> Scope:
    """Find the studies that are meant; a patient whose every study goes, goes with them."""
    if target is ErasureTarget.TENANT:
        return Scope(target)
    if target is ErasureTarget.PATIENT:
        if patient_id is None:
            raise NotFoundError
        found = Study.objects.filter(patient_id=patient_id).values_list("pk", flat=True)
        return Scope(target, tuple(sorted(found)), patient_id)
    if part is ErasurePart.QUARANTINE:
        return Scope(target, tuple(sorted(study_ids)), None, part)
    wanted = list(Study.objects.filter(pk__in=list(study_ids)))
    patients = {study.patient_id for study in wanted}
    if not wanted or len(wanted) != len(set(study_ids)) or len(patients) != 1:
        raise NotFoundError
    (patient,) = patients
    if part is not ErasurePart.WHOLE:
        return Scope(target, tuple(sorted(study.pk for study in wanted)), None, part)
    is_all = not Study.objects.filter(patient_id=patient).exclude(pk__in=list(study_ids)).exists()
    return Scope(target, tuple(sorted(study.pk for study in wanted)), patient if is_all else None)


def inventory_of(scope: Scope) -> Inventory:
    """Count and list what an erasure would destroy."""
    if scope.target is ErasureTarget.TENANT:
        return leftovers.take_tenant_inventory()
    return take_inventory(study_ids=scope.study_ids, patient_id=scope.patient_id, part=scope.part)


def holds_in(scope: Scope, patient_id: UUID | None) -> list[LegalHold]:
    """Return the holds in force that forbid an erasure; `patient_id` is whose studies they are."""
    if scope.target is ErasureTarget.TENANT:
        return list(LegalHold.objects.filter(released_at=None))
    found = {hold.pk: hold for hold in list_holds_on(study_ids=scope.study_ids, patient_id=scope.patient_id)}
    if patient_id is not None:  # a hold on the patient is on each of their studies
        found |= {hold.pk: hold for hold in LegalHold.objects.filter(patient_id=patient_id, released_at=None)}
    return list(found.values())


def plan_of(scope: Scope, inventory: Inventory, holds: Sequence[LegalHold]) -> dict[str, Any]:
    """Return the plan as people read it."""
    return {
        "target": scope.target,
        "part": scope.part,
        "studies": len(scope.study_ids),
        "whole_patient": scope.patient_id is not None,
        "categories": [share.to_json() for share in inventory.shares],
        "keys": [str(key_id) for key_id in inventory.key_ids],
        "holds": [str(hold.pk) for hold in holds],
    }


def hash_of(scope: Scope, inventory: Inventory) -> str:
    """Return what changes when other data would be destroyed than were planned."""
    return digest(
        {
            "target": scope.target,
            "part": scope.part,
            "patient": str(scope.patient_id),
            "studies": [str(one) for one in scope.study_ids],
            "keys": [str(one) for one in inventory.key_ids],
            "rows": inventory.substance,
        }
    )


def subject_for(actor: Actor, scope: Scope, patient_id: UUID | None, *, has_hold: bool = False) -> Subject:
    is_of_studies = scope.part is not ErasurePart.QUARANTINE
    pseudonym = None
    if patient_id is not None:
        pseudonym = Patient.objects.filter(pk=patient_id).values_list("pseudonym", flat=True).first()
    return Subject(
        tenant_id=actor.tenant_id,
        category=DataCategory.PIXEL_DATA,
        study_id=StudyId(scope.study_ids[0]) if len(scope.study_ids) == 1 and is_of_studies else None,
        patient_pseudonym=pseudonym,
        has_legal_hold=has_hold,
    )


def patient_of(scope: Scope) -> UUID | None:
    if scope.patient_id is not None or not scope.study_ids or scope.part is ErasurePart.QUARANTINE:
        return scope.patient_id
    return Study.objects.values_list("patient_id", flat=True).get(pk=scope.study_ids[0])


def _purpose(cause: str) -> Purpose:
    return Purpose.PATIENT_REQUEST if cause == ErasureCause.SUBJECT_REQUEST else Purpose.OPERATIONS


def ask_gate(actor: Actor, scope: Scope, cause: str, *, has_hold: bool, clock: Clock) -> tuple[Decision, Subject]:
    """Ask whether the platform may erase this: whoever plans it needs no access to the data for that."""
    subject = subject_for(actor, scope, patient_of(scope), has_hold=has_hold)
    platform = system_actor(actor.tenant_id, correlation_id=actor.correlation_id)
    return (
        decide(actor=platform, activity=Activity.ERASE, subject=subject, purpose=_purpose(cause), clock=clock),
        subject,
    )


def kept_scope(erasure: Erasure) -> Scope:
    return (
        scope_of(
            ErasureTarget(erasure.target),
            patient_id=erasure.patient_id,
            study_ids=[UUID(one) for one in erasure.study_ids],
            part=ErasurePart(erasure.part),
        )
        if erasure.state in {ErasureState.PLANNED, ErasureState.CONFIRMED}
        else Scope(ErasureTarget(erasure.target))
    )


def require_unchanged(erasure: Erasure, scope: Scope) -> Inventory:
    inventory = inventory_of(scope)
    if hash_of(scope, inventory) != erasure.plan_hash:
        raise StalePlanError("The data are others than those that the plan lists. Make a new plan.")
    return inventory


def advance(erasure: Erasure, step: ErasureStep) -> ErasureState:
    state = NEXT.get((ErasureState(erasure.state), step))
    if state is None:
        raise IllegalErasureStepError(f"An erasure that is {erasure.state} cannot take the step {step}.")
    return state


def detail_of(erasure: Erasure) -> dict[str, str]:
    return {"erasure_id": str(erasure.pk), "target": erasure.target, "plan": erasure.plan_hash}
