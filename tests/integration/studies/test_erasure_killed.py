"""An erasure whose process is killed with SIGKILL is ended by the next one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from django.utils import timezone

from analysed import load_study
from gantry.foundation.scope import tenant_scope, unit_of_work
from gantry.kernel.vocabulary import Role
from gantry.studies.models import Erasure, Patient, Study
from gantry.studies.public import ErasureCause, ErasureTarget, confirm_erasure, plan_erasure, resume_erasures
from gantry.vault.public import get_vault
from world import World, make_world

pytestmark = pytest.mark.usefixtures("database")

ROOT = Path(__file__).resolve().parents[3]
SLICES = 60
SCRIPT = """
import sys, django
django.setup()
from uuid import UUID
from gantry.foundation.scope import tenant_scope
from gantry.kernel.actor import system_actor
from gantry.studies.public import execute_erasure
with tenant_scope(system_actor(UUID(sys.argv[1]))):
    execute_erasure(erasure_id=UUID(sys.argv[2]))
"""


def has_begun(world: World) -> bool:
    with world.reading():
        return Erasure.objects.filter(started_at__isnull=False).exists()


def has_lost_objects(world: World) -> bool:
    return len(list(get_vault().objects.list(world.tenant_id))) < SLICES


def is_nearly_without_objects(world: World) -> bool:
    return len(list(get_vault().objects.list(world.tenant_id))) < SLICES // 4


@pytest.mark.parametrize("moment", [has_begun, has_lost_objects, is_nearly_without_objects])
def test_killed_erasure_is_ended_by_the_next_process(moment: Callable[[World], bool]) -> None:
    world = make_world()
    loaded = load_study(world, SLICES)
    with world.reading():
        patient = Patient.objects.get(pk=Study.objects.get(pk=loaded.study_id).patient_id)
    with world.acting(Role.COMPLIANCE) as actor:
        plan = plan_erasure(
            actor=actor, target=ErasureTarget.PATIENT, patient_id=patient.pk, cause=ErasureCause.SUBJECT_REQUEST
        )
        confirm_erasure(actor=actor, erasure_id=plan.pk, plan_hash=plan.plan_hash)
    path = os.pathsep.join(str(ROOT / name) for name in ("platform", "inference", "rendering"))
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(world.tenant_id), str(plan.pk)], env={**os.environ, "PYTHONPATH": path}
    )
    deadline = time.monotonic() + 120
    while not moment(world) and process.poll() is None:  # it may be faster than we look: then there is nothing to kill
        assert time.monotonic() < deadline
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    with tenant_scope(world.system), unit_of_work():
        Erasure.objects.filter(pk=plan.pk, finished_at=None).update(next_attempt_at=timezone.now())
    resume_erasures()
    with world.reading():
        assert Erasure.objects.get(pk=plan.pk).state == "done"
        assert not Patient.objects.filter(pk=patient.pk).exists()
    assert not list(get_vault().objects.list(world.tenant_id))
    assert any(one.key_id == patient.key_id for one in get_vault().keys.erasures(world.tenant_id))
