"""Requests of people and incidents, through the addresses that an officer's pages will use."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from analysed import Loaded, load_study
from gantry.foundation.scope import tenant_scope
from gantry.kernel.clock import SYSTEM_CLOCK, ManualClock
from gantry.kernel.vocabulary import Role
from gantry.oversight.duties.domain import Law, RequestKind, blanks
from gantry.oversight.duties.incidents import open_form, open_incident
from gantry.oversight.duties.reminders import remind_of_duties
from gantry.oversight.duties.requests import open_request
from ledger import sequence_all
from site_client import Client, by_token
from world import World, make_world

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def world() -> World:
    return make_world()


@pytest.fixture
def loaded(world: World) -> Loaded:
    return load_study(world, 3, PatientID="SR-4711")


@pytest.fixture
def officer(world: World) -> Client:
    return by_token(world, Role.COMPLIANCE)


def begun(officer: Client, kind: str, law: str = "gdpr") -> dict[str, Any]:
    """Take a request in, say whose it is, begin."""
    made = officer.post("/api/v1/subject-requests", json={"kind": kind, "law": law}).json()
    step(officer, made["id"], "identify", patient_number="SR-4711")
    card: dict[str, Any] = step(officer, made["id"], "begin").json()
    return card


def step(officer: Client, request_id: str, name: str, **more: Any) -> Any:
    return officer.post(f"/api/v1/subject-requests/{request_id}/steps", json={"step": name, **more})


def test_a_person_is_told_what_is_held_and_who_saw_it(world: World, loaded: Loaded, officer: Client) -> None:
    reader = by_token(world, Role.RADIOLOGIST)
    assert reader.get(f"/api/v1/studies/{loaded.study_id}").status_code == 200
    colleague = world.users[Role.REFERRER]
    path = f"/api/v1/studies/{loaded.study_id}/referrals"
    assert reader.post(path, json={"person_id": str(colleague)}).status_code == 201
    sequence_all()
    request = begun(officer, "access")
    assert request["basis"] == "GDPR art. 15"
    report = officer.get(f"/api/v1/subject-requests/{request['id']}/report", params={"as": "text"})
    assert report.status_code == 200
    text = report.text
    assert "SR-4711" in text
    released = text.split("To whom data were released")[1].split("Who used them")[0]
    (row,) = [line.split(" | ") for line in released.splitlines() if " | " in line][1:]
    assert row[1] == f"Referrer {world.slug}"
    assert all(cell.strip() for cell in row), row  # when, to whom, where, what and why: none is empty
    assert f"Radiologist {world.slug} | radiologist" in text.split("Who used them")[1]
    page = officer.get(f"/api/v1/subject-requests/{request['id']}/report", params={"as": "html"})
    assert page.headers["cache-control"] == "no-store"
    answered = step(officer, request["id"], "answer").json()
    assert (answered["state"], answered["next_step"]) == ("answered", "")
    assert step(officer, request["id"], "begin").status_code == 409


def test_restriction_leaves_images_kept_and_nothing_else(world: World, loaded: Loaded, officer: Client) -> None:
    reader = by_token(world, Role.RADIOLOGIST)
    study = f"/api/v1/studies/{loaded.study_id}"
    pixels = f"/dicomweb/studies/{loaded.study_uid}"
    assert (reader.get(study).status_code, reader.get(pixels).status_code) == (200, 200)
    request = begun(officer, "restriction")
    for path in (study, pixels):
        refused = reader.get(path)
        assert refused.status_code == 403
        assert "restricted at their request" in refused.text
    assert step(officer, request["id"], "answer").status_code == 200
    assert reader.get(study).status_code == 403
    assert step(officer, request["id"], "lift", note="The person agreed.").status_code == 200
    assert (reader.get(study).status_code, reader.get(pixels).status_code) == (200, 200)


def test_a_restriction_that_is_withdrawn_is_lifted(world: World, loaded: Loaded, officer: Client) -> None:
    request = begun(officer, "restriction")
    study = f"/api/v1/studies/{loaded.study_id}"
    assert by_token(world, Role.RADIOLOGIST).get(study).status_code == 403
    assert step(officer, request["id"], "withdraw").status_code == 200
    assert by_token(world, Role.RADIOLOGIST).get(study).status_code == 200


def test_a_request_for_erasure_brings_its_plan(world: World, loaded: Loaded, officer: Client) -> None:
    from gantry.studies.public import get_erasure

    request = begun(officer, "erasure")
    with world.acting(Role.COMPLIANCE) as actor:
        erasure = get_erasure(actor=actor, erasure_id=request["fulfilment_id"])
    assert (erasure.state, erasure.cause) == ("planned", "subject_request")


def test_nobody_is_told_of_whom_they_do_not_know(world: World, officer: Client) -> None:
    made = officer.post("/api/v1/subject-requests", json={"kind": "access"}).json()
    assert step(officer, made["id"], "identify", patient_number="nobody").status_code == 404
    assert step(officer, made["id"], "begin").status_code == 409
    other = make_world()
    load_study(other, 1, PatientID="SR-OTHER")
    assert step(officer, made["id"], "identify", patient_number="SR-OTHER").status_code == 404
    theirs = by_token(other, Role.COMPLIANCE).get(f"/api/v1/subject-requests/{made['id']}")
    absent = officer.get("/api/v1/subject-requests/00000000-0000-4000-8000-00000000dead")
    assert (theirs.status_code, theirs.json()["type"]) == (absent.status_code, absent.json()["type"])


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"kind": "restriction", "law": "kvkk"}, 400),
        ({"kind": "access", "law": "hipaa", "state": "answered"}, 400),
        ({"kind": "everything"}, 400),
        ({"kind": "disclosures", "law": "hipaa"}, 201),
    ],
)
def test_what_a_law_does_not_know_cannot_be_asked(officer: Client, body: dict[str, str], status: int) -> None:
    assert officer.post("/api/v1/subject-requests", json=body).status_code == status


def test_the_time_to_answer_is_lengthened_once_and_before_it_is_over(world: World) -> None:
    from gantry.oversight.duties.errors import NotExtendableError
    from gantry.oversight.duties.requests import extend_request

    clock = ManualClock(datetime(2026, 3, 1, tzinfo=UTC))
    with world.acting(Role.COMPLIANCE) as actor:
        row = open_request(actor=actor, kind=RequestKind.ACCESS, law=Law.GDPR, clock=clock)
        card = extend_request(actor=actor, request_id=row.pk, reason="Many studies.", clock=clock)
        assert card.row.due_at == datetime(2026, 6, 1, tzinfo=UTC)
        with pytest.raises(NotExtendableError):
            extend_request(actor=actor, request_id=row.pk, reason="Again.", clock=clock)
        late = open_request(actor=actor, kind=RequestKind.ACCESS, law=Law.GDPR, clock=clock)
        clock.advance(timedelta(days=40))
        with pytest.raises(NotExtendableError):
            extend_request(actor=actor, request_id=late.pk, reason="Too late.", clock=clock)


def test_somebody_is_reminded_once_before_the_time_is_over(world: World) -> None:
    clock = ManualClock(datetime(2026, 3, 1, tzinfo=UTC))
    with world.acting(Role.COMPLIANCE) as actor:
        open_request(actor=actor, kind=RequestKind.ACCESS, law=Law.GDPR, clock=clock)
        open_incident(actor=actor, title="A laptop was lost", law=Law.GDPR, clock=clock)

    def remind() -> int:
        with tenant_scope(world.system):
            return remind_of_duties(actor=world.system, clock=clock)

    assert remind() == 0
    clock.advance(timedelta(hours=49))
    assert (remind(), remind()) == (1, 0)
    clock.advance(timedelta(days=24))
    assert (remind(), remind()) == (1, 0)


def test_an_incident_is_closed_when_everybody_was_told(world: World, officer: Client) -> None:
    known = (SYSTEM_CLOCK.now() - timedelta(hours=80)).isoformat()
    made = officer.post("/api/v1/incidents", json={"title": "A laptop was lost", "known_at": known}).json()
    path = f"/api/v1/incidents/{made['id']}"
    assert officer.post(f"{path}/steps", json={"step": "close"}).status_code == 409
    assert officer.post(f"{path}/steps", json={"step": "assess", "risk": "high"}).json()["state"] == "assessed"
    late = officer.post(f"{path}/notices", json={"recipient": "authority"})
    assert (late.status_code, late.json()["type"].rsplit(":")[-1]) == (400, "incident.late_without_reason")
    reason = {"late_reason": "It was not known how many people are concerned."}
    for recipient in ("authority", "controller", "subjects"):
        refused = officer.post(f"{path}/steps", json={"step": "close"})
        assert refused.status_code == 409, refused.text
        assert officer.post(f"{path}/notices", json={"recipient": recipient, **reason}).status_code == 201
    closed = officer.post(f"{path}/steps", json={"step": "close"}).json()
    assert (closed["state"], closed["missing"]) == ("closed", [])
    assert officer.request("PATCH", path, json={"revision": closed["revision"], "nature": "x"}).status_code == 409
    assert officer.post(f"{path}/steps", json={"step": "reopen"}).json()["state"] == "open"


def test_two_officers_do_not_overwrite_each_other(officer: Client) -> None:
    made = officer.post("/api/v1/incidents", json={"title": "A laptop was lost"}).json()
    path, change = f"/api/v1/incidents/{made['id']}", {"revision": made["revision"], "nature": "On a train."}
    assert officer.request("PATCH", path, json=change).status_code == 200
    second = officer.request("PATCH", path, json=change | {"nature": "In a taxi."})
    assert second.status_code == 409
    assert officer.get(path).json()["nature"] == "On a train."


def test_the_form_has_no_blank_that_the_platform_could_fill(world: World, loaded: Loaded, officer: Client) -> None:
    made = officer.post("/api/v1/incidents", json={"title": "A laptop was lost"}).json()
    since = (SYSTEM_CLOCK.now() - timedelta(hours=1)).isoformat()
    by_token(world, Role.RADIOLOGIST).get(f"/api/v1/studies/{loaded.study_id}")
    sequence_all()
    radiologist = str(world.actor(Role.RADIOLOGIST).id)
    path = f"/api/v1/incidents/{made['id']}"
    reach = officer.post(f"{path}/reach", json={"since": since, "actor_id": radiologist}).json()
    assert (reach["reach"]["patients"], reach["reach"]["studies"], reach["reach"]["people"]) == (1, 1, 1)
    with world.acting(Role.COMPLIANCE) as actor:
        _, fields = open_form(actor=actor, incident_id=made["id"])
    assert blanks(fields)["machine"] == ()
    values = {field.key: field.value for field in fields}
    assert (values["subjects"], values["records"], values["is_late"]) == ("1", "1", "yes")
    page = officer.get(f"{path}/form", params={"as": "pdf"})
    assert page.content.startswith(b"%PDF")


def test_records_say_what_the_agreement_says_and_mark_what_is_missing(world: World, officer: Client) -> None:
    text = officer.get("/api/v1/records-of-processing", params={"as": "text"}).text
    assert "GDPR art. 30(1)" in text
    assert world.slug in text
    assert "treatment" in text
    assert "to be completed by the controller" in text
    blocks = officer.get("/api/v1/impact-assessment").json()["blocks"]
    headings = [block["text"] for block in blocks if block["type"] == "heading"]
    assert [text.split(" ", 1)[0] for text in headings[1:]] == ["1", "2", "3", "4", "5"]
    assert officer.get("/api/v1/impact-assessment", params={"as": "docx"}).status_code == 400


@pytest.mark.parametrize("role", [role for role in Role if role not in {Role.COMPLIANCE, Role.SYSTEM, Role.SUPPORT}])
def test_only_compliance_administers_duties(world: World, role: Role) -> None:
    client = by_token(world, role)
    assert client.get("/api/v1/incidents").status_code == 403
    assert client.post("/api/v1/subject-requests", json={"kind": "access"}).status_code == 403
