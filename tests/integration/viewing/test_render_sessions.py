"""Render sessions: opened through the gate, redeemed once, and over within one renewal of losing what they rest on.

Every denial is asked in the arrangement in which the same thing was allowed a line before.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings

from analysed import Loaded, Result, analyse, load_study
from audit_trail import Trail
from gantry.agreements.public import Step, advance_agreement, draft_agreement
from gantry.analyses.domain import Verdict
from gantry.analyses.public import review_finding
from gantry.foundation.scope import tenant_scope, unit_of_work
from gantry.identity.models import Session
from gantry.identity.public import end_all_sessions, session_digest
from gantry.kernel.clock import SYSTEM_CLOCK, ManualClock
from gantry.kernel.ids import AgreementId
from gantry.kernel.vocabulary import Activity, Role
from gantry.studies.models import Series, StudyGrant
from gantry.studies.packs import pack_series
from gantry.studies.public import refer_study, request_pack, withdraw_referral
from gantry.tenancy.public import end_membership
from gantry.vault.public import ObjectName, SealedReader, Secret, get_vault
from gantry.viewing.errors import TicketRefusedError
from gantry.viewing.models import RenderSession
from gantry.viewing.pods import forget_render_service
from gantry.viewing.render_sessions import redeem_ticket
from gantry.viewing.tickets import open_ticket
from gantry_imaging.pack import Pack
from gantry_render.protocol import join_ticket, split_ticket, write_claims
from render_door import render_door
from site_client import ORIGIN, Client, application, by_token, run, sign_in
from world import World, content_with, everything_permitted, make_world, put_in_force

pytestmark = pytest.mark.usefixtures("database")

OUTSIDE = "203.0.113.9"


@dataclass(frozen=True)
class Place:
    """A tenant with a packed study, analysed, and referred to its referring physician."""

    loaded: Loaded
    result: Result
    series_id: UUID
    referral_id: UUID

    @property
    def world(self) -> World:
        return self.loaded.world

    @property
    def path(self) -> str:
        return f"/api/v1/studies/{self.loaded.study_id}/series/{self.series_id}/render-session"


def pack(world: World, series_id: UUID) -> None:
    """Ask for a series' pack and write it, as the worker does."""
    with tenant_scope(world.system):
        request_pack(series_id=series_id)
        pack_series(series_id=series_id)


def series_of(loaded: Loaded, series_uid: str = "") -> UUID:
    with loaded.world.reading():
        return Series.objects.get(series_instance_uid=series_uid or loaded.series_uid).pk


def make_place() -> Place:
    world = make_world()
    loaded = load_study(world, 8)
    series_id = series_of(loaded)
    pack(world, series_id)
    result = analyse(loaded)
    with world.acting(Role.RADIOLOGIST) as actor:
        until = SYSTEM_CLOCK.now() + timedelta(days=1)
        referral = refer_study(actor=actor, study_id=loaded.study_id, user_id=world.users[Role.REFERRER], until=until)
    return Place(loaded, result, series_id, referral.id)


@pytest.fixture(autouse=True)
def door() -> Iterator[None]:
    with render_door():
        yield


@pytest.fixture
def place(database: None) -> Place:
    return make_place()


@dataclass
class Browser:
    """A signed-in reader."""

    place: Place
    role: Role = Role.SURGEON
    address: str = "127.0.0.1"

    def __post_init__(self) -> None:
        self.session = sign_in(self.place.world.users[self.role])
        self.client = Client(self.place.world.slug, session=self.session, address=self.address)

    def open(self, session: str | None = None) -> httpx.Response:
        return self.client.post(self.place.path, json={"session": session})

    def ticket(self, session: str | None = None) -> str:
        answer = self.open(session)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["ticket"])


def shared_key() -> str:
    """Return the one key of all pods, as the embedded stack has it."""
    return str(settings.RENDER_POD_KEYS[""])


class Pod:
    """A render pod that asks the control plane."""

    def __init__(self, name: str = "pod-1", key: str | None = None) -> None:
        self.name = name
        headers = {b"Authorization": f"Bearer {shared_key() if key is None else key}".encode()}
        transport = httpx.ASGITransport(application(), client=("127.0.0.1", 40000), raise_app_exceptions=False)
        self.http = httpx.AsyncClient(base_url=ORIGIN, transport=transport, headers=headers)

    def ask(self, call: str, **body: Any) -> httpx.Response:
        return run(self.http.post(f"/internal/render/v1/{call}", json={"pod": self.name, **body}))

    def redeem(self, ticket: str) -> dict[str, Any]:
        answer = self.ask("redeem", ticket=ticket)
        assert answer.status_code == 200, answer.text
        manifest: dict[str, Any] = answer.json()
        return manifest

    def refusal(self, ticket: str) -> str:
        answer = self.ask("redeem", ticket=ticket)
        assert answer.status_code == 403, answer.text
        return str(answer.json()["code"])

    def lease(self, *sessions: str) -> dict[str, str]:
        answer = self.ask("lease", sessions=list(sessions))
        assert answer.status_code == 200, answer.text
        return {one["session"]: one["code"] for one in answer.json()["ended"]}


# --- opening -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [Role.RADIOLOGIST, Role.SURGEON, Role.REFERRER])
def test_clinician_gets_a_ticket_and_a_pod_can_read_the_pack_with_it(
    place: Place, role: Role, trail_of: Callable[[World], Trail]
) -> None:
    trail = trail_of(place.world)
    answer = Browser(place, role).open()
    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert body["state"] == "ready"
    assert body["socket"] == f"/t/{place.world.slug}/render/v1/{place.series_id}"
    assert body["expires_in_s"] == 60
    (event,) = [one for one in trail.new() if one["action"] == "series.rendered"]
    assert (event["activity"], event["outcome"], event["role"]) == ("view", "success", role)
    manifest = Pod().redeem(body["ticket"])
    assert manifest["session"] == body["session"]
    assert manifest["series_id"] == str(place.series_id)
    reference = manifest["pack"]
    name = ObjectName(UUID(reference["tenant_id"]), UUID(reference["object_id"]))
    key = Secret(base64.b64decode(reference["data_key"]))
    with SealedReader(get_vault().objects, name, key, reference["size_bytes"]) as reader:
        assert len(Pack.open(reader).index.frames) == 8


def test_opening_says_that_images_are_prepared_when_there_is_no_pack(place: Place) -> None:
    loaded = load_study(place.world, 3)
    client = Browser(place).client
    path = f"/api/v1/studies/{loaded.study_id}/series/{series_of(loaded)}/render-session"
    answer = client.post(path, json={"session": None})
    assert (answer.status_code, answer.json()["state"]) == (202, "preparing"), answer.text
    pack(place.world, series_of(loaded))
    assert client.post(path, json={}).status_code == 201


def test_opening_says_why_when_no_pack_can_be_made(place: Place) -> None:
    series_id = series_of(place.loaded, place.result.series_uid)
    pack(place.world, series_id)
    path = place.path.replace(str(place.series_id), str(series_id))
    answer = Browser(place).client.post(path, json={})
    assert (answer.status_code, answer.json()["state"]) == (200, "refused"), answer.text
    assert answer.json()["code"]
    assert answer.json()["sentence"]


def test_opening_says_why_as_long_as_the_platform_s_worker_may_not_prepare_images(database: None) -> None:
    readers_alone = tuple(
        dataclasses.replace(each, roles=each.roles - {Role.SYSTEM}) if each.activity is Activity.RENDER else each
        for each in everything_permitted()
    )
    world = make_world(permissions=readers_alone)
    loaded = load_study(world, 3)
    path = f"/api/v1/studies/{loaded.study_id}/series/{series_of(loaded)}/render-session"
    client = Client(world.slug, session=sign_in(world.users[Role.SURGEON]))
    assert client.post(path, json={}).status_code == 202
    pack(world, series_of(loaded))
    for _ in range(2):
        answer = client.post(path, json={})
        assert (answer.status_code, answer.json()["code"]) == (200, "agreement.not_permitted"), answer.text
        assert answer.json()["sentence"].startswith("The platform may not prepare these images")
    with tenant_scope(world.system):
        amended = draft_agreement(actor=world.system, version="v2", content=content_with(everything_permitted()))
    with world.acting(Role.COMPLIANCE) as compliance:
        put_in_force(compliance, amended.pk)
    assert client.post(path, json={}).status_code == 202
    pack(world, series_of(loaded))
    assert client.post(path, json={}).status_code == 201


def test_opening_is_a_problem_when_no_render_service_answers(place: Place, door: None) -> None:
    browser = Browser(place)
    assert browser.open().status_code == 201
    url, settings.RENDER_URL = settings.RENDER_URL, "unix:/nowhere.sock"
    forget_render_service()
    try:
        answer = browser.open()
    finally:
        settings.RENDER_URL = url
        forget_render_service()
    assert (answer.status_code, answer.json()["code"]) == (503, "render.unavailable")


def test_opening_is_refused_when_the_reader_may_not(place: Place, trail_of: Callable[[World], Trail]) -> None:
    surgeon, referrer = Browser(place), Browser(place, Role.REFERRER)
    assert surgeon.open().status_code == 201
    assert referrer.open().status_code == 201
    other = make_place()
    # Another tenant's reader, and another tenant's study under one's own address: both find nothing.
    assert Client(place.world.slug, session=Browser(other).session).post(place.path, json={}).status_code == 404
    assert surgeon.client.post(other.path, json={}).status_code == 404
    assert Client(place.world.slug).post(place.path, json={}).status_code == 401
    abroad = Browser(place, address=OUTSIDE).open()
    assert (abroad.status_code, abroad.json()["code"]) == (403, "agreement.view_abroad")
    assert abroad.json()["clause"] == "§5"
    integrator = by_token(place.world, Role.INTEGRATOR).post(place.path, json={})
    assert (integrator.status_code, integrator.json()["code"]) == (403, "role.not_permitted")
    withdraw(place)
    assert referrer.open().status_code == 404
    trail = trail_of(place.world)
    suspend(place)
    refused = surgeon.open()
    assert (refused.status_code, refused.json()["code"]) == (403, "agreement.not_in_force")
    (event,) = [one for one in trail.new() if one["kind"] == "security_alert"]
    assert (event["action"], event["code"]) == ("view.refused", "agreement.not_in_force")


def test_opening_works_by_token_and_ends_with_it(place: Place) -> None:
    answer = by_token(place.world, Role.RADIOLOGIST).post(place.path, json={})
    assert answer.status_code == 201
    pod = Pod()
    session = pod.redeem(answer.json()["ticket"])["session"]
    assert pod.lease(session) == {}
    with tenant_scope(place.world.system):
        end_membership(actor=place.world.system, user_id=place.world.users[Role.RADIOLOGIST])
    assert pod.lease(session) == {session: "session.signed_out"}


# --- tickets -----------------------------------------------------------------------------------------------


def forge(ticket: str) -> str:
    claims, _ = split_ticket(ticket)
    return join_ticket(claims, Ed25519PrivateKey.generate().sign(claims))


def resign(ticket: str, **changed: Any) -> str:
    """Return a ticket with other claims under our own signature: what a thief of the key could make."""
    claims = write_claims(dataclasses.replace(open_ticket(ticket), **changed))
    return join_ticket(claims, Ed25519PrivateKey.from_private_bytes(settings.RENDER_TICKET_KEY).sign(claims))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (forge, "ticket.forged"),
        (lambda ticket: ticket[:-8], "ticket.forged"),
        (lambda ticket: "nonsense", "ticket.malformed"),
        (lambda ticket: "", "ticket.malformed"),
        (lambda ticket: resign(ticket, expires_at=1), "ticket.expired"),
        (lambda ticket: resign(ticket, ticket_id=uuid4()), "ticket.used"),
        (lambda ticket: resign(ticket, series_id=uuid4()), "ticket.used"),
        (lambda ticket: resign(ticket, session_id=uuid4()), "ticket.used"),
    ],
)
def test_ticket_is_refused_when_it_is_not_the_one_that_was_issued(
    place: Place, change: Callable[[str], str], code: str
) -> None:
    ticket = Browser(place).ticket()
    assert Pod().refusal(change(ticket)) == code
    assert Pod().redeem(ticket)["series_id"] == str(place.series_id)


def test_ticket_of_another_tenant_opens_nothing_here(place: Place) -> None:
    other = make_place()
    stolen = resign(Browser(other).ticket(), tenant_id=place.world.tenant_id)
    assert Pod().refusal(stolen) == "ticket.used"


def test_ticket_is_refused_and_recorded_when_it_comes_again(place: Place, trail_of: Callable[[World], Trail]) -> None:
    ticket = Browser(place).ticket()
    Pod().redeem(ticket)
    trail = trail_of(place.world)
    assert Pod().refusal(ticket) == "ticket.used"
    (event,) = trail.new()
    assert (event["kind"], event["action"], event["outcome"]) == ("security_alert", "render_ticket.refused", "refused")
    assert event["detail"]["code"] == "ticket.used"
    assert ticket not in json.dumps(event, default=str)


def test_ticket_is_good_for_one_of_many_who_come_at_once(place: Place) -> None:
    ticket = Browser(place).ticket()
    answers: list[int] = []

    def redeem() -> None:
        answers.append(Pod(f"pod-{threading.get_ident()}").ask("redeem", ticket=ticket).status_code)

    threads = [threading.Thread(target=redeem) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200] + [403] * 5


def test_ticket_runs_out_after_a_minute(place: Place) -> None:
    browser = Browser(place)
    clock = ManualClock(SYSTEM_CLOCK.now())
    late, in_time = browser.ticket(), browser.ticket()
    clock.advance(timedelta(seconds=59))
    assert str(redeem_ticket(ticket=in_time, pod="pod-1", clock=clock).series_id) == str(place.series_id)
    clock.advance(timedelta(seconds=2))
    with pytest.raises(TicketRefusedError) as refused:
        redeem_ticket(ticket=late, pod="pod-1", clock=clock)
    assert refused.value.code == "ticket.expired"


def test_ticket_is_refused_when_the_reader_may_no_longer(place: Place) -> None:
    browser, pod = Browser(place), Pod()
    first, second, third = (Browser(place).ticket() for _ in range(3))
    leaver = Browser(place)
    fourth = leaver.ticket()
    Session.objects.filter(pk=session_digest(leaver.session)).delete()
    assert pod.refusal(fourth) == "session.signed_out"
    assert pod.redeem(first)
    suspend(place)
    assert pod.refusal(second) == "agreement.not_in_force"
    resume(place)
    assert pod.redeem(second)
    with tenant_scope(place.world.system):
        end_membership(actor=place.world.system, user_id=place.world.users[browser.role])
    assert pod.refusal(third) == "session.absent"


# --- leases ------------------------------------------------------------------------------------------------


def suspend(place: Place) -> None:
    with tenant_scope(place.world.system):
        advance_agreement(
            actor=place.world.system, agreement_id=AgreementId(place.world.agreement_id or uuid4()), step=Step.SUSPEND
        )


def resume(place: Place) -> None:
    with tenant_scope(place.world.system):
        advance_agreement(
            actor=place.world.system, agreement_id=AgreementId(place.world.agreement_id or uuid4()), step=Step.RESUME
        )


def withdraw(place: Place) -> None:
    with place.world.acting(Role.RADIOLOGIST) as actor:
        withdraw_referral(actor=actor, study_id=place.loaded.study_id, referral_id=place.referral_id)


def leave(place: Place, role: Role) -> None:
    with tenant_scope(place.world.system):
        end_membership(actor=place.world.system, user_id=place.world.users[role])


def reject(place: Place) -> None:
    with place.world.acting(Role.RADIOLOGIST) as actor:
        review_finding(actor=actor, finding_id=place.result.finding_ids[0], verdict=Verdict.REJECT, reason="not bone")


@pytest.mark.parametrize(
    ("role", "change", "code"),
    [
        (Role.SURGEON, suspend, "agreement.not_in_force"),
        (Role.REFERRER, withdraw, "session.absent"),
        (Role.SURGEON, lambda place: end_all_sessions(user_id=place.world.users[Role.SURGEON]), "session.signed_out"),
        (Role.SURGEON, lambda place: leave(place, Role.SURGEON), "session.absent"),
        (Role.SURGEON, reject, "results.changed"),
    ],
    ids=["agreement suspended", "grant withdrawn", "signed out", "membership ended", "result rejected"],
)
def test_session_ends_at_the_next_renewal_when_its_ground_is_gone(
    place: Place, role: Role, change: Callable[[Place], None], code: str, trail_of: Callable[[World], Trail]
) -> None:
    pod, kept = Pod(), Browser(place, Role.RADIOLOGIST)
    session = pod.redeem(Browser(place, role).ticket())["session"]
    stays = pod.redeem(kept.ticket())["session"]
    assert pod.lease(session, stays) == {}
    trail = trail_of(place.world)
    change(place)
    ended = pod.lease(session, stays)
    assert ended.pop(session) == code
    assert ended == ({stays: code} if code.startswith("agreement") else {})
    (event,) = [
        one for one in trail.new() if one["action"] == "render_session.ended" and one["detail"]["session_id"] == session
    ]
    assert (event["kind"], event["detail"]["code"]) == ("security_alert", code)
    # Over is over: asked again the pod does not hold it.
    assert pod.lease(session)[session] == "session.superseded"


def test_result_that_was_rejected_is_not_in_the_next_manifest(place: Place) -> None:
    pod, browser = Pod(), Browser(place)
    first = pod.redeem(browser.ticket())
    assert [(one["kind"], one["label"], one["is_reviewed"]) for one in first["results"]] == [
        ("segmentation", "Bone", False)
    ]
    reject(place)
    pod.lease(first["session"])
    again = pod.redeem(browser.ticket(first["session"]))
    assert again["results"] == []
    assert again["session"] != first["session"]
    assert [one["kind"] for one in pod.redeem(Browser(place, Role.RADIOLOGIST).ticket())["results"]] == ["segmentation"]


def test_unreviewed_result_is_not_in_a_referrer_s_manifest(place: Place) -> None:
    pod = Pod()
    assert pod.redeem(Browser(place, Role.REFERRER).ticket())["results"] == []
    with place.world.acting(Role.RADIOLOGIST) as actor:
        review_finding(actor=actor, finding_id=place.result.finding_ids[0], verdict=Verdict.ACCEPT)
    (shown,) = pod.redeem(Browser(place, Role.REFERRER).ticket())["results"]
    assert shown["is_reviewed"]


def test_session_goes_on_at_another_pod_and_the_first_loses_it(place: Place) -> None:
    first, second, browser = Pod("pod-1"), Pod("pod-2"), Browser(place)
    session = first.redeem(browser.ticket())["session"]
    ticket = browser.ticket(session)
    # Until the new ticket is redeemed the first goes on.
    assert first.lease(session) == {}
    assert second.redeem(ticket)["session"] == session
    assert first.lease(session) == {session: "session.superseded"}
    assert second.lease(session) == {}


def test_session_goes_on_after_its_pod_released_it(place: Place) -> None:
    pod, browser = Pod(), Browser(place)
    session = pod.redeem(browser.ticket())["session"]
    assert pod.ask("release", sessions=[session]).status_code == 204
    assert pod.lease(session) == {session: "session.superseded"}
    assert pod.redeem(browser.ticket(session))["session"] == session


def test_pod_renews_and_releases_only_what_it_holds(place: Place) -> None:
    holder, stranger = Pod("pod-1"), Pod("pod-2")
    session = holder.redeem(Browser(place).ticket())["session"]
    nothing = str(uuid4())
    assert stranger.lease(session, nothing) == {session: "session.superseded", nothing: "session.superseded"}
    stranger.ask("release", sessions=[session])
    assert holder.lease(session) == {}


def test_session_of_somebody_else_is_not_taken_over(place: Place) -> None:
    pod = Pod()
    session = pod.redeem(Browser(place).ticket())["session"]
    taken = Browser(place, Role.RADIOLOGIST).open(session).json()["session"]
    assert taken != session
    assert pod.lease(session) == {}


# --- who may ask -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["redeem", "lease", "release", "refused"])
def test_internal_address_is_not_there_without_a_pod_s_key(place: Place, call: str) -> None:
    body = {"ticket": Browser(place).ticket(), "sessions": [], "tickets": []}
    assert Pod().ask(call, **body).status_code in {200, 204}
    absent = Pod(key="").ask("nothing")
    for key in ("", "wrong", shared_key()[:-1], "é"):
        answer = Pod(key=key).ask(call, **body)
        assert answer.status_code == absent.status_code == 404
        assert {**answer.headers, "x-correlation-id": ""} == {**absent.headers, "x-correlation-id": ""}
    assert Pod().ask("nothing").status_code == 404
    assert run(Pod().http.get(f"/internal/render/v1/{call}")).status_code == 404


@pytest.fixture
def own_keys() -> Iterator[dict[str, str]]:
    """Give two pods a key each."""
    before = settings.RENDER_POD_KEYS
    settings.RENDER_POD_KEYS = {"pod-1": "1" * 32, "pod-2": "2" * 32}
    try:
        yield settings.RENDER_POD_KEYS
    finally:
        settings.RENDER_POD_KEYS = before


def test_pod_speaks_for_itself_alone_when_each_has_its_key(
    place: Place, own_keys: dict[str, str], connect: Callable[[str], Any]
) -> None:
    first, second = (Pod(name, key) for name, key in own_keys.items())
    session = first.redeem(Browser(place).ticket())["session"]
    assert first.lease(session) == {}
    assert second.lease(session) == {session: "session.superseded"}
    posing, ticket = Pod("pod-1", own_keys["pod-2"]), Browser(place).ticket()
    for call, body in (
        ("lease", {"sessions": [session]}),
        ("release", {"sessions": [session]}),
        ("redeem", {"ticket": ticket}),
    ):
        answer = posing.ask(call, **body)
        assert (answer.status_code, answer.json()["code"]) == (403, "pod.misnamed")
    with connect("owner") as connection:
        rows = connection.execute("select detail from audit_platformevent where action = 'render_pod.misnamed'")
        assert [row[0] for row in rows] == [{"pod": "pod-2", "claimed": "pod-1"}] * 3
    assert first.lease(session) == {}
    assert second.redeem(ticket)
    # The key of all is nobody's now.
    assert Pod("pod-1", "k" * 32).ask("lease", sessions=[]).status_code == 404


def test_pod_cannot_fill_the_trail_with_what_it_refused(
    own_keys: dict[str, str], connect: Callable[[str], Any]
) -> None:
    pod = Pod("pod-1", own_keys["pod-1"])
    for _ in range(4):
        tickets = [{"ticket": f"nonsense {n}", "code": "ticket.forged", "count": 9} for n in range(32)]
        assert pod.ask("refused", tickets=tickets).status_code == 204
    with connect("owner") as connection:
        query = "select detail from audit_platformevent where detail->>'count' = '9'"
        rows = [row[0] for row in connection.execute(query)]
    assert 1 <= len(rows) < 4 * 32
    assert rows[0] == {"code": "ticket.forged", "pod": "pod-1", "count": "9"}


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b'{"pod": 1}', b'{"pod": "a b", "ticket": ""}', b"[" * 60_000, b"x" * 70_000,
     b'{"pod": "a", "sessions": ["x"], "ticket": 7, "tickets": [{}]}', b'{"pod": "a", "sessions": {"x": 1}}',
     b'{"pod": "a", "tickets": [{"ticket": "x", "code": "role.not_permitted", "count": 1}]}',
     b'{"pod": "a", "tickets": [{"ticket": "x", "code": "ticket.forged", "count": 0}]}',
     b'{"pod": "a", "tickets": [' + b"{}," * 40 + b"{}]}"],
)  # fmt: skip
@pytest.mark.parametrize("call", ["redeem", "lease", "release", "refused"])
def test_internal_address_refuses_what_it_cannot_read(call: str, content: bytes) -> None:
    answer = run(Pod().http.post(f"/internal/render/v1/{call}", content=content))
    assert (answer.status_code, answer.json()["code"]) == (400, "request.invalid")


def test_sessions_that_nobody_holds_are_forgotten(place: Place) -> None:
    from gantry.viewing.public import forget_render_sessions

    pod = Pod()
    held = pod.redeem(Browser(place).ticket())["session"]
    Browser(place).ticket()
    clock = ManualClock(SYSTEM_CLOCK.now() + timedelta(days=2))
    with tenant_scope(place.world.system):
        forget_render_sessions(older_than=timedelta(days=1), clock=clock)
        with unit_of_work():
            assert [str(one.pk) for one in RenderSession.objects.all()] == [held]
            assert StudyGrant.objects.count() == 1
