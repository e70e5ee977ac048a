"""Who a study is of: numbers are shared, missing and mistyped, and no person may be shown as another."""

from __future__ import annotations

from typing import Any

import pytest

from ct_files import Patient, make_ct, to_files
from gantry.kernel.vocabulary import Role
from gantry.studies.models import Patient as StoredPatient
from gantry.studies.models import QuarantinedInstance, Study
from site_client import Client, by_token
from world import World, make_world

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def world() -> World:
    return make_world()


@pytest.fixture
def pacs(world: World) -> Client:
    return by_token(world, Role.INTEGRATOR)


def _store(pacs: Client, patient: Patient, **options: Any) -> int:
    return pacs.stow(to_files(make_ct(2, patient=patient, **options))).status_code


def _rows(world: World) -> list[dict[str, Any]]:
    answer = by_token(world, Role.RADIOLOGIST).post("/api/v1/worklist/search", json={})
    return sorted((row["patient"] for row in answer.json()["results"]), key=lambda one: str(one["name"]))


def test_people_without_a_number_stay_two_people(world: World, pacs: Client) -> None:
    assert _store(pacs, Patient(name="Adam^Ada", patient_id="", birth_date="19500101")) == 200
    assert _store(pacs, Patient(name="Berg^Bo", patient_id="", birth_date="19600101")) == 200
    with world.reading():
        assert StoredPatient.objects.count() == 2
    assert [(one["name"], one["birth_date"]) for one in _rows(world)] == [
        ("Adam^Ada", "1950-01-01"),
        ("Berg^Bo", "1960-01-01"),
    ]


def test_each_study_shows_its_own_name_and_all_say_that_they_differ(world: World, pacs: Client) -> None:
    assert _store(pacs, Patient(name="Adam^Ada", patient_id="7")) == 200
    assert _store(pacs, Patient(name="Berg^Bo", patient_id="7")) == 200
    with world.reading():
        assert StoredPatient.objects.count() == 1
    assert [(one["name"], one["identity_differs"]) for one in _rows(world)] == [("Adam^Ada", True), ("Berg^Bo", True)]


@pytest.mark.parametrize(
    "other",
    [Patient(name="Berg^Bo"), Patient(birth_date="19991231")],
    ids=["another name", "another birth date"],
)
def test_another_person_in_the_same_study_is_quarantined(world: World, pacs: Client, other: Patient) -> None:
    first = make_ct(2)
    study_uid = str(first[0].StudyInstanceUID)
    assert pacs.stow(to_files(first)).status_code == 200
    assert _store(pacs, other, study_uid=study_uid) == 409
    with world.reading():
        assert Study.objects.get().number_of_instances == 2
        assert {row.reason_code for row in QuarantinedInstance.objects.all()} == {"dicom.patient_differs_in_study"}


@pytest.mark.parametrize("name", ["FICTUS^FICTA", "Fictus^Ficta^^^", "Fíctus^Ficta", ""])
def test_the_same_name_written_otherwise_is_the_same_person(pacs: Client, name: str) -> None:
    first = make_ct(2)
    assert pacs.stow(to_files(first)).status_code == 200
    assert _store(pacs, Patient(name=name), study_uid=str(first[0].StudyInstanceUID)) == 200


def test_long_numbers_are_kept_whole(world: World, pacs: Client) -> None:
    for end in "ab":
        assert _store(pacs, Patient(patient_id="9" * 80 + end)) == 200
    with world.reading():
        assert StoredPatient.objects.count() == 2
