"""A patient's data as a file that others can read: DICOM with its directory, FHIR, the trail."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.fileset import FileSet
from pydicom.uid import generate_uid

from analysed import analyse, load_study
from audit_trail import Trail
from gantry.foundation.scope import tenant_scope
from gantry.kernel.decision import Refused
from gantry.kernel.vocabulary import Activity, Role
from gantry.oversight.public import export_tenant, open_patient_export, stream_zip
from gantry.studies.models import Instance, Patient
from ledger import sequence_all
from site_client import by_token
from world import World, everything_permitted, make_world

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def world() -> World:
    return make_world()


def patient_of(world: World, number: str) -> Patient:
    with world.reading():
        return Patient.objects.get(patient_id=number)


def export(world: World, patient: Patient) -> zipfile.ZipFile:
    with world.acting(Role.COMPLIANCE) as actor:
        opened = open_patient_export(actor=actor, patient_id=patient.pk, reference="SR-1")
    return zipfile.ZipFile(io.BytesIO(b"".join(stream_zip(opened))))


def test_file_set_holds_every_file_and_is_found_by_its_directory(world: World, tmp_path: Path) -> None:
    loaded = load_study(world, 8, PatientID="X-1")
    load_study(world, 3, PatientID="X-1", study_uid=generate_uid())
    load_study(world, 3, PatientID="X-2", study_uid=generate_uid())
    analyse(loaded)
    export(world, patient_of(world, "X-1")).extractall(tmp_path)
    found = FileSet(dcmread(tmp_path / "DICOMDIR"))
    with world.reading():
        stored = set(
            Instance.objects.filter(study__patient__patient_id="X-1").values_list("sop_instance_uid", flat=True)
        )
    assert {str(instance.SOPInstanceUID) for instance in found} == stored
    assert len(stored) > 11
    for instance in found:
        assert dcmread(instance.path, stop_before_pixels=True).SOPInstanceUID == instance.SOPInstanceUID
        assert all(len(part) <= 8 for part in Path(instance.path).relative_to(tmp_path).parts)
    assert not (tmp_path / "NOT-IN-DICOMDIR.txt").exists()


def test_bundle_tells_of_studies_results_and_reviews(world: World) -> None:
    loaded = load_study(world, 8, PatientID="X-1")
    result = analyse(loaded)
    bundle = json.loads(export(world, patient_of(world, "X-1")).read("fhir/bundle.json"))
    kinds = [entry["resource"]["resourceType"] for entry in bundle["entry"]]
    assert kinds.count("Patient") == kinds.count("ImagingStudy") == kinds.count("DiagnosticReport") == 1
    assert kinds.count("Observation") == len(result.finding_ids)
    known = {entry["fullUrl"] for entry in bundle["entry"]}
    for entry in bundle["entry"]:
        resource = entry["resource"]
        for reference in [resource.get("subject"), *resource.get("imagingStudy", []), *resource.get("derivedFrom", [])]:
            assert reference is None or reference["reference"] in known
    (report,) = [
        entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == "DiagnosticReport"
    ]
    assert report["status"] == "preliminary", "nobody has reviewed it"


def test_trail_of_the_patient_is_in_it_and_the_export_is_in_the_trail(
    world: World, trail_of: Callable[[World], Trail]
) -> None:
    load_study(world, 2, PatientID="X-1")
    trail = trail_of(world)
    sequence_all()
    lines = export(world, patient_of(world, "X-1")).read("audit/events.ndjson").splitlines()
    assert lines
    pseudonym = str(patient_of(world, "X-1").pseudonym)
    assert all(pseudonym in line.decode() for line in lines)
    (event,) = [event for event in trail.new() if event["action"] == "patient.exported"]
    assert (event["activity"], event["purpose"]) == ("export", "PATRQT")
    assert event["clause"]


def test_nothing_is_handed_out_against_the_agreement() -> None:
    without = tuple(one for one in everything_permitted() if one.activity is not Activity.EXPORT)
    world = make_world(permissions=without)
    load_study(world, 2, PatientID="X-1")
    with world.acting(Role.COMPLIANCE) as actor, pytest.raises(Refused):
        open_patient_export(actor=actor, patient_id=patient_of(world, "X-1").pk)


def test_download_is_the_same_zip(world: World) -> None:
    load_study(world, 2, PatientID="X-1")
    answer = by_token(world, Role.COMPLIANCE).get(f"/api/v1/subjects/{patient_of(world, 'X-1').pk}/export")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/zip"
    names = zipfile.ZipFile(io.BytesIO(answer.content)).namelist()
    assert {"DICOMDIR", "README.txt", "fhir/bundle.json", "audit/events.ndjson"} <= set(names)


def test_return_of_all_data_goes_on_where_it_broke_off(world: World, tmp_path: Path) -> None:
    for number in ("X-1", "X-2", "X-3"):
        load_study(world, 2, PatientID=number, study_uid=generate_uid())
    with tenant_scope(world.system):
        assert export_tenant(folder=tmp_path / "all") == (3, 3)
        gone = min((tmp_path / "all").glob("*.zip"))
        gone.unlink()
        assert export_tenant(folder=tmp_path / "all") == (3, 1)
    assert len(list((tmp_path / "all").glob("*.zip"))) == 3
