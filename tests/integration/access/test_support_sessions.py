"""Support: timed, reasoned, seen by the tenant, and shown nothing of a patient without its consent."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from analysed import Loaded, load_study
from colleagues import make_colleague, make_person
from gantry.foundation.scope import tenant_scope
from gantry.kernel.clock import SYSTEM_CLOCK
from gantry.kernel.vocabulary import DataCategory, Role
from gantry.tenancy.errors import SupportError
from gantry.tenancy.models import SupportSession
from gantry.tenancy.public import SupportCard, open_support
from site_client import Client, by_session, sign_in
from world import World, make_world

pytestmark = pytest.mark.usefixtures("database")
R = Role
ASKED = [DataCategory.PIXEL_DATA, DataCategory.IDENTIFYING_METADATA, DataCategory.REPORTS]


@pytest.fixture(scope="module")
def world(database: None) -> World:
    return make_world()


@pytest.fixture(scope="module")
def loaded(world: World) -> Loaded:
    return load_study(world, 1)


@pytest.fixture
def operator() -> UUID:
    return make_person("operator")


def _open(world: World, operator: UUID, **changes: Any) -> SupportCard:
    options: dict[str, Any] = {
        "reason": "Studies of the new scanner do not arrive.", "lifetime": timedelta(hours=1), "requested": ASKED,
        **changes,
    }  # fmt: skip
    with tenant_scope(world.system):
        return open_support(actor=world.system, operator_id=operator, operator_name="Olli Operator", **options)


def test_support_sees_numbers_then_what_was_consented_to_then_nothing(
    world: World, loaded: Loaded, operator: UUID, connect: Any, trail_of: Any
) -> None:
    trail = trail_of(world)
    support, officer = Client(world.slug, session=sign_in(operator)), by_session(world, R.COMPLIANCE)
    study, admin_only = f"/api/v1/studies/{loaded.study_id}", "/api/v1/members"
    assert support.get("/api/v1/me").status_code == 404

    session = _open(world, operator)
    assert support.get("/api/v1/me").json()["role"] == "support"
    assert support.get("/api/v1/tenant").json()["members_by_role"]["admin"] == 1
    assert support.get(admin_only).status_code == 403
    for path in (study, f"/dicomweb/studies/{loaded.study_uid}"):
        answer = support.get(path)
        assert (answer.status_code, answer.json()["code"]) == (403, "support.no_consent")
    (seen,) = [one for one in officer.get("/api/v1/support-sessions").json()["results"] if one["id"] == str(session.id)]
    assert (seen["operator"]["name"], seen["reason"], seen["is_open"]) == ("Olli Operator", session.reason, True)

    consent = f"/api/v1/support-sessions/{session.id}/consent"
    wrong = officer.request("PUT", consent, json={"categories": ["derived_geometry"]})
    assert (wrong.status_code, wrong.json()["code"]) == (409, "support.not_possible")
    assert officer.request("PUT", consent, json={"categories": ["identifying_metadata"]}).status_code == 200
    assert support.get(study).status_code == 200
    assert support.get(f"/dicomweb/studies/{loaded.study_uid}").json()["code"] == "support.no_consent"
    assert support.post(f"{study}/grants", json={"person_id": str(operator), "reason": "mine"}).status_code == 403
    assert officer.request("PUT", consent, json={"categories": []}).status_code == 200
    assert support.get(study).status_code == 403

    assert officer.request("DELETE", f"/api/v1/support-sessions/{session.id}").json()["is_open"] is False
    assert support.get("/api/v1/me").status_code == 404
    events = trail.new()
    assert {"support.opened", "support.consented", "support.ended"} <= {one["action"] for one in events}
    shown = [one for one in events if one["action"] == "study.opened"]
    assert {(one["purpose"], one["role"]) for one in shown} == {("HSYSADMIN", "support")}
    with connect("owner") as connection:
        rows = connection.execute(
            "select action from audit_platformevent where user_id = %s and action like 'support.%%'", [operator]
        ).fetchall()
    assert {action for (action,) in rows} == {"support.opened", "support.consented", "support.ended"}


def test_session_ends_by_itself(world: World, operator: UUID) -> None:
    session = _open(world, operator)
    support = Client(world.slug, session=sign_in(operator))
    assert support.get("/api/v1/tenant").status_code == 200
    with world.reading():
        SupportSession.objects.filter(pk=session.id).update(expires_at=SYSTEM_CLOCK.now())
    assert support.get("/api/v1/tenant").status_code == 404
    assert _open(world, operator).is_open  # what ran out does not stand in the way


@pytest.mark.parametrize(
    "changes",
    [
        {"reason": "help"},
        {"lifetime": timedelta(hours=9)},
        {"lifetime": timedelta()},
        {"requested": [DataCategory.USAGE]},
    ],
)
def test_session_is_refused(world: World, operator: UUID, changes: dict[str, Any]) -> None:
    with pytest.raises(SupportError):
        _open(world, operator, **changes)


def test_one_session_at_a_time_and_none_for_members(world: World, operator: UUID) -> None:
    _open(world, operator)
    with pytest.raises(SupportError):
        _open(world, operator)
    member = make_colleague(make_world(), R.SURGEON)
    with pytest.raises(SupportError):
        _open(world, member.user_id)
