"""A referred study is open to the physician; who else it was referred to is not theirs to know."""

from __future__ import annotations

import pytest

from analysed import load_study
from gantry.kernel.vocabulary import Role
from site_client import by_token
from world import make_world

pytestmark = pytest.mark.usefixtures("database")


def test_referrals_are_listed_for_staff_and_not_for_the_referred() -> None:
    world = make_world()
    loaded = load_study(world, 2)
    staff = by_token(world, Role.RADIOLOGIST)
    referral = {"person_id": str(world.users[Role.REFERRER])}
    assert staff.post(f"/api/v1/studies/{loaded.study_id}/referrals", json=referral).status_code == 201
    seen = {
        role: by_token(world, role).get(f"/api/v1/studies/{loaded.study_id}").json()["referrals"]
        for role in (Role.RADIOLOGIST, Role.REFERRER)
    }
    assert len(seen[Role.RADIOLOGIST]) == 1
    assert seen[Role.REFERRER] == []


def test_door_answers_its_own_hosts_only() -> None:
    world = make_world()
    client = by_token(world, Role.INTEGRATOR)
    assert client.get("/dicomweb/studies").status_code == 200
    assert client.get("/dicomweb/studies", headers={"Host": "evil.example"}).status_code == 400
