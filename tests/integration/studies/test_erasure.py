"""Erasure: planned, held, confirmed, executed to the end; what was erased is gone, and stays gone."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.apps import apps
from pydicom.uid import generate_uid

from analysed import Loaded, analyse, load_study
from audit_trail import Trail
from ct_files import make_ct, to_files
from gantry.foundation.scope import tenant_scope
from gantry.kernel.vocabulary import Role
from gantry.studies.destruction.domain import HeldError, StalePlanError
from gantry.studies.destruction.inventory import LOOSE, holdings
from gantry.studies.models import Instance, Patient, SeriesPack, Study
from gantry.studies.packs import pack_series
from gantry.studies.public import (
    Erasure,
    ErasureCause,
    ErasureTarget,
    confirm_erasure,
    execute_erasure,
    is_genuine,
    place_hold,
    plan_erasure,
    release_hold,
    request_pack,
    stored_ref,
)
from gantry.vault.public import KeyDestroyedError, ObjectName, get_vault
from site_client import by_token
from world import World, make_world

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def world() -> World:
    return make_world()


def plan(world: World, **options: Any) -> Erasure:
    with world.acting(Role.COMPLIANCE) as actor:
        return plan_erasure(actor=actor, cause=ErasureCause.SUBJECT_REQUEST, **options)


def erase(world: World, **options: Any) -> Erasure:
    made = plan(world, **options)
    with world.acting(Role.COMPLIANCE) as actor:
        confirm_erasure(actor=actor, erasure_id=made.pk, plan_hash=made.plan_hash)
    with tenant_scope(world.system):
        execute_erasure(erasure_id=made.pk)
    with world.reading():
        return Erasure.objects.get(pk=made.pk)


def patient_of(world: World, study_id: UUID) -> Patient:
    with world.reading():
        return Patient.objects.get(pk=Study.objects.get(pk=study_id).patient_id)


def refs_of(world: World, study_id: UUID) -> list[Any]:
    with world.reading():
        return [stored_ref(row, row.tenant_id) for row in Instance.objects.filter(study_id=study_id)]


def rows_left(world: World) -> dict[str, int]:
    with world.reading():
        counts = {holding.label: holding.model.objects.count() for holding in holdings()}
    return {label: count for label, count in counts.items() if count}


def loaded_with_results(world: World) -> Loaded:
    loaded = load_study(world, 8)
    analyse(loaded)
    with world.reading():
        series = [
            pack.pk
            for pack in apps.get_model("studies", "Series").objects.filter(study_id=loaded.study_id, analysis_id=None)
        ]
    with tenant_scope(world.system):
        for series_id in series:
            request_pack(series_id=series_id)
            pack_series(series_id=series_id)
    return loaded


def test_patient_is_gone_with_objects_keys_and_results_when_erased(world: World) -> None:
    loaded = loaded_with_results(world)
    patient = patient_of(world, loaded.study_id)
    with world.reading():
        packs = [row.object_id for row in SeriesPack.objects.all()]
    refs = refs_of(world, loaded.study_id)
    erased = erase(world, target=ErasureTarget.PATIENT, patient_id=patient.pk)
    assert erased.state == "done"
    assert rows_left(world) == {}
    vault = get_vault()
    assert not list(vault.objects.list(world.tenant_id))
    for ref in refs:
        with pytest.raises(KeyDestroyedError):
            vault.open(ref)
    assert not any(vault.objects.exists(ObjectName(world.tenant_id, one)) for one in packs if one)
    shares = {share["category"]: share for share in erased.plan["categories"]}
    assert shares["originals"]["objects"] == 8
    assert {"volume packs", "findings", "results (DICOM)", "result artefacts (meshes, outlines)"} <= set(shares)


def test_other_studies_stay_readable_under_a_new_key_when_one_is_erased(world: World) -> None:
    gone, stays = (load_study(world, 4, PatientID="P-7", study_uid=generate_uid()) for _ in range(2))
    old = refs_of(world, stays.study_id)
    old_key = patient_of(world, stays.study_id).key_id
    erased = erase(world, target=ErasureTarget.STUDY, study_ids=[gone.study_id])
    assert erased.state == "done"
    assert not erased.plan["whole_patient"]
    patient = patient_of(world, stays.study_id)
    assert patient.key_id != old_key
    assert erased.certificate
    assert erased.certificate["keys_destroyed"] == [str(old_key)]
    vault = get_vault()
    for ref in refs_of(world, stays.study_id):
        with vault.open(ref) as reader:
            assert reader.read()[128:132] == b"DICM"
    for ref in old:  # as a backup of the database has them
        with pytest.raises(KeyDestroyedError):
            vault.open(ref)
    assert by_token(world, Role.RADIOLOGIST).get(f"/api/v1/studies/{gone.study_id}").status_code == 404


def test_last_study_takes_its_patient_with_it(world: World) -> None:
    loaded = load_study(world, 4)
    erased = erase(world, target=ErasureTarget.STUDY, study_ids=[loaded.study_id])
    assert erased.plan["whole_patient"]
    assert rows_left(world) == {}


def test_hold_blocks_confirmation_and_execution_until_it_is_released(world: World) -> None:
    loaded = load_study(world, 4)
    patient = patient_of(world, loaded.study_id)
    made = plan(world, target=ErasureTarget.PATIENT, patient_id=patient.pk)
    with world.acting(Role.COMPLIANCE) as actor:
        hold = place_hold(actor=actor, study_id=loaded.study_id, reason="Court order", reference="2026/17")
        with pytest.raises(HeldError):
            confirm_erasure(actor=actor, erasure_id=made.pk, plan_hash=made.plan_hash)
        release_hold(actor=actor, hold_id=hold.pk, reason="Proceedings closed")
        confirm_erasure(actor=actor, erasure_id=made.pk, plan_hash=made.plan_hash)
        place_hold(actor=actor, patient_id=patient.pk, reason="Another one")
    with tenant_scope(world.system):
        execute_erasure(erasure_id=made.pk)
    with world.reading():
        stopped = Erasure.objects.get(pk=made.pk)
        assert (stopped.state, stopped.code) == ("stopped", "subject.legal_hold")
        assert Study.objects.filter(pk=loaded.study_id).exists()
    assert len(list(get_vault().objects.list(world.tenant_id))) == 4


def test_plan_is_refused_when_the_data_changed_or_the_hash_is_wrong(world: World) -> None:
    study_uid = generate_uid()
    loaded = load_study(world, 4, study_uid=study_uid)
    patient = patient_of(world, loaded.study_id)
    made = plan(world, target=ErasureTarget.PATIENT, patient_id=patient.pk)
    with world.acting(Role.COMPLIANCE) as actor, pytest.raises(StalePlanError):
        confirm_erasure(actor=actor, erasure_id=made.pk, plan_hash="0" * 64)
    load_study(world, 2, study_uid=study_uid)
    with world.acting(Role.COMPLIANCE) as actor, pytest.raises(StalePlanError):
        confirm_erasure(actor=actor, erasure_id=made.pk, plan_hash=made.plan_hash)


def test_ingest_in_flight_cannot_bring_back_what_was_erased_meanwhile(world: World) -> None:
    from gantry.studies.destruction.domain import ErasedMeanwhileError
    from gantry.studies.public import open_ingest, store_batch

    datasets = make_ct(2, PatientID="P-9")
    files = to_files(datasets)
    assert by_token(world, Role.INTEGRATOR).stow(files).status_code == 200
    with world.reading():
        patient = Patient.objects.get(patient_id="P-9")
    with world.acting(Role.RADIOLOGIST) as actor:
        permit = open_ingest(actor=actor, institution_id=None)
        received = _staged(world, files)
    erase(world, target=ErasureTarget.PATIENT, patient_id=patient.pk)
    with world.acting(Role.RADIOLOGIST) as actor, pytest.raises(ErasedMeanwhileError):
        store_batch(actor=actor, permit=permit, received=received)
    assert rows_left(world) == {}
    assert not list(get_vault().objects.list(world.tenant_id))
    # Sent again, it is a new decision of the sender's: a new patient, under a new key.
    assert by_token(world, Role.INTEGRATOR).stow(files).status_code == 200
    with world.reading():
        assert Patient.objects.get(patient_id="P-9").key_id != patient.key_id


def _staged(world: World, files: list[bytes]) -> list[Any]:
    from gantry.studies.parsing.header import parse
    from gantry.studies.parsing.limits import ParserLimits
    from gantry.studies.public import Received

    received = []
    for data in files:
        with get_vault().begin(world.tenant_id) as writer:
            writer.write(data)
            sealed = writer.commit()
        received.append(Received(sealed, parse(memoryview(data), ParserLimits())))
    return received


@pytest.mark.parametrize("target", [ErasureTarget.PATIENT, ErasureTarget.STUDY])
def test_execution_goes_on_where_it_broke_off(
    world: World, target: ErasureTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stop at every call to the stores in turn; each time the next attempt must end it."""
    gone = load_study(world, 3, PatientID="P-1", study_uid=generate_uid())
    if target is ErasureTarget.STUDY:
        load_study(world, 3, PatientID="P-1", study_uid=generate_uid())
    patient = patient_of(world, gone.study_id)
    made = plan(world, target=target, patient_id=patient.pk, study_ids=[gone.study_id])
    with world.acting(Role.COMPLIANCE) as actor:
        confirm_erasure(actor=actor, erasure_id=made.pk, plan_hash=made.plan_hash)

    class BrokenError(RuntimeError):
        pass

    vault = get_vault()
    countdown = [0]

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            countdown[0] -= 1
            if countdown[0] == 0:
                raise BrokenError
            return function(*args, **kwargs)

        return call

    for store, name in (
        (vault.objects, "delete"), (vault.keys, "destroy_key"), (vault.keys, "log_deletion"), (vault.keys, "create_key"),
        (vault.keys, "sign"), (vault.keys, "rewrap"),
    ):  # fmt: skip
        monkeypatch.setattr(type(store), name, counted(getattr(type(store), name)))
    breaks = 0
    while True:
        breaks += 1
        countdown[0] = breaks
        with tenant_scope(world.system):
            try:
                execute_erasure(erasure_id=made.pk)
                break
            except BrokenError:
                continue
    assert breaks > 5
    monkeypatch.undo()
    with world.reading():
        assert Erasure.objects.get(pk=made.pk).state == "done"
        assert not Study.objects.filter(pk=gone.study_id).exists()
    survivors = [ref for study in _studies(world) for ref in refs_of(world, study)]
    assert {blob.name.object_id for blob in vault.objects.list(world.tenant_id)} == {ref.object_id for ref in survivors}
    for ref in survivors:
        vault.open(ref).close()


def _studies(world: World) -> list[UUID]:
    with world.reading():
        return list(Study.objects.values_list("pk", flat=True))


def test_certificate_is_genuine_and_betrays_a_changed_word(world: World) -> None:
    loaded = load_study(world, 3)
    erased = erase(world, target=ErasureTarget.PATIENT, patient_id=patient_of(world, loaded.study_id).pk)
    certificate, signature, key = (
        erased.certificate or {},
        bytes(erased.signature or b""),
        bytes(erased.public_key or b""),
    )
    assert is_genuine(certificate, signature, key)
    assert certificate["agreement"]["clause"]
    assert not is_genuine({**certificate, "reference": "another"}, signature, key)
    text = json.dumps(certificate)
    (logged,) = [one for one in get_vault().keys.deletions(world.tenant_id) if one.deletion_id == erased.pk]
    for secret in ("P-", "Phantom", str(loaded.datasets[0].PatientID), str(loaded.datasets[0].PatientName)):
        assert secret not in text
        assert secret not in logged.entry.decode()


def test_trail_tells_of_the_erasure_by_pseudonym(world: World, trail_of: Callable[[World], Trail]) -> None:
    loaded = load_study(world, 3)
    patient = patient_of(world, loaded.study_id)
    trail = trail_of(world)
    erase(world, target=ErasureTarget.PATIENT, patient_id=patient.pk)
    events = {event["action"]: event for event in trail.new()}
    assert {"erasure.planned", "erasure.confirmed", "study.erased", "patient.erased", "erasure.completed"} <= set(
        events
    )
    assert events["patient.erased"]["patient_pseudonym"] == patient.pseudonym
    assert events["study.erased"]["clause"]


def test_quarantined_objects_of_the_patient_go_with_them(world: World) -> None:
    study_uid = generate_uid()
    loaded = load_study(world, 2, PatientID="P-1", study_uid=study_uid)
    strange = to_files(make_ct(1, PatientID="P-2", study_uid=study_uid))
    by_token(world, Role.INTEGRATOR).stow(strange)
    erased = erase(world, target=ErasureTarget.PATIENT, patient_id=patient_of(world, loaded.study_id).pk)
    shares = {share["category"]: share for share in erased.plan["categories"]}
    assert shares["quarantined objects"]["objects"] == 1
    assert rows_left(world) == {}


def test_every_table_with_an_id_of_a_study_or_patient_is_accounted_for() -> None:
    from gantry.foundation.models import TenantModel

    covered = {holding.label for holding in holdings()}
    loose = {
        model._meta.label
        for model in apps.get_models()
        if issubclass(model, TenantModel)
        and model._meta.label not in covered
        and {field.name for field in model._meta.concrete_fields}
        & {"study_id", "patient_id", "series_id", "patient_pseudonym", "study_ids"}
    }
    assert loose <= set(LOOSE), "say in LOOSE what becomes of these when a study is erased"


def test_news_of_an_erased_study_says_nothing_any_more(world: World) -> None:
    from gantry.foundation.models import Stream, StreamEvent

    loaded = load_study(world, 2)
    erase(world, target=ErasureTarget.PATIENT, patient_id=patient_of(world, loaded.study_id).pk)
    with world.reading():
        assert not Stream.objects.filter(name__startswith="study:").exists()
        news = StreamEvent.objects.filter(stream__name="worklist").order_by("seq")
        names = list(news.values_list("name", flat=True))
    assert names[-1] == "study.erased.v1"
    assert set(names[:-1]) == {"event.erased.v1"}


def test_tenant_s_erasure_is_planned_when_its_agreement_ends_with_deletion(world: World) -> None:
    from gantry.studies.destruction.planning import plan_end

    load_study(world, 2)
    with tenant_scope(world.system):
        assert plan_end(actor=world.system) is None, "it is in force"
    end_agreement(world)
    with tenant_scope(world.system):
        plan = plan_end(actor=world.system)
        assert plan_end(actor=world.system) is None, "once is enough"
    assert plan is not None
    with world.acting(Role.COMPLIANCE) as actor:
        confirm_erasure(actor=actor, erasure_id=plan.pk, plan_hash=plan.plan_hash)
    with tenant_scope(world.system):
        execute_erasure(erasure_id=plan.pk)
    assert rows_left(world) == {}
    assert not list(get_vault().objects.list(world.tenant_id))
    with world.reading():
        done = Erasure.objects.get(pk=plan.pk)
    assert (done.state, done.certificate and done.certificate["keys_destroyed"]) == ("done", "every key of the tenant")


def end_agreement(world: World) -> None:
    """Terminate the tenant's agreement and have its data deleted."""
    from gantry.agreements.public import Disposition, Step, advance_agreement, choose_disposition
    from gantry.kernel.ids import AgreementId

    agreement_id = AgreementId(world.agreement_id or UUID(int=0))
    with tenant_scope(world.system):
        advance_agreement(actor=world.system, agreement_id=agreement_id, step=Step.TERMINATE)
        choose_disposition(actor=world.system, agreement_id=agreement_id, disposition=Disposition.DELETE)
