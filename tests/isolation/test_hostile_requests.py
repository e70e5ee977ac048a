"""What other sites' pages and curious members try: foreign origins at every door, fields that nobody offered."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from analysed import load_study
from gantry.kernel.vocabulary import Role
from gantry.studies.models import Series
from site_client import Socket, by_session, by_token, sign_in
from world import World, make_world

pytestmark = pytest.mark.usefixtures("database")

HOSTILE = (
    "",
    "null",
    "http://evil.test",
    "http://127.0.0.1:8001",
    "http://127.0.0.1",
    "http://localhost:8000.evil.test",
    "http://127.0.0.1:8000.evil.test",
    "http://evil.test/http://127.0.0.1:8000",
    "http://127.0.0.1:8000@evil.test",
    "http://127.0.0.1:8000, http://evil.test",
    "http://127.0.0.1:8000%00.evil.test",
    "file://",
    "chrome-extension://abcdefghijklmnop",
    "http://[::1]:8000",
)


@pytest.fixture(scope="module")
def world(database: None) -> World:
    return make_world()


@pytest.fixture(scope="module")
def series_id(world: World) -> str:
    loaded = load_study(world, 1)
    with world.reading():
        return str(Series.objects.get(series_instance_uid=loaded.series_uid).pk)


@pytest.fixture(scope="module")
def session(world: World) -> str:
    return sign_in(world.users[Role.RADIOLOGIST])


@pytest.mark.parametrize("origin", HOSTILE)
def test_no_socket_opens_for_another_site(world: World, session: str, series_id: str, origin: str) -> None:
    assert not Socket(world.slug, session, origin=origin).is_accepted()
    render = Socket(
        world.slug, session, origin=origin, path=f"render/v1/{series_id}", subprotocols=["gantry-render.v1"]
    )
    assert not render.is_accepted()


@pytest.mark.parametrize("origin", [origin for origin in HOSTILE if origin])
def test_no_change_is_made_for_another_site(world: World, origin: str) -> None:
    browser = by_session(world, Role.ADMIN)
    own = browser.post("/api/v1/care-teams", json={"name": f"own {uuid4().hex}"})
    assert own.status_code == 201
    foreign = browser.post("/api/v1/care-teams", json={"name": "foreign"}, headers={"Origin": origin})
    assert foreign.status_code == 403
    without = browser.post("/api/v1/care-teams", json={"name": "foreign"}, headers={"X-CSRFToken": "0" * 64})
    assert without.status_code == 403


@pytest.mark.parametrize(
    ("role", "method", "path", "body"),
    [
        (Role.ADMIN, "POST", "members", {"email": "new@fields.test", "name": "New", "role": "surgeon"}),
        (Role.ADMIN, "POST", "institutions", {"code": "fields", "name": "Fields"}),
        (Role.ADMIN, "POST", "accounts", {"name": "Router", "scopes": ["dicomweb:store"]}),
        (Role.ADMIN, "POST", "care-teams", {"name": "Fields"}),
        (Role.COMPLIANCE, "POST", "incidents", {"title": "Fields"}),
        (Role.COMPLIANCE, "POST", "subject-requests", {"kind": "access"}),
    ],
)
@pytest.mark.parametrize(
    "extra",
    [
        {"tenant_id": "00000000-0000-4000-8000-000000000000"},
        {"id": "00000000-0000-4000-8000-000000000000"},
        {"is_superuser": True},
        {"state": "closed"},
        {"created_by": "00000000-0000-4000-8000-000000000000"},
    ],
)
def test_no_field_is_set_that_was_not_offered(
    world: World, role: Role, method: str, path: str, body: dict[str, Any], extra: dict[str, Any]
) -> None:
    answer = by_token(world, role).request(method, f"/api/v1/{path}", json={**body, **extra})
    assert answer.status_code == 400
    assert next(iter(extra)) in answer.json()["detail"]
