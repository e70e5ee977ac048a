"""The audit trail by REST and FHIR: exports, who saw a patient, to whom AI was shown, AuditEvents."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import pytest

from analysed import Loaded, Result, analyse, load_study
from gantry.analyses.domain import Verdict
from gantry.analyses.public import review_finding
from gantry.audit.projections.balp import check
from gantry.foundation.scope import tenant_scope
from gantry.kernel.clock import SYSTEM_CLOCK
from gantry.kernel.vocabulary import MEMBER_ROLES, Role
from gantry.oversight.exports.services import run_export
from ledger import sequence_all
from sequencing import sequencing
from site_client import Client, by_session, by_token
from world import World, make_world

pytestmark = pytest.mark.usefixtures("database")


@dataclass(frozen=True)
class Ward:
    """A tenant with an analysed study that some people have seen."""

    world: World
    loaded: Loaded
    result: Result

    @property
    def number(self) -> str:
        return str(self.loaded.datasets[0].PatientID)

    @property
    def officer(self) -> Client:
        return by_token(self.world, Role.COMPLIANCE)


def time_of(**more: Any) -> dict[str, Any]:
    now = SYSTEM_CLOCK.now()
    return {"since": (now - timedelta(hours=1)).isoformat(), "until": (now + timedelta(hours=1)).isoformat(), **more}


def dates() -> str:
    now = SYSTEM_CLOCK.now()
    return f"date=ge{now - timedelta(days=1):%Y-%m-%d}&date=le{now + timedelta(days=1):%Y-%m-%d}"


@pytest.fixture(scope="module")
def ward(database: None) -> Ward:
    world = make_world()
    loaded = load_study(world, 8)
    result = analyse(loaded)
    surgeon = by_token(world, Role.SURGEON)
    assert surgeon.get(f"/api/v1/studies/{loaded.study_id}/analyses").status_code == 200
    assert (
        by_token(world, Role.SURGEON)
        .get(f"/dicomweb/studies/{loaded.study_uid}/series/{result.series_uid}")
        .status_code
        == 200
    )
    assert by_token(world, Role.RADIOLOGIST).post("/api/v1/worklist/search", json={"text": "x"}).status_code == 200
    assert by_token(world, Role.ADMIN).get(f"/api/v1/studies/{loaded.study_id}").status_code == 403
    with world.acting(Role.RADIOLOGIST) as actor:
        review_finding(actor=actor, finding_id=result.finding_ids[0], verdict=Verdict.ACCEPT)
    sequence_all()
    return Ward(world, loaded, result)


# --- exports -------------------------------------------------------------------------------------------------


def exported(ward: Ward, **wanted: Any) -> str:
    answer = ward.officer.post("/api/v1/audit/exports", json=time_of(**wanted))
    assert answer.status_code == 202, answer.text
    with tenant_scope(ward.world.system), sequencing():
        run_export(export_id=UUID(answer.json()["id"]))
    return str(answer.json()["id"])


def test_export_is_asked_for_followed_and_downloaded(ward: Ward) -> None:
    export_id = exported(ward, formats=["csv"], patient_id=ward.number)
    state = ward.officer.get(f"/api/v1/audit/exports/{export_id}").json()
    assert (state["state"], state["formats"]) == ("done", ["csv"])
    assert state["progress"]["events"] == state["progress"]["of"] == state["counts"]["events"] > 0
    assert ward.number not in json.dumps(state)
    assert state["requested_by"]["name"].startswith("Compliance")
    answer = ward.officer.get(state["bundle"]["url"].removeprefix(f"/t/{ward.world.slug}"))
    assert answer.status_code == 200
    assert answer.headers["etag"] == f'"{state["bundle"]["sha256"]}"'
    assert len(answer.content) == int(answer.headers["content-length"]) == state["bundle"]["bytes"]
    assert "csv/events.csv" in zipfile.ZipFile(io.BytesIO(answer.content)).namelist()
    listed = ward.officer.get("/api/v1/audit/exports?page_size=100").json()
    assert export_id in [one["id"] for one in listed["results"]]


def test_download_goes_on_where_it_broke_off(ward: Ward) -> None:
    path = f"/api/v1/audit/exports/{exported(ward, formats=['csv'])}/bundle"
    whole = ward.officer.get(path)
    etag, size = whole.headers["etag"], len(whole.content)
    first = ward.officer.get(path, headers={"Range": "bytes=0-999"})
    rest = ward.officer.get(path, headers={"Range": "bytes=1000-", "If-Range": etag})
    assert (first.status_code, rest.status_code) == (206, 206)
    assert rest.headers["content-range"] == f"bytes 1000-{size - 1}/{size}"
    assert first.content + rest.content == whole.content
    changed = ward.officer.get(path, headers={"Range": "bytes=1000-", "If-Range": '"another"'})
    assert (changed.status_code, len(changed.content)) == (200, size)
    beyond = ward.officer.get(path, headers={"Range": f"bytes={size}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"since": "2026-01-01T00:00:00Z"},
        {"since": "2026-02-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"},
        time_of(kinds=["nonsense"]),
        time_of(formats=["xlsx"]),
        time_of(patient_id="nobody has this"),
        time_of(study_instance_uid="1.2.3.4.5"),
        time_of(purpose="TREAT", break_glass=True),
        time_of(state="done"),
        time_of(address="not an address"),
    ],
)
def test_request_that_cannot_be_met_is_refused_with_a_sentence(ward: Ward, wanted: dict[str, Any]) -> None:
    answer = ward.officer.post("/api/v1/audit/exports", json=wanted)
    assert answer.status_code == 400
    assert answer.json()["code"] in {"request.invalid", "audit.time_required"}


def test_filters_narrow_what_is_exported(ward: Ward) -> None:
    def count(**wanted: Any) -> int:
        path = f"/api/v1/audit/exports/{exported(ward, formats=['csv'], **wanted)}"
        return int(ward.officer.get(path).json()["counts"]["events"])

    user_id = str(ward.world.users[Role.SURGEON])
    assert count(user_id=user_id, kinds=["instances_accessed"]) >= 2
    assert count(user_id=user_id, activity="view", outcomes=["refused"]) == 0
    assert count(outcomes=["refused"], role="admin", activity="view") == 1
    assert count(break_glass=True) == 0
    assert count(address="192.0.2.1") == 0
    assert count(study_instance_uid=ward.loaded.study_uid, actions=["finding.accept"]) == 1


# --- who saw this patient -----------------------------------------------------------------------------------


def test_people_who_saw_a_patient_are_named(ward: Ward) -> None:
    answer = ward.officer.post("/api/v1/audit/who-saw", json=time_of(patient_id=ward.number))
    (patient,) = answer.json()["patients"]
    assert patient["patient"]["id"] == ward.number
    people = {one["role"]: one for one in patient["people"]}
    assert people["surgeon"]["name"].startswith("Surgeon")
    assert people["surgeon"]["has_seen"] is True
    assert set(people["surgeon"]["actions"]) >= {"ai_results.shown", "instances.retrieved"}
    assert (people["admin"]["has_seen"], people["admin"]["refused"]) == (False, 1)


def test_patient_is_found_by_pseudonym_when_the_number_is_gone(ward: Ward) -> None:
    by_number = ward.officer.post("/api/v1/audit/who-saw", json=time_of(patient_id=ward.number)).json()["patients"][0]
    body = time_of(pseudonym=by_number["pseudonym"])
    assert ward.officer.post("/api/v1/audit/who-saw", json=body).json()["patients"][0]["people"]


def test_patient_whom_nobody_knows_is_absent_and_the_question_is_recorded(ward: Ward, trail_of: Any) -> None:
    trail = trail_of(ward.world)
    answer = ward.officer.post("/api/v1/audit/who-saw", json=time_of(patient_id="nobody"))
    assert answer.status_code == 404
    (event,) = trail.new()
    assert (event["action"], event["outcome"]) == ("patient.traced", "failure")
    assert "nobody" not in json.dumps(event["detail"])


def test_question_about_a_patient_is_among_the_patient_s_own_events(ward: Ward, trail_of: Any) -> None:
    trail = trail_of(ward.world)
    answer = ward.officer.post("/api/v1/audit/who-saw", json=time_of(patient_id=ward.number))
    (event,) = trail.new()
    assert (event["action"], event["kind"]) == ("patient.traced", "audit_log_used")
    assert list(map(str, event["patients"])) == [answer.json()["patients"][0]["pseudonym"]]


# --- to whom AI was shown ------------------------------------------------------------------------------------


def test_result_is_available_then_shown_then_acted_on(ward: Ward) -> None:
    answer = ward.officer.get(f"/api/v1/studies/{ward.loaded.study_id}/presentations")
    (result,) = answer.json()["results"]
    assert (result["analysis_id"], result["model"]) == (str(ward.result.analysis_id), "bone_ct")
    assert result["available_at"] is not None
    assert {(one["role"], one["via"]) for one in result["shown"]} == {("surgeon", "list"), ("surgeon", "dicomweb")}
    assert all(one["place"] == "site" and one["address"] == "127.0.0.1" for one in result["shown"])
    (acted,) = result["acted"]
    assert (acted["verdict"], acted["was_shown"]) == ("accept", False)
    other = ward.officer.get(f"/api/v1/studies/{ward.loaded.study_id}/presentations?analysis={uuid4()}")
    assert other.json()["results"] == []
    assert ward.officer.get(f"/api/v1/studies/{ward.loaded.study_id}/presentations?analysis=x").status_code == 400


# --- FHIR ----------------------------------------------------------------------------------------------------


def test_audit_events_are_found_page_by_page(ward: Ward) -> None:
    path, seen = f"/fhir/AuditEvent?{dates()}&_count=3", []
    while path:
        answer = ward.officer.get(path)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("application/fhir+json")
        bundle = answer.json()
        assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "searchset")
        seen += [entry["resource"] for entry in bundle["entry"]]
        following = [link["url"] for link in bundle["link"] if link["relation"] == "next"]
        path = f"/fhir/AuditEvent?{urlsplit(following[0]).query}" if following else ""
        if following:
            assert "_after" in parse_qs(urlsplit(following[0]).query)
    ids = [one["id"] for one in seen]
    assert len(ids) == len(set(ids)) > 6
    assert [finding for one in seen for finding in check(one)] == []


@pytest.mark.parametrize(
    ("search", "kinds"),
    [
        ("type=http://dicom.nema.org/resources/ontology/DCM|110113&outcome=4", {"110113"}),
        ("type=rest&subtype=ai_results.shown", {"rest"}),
        ("outcome=12", set()),
        ("address=192.0.2.9", set()),
        ("role=surgeon&purpose=TREAT", {"rest"}),
        ("type=rest&outcome=12", set()),
        ("purpose=BTG", set()),
    ],
)
def test_search_narrows_what_is_found(ward: Ward, search: str, kinds: set[str]) -> None:
    bundle = ward.officer.get(f"/fhir/AuditEvent?{dates()}&{search}").json()
    assert {entry["resource"]["type"]["code"] for entry in bundle["entry"]} == kinds


def test_patient_is_searched_in_the_body_so_that_no_address_holds_one(ward: Ward) -> None:
    now = SYSTEM_CLOCK.now()
    form = {"date": [f"ge{now:%Y-%m-%d}", f"lt{now + timedelta(days=1):%Y-%m-%d}"], "patient.identifier": ward.number}
    answer = ward.officer.post("/fhir/AuditEvent/_search", data=form)
    assert answer.status_code == 200, answer.text
    patients = {
        entity["what"]["identifier"]["value"]
        for entry in answer.json()["entry"]
        for entity in entry["resource"]["entity"]
        if entity["type"]["code"] == "1"
    }
    assert patients == {ward.number}


@pytest.mark.parametrize(
    "search",
    ["", "date=ge2026-01-01", "date=ge2026-01-01&date=lt2026-02-01&nonsense=1", "date=xx2026", "date=ge2026-13-40"],
)
def test_search_that_cannot_be_met_says_so(ward: Ward, search: str) -> None:
    answer = ward.officer.get(f"/fhir/AuditEvent?{search}")
    assert answer.status_code == 400
    assert answer.json()["resourceType"] == "OperationOutcome"


def test_server_says_what_it_can_do(ward: Ward) -> None:
    statement = ward.officer.get("/fhir/metadata").json()
    assert (statement["resourceType"], statement["fhirVersion"]) == ("CapabilityStatement", "4.0.1")


# --- who may -------------------------------------------------------------------------------------------------

READS = [
    ("GET", "/api/v1/audit/exports"),
    ("POST", "/api/v1/audit/exports"),
    ("POST", "/api/v1/audit/who-saw"),
    ("GET", "/api/v1/audit/checkpoint"),
    ("GET", f"/api/v1/studies/{uuid4()}/presentations"),
    ("GET", "/fhir/AuditEvent"),
    ("POST", "/fhir/AuditEvent/_search"),
    ("GET", "/fhir/metadata"),
]


@pytest.mark.parametrize(("method", "path"), READS)
@pytest.mark.parametrize("role", [role for role in MEMBER_ROLES if role is not Role.COMPLIANCE])
def test_only_compliance_reads_the_trail(ward: Ward, role: Role, method: str, path: str) -> None:
    answer = by_token(ward.world, role).request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (403, "role.not_permitted")


@pytest.mark.parametrize(("method", "path"), READS)
def test_another_tenant_s_trail_looks_absent(ward: Ward, method: str, path: str) -> None:
    client = by_token(make_world(), Role.COMPLIANCE, slug=ward.world.slug)
    assert client.request(method, path).status_code == 404


def test_checkpoint_is_a_signed_note(ward: Ward) -> None:
    note = by_session(ward.world, Role.COMPLIANCE).get("/api/v1/audit/checkpoint").text
    origin, size, *_ = note.splitlines()
    assert origin.endswith(f"/audit/{ward.world.tenant_id}")
    assert int(size) > 0
    assert "\n\n— " in note


def test_trail_of_a_tenant_that_was_never_signed_is_empty(database: None) -> None:
    world = make_world()
    officer = by_token(world, Role.COMPLIANCE)
    body = time_of(pseudonym=str(uuid4()))
    assert officer.post("/api/v1/audit/who-saw", json=body).json()["patients"][0]["people"] == []
    assert officer.get(f"/fhir/AuditEvent?{dates()}").json()["entry"] == []
