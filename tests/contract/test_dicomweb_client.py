"""An independent DICOMweb client, over a real socket and a real server, stores, finds and fetches."""

from __future__ import annotations

import hashlib
import io
import socket
import threading
from collections.abc import Iterator

import pytest
import uvicorn
from dicomweb_client.api import DICOMwebClient
from dicomweb_client.session_utils import create_session
from pydicom import Dataset, dcmread
from requests import HTTPError

from ct_files import make_ct, to_file
from gantry.kernel.vocabulary import Role
from site_client import application, wait_until
from world import World, make_world


@pytest.fixture(scope="module")
def port(database: None) -> Iterator[int]:
    """Serve the application on a free loopback port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(application(), log_level="warning", lifespan="off", ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        wait_until(lambda: server.started)
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join(10)


def connect(world: World, port: int, role: Role) -> DICOMwebClient:
    session = create_session()
    session.headers["Authorization"] = f"Bearer {world.tokens[role]}"
    return DICOMwebClient(url=f"http://127.0.0.1:{port}/t/{world.slug}/dicomweb", session=session)


@pytest.fixture
def world(database: None) -> World:
    return make_world()


@pytest.fixture
def series() -> list[Dataset]:
    # As read from files: a preamble belongs to them.
    return [dcmread(io.BytesIO(to_file(one))) for one in make_ct(12)]


def pixels(dataset: Dataset) -> str:
    return hashlib.sha256(dataset.PixelData).hexdigest()


def test_client_stores_finds_and_fetches(world: World, port: int, series: list[Dataset]) -> None:
    client = connect(world, port, Role.INTEGRATOR)
    answer = client.store_instances(series)
    assert len(answer.ReferencedSOPSequence) == 12
    assert "FailedSOPSequence" not in answer

    (study,) = client.search_for_studies(search_filters={"PatientID": "FICT-1"})
    found = Dataset.from_json(study)
    assert (found.StudyInstanceUID, str(found.PatientName)) == (series[0].StudyInstanceUID, "Fictus^Ficta")
    assert found.NumberOfStudyRelatedInstances == 12
    (one,) = client.search_for_series(study_instance_uid=found.StudyInstanceUID)
    assert Dataset.from_json(one).SeriesInstanceUID == series[0].SeriesInstanceUID

    fetched = client.retrieve_study(series[0].StudyInstanceUID)
    assert {pixels(item) for item in fetched} == {pixels(item) for item in series}
    fetched = client.retrieve_series(series[0].StudyInstanceUID, series[0].SeriesInstanceUID)
    assert [item.SOPInstanceUID for item in fetched] == [item.SOPInstanceUID for item in series]
    single = client.retrieve_instance(series[3].StudyInstanceUID, series[3].SeriesInstanceUID, series[3].SOPInstanceUID)
    assert to_file(single) == to_file(series[3])
    assert {item.SOPInstanceUID for item in client.iter_study(series[0].StudyInstanceUID)} == {
        item.SOPInstanceUID for item in series
    }


def test_client_renders_a_slice(world: World, port: int, series: list[Dataset]) -> None:
    client = connect(world, port, Role.INTEGRATOR)
    client.store_instances(series)
    uids = (series[0].StudyInstanceUID, series[0].SeriesInstanceUID, series[0].SOPInstanceUID)
    picture = client.retrieve_instance_rendered(*uids, media_types=("image/png",))
    assert picture.startswith(b"\x89PNG")


def test_client_learns_what_was_not_stored(world: World, port: int, series: list[Dataset]) -> None:
    client = connect(world, port, Role.INTEGRATOR)
    client.store_instances(series[:2])
    other = dcmread(io.BytesIO(to_file(series[0])))
    other.SeriesDescription = "Changed"
    answer = client.store_instances([other, series[2]])
    assert [item.ReferencedSOPInstanceUID for item in answer.FailedSOPSequence] == [other.SOPInstanceUID]
    assert [item.ReferencedSOPInstanceUID for item in answer.ReferencedSOPSequence] == [series[2].SOPInstanceUID]


def test_client_is_refused_when_no_agreement_is_in_force(port: int, series: list[Dataset]) -> None:
    world = make_world(in_force=False)
    client = connect(world, port, Role.INTEGRATOR)
    with pytest.raises(HTTPError) as refused:
        client.store_instances(series)
    assert refused.value.response is not None
    assert refused.value.response.status_code == 403
    assert refused.value.response.json()["code"] == "agreement.not_in_force"


def test_client_finds_nothing_of_another_tenant(world: World, port: int, series: list[Dataset]) -> None:
    connect(world, port, Role.INTEGRATOR).store_instances(series)
    stranger = connect(make_world(), port, Role.INTEGRATOR)
    assert stranger.search_for_studies() == []
    with pytest.raises(HTTPError) as absent:
        stranger.retrieve_study(series[0].StudyInstanceUID)
    assert absent.value.response is not None
    assert absent.value.response.status_code == 404
