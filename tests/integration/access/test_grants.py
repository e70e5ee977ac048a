"""Grants of every kind: across hospitals, to people and teams, on studies and patients, until they end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from analysed import Loaded, load_study
from colleagues import Colleague, make_colleague, make_hospital
from gantry.kernel.clock import ManualClock
from gantry.kernel.vocabulary import Role
from gantry.studies.public import share_study
from site_client import Client, by_session
from world import World, make_world

pytestmark = pytest.mark.usefixtures("database")
R = Role


@pytest.fixture(scope="module")
def world(database: None) -> World:
    return make_world()


@pytest.fixture(scope="module")
def loaded(world: World) -> Loaded:
    return load_study(world, 2, PatientID="P-1")


@pytest.fixture
def radiologist(world: World) -> Client:
    return by_session(world, R.RADIOLOGIST)


@pytest.fixture
def elsewhere(world: World) -> Colleague:
    """A surgeon of another hospital of the group."""
    return make_colleague(world, R.SURGEON, institutions=[make_hospital(world)])


def _share(client: Client, loaded: Loaded, **body: Any) -> Any:
    return client.post(f"/api/v1/studies/{loaded.study_id}/grants", json={"reason": "second_opinion", **body})


def _count(colleague: Colleague) -> int:
    return int(colleague.client.post("/api/v1/worklist/search", json={}).json()["count"])


def test_share_opens_a_study_of_another_hospital_until_it_is_withdrawn(
    loaded: Loaded, radiologist: Client, elsewhere: Colleague, world: World, trail_of: Any
) -> None:
    assert not elsewhere.sees(loaded.study_id)
    assert _count(elsewhere) == 0
    answer = _share(radiologist, loaded, person_id=str(elsewhere.user_id))
    assert answer.status_code == 201, answer.text
    assert answer.json()["kind"] == "share"
    opened = elsewhere.client.get(f"/api/v1/studies/{loaded.study_id}").json()
    assert opened["access"]["granted_by"] == "share"
    assert not opened["access"]["is_emergency"]
    assert _count(elsewhere) == 1
    gone = radiologist.request("DELETE", f"/api/v1/studies/{loaded.study_id}/grants/{answer.json()['id']}")
    assert gone.status_code == 204
    assert not elsewhere.sees(loaded.study_id)
    assert {"study.shared", "grant.withdrawn"} <= {event["action"] for event in trail_of(world).all()}


def test_study_is_shared_no_further_by_whom_it_was_shared_with(
    loaded: Loaded, radiologist: Client, elsewhere: Colleague, world: World
) -> None:
    third = make_colleague(world, R.SURGEON, institutions=[make_hospital(world)])
    assert _share(radiologist, loaded, person_id=str(elsewhere.user_id)).status_code == 201
    answer = _share(elsewhere.client, loaded, person_id=str(third.user_id))
    assert (answer.status_code, answer.json()["code"]) == (403, "grant.no_resharing")
    assert not third.sees(loaded.study_id)


def test_patient_s_later_studies_are_seen_when_the_patient_was_shared(
    world: World, radiologist: Client, elsewhere: Colleague
) -> None:
    first = load_study(world, 1, PatientID="P-2")
    other = load_study(world, 1, PatientID="P-3")
    assert _share(radiologist, first, person_id=str(elsewhere.user_id), scope="patient").status_code == 201
    second = load_study(world, 1, PatientID="P-2")
    assert elsewhere.sees(first.study_id)
    assert elsewhere.sees(second.study_id)
    assert not elsewhere.sees(other.study_id)


@pytest.mark.parametrize("scope", ["study", "patient"])
def test_care_team_sees_by_who_is_in_it_now(world: World, loaded: Loaded, radiologist: Client, scope: str) -> None:
    admin = by_session(world, R.ADMIN)
    inside, outside = (
        make_colleague(world, role, institutions=[make_hospital(world)]) for role in (R.SURGEON, R.REFERRER)
    )
    made = admin.post(
        "/api/v1/care-teams", json={"name": uuid4().hex, "member_ids": [str(inside.membership_id)]}
    ).json()
    assert not inside.sees(loaded.study_id)
    assert _share(radiologist, loaded, team_id=made["id"], scope=scope).json()["kind"] == "care_team"
    assert (inside.sees(loaded.study_id), outside.sees(loaded.study_id)) == (True, False)

    changed = admin.request(
        "PATCH", f"/api/v1/care-teams/{made['id']}", json={"member_ids": [str(outside.membership_id)]}
    )
    assert changed.status_code == 200, changed.text
    assert (inside.sees(loaded.study_id), outside.sees(loaded.study_id)) == (False, True)

    admin.request("PATCH", f"/api/v1/care-teams/{made['id']}", json={"is_active": False})
    assert not outside.sees(loaded.study_id)


def test_grant_ends_by_its_date(world: World, loaded: Loaded, elsewhere: Colleague) -> None:
    long_ago = ManualClock(datetime.now(UTC) - timedelta(days=2))
    until = long_ago.now() + timedelta(days=1)
    with world.acting(R.RADIOLOGIST) as actor:
        share_study(
            actor=actor,
            study_id=loaded.study_id,
            user_id=elsewhere.user_id,
            until=until,
            reason="x_ray",
            clock=long_ago,
        )
    assert not elsewhere.sees(loaded.study_id)


@pytest.mark.parametrize(
    "body",
    [{}, {"person_id": str(uuid4())}, {"team_id": str(uuid4())}, {"until": "2020-01-01T00:00:00Z"}],
    ids=["nobody", "no member", "no team", "past"],
)
def test_share_is_refused_when_it_makes_no_sense(
    loaded: Loaded, radiologist: Client, elsewhere: Colleague, body: dict[str, str]
) -> None:
    if "until" in body:
        body = {**body, "person_id": str(elsewhere.user_id)}
    answer = _share(radiologist, loaded, **body)
    assert (answer.status_code, answer.json()["code"]) == (400, "grant.invalid")


def test_share_is_for_those_who_read_images(world: World, loaded: Loaded, radiologist: Client) -> None:
    answer = _share(radiologist, loaded, person_id=str(world.users[R.ADMIN]))
    assert (answer.status_code, answer.json()["code"]) == (400, "grant.invalid")
