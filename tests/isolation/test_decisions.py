"""Whoever touches patients' data asks the gate: the watch itself, and the jobs. The routes are walked in test_routes."""

from __future__ import annotations

import pytest
from django.apps import apps
from procrastinate.contrib.django import app as queue

from analysed import claim, complete, deploy, finish, load_study, select
from decisions import MAY_TOUCH, patient_tables, undecided
from gantry.agreements.public import decide
from gantry.analyses.domain import Stage
from gantry.analyses.services import report_progress
from gantry.foundation.guard import current_guard, guarding
from gantry.foundation.scope import atomic_service, tenant_scope, unit_of_work
from gantry.kernel.actor import Actor, Subject
from gantry.kernel.vocabulary import Activity, DataCategory, Role
from gantry.studies.models import Series, Study
from gantry.studies.packs import pack_series
from gantry.studies.public import open_study, request_pack
from gantry.tenancy.public import list_institutions
from world import World, make_world

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture(scope="module")
def world(database: None) -> World:
    return make_world()


@atomic_service
def _bad_service() -> int:
    """Count studies for whoever asks: what no service may do."""
    return Study.objects.count()


@atomic_service
def _bad_helper_of_a_good_service(actor: Actor) -> int:
    count = Study.objects.count()
    decide(actor=actor, activity=Activity.FIND, subject=Subject(actor.tenant_id, DataCategory.IDENTIFYING_METADATA))
    return count


def test_watch_catches_a_service_that_asks_nobody(world: World) -> None:
    with guarding(patient_tables()) as guard, world.acting(Role.RADIOLOGIST):
        _bad_service()
    (found,) = guard.found
    assert found.tables == {"studies_study"}
    assert undecided(guard) == [found]


def test_watch_catches_it_beside_a_service_that_asks(world: World) -> None:
    """One decision opens one unit of work, not the next."""
    loaded = load_study(world, 1)
    with guarding(patient_tables()) as guard, world.acting(Role.RADIOLOGIST) as actor:
        open_study(actor=actor, study_id=loaded.study_id)
        assert guard.found == []
        _bad_service()
    assert len(guard.found) == 1


def test_watch_catches_a_service_that_writes(world: World) -> None:
    with guarding(patient_tables()) as guard, tenant_scope(world.system), unit_of_work():
        Study.objects.filter(description="nothing").update(description="")
    assert len(guard.found) == 1


def test_watch_is_content_when_the_gate_is_asked_in_the_same_unit(world: World) -> None:
    with guarding(patient_tables()) as guard, world.acting(Role.RADIOLOGIST) as actor:
        _bad_helper_of_a_good_service(actor)
        list_institutions(actor=actor)
    assert guard.found == []


def test_watch_is_off_outside_its_block() -> None:
    assert current_guard() is None


def test_tables_of_every_part_with_patients_are_watched() -> None:
    tables = patient_tables()
    assert {"studies_patient", "studies_study", "studies_instance", "analyses_analysis", "analyses_finding"} <= tables
    others = {model._meta.db_table for model in apps.get_models()} - tables
    assert not any("patient" in table and table.startswith(("studies", "analyses")) for table in others)


def test_reasons_are_sentences() -> None:
    assert all(len(reason) > 7 for reason in MAY_TOUCH.values())


#: Jobs that are walked below, and those that are not, with the reason.
WALKED = {"analyses.select", "analyses.run", "studies.pack_series"}
NOT_WALKED = {
    "studies.pack_study": "puts jobs on the queue, each of which is walked",
    "studies.plan_end": "plans an erasure, which asks the gate when it is carried out",
    "studies.erase": "asks the gate before each step (tests/integration/studies/test_erasure.py)",
    "oversight.export": "reads the audit trail, whose reading is recorded (tests/integration/oversight)",
    "oversight.forget_exports": "removes what was exported; reads nothing of a patient",
    "oversight.portability": "asks the gate for EXPORT (tests/integration/oversight)",
}


def test_every_job_is_walked_or_says_why_not() -> None:
    ours = {
        name for name in queue.tasks if name.split(".")[0] in {"studies", "analyses", "oversight", "access", "viewing"}
    }
    assert {name for name in ours - WALKED if name not in NOT_WALKED and name.split(".")[0] != "oversight"} == set()


def test_jobs_ask_the_gate(world: World) -> None:
    deploy(world)
    loaded = load_study(world, 12)
    complete(loaded)
    with world.reading():
        series_id = Series.objects.get(series_instance_uid=loaded.series_uid).pk
    with tenant_scope(world.system):
        request_pack(series_id=series_id)
    with guarding(patient_tables()) as guard:
        (analysis_id,) = select(loaded)
        work = claim(world, analysis_id)
        with tenant_scope(world.system):
            report_progress(analysis_id=analysis_id, claim=work.claim, stage=Stage.INFER, progress=0.1)
        with tenant_scope(world.system):
            pack_series(series_id=series_id)
    finish(loaded, work)
    assert undecided(guard) == []
