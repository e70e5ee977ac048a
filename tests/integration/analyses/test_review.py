"""What people say of findings, and who sees what afterwards: lists, the API, DICOMweb."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from analysed import Loaded, Result, analyse, load_study
from gantry.kernel.vocabulary import Role
from gantry.studies.public import refer_study
from site_client import by_token
from world import World, make_world

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def world() -> World:
    return make_world()


@pytest.fixture
def loaded(world: World) -> Loaded:
    loaded = load_study(world, 12)
    with world.acting(Role.RADIOLOGIST) as actor:
        refer_study(actor=actor, study_id=loaded.study_id, user_id=world.users[Role.REFERRER])
    return loaded


@pytest.fixture
def result(loaded: Loaded) -> Result:
    return analyse(loaded)


def review(
    world: World,
    finding_id: UUID,
    decision: str,
    *,
    role: Role = Role.RADIOLOGIST,
    etag: str = "",
    **body: str,
) -> Any:
    headers = {"If-Match": etag} if etag else {}
    return by_token(world, role).post(
        f"/api/v1/findings/{finding_id}/review", json={"decision": decision} | body, headers=headers
    )


def sees(world: World, role: Role, loaded: Loaded, result: Result) -> set[str]:
    """Return where a role meets the result."""
    client, study = by_token(world, role), f"/api/v1/studies/{loaded.study_id}"
    dicomweb = f"/dicomweb/studies/{loaded.study_uid}"
    places = set()
    analyses = client.get(f"{study}/analyses").json()["analyses"]
    if any(one["findings"] for one in analyses):
        places.add("findings")
    if any(one["outputs"] for one in analyses):
        places.add("outputs")
    if any(one["is_ai_result"] for one in client.get(study).json()["series"]):
        places.add("series")
    if client.get(f"/api/v1/findings/{result.finding_ids[0]}/contours").status_code == 200:
        places.add("contours")
    (row,) = client.post("/api/v1/worklist/search", json={}).json()["results"]
    if row["findings_count"]:
        places.add("worklist")
    if any(item["0020000E"]["Value"] == [result.series_uid] for item in client.get(f"{dicomweb}/series").json()):
        places.add("QIDO")
    if client.get(f"{dicomweb}/series/{result.series_uid}").status_code == 200:
        places.add("WADO")
    if result.sop_uid.encode() in client.get(dicomweb).content:
        places.add("WADO study")
    return places


EVERYWHERE = {"findings", "outputs", "series", "contours", "worklist", "QIDO", "WADO", "WADO study"}
ALL, NONE = EVERYWHERE, set[str]()


@pytest.mark.parametrize(
    ("decisions", "radiologist", "surgeon", "referrer", "integrator"),
    [
        ([], ALL, ALL, NONE, NONE),
        (["accept"], ALL, ALL, ALL, ALL),
        (["reject"], ALL, NONE, NONE, NONE),
        (["accept", "reject"], ALL, NONE, NONE, NONE),
        (["accept", "reopen"], ALL, ALL, NONE, NONE),
        (["reject", "reopen", "accept"], ALL, ALL, ALL, ALL),
    ],
)
def test_last_word_decides_who_sees_a_result(
    world: World, loaded: Loaded, result: Result, decisions: list[str], radiologist: set[str], surgeon: set[str],
    referrer: set[str], integrator: set[str],
) -> None:  # fmt: skip
    for decision in decisions:
        assert review(world, result.finding_ids[0], decision, reason="wrong bone").status_code == 200
    seen = {
        role: sees(world, role, loaded, result)
        for role in (Role.RADIOLOGIST, Role.SURGEON, Role.REFERRER, Role.INTEGRATOR)
    }
    assert seen == {
        Role.RADIOLOGIST: radiologist, Role.SURGEON: surgeon, Role.REFERRER: referrer, Role.INTEGRATOR: integrator,
    }  # fmt: skip


def test_object_is_withheld_when_one_of_its_findings_was_rejected(world: World, loaded: Loaded) -> None:
    result = analyse(loaded, labels=("Left", "Right"))
    left, right = result.finding_ids
    assert review(world, left, "accept").status_code == 200
    assert review(world, right, "reject", reason="none there").status_code == 200
    seen = sees(world, Role.REFERRER, loaded, result)
    assert seen == {"findings", "contours", "worklist"}, "the accepted finding, not the object that shows both"


def test_review_says_who_when_and_why(world: World, loaded: Loaded, result: Result) -> None:
    answer = review(world, result.finding_ids[0], "reject", reason="  not   bone ").json()
    assert (answer["review"]["state"], answer["review"]["reason"]) == ("rejected", "not bone")
    assert answer["review"]["by"].startswith("Radiologist")
    assert answer["review"]["at"]


def test_rejection_needs_a_reason(world: World, result: Result) -> None:
    for reason in ("", "   "):
        answer = review(world, result.finding_ids[0], "reject", reason=reason)
        assert (answer.status_code, answer.json()["code"]) == (400, "finding.reason_required")
    assert review(world, result.finding_ids[0], "reject", reason="metal").status_code == 200


@pytest.mark.parametrize("stale", ['"0"', 'W/"0"', '"nonsense"'])
def test_review_conflicts_when_somebody_was_faster(world: World, result: Result, stale: str) -> None:
    finding_id = result.finding_ids[0]
    first = review(world, finding_id, "accept", etag='"0"')
    assert first.status_code == 200
    conflict = review(world, finding_id, "reject", etag=stale, reason="no")
    assert (conflict.status_code, conflict.json()["code"]) == (409, "finding.changed")
    assert review(world, finding_id, "reject", etag=first.json()["etag"], reason="no").status_code == 200


def test_same_click_twice_is_one_review(world: World, result: Result) -> None:
    finding_id = result.finding_ids[0]
    first = review(world, finding_id, "accept", etag='"0"').json()
    again = review(world, finding_id, "accept", etag='"0"')
    assert (again.status_code, again.json()["etag"]) == (200, first["etag"])


@pytest.mark.parametrize("role", [Role.SURGEON, Role.REFERRER, Role.INTEGRATOR, Role.ADMIN, Role.COMPLIANCE])
def test_only_radiologists_judge(world: World, result: Result, role: Role) -> None:
    assert review(world, result.finding_ids[0], "accept").status_code == 200
    answer = review(world, result.finding_ids[0], "reject", role=role, reason="x")
    assert (answer.status_code, answer.json()["code"]) == (403, "role.not_permitted")


@pytest.mark.parametrize("decision", ["", "maybe", "accepted"])
def test_unknown_decision_is_refused(world: World, result: Result, decision: str) -> None:
    assert review(world, result.finding_ids[0], decision).status_code == 400


def test_contours_come_gzipped_only_when_accepted(world: World, loaded: Loaded, result: Result) -> None:
    client = by_token(world, Role.RADIOLOGIST)
    path = f"/api/v1/findings/{result.finding_ids[0]}/contours"
    plain = client.get(path, headers={"Accept-Encoding": "identity"})
    packed = client.get(path, headers={"Accept-Encoding": "gzip"})
    assert plain.json() == packed.json()
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert list(plain.json()["slices"]) == [loaded.sop_uid]
