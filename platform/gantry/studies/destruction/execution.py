"""Erasing patients, studies and tenants: planned, confirmed, executed to the end whatever interrupts it (ADR 0018).

Executing begins with one transaction in which the rows go, and ends with the keys. Between the two lies only what can be
done again: what is left to do stands in the erasure's own row, and in the deletion log beside the keys, which no restore
of the database takes back.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from django.db import connection

from gantry.audit.public import Entry, Kind, record
from gantry.foundation.boundary import record_refusal
from gantry.foundation.jobs import job
from gantry.foundation.outbox import WORKLIST, emit
from gantry.foundation.scope import atomic_service, current_scope, tenant_scope, unit_of_work
from gantry.kernel.actor import Actor, Subject, system_actor
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.kernel.decision import Decision, Refused
from gantry.kernel.errors import NotFoundError
from gantry.kernel.ids import StudyId, TenantId
from gantry.kernel.vocabulary import DataCategory
from gantry.studies.destruction import leftovers
from gantry.studies.destruction.certificates import certify
from gantry.studies.destruction.domain import (
    ErasureStep,
    StalePlanError,
)
from gantry.studies.destruction.erasing import (
    Scope,
    advance,
    ask_gate,
    detail_of,
    holds_in,
    kept_scope,
    patient_of,
    require_unchanged,
)
from gantry.studies.destruction.fences import raise_fences, wait_for_writers
from gantry.studies.destruction.inventory import Inventory, delete_rows, ref_of, surviving_rows
from gantry.studies.domain import ErasurePart, ErasureState, ErasureTarget
from gantry.studies.events import StudyErased
from gantry.studies.models import Erasure, Patient, Study
from gantry.vault.public import ObjectName, get_vault

#: When an execution that broke off is taken up again.
AGAIN_AFTER = timedelta(seconds=30)


@job("studies.erase", queue_name="default")
def erase_job(erasure_id: UUID) -> None:
    """Execute a confirmed erasure."""
    execute_erasure(erasure_id=erasure_id)


def execute_erasure(*, erasure_id: UUID, clock: Clock = SYSTEM_CLOCK) -> None:
    """Execute a confirmed erasure, or take up one that broke off; doing it again changes nothing."""
    actor = current_scope().actor
    refused = _begin(actor, erasure_id, clock)
    if refused is not None:
        record_refusal(refused)
        return
    with unit_of_work():
        erasure = Erasure.objects.filter(pk=erasure_id, state=ErasureState.EXECUTING).first()
    if erasure is None:
        return
    if erasure.target == ErasureTarget.TENANT:
        leftovers.destroy_tenant_rows()
        leftovers.destroy_tenant_objects()
        get_vault().keys.destroy_tenant(erasure.tenant_id)
    else:
        destroy_objects_and_keys(erasure.tenant_id, erasure.work)
    _finish(actor, erasure_id, clock)


def destroy_objects_and_keys(tenant_id: UUID, work: dict[str, Any]) -> None:
    """Delete what is still to be deleted of an erasure; absent objects and destroyed keys are fine."""
    vault = get_vault()
    for object_id in work.get("objects", ()):
        vault.objects.delete(ObjectName(tenant_id, UUID(object_id)))
    for key_id in work.get("keys", ()):
        vault.keys.destroy_key(tenant_id, UUID(key_id))


def _begin(actor: Actor, erasure_id: UUID, clock: Clock) -> Refused | None:
    """Let the rows go, in one transaction; or stop, where something stands in the way."""
    with unit_of_work():
        wait_for_writers()
        erasure = Erasure.objects.select_for_update().filter(pk=erasure_id).first()
        if erasure is None or erasure.state != ErasureState.CONFIRMED:
            return None
        try:
            scope = kept_scope(erasure)
            inventory = require_unchanged(erasure, scope)
        except (StalePlanError, NotFoundError):
            _stop(actor, erasure, "erasure.stale_plan", "The data are others than those that were planned.", clock)
            return None
        has_hold = bool(holds_in(scope, patient_of(scope)))
        decision, subject = ask_gate(actor, scope, erasure.cause, has_hold=has_hold, clock=clock)
        if not decision.allowed or has_hold:
            _stop(actor, erasure, decision.code, decision.reason, clock)
            return Refused(decision, actor=actor, subject=subject)
        erasure.state = advance(erasure, ErasureStep.EXECUTE)
        erasure.started_at, erasure.next_attempt_at = clock.now(), clock.now() + AGAIN_AFTER
        erasure.clause, erasure.agreement_version = decision.clause, decision.agreement_version
        if scope.target is ErasureTarget.TENANT:
            erasure.work = {}
        else:
            erasure.work = _let_rows_go(actor, scope, inventory, decision, subject, erasure, clock)
        erasure.save()
        # Before the commit: from now on a restored database is told, too.
        log_erasure(erasure)
    return None


def _let_rows_go(
    actor: Actor,
    scope: Scope,
    inventory: Inventory,
    decision: Decision,
    subject: Subject,
    erasure: Erasure,
    clock: Clock,
) -> dict[str, Any]:
    keys = [str(key_id) for key_id in inventory.key_ids]
    work: dict[str, Any] = {"objects": [str(one) for one in inventory.object_ids], "keys": keys}
    has_others = scope.patient_id is None and scope.part is not ErasurePart.QUARANTINE
    patient_id = patient_of(scope) if has_others else None
    if patient_id is not None:
        _raise_fences(patient_id, clock)
    delete_rows(study_ids=scope.study_ids, patient_id=scope.patient_id, part=scope.part)
    if patient_id is not None:
        work |= _put_others_under_new_key(patient_id)
    _tell(actor, scope, decision, subject, erasure, clock)
    return work


def _tell(actor: Actor, scope: Scope, decision: Decision, subject: Subject, erasure: Erasure, clock: Clock) -> None:
    """Record what went, of each study and of the patient, and let those who show it know."""
    detail = {**detail_of(erasure), "part": scope.part}
    if scope.part is ErasurePart.QUARANTINE:
        entry = Entry(Kind.ACCESSED, "quarantine.erased", decision=decision, subject=subject, detail=detail)
        record(actor=actor, entry=entry, clock=clock)
        return
    for study_id in scope.study_ids:
        of_study = Subject(
            tenant_id=actor.tenant_id,
            category=DataCategory.PIXEL_DATA,
            study_id=StudyId(study_id),
            patient_pseudonym=subject.patient_pseudonym,
        )
        action = "study.erased" if scope.part is ErasurePart.WHOLE else "study.partly_erased"
        record(
            actor=actor,
            entry=Entry(Kind.ACCESSED, action, decision=decision, subject=of_study, detail=detail),
            clock=clock,
        )
    if scope.patient_id is not None:
        entry = Entry(Kind.ACCESSED, "patient.erased", decision=decision, subject=subject, detail=detail)
        record(actor=actor, entry=entry, clock=clock)
    if scope.part is ErasurePart.WHOLE:
        for study_id in scope.study_ids:
            emit(StudyErased(study_id=study_id), streams=(WORKLIST,), clock=clock)


def _raise_fences(patient_id: UUID, clock: Clock) -> None:
    studies = Study.objects.select_for_update().filter(patient_id=patient_id).order_by("pk")
    raise_fences(list(studies.values_list("pk", flat=True)), clock)


def _put_others_under_new_key(patient_id: UUID) -> dict[str, Any]:
    """Wrap what stays of the patient under a new key, since the old one opens what goes, in every old backup.

    The new wrappings are kept with the deletion log: a database restored from before knows the old ones alone.
    """
    patient = Patient.objects.select_for_update().get(pk=patient_id)
    vault, new_key_id = get_vault(), uuid4()
    vault.keys.create_key(patient.tenant_id, new_key_id)
    old_key_id = patient.key_id
    wrappings: list[list[str]] = []
    for model, row in surviving_rows(patient_id=patient.pk):
        if row.key_id != old_key_id:
            continue
        moved = vault.rewrap(ref_of(row), new_key_id)
        model.objects.filter(pk=row.pk).update(key_id=moved.key_id, wrapped_key=moved.wrapped_key)
        wrappings.append([str(row.object_id), moved.wrapped_key.hex()])
    Patient.objects.filter(pk=patient.pk).update(key_id=new_key_id)
    return {
        "keys": [str(old_key_id)],
        "patient": str(patient.pk),
        "new_key": str(new_key_id),
        "wrappings": wrappings,
    }


def _stop(actor: Actor, erasure: Erasure, code: str, sentence: str, clock: Clock) -> None:
    erasure.state = advance(erasure, ErasureStep.STOP)
    erasure.code, erasure.sentence, erasure.next_attempt_at = code[:64], sentence[:500], None
    erasure.save(update_fields=["state", "code", "sentence", "next_attempt_at"])
    log_erasure(erasure)  # an attempt whose commit failed may have left word there
    detail = {**detail_of(erasure), "code": code}
    record(actor=actor, entry=Entry(Kind.CONFIGURATION, "erasure.stopped", detail=detail), clock=clock)


@atomic_service
def _finish(actor: Actor, erasure_id: UUID, clock: Clock) -> None:
    erasure = Erasure.objects.select_for_update().get(pk=erasure_id)
    if erasure.state != ErasureState.EXECUTING:
        return
    erasure.state, erasure.finished_at = advance(erasure, ErasureStep.FINISH), clock.now()
    erasure.next_attempt_at = None
    certify(erasure)
    log_erasure(erasure)
    erasure.work = {}
    erasure.save()
    record(actor=actor, entry=Entry(Kind.CONFIGURATION, "erasure.completed", detail=detail_of(erasure)), clock=clock)


def log_erasure(erasure: Erasure) -> None:
    """Write the erasure into the deletion log beside the keys, which no backup of the database holds."""
    entry = {
        "v": 1,
        "erasure_id": str(erasure.pk),
        "state": erasure.state,
        "target": erasure.target,
        "part": erasure.part,
        "patient_id": str(erasure.patient_id) if erasure.patient_id else None,
        "study_ids": erasure.study_ids,
        "started_at": erasure.started_at.isoformat() if erasure.started_at else None,
        "work": {key: value for key, value in erasure.work.items() if key != "objects"},
        "certificate": erasure.certificate,
        "signature": bytes(erasure.signature or b"").hex(),
        "public_key": bytes(erasure.public_key or b"").hex(),
    }
    get_vault().keys.log_deletion(erasure.tenant_id, erasure.pk, json.dumps(entry, sort_keys=True).encode())


def list_open_erasures() -> list[tuple[TenantId, UUID]]:
    """Return the erasures of any tenant that broke off (the reaper's look)."""
    with connection.cursor() as cursor:
        cursor.execute("select tenant_id, erasure_id from gantry.open_erasures()")
        return [(TenantId(tenant_id), erasure_id) for tenant_id, erasure_id in cursor.fetchall()]


def resume_erasures(*, clock: Clock = SYSTEM_CLOCK) -> int:
    """Take up every erasure that broke off; returns how many there were."""
    found = list_open_erasures()
    for tenant_id, erasure_id in found:
        with tenant_scope(system_actor(tenant_id)):
            with unit_of_work():
                Erasure.objects.filter(pk=erasure_id).update(next_attempt_at=clock.now() + AGAIN_AFTER)
            execute_erasure(erasure_id=erasure_id, clock=clock)
    return len(found)
