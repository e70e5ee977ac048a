"""A thousand identifiers go in; none comes out where it must not: logs, spans, metrics, errors, addresses, jobs, the trail."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, LiteralString

import httpx
import pytest

from canaries import Canaries
from ct_files import make_ct, to_files
from phantom_files import CONTENT_TYPE, multipart
from site_user import Site
from stack import WholeStack

PATIENTS = 50
_TEXTS = (
    "PatientID", "AccessionNumber", "StudyID", "StudyDescription", "SeriesDescription", "ProtocolName", "InstitutionName",
    "StationName", "PatientComments", "PatientAddress", "OtherPatientNames", "RequestedProcedureID",
    "AdmissionID", "Occupation", "PatientTelephoneNumbers", "ImageComments",
)  # fmt: skip
_NAMES = ("PatientName", "ReferringPhysicianName", "OperatorsName", "RequestingPhysician")
_TABLES: tuple[LiteralString, ...] = (
    "audit_auditevent",
    "audit_platformevent",
    "audit_accesswindow",
    "foundation_streamevent",
    "foundation_stream",
    "procrastinate_jobs",
    "procrastinate_events",
)


@pytest.fixture(scope="module")
def canaries() -> Canaries:
    return Canaries()


def attributes(canaries: Canaries) -> dict[str, Any]:
    """Return one patient's identifiers, 20 of them."""
    return {
        **{keyword: canaries.draw() for keyword in _TEXTS},
        **{keyword: f"{canaries.draw()}^Test" for keyword in _NAMES},
    }


class Listening:
    """Keeps what it was answered with, for every answer that is an error, and every address that it was given."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.addresses: list[str] = []

    def __call__(self, response: httpx.Response) -> None:
        self.addresses += [
            value for key, value in response.headers.multi_items() if key.lower() in {"location", "link"}
        ]
        if response.status_code >= 400:
            self.errors.append(f"{response.status_code} {response.read().decode(errors='replace')}")


@pytest.fixture
def listening(site: Site) -> Iterator[Listening]:
    heard = Listening()
    for client in (site.http, site.reader):
        client.event_hooks["response"].append(heard)
    yield heard
    for client in (site.http, site.reader):
        client.event_hooks["response"].remove(heard)


@pytest.fixture
def site(stack: WholeStack) -> Site:
    """A site of its own tenant: others look for their studies on the first page of theirs."""
    return Site(stack, tenant="west")


def test_identifiers_stay_with_those_who_may_see_them(
    stack: WholeStack, site: Site, canaries: Canaries, listening: Listening
) -> None:
    people = [attributes(canaries) for _ in range(PATIENTS)]
    assert len(canaries.drawn) == 1000
    files = [to_files(make_ct(1, **one))[0] for one in people]
    headers = {"Content-Type": CONTENT_TYPE}
    assert site.http.post("/dicomweb/studies", content=multipart(tuple(files)), headers=headers).status_code == 200
    first = people[0]

    # What goes wrong, with identifiers in it.
    site.http.post("/dicomweb/studies", content=multipart((files[0][:-700], b"DICM" + files[1])), headers=headers)
    site.http.post("/dicomweb/studies", content=multipart((files[0],))[:-90], headers=headers)
    other_bytes = to_files(make_ct(1, **{**people[1], "StudyInstanceUID": "1.2.3"}))
    site.http.post(f"/dicomweb/studies/{'9' * 20}", content=multipart(tuple(other_bytes)), headers=headers)
    reader = site.reader
    for query in (
        {"PatientID": first["PatientID"]},
        {"PatientName": first["PatientName"]},
        {"StudyDate": first["AccessionNumber"]},
        {"limit": first["PatientID"]},
        {"Nonsense": first["PatientID"]},
        {"StudyInstanceUID": first["PatientID"]},
    ):
        reader.get("/dicomweb/studies", params=query)
    reader.get(f"/dicomweb/studies/{first['PatientID']}/series")
    reader.get(f"/dicomweb/studies/{first['PatientID']}")
    reader.get(f"/nowhere/{first['PatientID']}")
    reader.get(f"/api/v1/studies/{first['PatientID']}")
    found = reader.post("/api/v1/worklist/search", json={"patient": first["PatientID"], "page_size": 5}).json()
    assert found["count"] == 1
    reader.post("/api/v1/worklist/search", json={"page_size": first["PatientID"]})
    reader.post("/api/v1/worklist/search", json={"sort": first["PatientID"]})
    reader.post(
        "/api/v1/worklist/search",
        content=f'{{"patient": "{first["PatientID"]}"',
        headers={"Content-Type": "application/json"},
    )
    study_id = found["results"][0]["id"]
    reader.get(f"/api/v1/studies/{study_id}").raise_for_status()
    reason = {"reason_code": "urgent_treatment", "reason": f"for {first['PatientID']}"}
    reader.post("/api/v1/emergencies", json={"patient_id": first["PatientID"], **reason})
    site.http.post("/api/v1/inference", json={"study_instance_uid": first["PatientID"], "model": first["PatientID"]})
    reader.post(f"/api/v1/studies/{study_id}/complete").raise_for_status()

    # They are in, where they belong.
    ((known,),) = stack.query("select count(*) from studies_patient where patient_id like %s", "CNRY%")
    assert known == PATIENTS
    assert listening.errors, "nothing went wrong, so nothing was shown of how it is told"

    places = {
        "errors": "\n".join(listening.errors),
        "addresses": "\n".join(listening.addresses),
        "what the terminal said": (stack.state.root.parent / "up.log").read_text(encoding="utf-8", errors="replace"),
        "render metrics": _render_metrics(stack),
        **{log.name: log.read_text(encoding="utf-8", errors="replace") for log in stack.state.logs.glob("*.log")},
    }
    for table in _TABLES:
        rows = stack.query("select t::text from " + table + " t")
        places[table] = "\n".join(row[0] for row in rows)
    assert {"web.log", "worker.log", "postgres.log"} <= set(places)
    assert '"trace_id"' in places["web.log"], "spans are not among the logs, so nothing was shown of them"
    assert {name: Canaries.find(text)[:3] for name, text in places.items() if Canaries.find(text)} == {}


def _render_metrics(stack: WholeStack) -> str:
    from gantry.embedded.parts import ask_render

    sockets = list(stack.state.root.rglob("render*.sock"))
    return "\n".join((ask_render(path, "/metrics") or b"").decode() for path in sockets)


def test_the_search_finds_what_is_hidden_in_codes() -> None:
    import base64

    canary = Canaries().draw()
    for offset in range(6):
        assert Canaries.find(base64.b64encode(b"y" * offset + canary.encode() + b"zz").decode())
    assert Canaries.find(f"\\x{canary.encode().hex()}")
    assert Canaries.find(f"a{canary.lower()}b")
    assert not Canaries.find("Nothing of the kind stands here, not even CNR.")
