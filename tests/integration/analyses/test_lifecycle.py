"""From a quiet study to findings that people judged: timer, selection, claim, fencing, reaper, review."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from analysed import analyse, analysis_of, claim, complete, deploy, finish, load_study, result_object, select
from audit_trail import Trail
from gantry.agreements.public import Step, advance_agreement
from gantry.analyses.domain import LEASE_S, MAX_CRASHES, Claim, Stage
from gantry.analyses.errors import FencedError
from gantry.analyses.models import Analysis, Finding
from gantry.analyses.public import list_open_analyses, requeue_analysis
from gantry.analyses.services import (
    claim_analysis,
    fail_analysis,
    finish_analysis,
    postpone_analysis,
    renew_lease,
    report_progress,
)
from gantry.foundation.scope import tenant_scope, unit_of_work
from gantry.kernel.clock import SYSTEM_CLOCK, ManualClock
from gantry.kernel.ids import AgreementId
from gantry.kernel.vocabulary import Role
from gantry.studies.models import Instance, Study
from gantry.studies.public import complete_due_studies
from site_client import by_token
from world import World, make_world

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def world() -> World:
    return make_world()


def later(seconds: float) -> ManualClock:
    return ManualClock(SYSTEM_CLOCK.now() + timedelta(seconds=seconds))


def make_due(world: World, study_id: UUID) -> None:
    with tenant_scope(world.system), unit_of_work():
        # Long ago: the timer takes the longest overdue first, and other tests leave studies behind.
        Study.objects.filter(pk=study_id).update(quiet_until=SYSTEM_CLOCK.now() - timedelta(days=365))


def state_of(world: World, study_id: UUID) -> str:
    with tenant_scope(world.system), unit_of_work():
        return Study.objects.get(pk=study_id).state


def jobs_of(connect: Callable[[str], Any], world: World, task: str) -> list[dict[str, Any]]:
    with connect("app") as connection:
        rows = connection.execute(
            "select args from procrastinate_jobs where task_name = %s and args->>'tenant_id' = %s order by id",
            [task, str(world.tenant_id)],
        ).fetchall()
    return [args for (args,) in rows]


def test_study_becomes_complete_when_nothing_arrives_for_a_while(world: World, connect: Any) -> None:
    quiet, arriving = load_study(world, 2), load_study(world, 2)
    with tenant_scope(world.system), unit_of_work():
        Study.objects.filter(pk=arriving.study_id).update(quiet_until=SYSTEM_CLOCK.now() + timedelta(hours=1))
    make_due(world, quiet.study_id)
    complete_due_studies()
    assert (state_of(world, quiet.study_id), state_of(world, arriving.study_id)) == ("complete", "receiving")
    (job,) = jobs_of(connect, world, "analyses.select")
    assert job["arguments"] == {"study_id": str(quiet.study_id)}


def test_study_waits_when_the_agreement_ended_meanwhile(world: World, trail_of: Callable[[World], Trail]) -> None:
    loaded = load_study(world, 2)
    make_due(world, loaded.study_id)
    suspend(world)
    trail = trail_of(world)
    complete_due_studies()
    complete_due_studies()
    assert state_of(world, loaded.study_id) == "receiving"
    assert trail.actions() == ["store.refused"]


def suspend(world: World) -> None:
    with tenant_scope(world.system):
        agreement_id = AgreementId(world.agreement_id or uuid4())
        advance_agreement(actor=world.system, agreement_id=agreement_id, step=Step.SUSPEND)


def test_fitting_series_is_queued_once(world: World, connect: Any) -> None:
    deploy(world)
    loaded = load_study(world, 12)
    complete(loaded)
    (analysis_id,) = select(loaded)
    assert select(loaded) == []
    analysis = analysis_of(world, analysis_id)
    assert (analysis.state, analysis.model, analysis.study_revision) == ("queued", "bone_ct", 1)
    (job,) = jobs_of(connect, world, "analyses.run")
    assert job["arguments"] == {"analysis_id": str(analysis_id)}


@pytest.mark.parametrize(
    ("slices", "attributes", "word"),
    [
        (3, {}, "slices"),
        (12, {"Modality": "MR"}, "MR"),
        (12, {"PixelSpacing": [5, 5]}, "mm"),
        (12, {"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}, ""),
        (12, {"ImagePositionPatient": [0, 0, 0]}, ""),
    ],
)
def test_what_does_not_fit_is_not_analysed_and_says_why(
    world: World, slices: int, attributes: dict[str, Any], word: str
) -> None:
    deploy(world)
    loaded = load_study(world, slices, **attributes)
    complete(loaded)
    assert select(loaded) == []
    (row,) = by_token(world, Role.RADIOLOGIST).get(f"/api/v1/studies/{loaded.study_id}/analyses").json()["analyses"]
    assert (row["state"], row["findings"]) == ("not_analysed", [])
    assert row["sentence"] and word in row["sentence"]


def test_late_instance_starts_anew_and_the_old_result_says_what_it_is_of(world: World) -> None:
    loaded = load_study(world, 12)
    first = analyse(loaded)
    reader = by_token(world, Role.RADIOLOGIST)
    late = load_study(
        world, 1, study_uid=loaded.study_uid, series_uid=loaded.series_uid, ImagePositionPatient=[0, 0, 30]
    )
    assert late.study_id == loaded.study_id
    row = reader.get(f"/api/v1/inference/{first.analysis_id}").json()
    assert (row["study_revision"], row["is_stale"]) == (1, True)
    (listed,) = reader.post("/api/v1/worklist/search", json={}).json()["results"]
    assert (listed["revision"], listed["newer_instances"]) == (2, True)
    complete(loaded)
    (second,) = select(loaded)
    assert analysis_of(world, second).study_revision == 2


def start(world: World, key: str, **body: str) -> Any:
    body = {"model": "bone_ct"} | body
    return by_token(world, Role.RADIOLOGIST).post("/api/v1/inference", json=body, headers={"Idempotency-Key": key})


def test_start_by_hand_is_one_analysis_when_the_key_is_the_same(world: World) -> None:
    deploy(world)
    loaded, other = load_study(world, 12), load_study(world, 12)
    key = uuid4().hex
    first = start(world, key, study_instance_uid=loaded.study_uid)
    assert (first.status_code, first.json()["state"]) == (202, "queued")
    assert first.headers["location"].endswith(first.json()["id"])
    assert start(world, key, study_instance_uid=loaded.study_uid).json()["id"] == first.json()["id"]
    assert start(world, uuid4().hex, series_instance_uid=loaded.series_uid).json()["id"] != first.json()["id"]
    conflict = start(world, key, study_instance_uid=other.study_uid)
    assert (conflict.status_code, conflict.json()["code"]) == (409, "request.idempotency_conflict")


@pytest.mark.parametrize(
    ("key", "body", "code"),
    [
        ("", {}, "request.invalid"),
        ("short", {}, "request.invalid"),
        ("x" * 65, {}, "request.invalid"),
        ("good-key-1", {"model": "no_such_model"}, "analysis.unknown_model"),
        ("good-key-2", {"study_instance_uid": ""}, "request.invalid"),
        ("good-key-3", {"study_instance_uid": "1.2;drop"}, "request.invalid"),
    ],
)
def test_start_is_refused_with_a_sentence(world: World, key: str, body: dict[str, str], code: str) -> None:
    deploy(world)
    loaded = load_study(world, 12)
    answer = start(world, key, **({"study_instance_uid": loaded.study_uid} | body))
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_only_one_worker_holds_an_analysis(world: World) -> None:
    deploy(world)
    loaded = load_study(world, 12)
    complete(loaded)
    (analysis_id,) = select(loaded)
    work = claim(world, analysis_id)
    with tenant_scope(world.system):
        assert claim_analysis(actor=world.system, analysis_id=analysis_id) is None
        taken = claim_analysis(actor=world.system, analysis_id=analysis_id, clock=later(LEASE_S + 1))
    assert taken is not None
    assert taken.claim.attempt == work.claim.attempt + 1
    assert analysis_of(world, analysis_id).crashes == 1


def test_worker_writes_nothing_when_another_took_over(world: World, trail_of: Callable[[World], Trail]) -> None:
    deploy(world)
    loaded = load_study(world, 12)
    complete(loaded)
    (analysis_id,) = select(loaded)
    zombie = claim(world, analysis_id)
    with tenant_scope(world.system):
        heir = claim_analysis(actor=world.system, analysis_id=analysis_id, clock=later(LEASE_S + 1))
    assert heir is not None
    before, trail = _tables(world), trail_of(world)
    actor, mine = world.system, zombie.claim
    acts: list[Callable[[], object]] = [
        lambda: renew_lease(analysis_id=analysis_id, claim=mine),
        lambda: report_progress(analysis_id=analysis_id, claim=mine, stage=Stage.INFER, progress=0.5),
        lambda: postpone_analysis(actor=actor, analysis_id=analysis_id, claim=mine, sentence="x", delay_s=1),
        lambda: fail_analysis(actor=actor, analysis_id=analysis_id, claim=mine, code="x", sentence="x"),
        lambda: finish_analysis(
            actor=actor, analysis_id=analysis_id, claim=mine, results=[result_object(loaded)], findings=[],
            artefacts=[], runtime="", timings_s={},
        ),
    ]  # fmt: skip
    for act in acts:
        with tenant_scope(world.system), pytest.raises(FencedError):
            act()
    assert _tables(world) == before
    assert trail.actions() == []
    finish(loaded, heir)
    assert analysis_of(world, analysis_id).state == "done"
    with tenant_scope(world.system), pytest.raises(FencedError):
        fail_analysis(actor=actor, analysis_id=analysis_id, claim=heir.claim, code="x", sentence="x")


def _tables(world: World) -> Any:
    with tenant_scope(world.system), unit_of_work():
        return (
            list(Analysis.objects.order_by("pk").values()), Finding.objects.count(), Instance.objects.count(),
        )  # fmt: skip


def test_analysis_is_given_up_when_its_worker_dies_again_and_again(world: World) -> None:
    deploy(world)
    loaded = load_study(world, 12)
    complete(loaded)
    (analysis_id,) = select(loaded)
    clock = later(0)
    with tenant_scope(world.system):
        for _ in range(MAX_CRASHES + 1):
            assert claim_analysis(actor=world.system, analysis_id=analysis_id, clock=clock) is not None
            clock.advance(timedelta(seconds=LEASE_S + 1))
        assert claim_analysis(actor=world.system, analysis_id=analysis_id, clock=clock) is None
    analysis = analysis_of(world, analysis_id)
    assert (analysis.state, analysis.code) == ("failed", "analysis.crashed")


def test_orphan_is_queued_again_by_the_reaper(world: World, connect: Any) -> None:
    deploy(world)
    loaded = load_study(world, 12)
    complete(loaded)
    (analysis_id,) = select(loaded)
    claim(world, analysis_id)
    assert (world.tenant_id, analysis_id) not in list_open_analyses()
    long_ago = SYSTEM_CLOCK.now() - timedelta(seconds=1)
    with tenant_scope(world.system), unit_of_work():
        Analysis.objects.filter(pk=analysis_id).update(lease_until=long_ago, next_attempt_at=long_ago)
    assert (world.tenant_id, analysis_id) in list_open_analyses()
    with tenant_scope(world.system):
        requeue_analysis(analysis_id=analysis_id)
    assert len(jobs_of(connect, world, "analyses.run")) == 2
    assert (world.tenant_id, analysis_id) not in list_open_analyses()


def test_waiting_analysis_runs_again_when_its_time_has_come(world: World) -> None:
    deploy(world)
    loaded = load_study(world, 12)
    complete(loaded)
    (analysis_id,) = select(loaded)
    work = claim(world, analysis_id)
    with tenant_scope(world.system):
        postpone_analysis(actor=world.system, analysis_id=analysis_id, claim=work.claim, sentence="Waiting.", delay_s=5)
        assert analysis_of(world, analysis_id).state == "waiting"
        again = claim_analysis(actor=world.system, analysis_id=analysis_id, clock=later(6))
    assert again is not None
    assert analysis_of(world, analysis_id).crashes == 0


def test_analysis_fails_when_the_agreement_ended_since_it_was_queued(
    world: World, trail_of: Callable[[World], Trail]
) -> None:
    deploy(world)
    loaded = load_study(world, 12)
    complete(loaded)
    (analysis_id,) = select(loaded)
    suspend(world)
    trail = trail_of(world)
    with tenant_scope(world.system):
        assert claim_analysis(actor=world.system, analysis_id=analysis_id) is None
    analysis = analysis_of(world, analysis_id)
    assert (analysis.state, analysis.code) == ("failed", "agreement.not_in_force")
    (event,) = trail.new()
    assert (event["action"], event["outcome"], event["code"]) == (
        "analysis.failed",
        "refused",
        "agreement.not_in_force",
    )


def test_nothing_of_a_result_is_kept_when_the_agreement_ends_before_it_is_finished(world: World) -> None:
    from gantry.kernel.decision import Refused

    deploy(world)
    loaded = load_study(world, 12)
    complete(loaded)
    (analysis_id,) = select(loaded)
    work = claim(world, analysis_id)
    suspend(world)
    before = _tables(world)
    with pytest.raises(Refused):
        finish(loaded, work)
    assert _tables(world) == before


def test_claim_of_nothing_is_nothing(world: World) -> None:
    with tenant_scope(world.system):
        assert claim_analysis(actor=world.system, analysis_id=uuid4()) is None
    assert Claim(1) == Claim(1)
