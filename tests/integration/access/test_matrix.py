"""Every cell of the permission matrix, asked of the running system: by the gate, and by the act itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from analysed import Loaded, Result, analyse, load_study
from ct_files import make_ct, to_files
from gantry.access.public import ADMINISTRATION, MATRIX, require_permission
from gantry.agreements.public import decide
from gantry.foundation.scope import tenant_scope, unit_of_work
from gantry.kernel.actor import Actor, Subject
from gantry.kernel.decision import Refused
from gantry.kernel.vocabulary import (
    MEMBER_ROLES,
    Activity,
    AdminPermission,
    DataCategory,
    GrantKind,
    Purpose,
    Role,
)
from site_client import Client, by_session
from world import World, make_world

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture(scope="module")
def world(database: None) -> World:
    return make_world()


@pytest.fixture(scope="module")
def loaded(world: World) -> Loaded:
    return load_study(world, 8)


@pytest.fixture(scope="module")
def result(loaded: Loaded) -> Result:
    return analyse(loaded)


def _actor(world: World, role: Role) -> Actor:
    if role in MEMBER_ROLES:
        return world.actor(role)
    return replace(world.system, role=role, consents=frozenset(DataCategory))


@pytest.mark.parametrize("role", Role)
def test_gate_answers_by_the_matrix(world: World, role: Role) -> None:
    actor = _actor(world, role)
    with tenant_scope(actor), unit_of_work():
        for activity in Activity:
            for category in DataCategory:
                subject = Subject(world.tenant_id, category, granted_by=GrantKind.REFERRAL)
                decision = decide(actor=actor, activity=activity, subject=subject, purpose=Purpose.TREATMENT)
                expected = category in MATRIX[role].get(activity, ())
                if activity is Activity.VIEW_ABROAD:  # the agreement of the tests has no clause for it
                    assert decision.code == ("agreement.not_permitted" if expected else "role.not_permitted")
                    continue
                assert (decision.allowed, decision.code) == (
                    (True, "allowed") if expected else (False, "role.not_permitted")
                ), (role, activity, category)


@pytest.mark.parametrize("role", Role)
def test_administration_is_by_the_matrix(world: World, role: Role) -> None:
    actor = _actor(world, role)
    for permission in AdminPermission:
        if permission in ADMINISTRATION[role]:
            assert require_permission(actor, permission).allowed
        else:
            with pytest.raises(Refused) as refused:
                require_permission(actor, permission)
            assert refused.value.code == "role.not_permitted"


def _store(client: Client, _: Any) -> Any:
    return client.stow(to_files(make_ct(1)))


#: One real act for every activity that members can do by the site.
ACTS: dict[Activity, Any] = {
    Activity.STORE: _store,
    Activity.FIND: lambda client, _: client.post("/api/v1/worklist/search", json={}),
    Activity.VIEW: lambda client, names: client.get("/api/v1/studies/{study_id}".format(**names)),
    Activity.INFER: lambda client, names: client.post(
        "/api/v1/inference",
        json={"study_instance_uid": names["study_uid"], "model": "bone_ct"},
        headers={"Idempotency-Key": uuid4().hex},
    ),
    Activity.REVIEW: lambda client, names: client.post(
        "/api/v1/findings/{finding_id}/review".format(**names), json={"decision": "accept"}
    ),
    Activity.SHARE: lambda client, names: client.post(
        "/api/v1/studies/{study_id}/grants".format(**names), json={"person_id": names["surgeon"], "reason": "board"}
    ),
}


@pytest.mark.parametrize("activity", list(ACTS))
@pytest.mark.parametrize("role", MEMBER_ROLES)
def test_act_is_done_or_refused_by_the_matrix(
    world: World, loaded: Loaded, result: Result, role: Role, activity: Activity
) -> None:
    names = {
        "study_id": str(loaded.study_id), "study_uid": loaded.study_uid, "finding_id": str(result.finding_ids[0]),
        "surgeon": str(world.users[Role.SURGEON]), "referrer": str(world.users[Role.REFERRER]),
    }  # fmt: skip
    radiologist = by_session(world, Role.RADIOLOGIST)
    referred = radiologist.post(f"/api/v1/studies/{loaded.study_id}/referrals", json={"person_id": names["referrer"]})
    assert referred.status_code == 201
    answer = ACTS[activity](by_session(world, role), names)
    if activity in MATRIX[role]:
        assert answer.status_code in {200, 201, 202}, answer.text
    else:
        assert (answer.status_code, answer.json()["code"]) == (403, "role.not_permitted")
