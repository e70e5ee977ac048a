"""Service accounts: a token does what its scopes say and nothing else, and ends when it is told to."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.conf import settings

from analysed import Loaded, load_study
from ct_files import make_ct, to_files
from gantry.foundation.scope import tenant_scope, unit_of_work
from gantry.kernel.clock import SYSTEM_CLOCK
from gantry.kernel.vocabulary import Role, Scope
from gantry.tenancy.models import AccessToken
from gantry.tenancy.public import create_account, issue_account_token
from site_client import Client, by_session
from world import World, make_world

pytestmark = pytest.mark.usefixtures("database")
R = Role


@pytest.fixture(scope="module")
def world(database: None) -> World:
    return make_world()


@pytest.fixture(scope="module")
def loaded(world: World) -> Loaded:
    return load_study(world, 1)


@pytest.fixture
def admin(world: World) -> Client:
    return by_session(world, R.ADMIN)


def _token(world: World, *scopes: Scope) -> Client:
    with tenant_scope(world.system):
        account = create_account(actor=world.system, name=uuid4().hex, scopes=scopes)
        return Client(world.slug, token=issue_account_token(actor=world.system, account_id=account.id).secret)


#: One real call for each thing that an integrator's token may be for, and the scopes that open it.
CALLS: dict[tuple[str, str], frozenset[Scope]] = {
    ("POST", "/dicomweb/studies"): frozenset({Scope.DICOMWEB_STORE}),
    ("GET", "/dicomweb/studies"): frozenset({Scope.DICOMWEB_READ}),
    ("GET", "/dicomweb/series"): frozenset({Scope.DICOMWEB_READ}),
    ("GET", "/dicomweb/studies/{study_uid}"): frozenset({Scope.DICOMWEB_READ}),
    ("GET", "/dicomweb/studies/{study_uid}/thumbnail"): frozenset({Scope.DICOMWEB_READ}),
    ("POST", "/api/v1/worklist/search"): frozenset({Scope.WORKLIST_READ}),
    ("GET", "/api/v1/studies/{study_id}"): frozenset({Scope.WORKLIST_READ}),
    ("GET", "/api/v1/studies/{study_id}/analyses"): frozenset({Scope.WORKLIST_READ, Scope.INFERENCE}),
    ("GET", "/api/v1/models"): frozenset({Scope.INFERENCE}),
    ("GET", "/api/v1/me"): frozenset({Scope.WORKLIST_READ, Scope.INFERENCE}),
    ("GET", "/api/v1/people"): frozenset(),
    ("GET", "/api/v1/quarantine"): frozenset(),
    ("POST", "/api/v1/studies/{study_id}/complete"): frozenset(),
}


@pytest.mark.parametrize("scope", Scope)
def test_token_opens_what_its_scope_says_and_nothing_else(world: World, loaded: Loaded, scope: Scope) -> None:
    client = _token(world, scope)
    for (method, path), scopes in CALLS.items():
        filled = path.format(study_uid=loaded.study_uid, study_id=loaded.study_id)
        if (method, path) == ("POST", "/dicomweb/studies"):
            answer = client.stow(to_files(make_ct(1)))
        else:
            answer = client.request(method, filled, json={} if method == "POST" else None)
        if scope in scopes:
            assert answer.status_code in {200, 204}, (path, answer.text)
        else:
            assert (answer.status_code, answer.json()["code"]) == (403, "scope.missing"), path


def test_account_is_made_used_rotated_and_ended_by_an_administrator(world: World, admin: Client, trail_of: Any) -> None:
    trail = trail_of(world)
    account = admin.post(
        "/api/v1/accounts",
        json={"name": "Router", "scopes": ["dicomweb:store"], "institution_id": str(world.institution_id)},
    ).json()
    path = f"/api/v1/accounts/{account['id']}"
    first = admin.post(f"{path}/tokens", json={"label": "new", "days": 30}).json()
    assert Client(world.slug, token=first["token"]).stow(to_files(make_ct(1))).status_code == 200

    listed = next(one for one in admin.get("/api/v1/accounts").json()["results"] if one["id"] == account["id"])
    assert first["token"] not in str(listed)
    assert listed["tokens"][0]["last_used_at"].endswith(":00:00Z")  # to the hour, not to the minute

    second = admin.post(f"{path}/tokens/{first['id']}/rotation", json={"overlap_hours": 1}).json()
    for token in (first, second):  # the old one stays good for the overlap
        assert Client(world.slug, token=token["token"]).stow(to_files(make_ct(1))).status_code == 200
    with world.reading():
        old = AccessToken.objects.get(pk=UUID(first["id"]))
        assert old.expires_at <= SYSTEM_CLOCK.now() + timedelta(hours=1)
        AccessToken.objects.filter(pk=old.pk).update(expires_at=SYSTEM_CLOCK.now())
    assert Client(world.slug, token=first["token"]).get("/api/v1/me").status_code == 401

    assert admin.request("DELETE", f"{path}/tokens/{second['id']}").status_code == 204
    assert Client(world.slug, token=second["token"]).get("/api/v1/me").status_code == 401
    third = admin.post(f"{path}/tokens", json={}).json()
    assert admin.request("DELETE", path).status_code == 204
    assert Client(world.slug, token=third["token"]).get("/api/v1/me").status_code == 401
    assert admin.post(f"{path}/tokens", json={}).status_code == 404
    assert {"account.created", "token.issued", "token.rotated", "token.revoked", "account.ended"} <= set(
        trail.actions()
    )


def test_token_lives_no_longer_than_it_may(world: World, admin: Client) -> None:
    account = admin.post("/api/v1/accounts", json={"name": "Long", "scopes": ["inference"]}).json()
    path = f"/api/v1/accounts/{account['id']}/tokens"
    assert admin.post(path, json={"days": settings.TOKEN_MAX_DAYS}).status_code == 201
    answer = admin.post(path, json={"days": settings.TOKEN_MAX_DAYS + 1})
    assert (answer.status_code, answer.json()["code"]) == (400, "token.lifetime")


def test_account_acts_for_its_institution_alone(world: World, admin: Client, loaded: Loaded) -> None:
    code = f"h-{uuid4().hex[:8]}"
    hospital = admin.post("/api/v1/institutions", json={"code": code, "name": "Hill"}).json()
    account = admin.post(
        "/api/v1/accounts", json={"name": "Hill", "scopes": ["dicomweb:read"], "institution_id": hospital["id"]}
    ).json()
    token = admin.post(f"/api/v1/accounts/{account['id']}/tokens", json={}).json()["token"]
    assert Client(world.slug, token=token).get(f"/dicomweb/studies/{loaded.study_uid}").status_code == 404


def test_secret_is_kept_nowhere(world: World) -> None:
    with tenant_scope(world.system):
        account = create_account(actor=world.system, name="Secret", scopes=[Scope.INFERENCE])
        issued = issue_account_token(actor=world.system, account_id=account.id)
        with unit_of_work():
            row = AccessToken.objects.values().get(pk=issued.id)
    assert issued.secret not in str(row)
    assert issued.secret.encode() not in bytes(row["digest"])
