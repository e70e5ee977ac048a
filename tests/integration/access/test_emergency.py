"""Breaking the glass: from the reason to the review."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.test import override_settings

from analysed import Loaded, load_study
from colleagues import Colleague, make_colleague, make_hospital
from gantry.foundation.scope import tenant_scope
from gantry.kernel.clock import ManualClock
from gantry.kernel.vocabulary import Purpose, Role
from gantry.studies.public import EmergencyReason, Sought, break_glass, end_due_emergencies
from site_client import Client, Socket, by_session
from world import World, everything_permitted, make_world

pytestmark = pytest.mark.usefixtures("database")
R = Role
REASON = {"reason_code": "life_threatening", "reason": "Unconscious in the emergency room."}


@pytest.fixture(scope="module")
def world(database: None) -> World:
    return make_world()


@pytest.fixture(scope="module")
def loaded(world: World) -> Loaded:
    return load_study(world, 1, PatientID="E-1", AccessionNumber="ACC-1")


@pytest.fixture
def stranger(world: World) -> Colleague:
    return make_colleague(world, R.SURGEON, institutions=[make_hospital(world)])


@pytest.fixture
def officer(world: World) -> Client:
    return by_session(world, R.COMPLIANCE)


def _break(client: Client, **sought: str) -> Any:
    return client.post("/api/v1/emergencies", json={**REASON, **sought})


def test_emergency_opens_the_patient_and_is_told_and_reviewed(
    world: World, loaded: Loaded, stranger: Colleague, officer: Client, trail_of: Any
) -> None:
    listener = Socket(world.slug, make_colleague(world, R.COMPLIANCE).session)
    assert listener.is_accepted()
    assert listener.subscribe("compliance")["type"] == "subscribed"
    assert not stranger.sees(loaded.study_id)

    answer = _break(stranger.client, patient_id="E-1")
    assert answer.status_code == 201, answer.text
    emergency = answer.json()
    assert emergency["study_ids"] == [str(loaded.study_id)]
    told = listener.receive()
    assert (told["event"], told["data"]) == (
        "emergency.changed.v1", {"emergency_id": emergency["id"], "state": "opened"},
    )  # fmt: skip
    opened = stranger.client.get(f"/api/v1/studies/{loaded.study_id}").json()
    assert opened["access"] == {
        "granted_by": "break_glass", "until": emergency["expires_at"], "is_emergency": True,
    }  # fmt: skip

    queue = officer.get("/api/v1/emergencies", params={"verdict": "pending"}).json()["results"]
    (mine,) = [one for one in queue if one["id"] == emergency["id"]]
    assert mine["reason"] == REASON["reason"]
    assert "E-1" not in str(mine)
    path = f"/api/v1/emergencies/{emergency['id']}/review"
    assert officer.post(path, json={"verdict": "not_justified", "comment": "No"}).status_code == 409
    done = officer.post(path, json={"verdict": "not_justified", "comment": "Nobody was in the emergency room."})
    assert (done.status_code, done.json()["verdict"], done.json()["is_open"]) == (200, "not_justified", False)
    assert not stranger.sees(loaded.study_id)
    assert officer.post(path, json={"verdict": "justified", "comment": "On second thoughts."}).status_code == 409
    listener.close()

    events = trail_of(world).all()
    of_study = [event for event in events if event["action"] == "study.opened"]
    assert {event["purpose"] for event in of_study if event["actor_id"] == stranger.user_id} == {Purpose.EMERGENCY}
    actions = [event["action"] for event in events]
    assert {"emergency.sought", "emergency.opened", "emergency.ended", "emergency.reviewed"} <= set(actions)
    assert REASON["reason"] not in str(events)


@pytest.mark.parametrize("sought", ["study_id", "study_instance_uid", "accession_number", "patient_id"])
def test_patient_is_named_whole(loaded: Loaded, stranger: Colleague, sought: str) -> None:
    names = {
        "study_id": str(loaded.study_id), "study_instance_uid": loaded.study_uid, "accession_number": "ACC-1",
        "patient_id": "E-1",
    }  # fmt: skip
    assert _break(stranger.client, **{sought: names[sought]}).status_code == 201
    assert stranger.client.request("DELETE", f"/api/v1/emergencies/{uuid4()}").status_code == 403


def test_nothing_is_found_by_parts(loaded: Loaded, stranger: Colleague) -> None:
    for patient_id in ("E", "E-", "e-1", "%", "E-1%"):
        assert _break(stranger.client, patient_id=patient_id).status_code == 404


def test_own_emergency_is_ended_by_oneself(loaded: Loaded, stranger: Colleague) -> None:
    emergency = _break(stranger.client, study_id=str(loaded.study_id)).json()
    assert stranger.sees(loaded.study_id)
    assert stranger.client.request("DELETE", f"/api/v1/emergencies/{emergency['id']}").status_code == 200
    assert not stranger.sees(loaded.study_id)


def test_access_ends_by_itself_and_the_end_is_written_down(
    world: World, loaded: Loaded, stranger: Colleague, trail_of: Any
) -> None:
    past = ManualClock(datetime.now(UTC) - timedelta(hours=3))
    with stranger.acting() as actor:
        card = break_glass(
            actor=actor,
            sought=Sought(study_id=loaded.study_id),
            reason_code=EmergencyReason.OTHER,
            reason=REASON["reason"],
            clock=past,
        )
    assert card.expires_at == past.now() + timedelta(minutes=settings.EMERGENCY_MINUTES)
    assert not stranger.sees(loaded.study_id)
    assert end_due_emergencies() >= 1
    ended = [event for event in trail_of(world).all() if event["action"] == "emergency.ended"]
    assert str(card.id) in {event["detail"]["emergency_id"] for event in ended}


def test_nobody_sees_with_an_emergency_what_they_see_without(world: World, loaded: Loaded) -> None:
    answer = _break(by_session(world, R.RADIOLOGIST), study_id=str(loaded.study_id))
    assert (answer.status_code, answer.json()["code"]) == (409, "emergency.not_needed")


def test_agreement_must_have_a_clause_for_emergencies(database: None) -> None:
    treatment = frozenset(Purpose) - {Purpose.EMERGENCY}
    world = make_world(
        permissions=tuple(
            type(one)(one.clause, one.activity, one.categories, treatment, one.roles) for one in everything_permitted()
        )
    )
    loaded = load_study(world, 1)
    stranger = make_colleague(world, R.SURGEON, institutions=[make_hospital(world)])
    for study_id in (str(loaded.study_id), str(uuid4())):
        answer = _break(stranger.client, study_id=study_id)
        assert (answer.status_code, answer.json()["code"]) == (403, "agreement.not_permitted")


def test_emergency_is_for_seeing(loaded: Loaded, stranger: Colleague) -> None:
    assert _break(stranger.client, study_id=str(loaded.study_id)).status_code == 201
    answer = stranger.client.post(
        f"/api/v1/studies/{loaded.study_id}/grants", json={"person_id": str(uuid4()), "reason": "curious"}
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "role.not_permitted")


@pytest.fixture
def strict() -> Iterator[None]:
    with override_settings(EMERGENCIES_PER_HOUR=2):
        yield


def test_too_many_attempts_are_refused_found_or_not(
    loaded: Loaded, stranger: Colleague, world: World, strict: None
) -> None:
    assert _break(stranger.client, patient_id="nobody").status_code == 404
    assert _break(stranger.client, study_id=str(loaded.study_id)).status_code == 201
    answer = _break(stranger.client, study_id=str(loaded.study_id))
    assert (answer.status_code, answer.json()["code"]) == (429, "emergency.too_many")
    other = make_colleague(world, R.SURGEON, institutions=[make_hospital(world)])
    assert _break(other.client, study_id=str(loaded.study_id)).status_code == 201


def test_emergency_needs_a_sentence(loaded: Loaded, stranger: Colleague) -> None:
    answer = stranger.client.post(
        "/api/v1/emergencies", json={**REASON, "reason": "now", "study_id": str(loaded.study_id)}
    )
    assert answer.status_code == 400
    assert not stranger.sees(loaded.study_id)


def test_officer_reviews_no_emergency_of_their_own(world: World, loaded: Loaded, stranger: Colleague) -> None:
    emergency = _break(stranger.client, study_id=str(loaded.study_id)).json()
    with tenant_scope(world.system):
        from gantry.tenancy.public import update_member

        update_member(actor=world.system, membership_id=stranger.membership_id, role=R.COMPLIANCE)
    answer = stranger.client.post(
        f"/api/v1/emergencies/{emergency['id']}/review", json={"verdict": "justified", "comment": "I was right."}
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "emergency.review")
