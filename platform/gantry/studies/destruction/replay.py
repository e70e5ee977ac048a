"""The deletion log, done again to a database that was restored from before."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from gantry.foundation.scope import atomic_service, current_scope
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.studies.destruction import leftovers
from gantry.studies.destruction.fences import wait_for_writers
from gantry.studies.destruction.inventory import delete_rows, surviving_rows
from gantry.studies.domain import ErasureCause, ErasurePart, ErasureState, ErasureTarget
from gantry.studies.models import Erasure, Patient, Study


@atomic_service
def replay_erasure(*, entry: dict[str, Any], clock: Clock = SYSTEM_CLOCK) -> bool:
    """Do to a restored database what the deletion log says was done before; tells whether there was anything to do.

    Keys are destroyed by whoever replays the log; rows are this function's. Entries are given oldest first.
    """
    if entry["state"] not in {ErasureState.EXECUTING, ErasureState.DONE}:
        return False
    tenant_id = current_scope().tenant_id
    wait_for_writers()
    study_ids = [UUID(one) for one in entry["study_ids"]]
    patient_id = UUID(entry["patient_id"]) if entry["patient_id"] else None
    if entry["target"] == ErasureTarget.TENANT:
        found = leftovers.has_tenant_rows()
        leftovers.delete_tenant_rows()
    else:
        found = _is_there(study_ids, patient_id)
        work = entry["work"]
        if work.get("new_key"):
            _replay_wrappings(work)
        delete_rows(study_ids=study_ids, patient_id=patient_id, part=ErasurePart(entry["part"]))
    known = Erasure.objects.filter(pk=UUID(entry["erasure_id"])).first()
    if known is None or known.state != ErasureState.DONE:
        found = True
        _restore_record(tenant_id, known, entry, clock)
    return found


def _is_there(study_ids: Collection[UUID], patient_id: UUID | None) -> bool:
    return Study.objects.filter(pk__in=list(study_ids)).exists() or (
        patient_id is not None and Patient.objects.filter(pk=patient_id).exists()
    )


def _replay_wrappings(work: dict[str, Any]) -> None:
    moved = dict(work["wrappings"])
    old_keys = {UUID(key_id) for key_id in work["keys"]}
    for model, row in surviving_rows(patient_id=UUID(work["patient"])):
        wrapped = moved.get(str(row.object_id))
        if wrapped is not None and row.key_id in old_keys:
            model.objects.filter(pk=row.pk).update(key_id=UUID(work["new_key"]), wrapped_key=bytes.fromhex(wrapped))
    Patient.objects.filter(pk=UUID(work["patient"]), key_id__in=old_keys).update(key_id=UUID(work["new_key"]))


def _restore_record(tenant_id: UUID, known: Erasure | None, entry: dict[str, Any], clock: Clock) -> None:
    """Put the erasure's own row back as the log has it, so that it can still be shown and is not done twice."""
    certificate = entry["certificate"] or {}
    erasure = known or Erasure(
        pk=UUID(entry["erasure_id"]),
        tenant_id=tenant_id,
        target=entry["target"],
        part=entry["part"],
        patient_id=UUID(entry["patient_id"]) if entry["patient_id"] else None,
        study_ids=entry["study_ids"],
        cause=certificate.get("cause", ErasureCause.CONTROLLER_INSTRUCTION),
        plan={"categories": certificate.get("destroyed", [])},
        plan_hash=certificate.get("plan_sha256", ""),
        planned_by=current_scope().actor.id,
        planned_at=clock.now(),
    )
    erasure.started_at = erasure.started_at or clock.now()
    is_done = entry["state"] == ErasureState.DONE
    erasure.state = ErasureState.DONE if is_done else ErasureState.EXECUTING
    if is_done:
        erasure.finished_at, erasure.next_attempt_at, erasure.work = clock.now(), None, {}
        erasure.certificate = entry["certificate"]
        erasure.signature = bytes.fromhex(entry["signature"])
        erasure.public_key = bytes.fromhex(entry["public_key"])
    else:
        erasure.next_attempt_at, erasure.work = clock.now(), entry["work"]
    erasure.save()
