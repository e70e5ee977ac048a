"""Agreements by REST: what an officer does from the first draft to a signature, and what is refused on the way."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from gantry.agreements.public import Side, Signatory, Step, advance_agreement, open_paper, sign_agreement
from gantry.analyses.housekeeping import sweep_orphans
from gantry.foundation.scope import tenant_scope
from gantry.identity.models import User
from gantry.kernel.ids import AgreementId
from gantry.kernel.vocabulary import Role
from site_client import Client, by_token
from world import World, make_world

pytestmark = pytest.mark.usefixtures("database")

PASSWORD = "amber-birch-cedar-0001"
PDF = b"%PDF-1.7\n1 0 obj << >> endobj\ntrailer << >>\n%%EOF\n"
PATH = "/api/v1/agreements"


@pytest.fixture
def world(database: None) -> World:
    made = make_world(in_force=False)
    person = User.objects.get(pk=made.users[Role.COMPLIANCE])
    person.set_password(PASSWORD)
    person.save(update_fields=["password"])
    return made


@pytest.fixture
def officer(world: World) -> Client:
    return by_token(world, Role.COMPLIANCE)


def _draft(officer: Client, **more: Any) -> dict[str, Any]:
    body = {
        "version": f"v-{uuid4().hex[:8]}",
        "template": "kvkk",
        "controller": {"name": "Hospital"},
        "processor": {"name": "Operator"},
        "regions": ["local"],
        **more,
    }
    answer = officer.post(PATH, json=body)
    assert answer.status_code == 201, answer.text
    row: dict[str, Any] = answer.json()
    return row


def _operator_signs(world: World, row: dict[str, Any]) -> None:
    with tenant_scope(world.system):
        sign_agreement(
            actor=world.system,
            agreement_id=AgreementId(row["id"]),
            side=Side.PROCESSOR,
            signatory=Signatory("Olli Operator"),
            document_sha256=row["document_sha256"],
        )


def test_officer_drafts_edits_reviews_and_signs(world: World, officer: Client) -> None:
    row = _draft(officer)
    url = f"{PATH}/{row['id']}"
    answer = officer.get(url)
    assert (answer.headers["etag"], answer.json()["faults"]) == ('"1"', [])
    content = {**row["content"], "title": "Ours"}
    assert officer.request("PUT", url, json={"content": content}).status_code == 400, "without If-Match"
    edited = officer.request("PUT", url, json={"content": content}, headers={"If-Match": '"1"'})
    assert (edited.status_code, edited.headers["etag"], edited.json()["title"]) == (200, '"2"', "Ours")
    stale = officer.request("PUT", url, json={"content": content}, headers={"If-Match": '"1"'})
    assert (stale.status_code, stale.json()["code"]) == (409, "agreement.changed")

    reviewed = officer.post(f"{url}/review").json()
    assert len(reviewed["document_sha256"]) == 64
    signing = {"name": "Chris", "function": "DPO", "document_sha256": reviewed["document_sha256"]}
    wrong = officer.post(f"{url}/signature", json={**signing, "password": "nonsense"})
    assert (wrong.status_code, wrong.json()["code"]) == (403, "identity.not_confirmed")
    assert officer.get(url).json()["signatures"] == []
    signed = officer.post(f"{url}/signature", json={**signing, "password": PASSWORD})
    assert (signed.status_code, signed.json()["status"]) == (200, "countersigning")
    _operator_signs(world, reviewed)
    row = officer.get(url).json()
    assert row["status"] == "in_force"
    assert [(one["side"], one["name"], one["method"]) for one in row["signatures"]] == [
        ("controller", "Chris", "accepted"), ("processor", "Olli Operator", "accepted"),
    ]  # fmt: skip
    assert PASSWORD not in officer.get(url).text


def test_paper_is_kept_sealed_and_given_back_as_a_download(world: World, officer: Client) -> None:
    row = _draft(officer)
    url = f"{PATH}/{row['id']}"
    row = officer.post(f"{url}/review").json()
    form = {"name": "Chris", "document_sha256": row["document_sha256"], "password": PASSWORD}
    script = officer.post(f"{url}/paper", data=form, files={"paper": ("x.pdf", PDF + b"/JavaScript\n%%EOF")})
    assert (script.status_code, script.json()["code"]) == (415, "agreement.paper_refused")
    signed = officer.post(f"{url}/paper", data=form, files={"paper": ("../../x.pdf", PDF)})
    assert signed.status_code == 200, signed.text
    answer = officer.get(f"{url}/papers/controller")
    assert (answer.status_code, answer.content) == (200, PDF)
    assert answer.headers["content-disposition"] == 'attachment; filename="signed-controller.pdf"'
    assert "sandbox" in answer.headers["content-security-policy"]
    assert officer.get(f"{url}/papers/processor").status_code == 404
    with tenant_scope(world.system):
        sweep_orphans(older_than_s=-60)
        assert open_paper(actor=world.system, agreement_id=AgreementId(row["id"]), side=Side.CONTROLLER) == PDF


def test_paper_that_is_too_large_is_refused(world: World, officer: Client) -> None:
    row = _draft(officer)
    row = officer.post(f"{PATH}/{row['id']}/review").json()
    form = {"name": "Chris", "document_sha256": row["document_sha256"], "password": PASSWORD}
    large = b"%PDF-1.7\n" + bytes(21 * 1024 * 1024) + b"\n%%EOF"
    answer = officer.post(f"{PATH}/{row['id']}/paper", data=form, files={"paper": ("x.pdf", large)})
    assert 400 <= answer.status_code < 500


def test_versions_are_listed_by_pages(officer: Client) -> None:
    for _ in range(3):
        _draft(officer)
    answer = officer.get(f"{PATH}?page=2&page_size=2").json()
    assert (answer["count"], len(answer["results"])) == (4, 2)


def test_document_is_there_as_text_page_and_pdf(officer: Client) -> None:
    url = f"{PATH}/{_draft(officer)['id']}/document"
    text, page = officer.get(url), officer.get(f"{url}?form=html")
    assert text.text.startswith("# Data processing agreement under the KVKK\n")
    assert "<h1>" in page.text
    assert all("attachment" in answer.headers["content-disposition"] for answer in (text, page))
    assert officer.get(f"{url}?form=exe").status_code == 400
    pdf = officer.get(f"{url}?form=pdf")
    assert (pdf.status_code, pdf.content[:5]) == (200, b"%PDF-") or pdf.json()["code"] == "pdf.unavailable"


def test_question_is_answered_under_a_draft(officer: Client) -> None:
    row = _draft(officer)
    question = {"role": "radiologist", "activity": "infer", "category": "pixel_data", "processor": "Other"}
    now = officer.post(f"{PATH}/explain", json=question).json()
    assert (now["allowed"], now["code"], now["version"]) == (False, "agreement.not_in_force", None)
    then = officer.post(f"{PATH}/explain", json={**question, "agreement_id": row["id"]}).json()
    assert (then["allowed"], then["code"], then["clause"], then["is_supposed"]) == (
        False, "agreement.sub_processor", "Annex B", True,
    )  # fmt: skip
    allowed = officer.post(f"{PATH}/explain", json={**question, "processor": "", "agreement_id": row["id"]}).json()
    assert (allowed["allowed"], allowed["clause"], allowed["objections"]) == (True, "Annex A §3.1", [])
    shifts = officer.get(f"{PATH}/{row['id']}/effect").json()
    assert shifts["count"] == len(shifts["results"]) > 50
    assert {one["before"]["code"] for one in shifts["results"]} == {"agreement.not_in_force"}


def test_what_was_left_out_is_named(officer: Client) -> None:
    row = _draft(officer, regions=[])
    assert row["faults"] == ["No region is named where data may be held and processed."]
    answer = officer.post(f"{PATH}/{row['id']}/review")
    assert (answer.status_code, answer.json()["code"]) == (409, "agreement.unfinished")


@pytest.mark.parametrize(
    "body", [{}, {"version": "v"}, {"version": "../x", "template": "kvkk"}, {"version": "v", "content": []}]
)
def test_draft_of_nothing_is_refused(officer: Client, body: dict[str, Any]) -> None:
    assert officer.post(PATH, json=body).status_code == 400


def test_organisation_resumes_what_it_suspended(officer: Client) -> None:
    world = make_world()
    url = f"{PATH}/{world.agreement_id}"
    client = by_token(world, Role.COMPLIANCE)
    assert (
        client.post(f"{url}/steps", json={"step": "suspend", "reason": "Looked into"}).json()["status"] == "suspended"
    )
    with pytest.raises(Exception, match="organisation suspended"), tenant_scope(world.system):
        advance_agreement(actor=world.system, agreement_id=AgreementId(world.agreement_id or uuid4()), step=Step.RESUME)
    assert client.post(f"{url}/steps", json={"step": "resume"}).json()["status"] == "in_force"
    ended = client.post(f"{url}/steps", json={"step": "terminate"}).json()
    assert (ended["status"], ended["disposition"]) == ("terminated", None)
    assert client.post(f"{url}/disposition", json={"disposition": "return"}).json()["disposition"] == "return"
    assert client.post(f"{url}/disposition", json={"disposition": "delete"}).status_code == 409
