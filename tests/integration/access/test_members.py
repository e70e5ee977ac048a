"""Members, hospitals and networks by REST: what an administrator changes, and what nobody may."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from analysed import load_study
from colleagues import make_colleague, make_hospital
from gantry.identity.models import User
from gantry.kernel.vocabulary import Role
from gantry.tenancy.models import Membership
from site_client import Client, by_session
from world import World, make_world

pytestmark = pytest.mark.usefixtures("database")
R = Role


@pytest.fixture(scope="module")
def world(database: None) -> World:
    return make_world()


@pytest.fixture
def admin(world: World) -> Client:
    return by_session(world, R.ADMIN)


def _change(admin: Client, membership_id: UUID, **body: Any) -> Any:
    return admin.request("PATCH", f"/api/v1/members/{membership_id}", json=body)


def test_member_is_added_changed_and_ended(world: World, admin: Client, trail_of: Any) -> None:
    trail = trail_of(world)
    email = f"{uuid4().hex}@new.test"
    added = admin.post("/api/v1/members", json={"email": email, "name": "Nia New", "role": "surgeon"})
    assert added.status_code == 201, added.text
    assert not User.objects.get(email=email).has_usable_password()
    member = added.json()
    assert _change(admin, member["id"], role="radiologist").json()["role"] == "radiologist"
    assert not _change(admin, member["id"], is_active=False).json()["is_active"]
    again = admin.post("/api/v1/members", json={"email": email, "name": "Nia New", "role": "surgeon"})
    assert (again.status_code, again.json()["code"]) == (409, "member.exists")
    assert trail.actions() == ["member.added", "member.changed", "member.ended"]


def test_answer_is_the_same_for_a_person_whom_another_tenant_knows(world: World, admin: Client) -> None:
    known = make_colleague(make_world(), R.SURGEON)
    email = User.objects.get(pk=known.user_id).email
    bodies = [
        admin.post("/api/v1/members", json={"email": one, "name": "Some Body", "role": "surgeon"}).json()
        for one in (email, f"{uuid4().hex}@new.test")
    ]
    shapes = [{**body, "id": "", "person": {**body["person"], "id": "", "email": ""}} for body in bodies]
    assert shapes[0] == shapes[1]


def test_last_administrator_stays(database: None) -> None:
    world = make_world()
    admin = by_session(world, R.ADMIN)
    with world.reading():
        mine = Membership.objects.get(user_id=world.users[R.ADMIN]).pk
    for body in ({"is_active": False}, {"role": "surgeon"}):
        answer = _change(admin, mine, **body)
        assert (answer.status_code, answer.json()["code"]) == (409, "member.last_admin")
    make_colleague(world, R.ADMIN)
    assert _change(admin, mine, is_active=False).status_code == 200


def test_ended_member_is_signed_out_unless_they_belong_elsewhere(world: World, admin: Client) -> None:
    only, both = make_colleague(world, R.SURGEON), make_colleague(world, R.SURGEON)
    other = make_world()
    from gantry.foundation.scope import tenant_scope
    from gantry.tenancy.public import add_member

    with tenant_scope(other.system):
        add_member(actor=other.system, user_id=both.user_id, role=R.SURGEON)
    sessions = [only.session, both.session]
    for colleague in (only, both):
        assert _change(admin, colleague.membership_id, is_active=False).status_code == 200
    assert Client(world.slug, session=sessions[0]).get("/api/v1/me").status_code == 401
    assert Client(world.slug, session=sessions[1]).get("/api/v1/me").status_code == 404
    assert Client(other.slug, session=sessions[1]).get("/api/v1/me").status_code == 200


def test_member_is_confined_to_hospitals(world: World, admin: Client) -> None:
    loaded = load_study(world, 1)
    surgeon, hill = make_colleague(world, R.SURGEON), make_hospital(world)
    assert surgeon.sees(loaded.study_id)
    assert _change(admin, surgeon.membership_id, institution_ids=[str(hill)]).status_code == 200
    assert not surgeon.sees(loaded.study_id)
    assert _change(admin, surgeon.membership_id, institution_ids=[]).status_code == 200
    assert surgeon.sees(loaded.study_id)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "members", {"email": "a@b.test", "name": "x", "role": "surgeon", "is_active": True}),
        ("POST", "members", {"email": "a@b.test", "name": "x", "role": "system"}),
        ("POST", "members", {"email": "a@b.test", "name": "x", "role": "support"}),
        ("PATCH", "members/{member}", {"user_id": "{admin}"}),
        ("PATCH", "members/{member}", {"tenant_id": "{admin}"}),
        ("PATCH", "institutions/{institution}", {"code": "other"}),
        ("POST", "accounts", {"name": "x", "scopes": ["dicomweb:store"], "role": "admin"}),
        ("POST", "accounts", {"name": "x", "scopes": []}),
        ("POST", "accounts", {"name": "x", "scopes": ["everything"]}),
        ("PUT", "networks", {"networks": [{"cidr": "0.0.0.0/0", "place": "moon"}]}),
        ("PUT", "networks", {"networks": [{"cidr": "nonsense", "place": "site"}]}),
    ],
)
def test_nothing_is_set_that_is_not_asked_for(
    world: World, admin: Client, method: str, path: str, body: dict[str, Any]
) -> None:
    surgeon = make_colleague(world, R.SURGEON)
    names = {
        "member": surgeon.membership_id, "admin": world.users[R.ADMIN], "institution": world.institution_id,
    }  # fmt: skip
    filled = {key: value.format(**names) if isinstance(value, str) else value for key, value in body.items()}
    answer = admin.request(method, f"/api/v1/{path.format(**names)}", json=filled)
    assert (answer.status_code, answer.json()["code"]) == (400, "request.invalid"), answer.text
    assert surgeon.client.get("/api/v1/me").json()["role"] == "surgeon"


def test_one_institution_is_the_default(world: World, admin: Client) -> None:
    hill = make_hospital(world)
    path = f"/api/v1/institutions/{hill}"
    assert admin.request("PATCH", path, json={"is_default": True}).json()["is_default"]
    assert admin.request("PATCH", path, json={"is_default": False}).status_code == 400
    found = admin.get("/api/v1/institutions").json()["results"]
    assert [one["id"] for one in found if one["is_default"]] == [str(hill)]
    answer = admin.post("/api/v1/institutions", json={"code": found[0]["code"], "name": "Again"})
    assert (answer.status_code, answer.json()["code"]) == (409, "institution.code_taken")


def test_place_follows_the_networks(database: None) -> None:
    world = make_world()
    admin = by_session(world, R.ADMIN)
    loaded = load_study(world, 1)
    surgeon = make_colleague(world, R.SURGEON)
    assert surgeon.sees(loaded.study_id)
    assert admin.request("PUT", "/api/v1/networks", json={"networks": []}).status_code == 200
    answer = surgeon.client.get(f"/api/v1/studies/{loaded.study_id}")
    assert (answer.status_code, answer.json()["code"]) == (403, "agreement.view_abroad")
