"""Jobs carry our signature: what was not written by us for this tenant is not run."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from procrastinate.contrib.django import app as queue

from gantry.foundation.jobs import ForgedJobError, Job, _mac, job
from gantry.foundation.scope import ScopeError, atomic_service, current_tenant_id, tenant_scope, unit_of_work
from gantry.studies.public import open_ingest
from world import World, make_world

pytestmark = pytest.mark.usefixtures("database")

RAN: list[tuple[UUID, UUID]] = []


@job("tests.note")
def note_job(study_id: UUID) -> None:
    RAN.append((current_tenant_id(), study_id))


@job("tests.other")
def other_job(study_id: UUID) -> None:
    RAN.append((current_tenant_id(), study_id))


@pytest.fixture
def row(connect: Any) -> tuple[World, dict[str, Any]]:
    """A job as it lies in the queue."""
    world = make_world()
    with tenant_scope(world.system), unit_of_work():
        note_job.defer(study_id=uuid4())
    query = "select args from procrastinate_jobs where task_name = 'tests.note' and args->>'tenant_id' = %s"
    with connect("app") as connection:
        ((args,),) = connection.execute(query, [str(world.tenant_id)]).fetchall()
    return world, args


def test_job_runs_in_its_tenant_s_scope(row: tuple[World, dict[str, Any]]) -> None:
    world, args = row
    RAN.clear()
    note_job._run(**args)
    assert [(world.tenant_id, UUID(args["arguments"]["study_id"]))] == RAN


@pytest.mark.parametrize("change", ["tenant", "argument", "mac", "no mac", "task", "more"])
def test_job_is_refused_when_anything_of_it_was_changed(row: tuple[World, dict[str, Any]], change: str) -> None:
    _, args = row
    task: Job = note_job
    forged = {**args, "arguments": dict(args["arguments"])}
    if change == "tenant":
        forged["tenant_id"] = str(make_world().tenant_id)
    elif change == "argument":
        forged["arguments"]["study_id"] = str(uuid4())
    elif change == "mac":
        forged["mac"] = "0" * 64
    elif change == "no mac":
        forged["mac"] = ""
    elif change == "task":
        task = other_job
    else:
        forged["arguments"]["more"] = str(uuid4())
    RAN.clear()
    with pytest.raises(ForgedJobError):
        task._run(**forged)
    assert RAN == []
    note_job._run(**args)
    assert len(RAN) == 1


def test_refused_job_is_recorded_and_not_run_again(trail_of: Any) -> None:
    world = make_world(in_force=False)
    trail = trail_of(world)

    def open_something(study_id: UUID) -> None:
        open_ingest(actor=world.system, institution_id=None)

    refused = Job("tests.refused", open_something, queue_name="default")
    with tenant_scope(world.system), unit_of_work():
        refused.defer(study_id=uuid4())
    arguments = {"study_id": str(uuid4())}
    mac = _mac("tests.refused", world.tenant_id, arguments)
    refused._run(tenant_id=str(world.tenant_id), arguments=arguments, mac=mac)
    assert trail.actions() == ["store.refused"]


def test_job_is_gone_when_its_transaction_is_rolled_back(connect: Any) -> None:
    world = make_world()

    class BrokenError(Exception):
        pass

    @atomic_service
    def break_off() -> None:
        note_job.defer(study_id=uuid4())
        raise BrokenError

    with tenant_scope(world.system), pytest.raises(BrokenError):
        break_off()
    with connect("app") as connection:
        rows = connection.execute(
            "select 1 from procrastinate_jobs where args->>'tenant_id' = %s", [str(world.tenant_id)]
        ).fetchall()
    assert rows == []


def test_every_task_of_the_queue_checks_its_signature() -> None:
    ours = [name for name in queue.tasks if "builtin" not in name]
    assert {"analyses.run", "analyses.select"} <= set(ours)
    for name in ours:
        assert isinstance(getattr(queue.tasks[name].func, "__self__", None), Job), name


def test_scope_of_another_tenant_cannot_be_entered_from_within() -> None:
    first, second = make_world(), make_world()
    with tenant_scope(first.system), pytest.raises(ScopeError), tenant_scope(second.system):
        pass
