"""Volume packs of series: written once when a study is complete, again when it grew, never against the agreement."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from procrastinate.contrib.django.models import ProcrastinateJob
from pydicom.uid import generate_uid

from audit_trail import Trail
from ct_files import SIZE, make_ct, slice_pixels, to_files
from gantry.agreements.public import Step, advance_agreement
from gantry.config.worker import _request_packs
from gantry.foundation.scope import tenant_scope
from gantry.kernel.clock import SYSTEM_CLOCK, ManualClock
from gantry.kernel.ids import AgreementId
from gantry.kernel.vocabulary import Role
from gantry.studies import packs
from gantry.studies.models import Series, SeriesPack, Study
from gantry.studies.packing import write_series_pack
from gantry.studies.public import (
    PackState,
    PackStatus,
    SeriesPacked,
    complete_study,
    get_pack,
    list_object_ids,
    request_missing_packs,
    request_pack,
)
from gantry.vault.public import KeyDestroyedError, ObjectName, get_vault
from gantry.viewing.rows import shown_event
from gantry_imaging.pack import Pack
from site_client import by_token
from world import World, make_world

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def world() -> World:
    return make_world()


def store(world: World, slices: int = 12, **options: Any) -> tuple[UUID, UUID]:
    """Store a series and return the ids of its study and of itself."""
    series_uid = options.setdefault("series_uid", generate_uid())
    assert by_token(world, Role.INTEGRATOR).stow(to_files(make_ct(slices, **options))).status_code == 200
    with world.reading():
        series = Series.objects.get(series_instance_uid=series_uid)
        return series.study_id, series.pk


def run_job(world: World, series_id: UUID) -> None:
    """Do what the worker does with the job."""
    with tenant_scope(world.system):
        packs.pack_series(series_id=series_id)


def pack_of(world: World, series_id: UUID) -> PackStatus:
    """Return how it stands with a series' pack, as a render session is told."""
    with world.reading():
        return get_pack(Series.objects.get(pk=series_id))


def ask(world: World, series_id: UUID, **options: Any) -> PackState:
    with tenant_scope(world.system):
        return request_pack(series_id=series_id, **options)


def waiting_jobs(world: World) -> list[str]:
    with world.reading():
        rows = ProcrastinateJob.objects.filter(args__tenant_id=str(world.tenant_id), task_name__startswith="studies.")
        return sorted(rows.values_list("task_name", flat=True))


def test_study_that_completes_has_its_packs_asked_for(world: World) -> None:
    study_id, series_id = store(world)
    assert waiting_jobs(world) == []
    with world.acting(Role.RADIOLOGIST) as actor:
        complete_study(actor=actor, study_id=study_id)
    assert waiting_jobs(world) == ["studies.pack_study"]
    with tenant_scope(world.system):
        assert request_missing_packs(study_id=study_id) == 1
        assert request_missing_packs(study_id=study_id) == 0
    assert waiting_jobs(world) == ["studies.pack_series", "studies.pack_study"]
    assert pack_of(world, series_id).state is PackState.PREPARING


def test_written_pack_opens_with_the_slices_as_stored(world: World) -> None:
    _, series_id = store(world)
    ask(world, series_id)
    run_job(world, series_id)
    found = pack_of(world, series_id)
    assert (found.state, found.kind, found.number_of_frames) == (PackState.READY, "volume", 12)
    assert found.volume_bytes == 12 * SIZE * SIZE * 2
    assert found.ref is not None
    with get_vault().open(found.ref) as reader:
        volume = Pack.open(reader).load_volume()
    assert np.array_equal(volume.voxels_kji, np.stack([slice_pixels(k) for k in range(12)]))


def test_writing_is_recorded_under_the_clause_that_allowed_it(world: World, trail_of: Callable[[World], Trail]) -> None:
    study_id, series_id = store(world)
    trail = trail_of(world)
    ask(world, series_id)
    run_job(world, series_id)
    events = {event["action"]: event for event in trail.new()}
    assert set(events) == {"series.packing", "series.packed"}
    assert {event["study_id"] for event in events.values()} == {study_id}
    assert events["series.packed"]["activity"] == "render"
    assert all(event["clause"] for event in events.values())


def test_study_stream_tells_that_the_series_can_be_rendered(world: World) -> None:
    from gantry.foundation.outbox import list_events_after, study_stream

    study_id, series_id = store(world)
    ask(world, series_id)
    run_job(world, series_id)
    with world.reading():
        last = list_events_after(study_stream(study_id), seq=0)[-1]
    assert last.name == "series.packed.v1"
    assert last.data == {
        "study_id": str(study_id), "series_id": str(series_id), "state": "ready", "is_ai_result": False,
    }  # fmt: skip


def test_nothing_is_written_again_when_the_job_runs_twice(world: World) -> None:
    _, series_id = store(world)
    ask(world, series_id)
    run_job(world, series_id)
    with world.reading():
        first = SeriesPack.objects.get(series_id=series_id)
    run_job(world, series_id)
    assert ask(world, series_id) is PackState.READY
    with world.reading():
        again = SeriesPack.objects.get(series_id=series_id)
    assert (again.object_id, again.attempt) == (first.object_id, 1)


def test_pack_is_written_again_when_the_series_grew(world: World) -> None:
    uids: dict[str, Any] = {"study_uid": generate_uid(), "series_uid": generate_uid()}
    _, series_id = store(world, 12, **uids)
    ask(world, series_id)
    run_job(world, series_id)
    before = pack_of(world, series_id).ref
    assert before is not None
    extra = make_ct(14, **uids)[12:]
    assert by_token(world, Role.INTEGRATOR).stow(to_files(extra)).status_code == 200
    assert pack_of(world, series_id).state is PackState.PREPARING
    assert ask(world, series_id) is PackState.PREPARING
    run_job(world, series_id)
    after = pack_of(world, series_id)
    assert (after.state, after.number_of_frames) == (PackState.READY, 14)
    assert after.ref is not None
    objects = get_vault().objects
    assert objects.exists(ObjectName(world.tenant_id, after.ref.object_id))
    assert not objects.exists(ObjectName(world.tenant_id, before.object_id))


def test_overtaken_writer_changes_nothing(world: World) -> None:
    _, series_id = store(world)
    ask(world, series_id)
    with tenant_scope(world.system):
        claim = packs._claim(world.system, series_id, SYSTEM_CLOCK)
        assert claim is not None
        run_job(world, series_id)  # another worker, which thought the first one dead
        sealed, index = write_series_pack(get_vault(), world.tenant_id, claim.instances)
        left = packs._end(world.system, claim, SYSTEM_CLOCK, sealed=sealed, index=index)
    assert left == sealed  # for the caller to discard
    found = pack_of(world, series_id)
    assert found.ref is not None
    assert found.ref.object_id != sealed.object_id


def test_series_without_geometry_is_a_stack_that_says_why(world: World) -> None:
    _, series_id = store(world, 3, ImagePositionPatient=None, ImageOrientationPatient=None)
    ask(world, series_id)
    run_job(world, series_id)
    found = pack_of(world, series_id)
    assert (found.state, found.kind, found.code) == (PackState.READY, "stack", "series.no_geometry")
    assert found.sentence


def test_pack_is_refused_when_no_agreement_is_in_force(world: World, trail_of: Callable[[World], Trail]) -> None:
    _, series_id = store(world)
    ask(world, series_id)
    assert world.agreement_id is not None
    with tenant_scope(world.system):
        advance_agreement(actor=world.system, agreement_id=AgreementId(world.agreement_id), step=Step.SUSPEND)
    trail = trail_of(world)
    run_job(world, series_id)
    with world.reading():
        pack = SeriesPack.objects.get(series_id=series_id)
    assert (pack.state, pack.code, pack.object_id) == (PackState.REFUSED, "agreement.not_in_force", None)
    assert [event["action"] for event in trail.new()] == ["render.refused"]
    # As long as the gate would refuse it again nothing is queued.
    assert ask(world, series_id) is PackState.REFUSED
    with tenant_scope(world.system):
        advance_agreement(actor=world.system, agreement_id=AgreementId(world.agreement_id), step=Step.RESUME)
    assert ask(world, series_id) is PackState.PREPARING
    run_job(world, series_id)
    assert pack_of(world, series_id).state is PackState.READY


def test_lost_job_is_asked_for_again_when_it_is_long_ago(world: World) -> None:
    study_id, series_id = store(world)
    with world.acting(Role.RADIOLOGIST) as actor:
        complete_study(actor=actor, study_id=study_id)
    ask(world, series_id)
    later = ManualClock(SYSTEM_CLOCK.now() + timedelta(minutes=16))
    with tenant_scope(world.system):
        assert request_missing_packs() == 0
        assert request_missing_packs(clock=later) == 1


def test_worker_s_clock_finds_what_was_stored_before_there_were_packs(world: World) -> None:
    other = make_world()
    for one in (world, other):
        study_id, _ = store(one)
        with one.reading():
            Study.objects.filter(pk=study_id).update(state="complete", quiet_until=None)
        assert waiting_jobs(one) == []
    _request_packs()
    _request_packs()
    assert [waiting_jobs(one) for one in (world, other)] == [["studies.pack_series"]] * 2


def test_ai_result_s_pack_is_not_told_of_where_it_may_not_be_known(world: World) -> None:
    told = {"study_id": "1", "series_id": "2", "state": "ready"}
    for is_ai_result, shown in ((False, True), (True, False)):
        data = {**told, "is_ai_result": is_ai_result}
        assert shown_event(world.actor(Role.RADIOLOGIST), SeriesPacked.NAME, data) == data
        assert (shown_event(world.actor(Role.REFERRER), SeriesPacked.NAME, data) == data) is shown


def test_housekeeping_knows_the_pack_s_object(world: World) -> None:
    _, series_id = store(world)
    ask(world, series_id)
    run_job(world, series_id)
    ref = pack_of(world, series_id).ref
    assert ref is not None
    with tenant_scope(world.system):
        assert ref.object_id in list_object_ids()


def test_pack_is_erased_with_its_patient(world: World) -> None:
    study_id, series_id = store(world)
    ask(world, series_id)
    run_job(world, series_id)
    ref = pack_of(world, series_id).ref
    assert ref is not None
    get_vault().open(ref).close()
    with world.reading():
        patient_key = Study.objects.select_related("patient").get(pk=study_id).patient.key_id
    get_vault().keys.destroy_key(world.tenant_id, patient_key)
    with pytest.raises(KeyDestroyedError):
        get_vault().open(ref)
