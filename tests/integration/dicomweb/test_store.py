"""STOW-RS through the whole application: what is stored, what is not, and that nothing is half-written."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import httpx
import pytest
from pydicom.uid import generate_uid

from audit_trail import Trail
from ct_files import Patient, changed, make_ct, other_patient, to_file, to_files
from gantry.agreements.public import Step, advance_agreement
from gantry.foundation.models import StreamEvent
from gantry.foundation.scope import tenant_scope, unit_of_work
from gantry.kernel.ids import AgreementId
from gantry.kernel.vocabulary import Role
from gantry.studies.models import Instance, QuarantinedInstance, Series, Study
from gantry.studies.models import Patient as StoredPatient
from gantry.studies.public import complete_study
from gantry.tenancy.public import create_institution
from gantry.vault.errors import StoreFullError, VaultUnavailableError
from gantry.vault.public import get_vault
from hostile_dicom import corpus
from site_client import BOUNDARY, CONTENT_TYPE, Client, Pulled, by_session, by_token, multipart, run
from world import World, make_world

pytestmark = pytest.mark.usefixtures("database")

STORED, FAILED = "00081199", "00081198"
MISMATCH, NOT_UNDERSTOOD, DUPLICATE, FAILURE = 0xA900, 0xC000, 0x0111, 0x0110


@pytest.fixture
def world() -> World:
    return make_world()


@pytest.fixture
def pacs(world: World) -> Client:
    return by_token(world, Role.INTEGRATOR)


def rows(world: World) -> dict[str, int]:
    """Count what a tenant holds, in the database and in the object store."""
    with tenant_scope(world.system), unit_of_work():
        counts = {
            model.__name__: model.objects.count()
            for model in (StoredPatient, Study, Series, Instance, QuarantinedInstance)
        }
        counts["events"] = StreamEvent.objects.filter(stream__name="worklist").count()
    return counts | {"objects": len(list(get_vault().objects.list(world.tenant_id)))}


NOTHING = {
    "Patient": 0,
    "Study": 0,
    "Series": 0,
    "Instance": 0,
    "QuarantinedInstance": 0,
    "events": 0,
    "objects": 0,
}


def stored_uids(answer: httpx.Response) -> list[str]:
    items = answer.json().get(STORED, {}).get("Value", [])
    return [item["00081155"]["Value"][0] for item in items]


def failures(answer: httpx.Response) -> list[tuple[str, int]]:
    """Return SOP UID ("" where the file has none) and reason of what was not stored."""
    items = answer.json().get(FAILED, {}).get("Value", [])
    assert all(item["00000902"]["Value"][0] for item in items), "every failure has its sentence"
    return [(item["00081155"].get("Value", [""])[0], item["00081197"]["Value"][0]) for item in items]


def test_everything_is_stored_when_it_is_sound(world: World, pacs: Client) -> None:
    series = make_ct()
    answer = pacs.stow(to_files(series))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/dicom+json"
    assert sorted(stored_uids(answer)) == sorted(one.SOPInstanceUID for one in series)
    assert FAILED not in answer.json()
    assert answer.json()["00081190"]["Value"][0].endswith(f"/dicomweb/studies/{series[0].StudyInstanceUID}")
    assert rows(world) == {
        "Patient": 1, "Study": 1, "Series": 1, "Instance": 12, "QuarantinedInstance": 0, "events": 1, "objects": 12,
    }  # fmt: skip
    with tenant_scope(world.system), unit_of_work():
        study = Study.objects.select_related("patient").get()
        assert (study.number_of_instances, study.number_of_series, study.modalities) == (12, 1, "CT")
        assert (study.patient.name, study.patient.patient_id) == ("Fictus^Ficta", "FICT-1")
        assert study.state == "receiving"


def test_nothing_is_added_when_the_same_bytes_come_again(world: World, pacs: Client) -> None:
    files = to_files(make_ct(4))
    assert pacs.stow(files).status_code == 200
    before = rows(world)
    again = pacs.stow(files)
    assert (again.status_code, len(stored_uids(again)), failures(again)) == (200, 4, [])
    assert rows(world) == before


def test_file_counts_once_when_a_body_holds_it_twice(world: World, pacs: Client) -> None:
    (file,) = to_files(make_ct(1))
    answer = pacs.stow([file, file])
    assert (answer.status_code, failures(answer)) == (200, [])
    assert (rows(world)["Instance"], rows(world)["objects"]) == (1, 1)


def test_other_bytes_go_to_quarantine_when_the_sop_uid_is_taken(world: World, pacs: Client) -> None:
    series = make_ct(3)
    pacs.stow(to_files(series))
    other = changed(series[1], WindowCenter=77)
    answer = pacs.stow([other, to_file(series[2])])
    assert answer.status_code == 202
    assert failures(answer) == [(series[1].SOPInstanceUID, DUPLICATE)]
    assert stored_uids(answer) == [series[2].SOPInstanceUID]
    assert pacs.stow([other]).status_code == 409
    counts = rows(world)
    assert (counts["Instance"], counts["QuarantinedInstance"], counts["objects"]) == (3, 1, 4)
    with tenant_scope(world.system), unit_of_work():
        kept = Instance.objects.get(sop_instance_uid=series[1].SOPInstanceUID)
        assert bytes(kept.sha256) == hashlib.sha256(to_file(series[1])).digest()


def _in_another_study() -> tuple[list[bytes], bytes]:
    series = make_ct(2)
    return to_files(series), changed(series[0], StudyInstanceUID=generate_uid(), SeriesInstanceUID=generate_uid())


def _under_another_patient() -> tuple[list[bytes], bytes]:
    series = make_ct(2)
    somebody = other_patient(Patient())
    file = changed(series[0], SOPInstanceUID=generate_uid(), PatientID=somebody.patient_id, PatientName=somebody.name)
    return to_files(series), file


def _series_of_another_study() -> tuple[list[bytes], bytes]:
    series = make_ct(2)
    return to_files(series), changed(series[0], SOPInstanceUID=generate_uid(), StudyInstanceUID=generate_uid())


@pytest.mark.parametrize(
    ("arrange", "code"),
    [
        (_in_another_study, "dicom.sop_uid_in_other_study"),
        (_under_another_patient, "dicom.study_of_other_patient"),
        (_series_of_another_study, "dicom.series_in_other_study"),
    ],
)
def test_mismatch_goes_to_quarantine_when_it_contradicts_what_is_stored(
    world: World, pacs: Client, arrange: Callable[[], tuple[list[bytes], bytes]], code: str
) -> None:
    sound, contradiction = arrange()
    assert pacs.stow(sound).status_code == 200
    before = rows(world)
    answer = pacs.stow([contradiction])
    assert answer.status_code == 409
    assert [reason for _, reason in failures(answer)] == [MISMATCH]
    assert rows(world) == before | {"QuarantinedInstance": 1, "objects": before["objects"] + 1}
    with tenant_scope(world.system), unit_of_work():
        assert QuarantinedInstance.objects.get().reason_code == code


@pytest.mark.parametrize("value", [None, "", "not-a-uid", "../../etc/passwd", "1." + "2" * 70])
@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
def test_file_goes_to_quarantine_when_it_has_no_usable_uid(
    world: World, pacs: Client, keyword: str, value: str | None
) -> None:
    good, bad = make_ct(2)
    setattr(bad, keyword, value or "")
    broken = _without(bad, keyword) if value is None else _raw(bad, keyword, value)
    answer = pacs.stow([to_file(good), broken])
    assert answer.status_code == 202
    assert [reason for _, reason in failures(answer)] == [NOT_UNDERSTOOD]
    assert stored_uids(answer) == [good.SOPInstanceUID]
    assert (rows(world)["Instance"], rows(world)["QuarantinedInstance"]) == (1, 1)
    _assert_paths_are_uuids(world)


def _without(dataset: Any, keyword: str) -> bytes:
    delattr(dataset, keyword)
    return _save(dataset)


def _raw(dataset: Any, keyword: str, value: str) -> bytes:
    from pydicom import config

    with config.disable_value_validation():
        setattr(dataset, keyword, value)
        return _save(dataset)


def _save(dataset: Any) -> bytes:
    from pydicom.uid import CTImageStorage

    dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    import io

    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True, overwrite=True)
    return buffer.getvalue()


def _assert_paths_are_uuids(world: World) -> None:
    root = Path(os.environ["GANTRY_STATE_DIR"]) / "objects"
    names = [path.name for path in root.rglob("*") if path.is_file() and str(world.tenant_id) in str(path)]
    assert names
    assert all(set(name.partition(".")[0]) <= set("0123456789abcdef-") for name in names), names


def test_nothing_is_twice_and_nothing_lost_when_clients_send_the_same_study_at_once(world: World, pacs: Client) -> None:
    files = to_files(make_ct(10))
    shifted = files[5:] + files[:5]

    async def send() -> list[httpx.Response]:
        import asyncio

        clients = [by_token(world, Role.INTEGRATOR) for _ in range(4)]
        bodies = [files, shifted, files[::-1], files[3:]]
        return await asyncio.gather(*(one.stow_async(body) for one, body in zip(clients, bodies, strict=True)))

    answers = run(send())
    assert [answer.status_code for answer in answers] == [200] * 4
    assert [failures(answer) for answer in answers] == [[]] * 4
    counts = rows(world)
    assert (counts["Patient"], counts["Study"], counts["Series"], counts["Instance"]) == (1, 1, 1, 10)
    assert (counts["QuarantinedInstance"], counts["objects"]) == (0, 10)
    with tenant_scope(world.system), unit_of_work():
        study = Study.objects.get()
        assert (study.number_of_instances, Series.objects.get().number_of_instances) == (10, 10)


def test_nothing_is_lost_when_clients_send_different_studies_of_one_patient_at_once(world: World) -> None:
    studies = [to_files(make_ct(3)) for _ in range(4)]
    mixed = [
        studies[0] + studies[1],
        studies[1] + studies[2],
        studies[2] + studies[3],
        studies[3] + studies[0],
    ]

    async def send() -> list[httpx.Response]:
        import asyncio

        clients = [by_token(world, Role.INTEGRATOR) for _ in range(4)]
        return await asyncio.gather(*(one.stow_async(body) for one, body in zip(clients, mixed, strict=True)))

    assert [answer.status_code for answer in run(send())] == [200] * 4
    counts = rows(world)
    assert (counts["Patient"], counts["Study"], counts["Instance"], counts["objects"]) == (1, 4, 12, 12)


def test_body_is_not_read_when_no_agreement_is_in_force(trail_of: Callable[[World], Trail]) -> None:
    allowed, denied = make_world(), make_world(in_force=False)
    whole = multipart(to_files(make_ct(2)))
    for world, status in ((allowed, 200), (denied, 403)):
        trail = trail_of(world)
        body = Pulled(whole[:1000], whole[1000:])
        answer = by_token(world, Role.INTEGRATOR).post(
            "/dicomweb/studies", content=body, headers={"Content-Type": CONTENT_TYPE}
        )
        assert answer.status_code == status
        events = trail.new()
        if status == 200:
            assert body.count == 2
            continue
        assert body.count == 0
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == "agreement.not_in_force"
        assert rows(world) == NOTHING
        assert [(one["action"], one["outcome"], one["code"]) for one in events] == [
            ("store.refused", "refused", "agreement.not_in_force")
        ]
        assert events[0]["correlation_id"] == answer.headers["x-correlation-id"]


@pytest.mark.parametrize("role", [Role.ADMIN, Role.COMPLIANCE, Role.SURGEON, Role.REFERRER])
def test_body_is_not_read_when_the_role_may_not_store(world: World, role: Role) -> None:
    body = Pulled(multipart(to_files(make_ct(1))))
    answer = by_token(world, role).post("/dicomweb/studies", content=body, headers={"Content-Type": CONTENT_TYPE})
    assert (answer.status_code, answer.json()["code"], body.count) == (403, "role.not_permitted", 0)
    assert rows(world) == NOTHING


def test_nothing_is_stored_when_the_agreement_ends_while_the_body_is_on_its_way(
    world: World, trail_of: Callable[[World], Trail]
) -> None:
    whole = multipart(to_files(make_ct(3)))
    trail = trail_of(world)

    class Ending(Pulled):
        async def __aiter__(self) -> Any:
            import asyncio

            yield whole[:5000]
            await asyncio.to_thread(_suspend, world)
            yield whole[5000:]

    answer = by_token(world, Role.INTEGRATOR).post(
        "/dicomweb/studies", content=Ending(), headers={"Content-Type": CONTENT_TYPE}
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "agreement.not_in_force")
    assert rows(world) == NOTHING
    assert trail.actions() == ["agreement.suspend", "store.refused"]


def _suspend(world: World) -> None:
    from django.db import connections

    try:
        with tenant_scope(world.system):
            advance_agreement(
                actor=world.system,
                agreement_id=AgreementId(cast("Any", world.agreement_id)),
                step=Step.SUSPEND,
            )
    finally:
        connections.close_all()


def test_good_files_are_stored_when_hostile_ones_lie_between_them(world: World, pacs: Client) -> None:
    good = make_ct(3)
    hostile = [one for one in corpus() if one.codes and len(one.data) < 1 << 20]
    half = len(hostile) // 2
    files = [
        to_file(good[0]), *(one.data for one in hostile[:half]),
        to_file(good[1]), *(one.data for one in hostile[half:]), to_file(good[2]),
    ]  # fmt: skip
    answer = pacs.stow(files)
    assert answer.status_code == 202
    assert sorted(stored_uids(answer)) == sorted(one.SOPInstanceUID for one in good)
    assert len(failures(answer)) == len(hostile)
    counts = rows(world)
    assert (counts["Patient"], counts["Study"], counts["Instance"]) == (1, 1, 3)
    with tenant_scope(world.system), unit_of_work():
        codes = set(QuarantinedInstance.objects.values_list("reason_code", flat=True))
    assert codes <= set().union(*(one.codes for one in hostile if one.codes))
    assert counts["objects"] == 3 + counts["QuarantinedInstance"]
    _assert_paths_are_uuids(world)


def test_quarantine_list_tells_what_was_refused(world: World, pacs: Client) -> None:
    good = make_ct(2)[0]
    pacs.stow([to_file(good), b"this is not DICOM"])
    listed = pacs.get("/api/v1/quarantine").json()
    assert listed["count"] == 1
    assert listed["results"][0]["reason_code"] == "dicom.not_dicom"
    assert listed["results"][0]["sentence"]


def test_patient_is_not_kept_when_nothing_of_theirs_was_stored(world: World, pacs: Client) -> None:
    series = make_ct(2)
    pacs.stow(to_files(series))
    somebody = other_patient(Patient())
    stray = changed(
        series[0], StudyInstanceUID=generate_uid(), PatientID=somebody.patient_id, PatientName=somebody.name
    )
    assert pacs.stow([stray]).status_code == 409
    with tenant_scope(world.system), unit_of_work():
        assert [one.patient_id for one in StoredPatient.objects.all()] == ["FICT-1"]


@pytest.mark.parametrize("cut", [0.3, 0.9, 0.999])
def test_nothing_is_kept_when_the_body_is_cut(world: World, pacs: Client, cut: float) -> None:
    whole = multipart(to_files(make_ct(30)))
    answer = pacs.post(
        "/dicomweb/studies", content=whole[: int(len(whole) * cut)], headers={"Content-Type": CONTENT_TYPE}
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "request.malformed")
    assert rows(world) == NOTHING


def test_nothing_is_kept_when_the_connection_is_lost(world: World) -> None:
    whole = multipart(to_files(make_ct(30)))
    run(_lose_connection(world, whole[: len(whole) * 4 // 5]))
    assert rows(world) == NOTHING


async def _lose_connection(world: World, sent: bytes) -> None:
    """Speak ASGI as a server does whose peer goes away in the middle of the body."""
    from site_client import application

    messages: Iterator[dict[str, Any]] = iter(
        [
            {"type": "http.request", "body": sent, "more_body": True},
            {"type": "http.disconnect"},
            {"type": "http.disconnect"},
        ]
    )

    async def receive() -> dict[str, Any]:
        return next(messages)

    async def send(message: Any) -> None:
        pass

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": f"/t/{world.slug}/dicomweb/studies", "raw_path": b"", "query_string": b"", "root_path": "",
        "headers": [
            (b"host", b"127.0.0.1:8000"), (b"content-type", CONTENT_TYPE.encode()),
            (b"authorization", f"Bearer {world.tokens[Role.INTEGRATOR]}".encode()),
        ],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8000),
    }  # fmt: skip
    await application()(scope, receive, send)


@pytest.fixture
def failing_store(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception, int], None]:
    """Return a function that makes the object store fail from the n-th commit on."""
    from gantry_storage.object_directory import DirectoryBlobWriter

    real = DirectoryBlobWriter.commit

    def fail(error: Exception, after: int) -> None:
        commits = 0

        def commit(self: DirectoryBlobWriter) -> None:
            nonlocal commits
            commits += 1
            if commits > after:
                raise error
            real(self)

        monkeypatch.setattr(DirectoryBlobWriter, "commit", commit)

    return fail


@pytest.mark.parametrize("error", [StoreFullError("No room."), VaultUnavailableError("No answer."), OSError(5, "I/O")])
@pytest.mark.parametrize("after", [0, 3, 23])
def test_nothing_is_half_written_when_the_object_store_fails(
    world: World, pacs: Client, failing_store: Callable[[Exception, int], None], error: Exception, after: int
) -> None:
    files = to_files(make_ct(25))
    failing_store(error, after)
    answer = pacs.stow(files)
    assert answer.status_code in {500, 503}
    assert answer.headers["content-type"] == "application/problem+json"
    assert rows(world) == NOTHING


def test_single_part_is_stored_when_it_is_application_dicom(world: World, pacs: Client) -> None:
    (file,) = to_files(make_ct(1))
    answer = pacs.post("/dicomweb/studies", content=file, headers={"Content-Type": "application/dicom"})
    assert (answer.status_code, len(stored_uids(answer))) == (200, 1)


@pytest.mark.parametrize(
    "content_type",
    [
        "", "text/plain", "application/json", "multipart/form-data; boundary=x", "multipart/related",
        'multipart/related; type="application/dicom+json"; boundary=x', 'multipart/related; type="image/jpeg"; boundary=x',
    ],
)  # fmt: skip
def test_body_is_not_read_when_its_type_is_not_dicom(world: World, pacs: Client, content_type: str) -> None:
    body = Pulled(multipart(to_files(make_ct(1))))
    headers = {"Content-Type": content_type} if content_type else {}
    answer = pacs.post("/dicomweb/studies", content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"], body.count) == (415, "request.unsupported", 0)
    assert rows(world) == NOTHING


@pytest.mark.parametrize("body", [b"", b"--" + BOUNDARY.encode() + b"--\r\n", b"no boundary at all"])
def test_body_is_refused_when_it_holds_no_part(world: World, pacs: Client, body: bytes) -> None:
    answer = pacs.post("/dicomweb/studies", content=body, headers={"Content-Type": CONTENT_TYPE})
    assert (answer.status_code, answer.json()["code"]) == (400, "request.malformed")
    assert rows(world) == NOTHING


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://127.0.0.1:9", "null", "", "http://127.0.0.1.evil.example:8000"]
)
def test_session_stores_only_when_the_page_is_ours(world: World, origin: str) -> None:
    files = to_files(make_ct(1))
    browser = by_session(world, Role.RADIOLOGIST)
    assert browser.stow(files).status_code == 200
    foreign = by_session(world, Role.RADIOLOGIST)
    del foreign.http.headers["Origin"]
    answer = foreign.stow(to_files(make_ct(1)), **({"Origin": origin} if origin else {}))
    assert (answer.status_code, answer.json()["code"]) == (403, "request.foreign_origin")
    assert rows(world)["Instance"] == 1


def test_program_needs_no_origin_when_it_has_a_token(world: World) -> None:
    assert by_token(world, Role.RADIOLOGIST).stow(to_files(make_ct(1))).status_code == 200


def test_late_instance_makes_a_new_revision_when_the_study_was_complete(world: World, pacs: Client) -> None:
    series = make_ct(4)
    pacs.stow(to_files(series[:3]))
    with world.acting(Role.RADIOLOGIST) as actor:
        with unit_of_work():
            study_id = Study.objects.get().pk
        complete_study(actor=actor, study_id=study_id)
    assert pacs.stow(to_files(series[:3])).status_code == 200
    assert _study(world) == ("complete", 1, 3), "duplicates are no news"
    assert pacs.stow(to_files(series)).status_code == 200
    assert _study(world) == ("receiving", 2, 4)
    with tenant_scope(world.system), unit_of_work():
        assert Instance.objects.get(sop_instance_uid=series[3].SOPInstanceUID).revision == 2


def _study(world: World) -> tuple[str, int, int]:
    with tenant_scope(world.system), unit_of_work():
        study = Study.objects.get()
        return study.state, study.revision, study.number_of_instances


def test_file_goes_to_quarantine_when_the_address_names_another_study(world: World, pacs: Client) -> None:
    series = make_ct(2)
    answer = pacs.stow(to_files(series), study=generate_uid())
    assert answer.status_code == 409
    assert [reason for _, reason in failures(answer)] == [MISMATCH] * 2
    assert pacs.stow(to_files(series), study=series[0].StudyInstanceUID).status_code == 200


def test_patients_are_two_when_two_institutions_use_one_number(world: World) -> None:
    with tenant_scope(world.system):
        other = create_institution(actor=world.system, code="other", name="Other Hospital")
    radiologist = by_token(world, Role.RADIOLOGIST)
    assert radiologist.stow(to_files(make_ct(1))).status_code == 200
    here = make_ct(1)
    assert radiologist.stow(to_files(here), **{"Gantry-Institution": str(other.pk)}).status_code == 200
    assert rows(world)["Patient"] == 2
    answer = radiologist.stow([changed(here[0], SOPInstanceUID=generate_uid())])
    assert answer.status_code == 409
    with tenant_scope(world.system), unit_of_work():
        assert QuarantinedInstance.objects.get().reason_code in {
            "dicom.study_of_other_patient", "dicom.study_of_other_institution",
        }  # fmt: skip


@pytest.mark.parametrize("institution", [str(uuid4()), "nonsense"])
def test_body_is_not_read_when_the_institution_is_unknown(world: World, pacs: Client, institution: str) -> None:
    body = Pulled(multipart(to_files(make_ct(1))))
    headers = {"Content-Type": CONTENT_TYPE, "Gantry-Institution": institution}
    answer = pacs.post("/dicomweb/studies", content=body, headers=headers)
    assert (answer.status_code, body.count) == (400, 0)


def test_only_the_large_file_is_refused_when_one_is_too_large(
    world: World, pacs: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.conf import settings

    monkeypatch.setattr(settings, "MAX_INSTANCE_BYTES", 64 * 1024)
    series = make_ct(60)
    files = to_files(series)
    # Large ones early: what is remembered of them must not stick to files that come later.
    files[3:3] = [bytes(70 * 1024)]
    files[24:24] = [bytes(80 * 1024)]
    answer = pacs.stow(files)
    assert answer.status_code == 202
    assert [reason for _, reason in failures(answer)] == [FAILURE] * 2
    assert len(stored_uids(answer)) == 60
