"""QIDO-RS through the whole application."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom import Dataset

from ct_files import Patient, make_ct, to_files
from gantry.kernel.vocabulary import Role
from site_client import Client, by_token
from world import World, make_world

PEOPLE = [
    Patient("Müller^Anna", "A-100", "19500101", "F"),
    Patient("Mueller^Bernd", "A-101", "19600101", "M"),
    Patient("O'Neil^Çağla=漢字", "B-200", "19700101", "F"),
    Patient("Per%cent_Under^Sco*re", "B-201", "19800101", "M"),
    Patient("Smith^John", "C-300", "19900101", "M"),
]
DATES = ["20260101", "20260102", "20260215", "20260301", None]
STUDIES: list[Dataset] = [
    make_ct(
        2, patient=person, StudyDate=date, AccessionNumber=f"ACC-{at}", StudyDescription=f"Study {at}",
        Modality="MR" if at == 4 else "CT", SpecificCharacterSet="ISO_IR 192",
    )[0]
    for at, (person, date) in enumerate(zip(PEOPLE, DATES, strict=True))
]  # fmt: skip


@pytest.fixture(scope="module")
def world(database: None) -> World:
    world = make_world()
    for one in STUDIES:
        assert by_token(world, Role.INTEGRATOR).stow(to_files([one])).status_code == 200
    return world


@pytest.fixture
def reader(world: World) -> Client:
    return by_token(world, Role.RADIOLOGIST)


def found(reader: Client, query: dict[str, Any] | str) -> list[int]:
    """Return which of the studies were found, by number."""
    suffix = f"?{query}" if isinstance(query, str) else ""
    answer = reader.get(f"/dicomweb/studies{suffix}", params=None if isinstance(query, str) else query)
    assert answer.status_code == 200, answer.text
    uids = [item["0020000D"]["Value"][0] for item in answer.json()]
    return [[one.StudyInstanceUID for one in STUDIES].index(uid) for uid in uids]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"PatientID": "A-100"}, [0]),
        ({"PatientID": "A-*"}, [0, 1]),
        ({"PatientID": "A-10?"}, [0, 1]),
        ({"PatientID": "A-1?"}, []),
        ({"00100020": "C-300"}, [4]),
        ({"PatientName": "smith^*"}, [4]),
        ({"PatientName": "SMITH^JOHN"}, [4]),
        ({"PatientName": "M*ller^*"}, [0, 1]),
        ({"PatientName": "*cent_*"}, [3]),
        ({"PatientName": "*%*"}, [3]),
        ({"PatientName": "_mith^John"}, []),
        ({"PatientName": "*.*"}, []),
        ({"PatientName": "*"}, [0, 1, 2, 3, 4]),
        ({"PatientName": ""}, [0, 1, 2, 3, 4]),
        ({"PatientName": "O'Neil*"}, [2]),
        ({"StudyDate": "20260102"}, [1]),
        ({"StudyDate": "20260102-20260215"}, [1, 2]),
        ({"StudyDate": "20260215-"}, [2, 3]),
        ({"StudyDate": "-20260101"}, [0]),
        ({"StudyDate": "20270101-"}, []),
        ({"AccessionNumber": "ACC-3"}, [3]),
        ({"StudyDescription": "Study*"}, [0, 1, 2, 3, 4]),
        ({"ModalitiesInStudy": "MR"}, [4]),
        ({"ModalitiesInStudy": "M"}, []),
        ({"ModalitiesInStudy": "CT"}, [0, 1, 2, 3]),
        ({"StudyInstanceUID": STUDIES[2].StudyInstanceUID}, [2]),
        ({"StudyInstanceUID": f"{STUDIES[1].StudyInstanceUID},{STUDIES[3].StudyInstanceUID}"}, [1, 3]),
        ({"StudyInstanceUID": f"{STUDIES[1].StudyInstanceUID}\\{STUDIES[3].StudyInstanceUID}"}, [1, 3]),
        ({"PatientID": "A-*", "StudyDate": "20260102"}, [1]),
        ({"limit": "2"}, [0, 1]),
        ({"limit": "2", "offset": "2"}, [2, 3]),
        ({"limit": "2", "offset": "99"}, []),
        ("includefield=all&PatientID=C-300", [4]),
        ("includefield=00081030&includefield=00100010&PatientID=C-300", [4]),
    ],
)
def test_search_finds_what_matches(reader: Client, query: dict[str, str] | str, expected: list[int]) -> None:
    assert found(reader, query) == expected


@pytest.mark.parametrize(
    "query",
    [
        "limit=x", "limit=-1", "offset=1.5", "limit=99999999999999", "StudyDate=2026", "StudyDate=20261399",
        "StudyDate=20260101-x", "PatientID=a&PatientID=b", "PatientID=a&00100020=b", "PatientName=%00",
        "StudyInstanceUID=%00", "PatientName=" + "%3F" * 5000, "AccessionNumber=" + "*a" * 2000,
        "ModalitiesInStudy=%00",
    ],
)  # fmt: skip
def test_search_is_refused_with_a_sentence_when_the_query_is_nonsense(reader: Client, query: str) -> None:
    answer = reader.get(f"/dicomweb/studies?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "request.invalid")
    assert answer.json()["detail"]


@pytest.mark.parametrize(
    "query", ["SeriesNumber=--5", "SeriesNumber=99999999999999999999", "SeriesNumber=x", "Modality=%00"]
)
def test_series_search_answers_when_the_query_is_nonsense(reader: Client, query: str) -> None:
    assert reader.get(f"/dicomweb/series?{query}").status_code in {200, 400}


def test_pages_neither_repeat_nor_skip(reader: Client) -> None:
    pages = [found(reader, {"limit": "1", "offset": str(at)}) for at in range(5)]
    assert sorted(at for page in pages for at in page) == [0, 1, 2, 3, 4]


def test_warning_says_that_there_is_more_or_that_something_was_not_used(reader: Client) -> None:
    assert "Warning" not in reader.get("/dicomweb/studies").headers
    assert "additional results" in reader.get("/dicomweb/studies?limit=2").headers["Warning"]
    assert "Warning" not in reader.get("/dicomweb/studies?limit=2&offset=3").headers
    assert "PatientWeight" in reader.get("/dicomweb/studies?PatientWeight=70").headers["Warning"]
    assert "\n" not in reader.get("/dicomweb/studies?Evil%0d%0aX-Injected:1=70").headers["Warning"]


def test_study_reads_as_the_dicom_json_model(reader: Client) -> None:
    (item,) = reader.get("/dicomweb/studies", params={"PatientID": "B-200"}).json()
    assert item["00100010"] == {"vr": "PN", "Value": [{"Alphabetic": "O'Neil^Çağla", "Ideographic": "漢字"}]}
    assert item["00080020"] == {"vr": "DA", "Value": ["20260215"]}
    assert item["00080061"]["Value"] == ["CT"]
    assert (item["00201206"]["Value"], item["00201208"]["Value"]) == ([1], [1])
    assert item["00081190"]["Value"][0].endswith(f"/dicomweb/studies/{STUDIES[2].StudyInstanceUID}")
    assert list(item) == sorted(item)
    (undated,) = reader.get("/dicomweb/studies", params={"PatientID": "C-300"}).json()
    assert undated["00080020"] == {"vr": "DA"}


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({}, 5), ({"Modality": "MR"}, 1), ({"Modality": "M"}, 0), ({"SeriesNumber": "1"}, 5), ({"SeriesNumber": "2"}, 0),
        ({"SeriesDescription": "Axial*"}, 5), ({"SeriesInstanceUID": STUDIES[1].SeriesInstanceUID}, 1),
        ({"StudyInstanceUID": STUDIES[1].StudyInstanceUID}, 1), ({"limit": "3"}, 3), ({"limit": "3", "offset": "3"}, 2),
    ],
)  # fmt: skip
def test_series_are_found_across_studies(reader: Client, query: dict[str, str], count: int) -> None:
    answer = reader.get("/dicomweb/series", params=query)
    assert (answer.status_code, len(answer.json())) == (200, count)


def test_series_of_a_study_are_its_own(reader: Client) -> None:
    (item,) = reader.get(f"/dicomweb/studies/{STUDIES[3].StudyInstanceUID}/series").json()
    assert item["0020000E"]["Value"] == [STUDIES[3].SeriesInstanceUID]
    assert item["00201209"]["Value"] == [1]


@pytest.mark.parametrize(("accept", "status"), [("application/dicom+json", 200), ("*/*", 200), ("text/html", 406)])
def test_what_is_accepted_decides(reader: Client, accept: str, status: int) -> None:
    assert reader.get("/dicomweb/studies", headers={"Accept": accept}).status_code == status
