"""Every address of a tenant × every role × whose data it is: generated from the routes themselves.

A route without a row here fails the suite. What is another tenant's must be, to the byte, what is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from django.urls import URLPattern, URLResolver, get_resolver
from pydicom.uid import generate_uid

from analysed import Loaded, Result, analyse, load_study
from gantry.agreements.public import Step, advance_agreement
from gantry.dicomweb.app import ROUTES
from gantry.foundation.scope import tenant_scope, unit_of_work
from gantry.kernel.clock import SYSTEM_CLOCK
from gantry.kernel.ids import AgreementId
from gantry.kernel.vocabulary import MEMBER_ROLES, Role
from gantry.studies.models import Series
from gantry.studies.packs import pack_series
from gantry.studies.public import refer_study, request_pack
from gantry.tenancy.public import end_membership
from gantry.viewing.internal import ROUTES as INTERNAL_ROUTES
from gantry.viewing.routing import websocket_urlpatterns
from render_door import render_door
from site_client import ORIGIN, Client, Socket, by_session, by_token, sign_in
from world import World, make_world

pytestmark = pytest.mark.usefixtures("database")

R = Role
CLINICAL = frozenset({R.RADIOLOGIST, R.SURGEON, R.REFERRER, R.INTEGRATOR})
EVERYBODY = frozenset(MEMBER_ROLES)


@dataclass(frozen=True)
class Row:
    """What a route is about, and who may use it on their own tenant's data."""

    may: frozenset[Role]
    status: int = 200
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Holds no patient data: open to every member, agreement or not.
    is_plain: bool = False
    #: The named thing may be gone for good after the first success (a referral that was ended).
    is_once: bool = False


SEARCH, IDEMPOTENT = {"page_size": 25}, {"Idempotency-Key": "{random}"}
REST: dict[tuple[str, str], Row] = {
    ("GET", "me"): Row(EVERYBODY, is_plain=True),
    ("GET", "models"): Row(EVERYBODY, is_plain=True),
    ("GET", "people"): Row(EVERYBODY, is_plain=True),
    ("POST", "worklist/search"): Row(CLINICAL, body=SEARCH),
    ("GET", "studies/{study_id}"): Row(CLINICAL),
    ("POST", "studies/{study_id}/series/{series_id}/render-session"): Row(
        frozenset({R.RADIOLOGIST, R.SURGEON, R.REFERRER}), 201, body={"session": None}
    ),
    ("GET", "studies/{study_id}/analyses"): Row(CLINICAL),
    ("POST", "studies/{study_id}/complete"): Row(frozenset({R.RADIOLOGIST, R.INTEGRATOR})),
    ("POST", "studies/{study_id}/referrals"): Row(
        frozenset({R.RADIOLOGIST, R.SURGEON}), 201, body={"person_id": "{referrer}"}
    ),
    ("DELETE", "studies/{study_id}/referrals/{referral_id}"): Row(
        frozenset({R.RADIOLOGIST, R.SURGEON}), 204, is_once=True
    ),
    ("GET", "quarantine"): Row(frozenset({R.RADIOLOGIST, R.INTEGRATOR})),
    ("POST", "inference"): Row(
        frozenset({R.RADIOLOGIST, R.INTEGRATOR}), 202,
        body={"study_instance_uid": "{study_uid}", "model": "bone_ct"}, headers=IDEMPOTENT,
    ),
    ("GET", "inference/{analysis_id}"): Row(CLINICAL),
    ("GET", "inference/{analysis_id}/events"): Row(CLINICAL),
    ("GET", "findings/{finding_id}/contours"): Row(CLINICAL),
    ("POST", "findings/{finding_id}/review"): Row(frozenset({R.RADIOLOGIST}), body={"decision": "accept"}),
}  # fmt: skip
PAGES: dict[tuple[str, str], Row] = {
    ("GET", ""): Row(EVERYBODY, is_plain=True),
    ("GET", "studies/{study_id}/"): Row(EVERYBODY, is_plain=True),
}
_STORE = frozenset({R.RADIOLOGIST, R.INTEGRATOR})
_STOW = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=x'}
_SERIES = "studies/{study_uid}/series/{series_uid}"
_INSTANCE = f"{_SERIES}/instances/{{sop_uid}}"
DICOMWEB: dict[tuple[str, str], Row] = {
    ("POST", "studies"): Row(_STORE, 400, headers=_STOW),
    ("POST", "studies/{study_uid}"): Row(_STORE, 400, headers=_STOW),
    ("GET", "studies"): Row(CLINICAL),
    ("GET", "series"): Row(CLINICAL),
    ("GET", "studies/{study_uid}/series"): Row(CLINICAL),
    ("GET", "studies/{study_uid}"): Row(CLINICAL),
    ("GET", _SERIES): Row(CLINICAL),
    ("GET", _INSTANCE): Row(CLINICAL),
    **{
        ("GET", f"{of}/{what}"): Row(CLINICAL)
        for of in ("studies/{study_uid}", _SERIES, _INSTANCE, f"{_INSTANCE}/frames/1")
        for what in ("rendered", "thumbnail")
    },
}
#: What pods ask, and what they send; nobody else finds anything there.
INTERNAL: dict[str, dict[str, Any]] = {
    "redeem": {"pod": "pod-1", "ticket": "{ticket}"},
    "lease": {"pod": "pod-1", "sessions": []},
    "release": {"pod": "pod-1", "sessions": []},
    "refused": {"pod": "pod-1", "tickets": []},
}
#: Addresses outside any tenant; the pages under `accounts/` are identity's own to test.
OUTSIDE = {"", "healthz", "readyz", "api/schema.json"}

ROWS: dict[tuple[str, str], Row] = {
    **{(method, f"/api/v1/{path}"): row for (method, path), row in REST.items()},
    **{(method, f"/dicomweb/{path}"): row for (method, path), row in DICOMWEB.items()},
    **{(method, f"/{path}"): row for (method, path), row in PAGES.items()},
}
PAGE_ROWS = {key for key in ROWS if key in {(method, f"/{path}") for method, path in PAGES}}
NAMES = (
    "study_id", "study_uid", "series_id", "series_uid", "sop_uid", "analysis_id", "finding_id", "referral_id", "referrer",
)  # fmt: skip
CELLS = [(method, path, role) for method, path in ROWS for role in MEMBER_ROLES]


# --- every route has its row -------------------------------------------------------------------------------


def _flatten(patterns: list[Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from _flatten(pattern.url_patterns, prefix + str(pattern.pattern))
        elif isinstance(pattern, URLPattern):
            yield prefix + str(pattern.pattern), pattern.callback


def _methods(view: Any) -> list[str]:
    view_class = getattr(view, "cls", getattr(view, "view_class", None))
    if view_class is None:
        return ["GET"]
    return [name.upper() for name in ("get", "post", "put", "patch", "delete") if hasattr(view_class, name)]


def _template(route: str) -> str:
    for converter in ("uuid", "slug"):
        route = route.replace(f"<{converter}:", "{")
    return route.replace(">", "}")


def test_every_django_route_has_its_row() -> None:
    tenant, outside = set(), set()
    for route, view in _flatten(get_resolver().url_patterns):
        if route.startswith("t/<slug:tenant>"):
            path = _template(route.removeprefix("t/<slug:tenant>"))
            tenant |= {(method, path) for method in _methods(view)}
        elif not route.startswith("accounts/"):
            outside.add(route)
    assert tenant == {key for key in ROWS if not key[1].startswith("/dicomweb/")}
    assert outside == OUTSIDE


def test_every_dicomweb_route_has_its_row() -> None:
    names = {"{study}": "{study_uid}", "{series}": "{series_uid}", "{instance}": "{sop_uid}", "{frame}": "1"}
    found = set()
    for method, path, _ in ROUTES:
        ours = path
        for their_name, our_name in names.items():
            ours = ours.replace(their_name, our_name)
        found.add((method, f"/dicomweb{ours}"))
    assert found == {key for key in ROWS if key[1].startswith("/dicomweb/")}


def test_every_socket_has_its_test() -> None:
    found = [str(pattern.pattern) for pattern in websocket_urlpatterns]
    assert found == ["t/<slug:tenant>/ws/v1/events", "t/<slug:tenant>/render/v1/<uuid:series_id>"]


def test_every_internal_route_has_its_test() -> None:
    assert {f"/internal/render/v1/{name}" for name in INTERNAL} == set(INTERNAL_ROUTES)


# --- the arrangement ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """A tenant with one of everything."""

    world: World
    loaded: Loaded
    result: Result
    referral_id: UUID
    series_id: UUID

    def names(self) -> dict[str, str]:
        return {
            "study_id": str(self.loaded.study_id),
            "study_uid": self.loaded.study_uid,
            "series_id": str(self.series_id),
            "series_uid": self.loaded.series_uid,
            "sop_uid": self.loaded.sop_uid,
            "analysis_id": str(self.result.analysis_id),
            "finding_id": str(self.result.finding_ids[0]),
            "referral_id": str(self.referral_id),
            "referrer": str(self.world.users[R.REFERRER]),
        }


def refer(world: World, study_id: UUID) -> UUID:
    """Refer the study to the tenant's referring physician; says how to name the referral."""
    with tenant_scope(world.system), world.acting(R.RADIOLOGIST) as actor:
        until = SYSTEM_CLOCK.now() + timedelta(days=1)
        return refer_study(actor=actor, study_id=study_id, user_id=world.users[R.REFERRER], until=until).id


def make_place() -> Place:
    world = make_world()
    loaded = load_study(world, 8)
    with tenant_scope(world.system):
        with unit_of_work():
            series_id = Series.objects.get(series_instance_uid=loaded.series_uid).pk
        request_pack(series_id=series_id)
        pack_series(series_id=series_id)
    place = Place(world, loaded, analyse(loaded), refer(world, loaded.study_id), series_id)
    from gantry.analyses.domain import Verdict
    from gantry.analyses.public import review_finding

    with world.acting(R.RADIOLOGIST) as actor:  # accepted, so that referring physicians see it
        review_finding(actor=actor, finding_id=place.result.finding_ids[0], verdict=Verdict.ACCEPT)
    return place


@pytest.fixture(scope="module", autouse=True)
def door(database: None) -> Iterator[None]:
    """Somebody who would draw, so that opening a session depends on the reader alone."""
    with render_door():
        yield


@pytest.fixture(scope="module")
def home(database: None) -> Place:
    return make_place()


@pytest.fixture(scope="module")
def other(database: None) -> Place:
    return make_place()


@pytest.fixture(scope="module")
def lapsed(database: None) -> Place:
    """A tenant whose agreement was suspended when there was data already."""
    place = make_place()
    with tenant_scope(place.world.system):
        agreement_id = AgreementId(place.world.agreement_id or uuid4())
        advance_agreement(actor=place.world.system, agreement_id=agreement_id, step=Step.SUSPEND)
    return place


@pytest.fixture(scope="module")
def sessions(home: Place, other: Place, lapsed: Place) -> dict[tuple[str, Role], str]:
    return {
        (place.world.slug, role): sign_in(place.world.users[role])
        for place in (home, other, lapsed)
        for role in MEMBER_ROLES
    }


ABSENT = {
    "study_id": str(uuid4()), "study_uid": generate_uid(), "series_id": str(uuid4()),
    "series_uid": generate_uid(), "sop_uid": generate_uid(),
    "analysis_id": str(uuid4()), "finding_id": str(uuid4()), "referral_id": str(uuid4()), "referrer": str(uuid4()),
}  # fmt: skip


def call(client: Client, method: str, path: str, names: Mapping[str, str]) -> httpx.Response:
    row = ROWS[method, path]

    def fill(text: str) -> str:
        return text.format(random=uuid4().hex, **names)

    headers = {name: fill(value) for name, value in row.headers.items()}
    body = {key: fill(value) if isinstance(value, str) else value for key, value in (row.body or {}).items()}
    if "/dicomweb/" in path and method == "POST":
        return client.request(method, fill(path), content=b"--x--\r\n", headers=headers)
    return client.request(method, fill(path), json=body if method == "POST" else None, headers=headers)


def shape(answer: httpx.Response, *texts: str) -> tuple[Any, ...]:
    """Return what an answer shows, without what differs from request to request or was in the request itself."""
    headers = {name: value for name, value in answer.headers.items() if name not in {"x-correlation-id", "set-cookie"}}
    body = answer.text
    for text in (answer.headers.get("x-correlation-id", "-"), *texts):
        body = body.replace(text, "…")
        headers = {name: value.replace(text, "…") for name, value in headers.items()}
    if "text/html" in headers.get("content-type", ""):
        headers.pop("content-length", None)  # carries a CSRF token, masked anew each time
        body = ""
    return answer.status_code, headers, body


@pytest.fixture(params=["token", "session"])
def come(request: pytest.FixtureRequest, sessions: dict[tuple[str, Role], str]) -> Callable[..., Client]:
    """Return a function that gives a caller of a role, as a program and as a browser."""

    def client(place: Place, role: Role, slug: str = "") -> Client:
        if request.param == "token":
            return by_token(place.world, role, slug=slug)
        return Client(slug or place.world.slug, session=sessions[place.world.slug, role])

    client.is_token = request.param == "token"  # type: ignore[attr-defined]  # read below
    return client


def _skip_pages_by_token(come: Any, method: str, path: str) -> bool:
    return bool(come.is_token and (method, path) in PAGE_ROWS)


def _ids(cell: Any) -> str:
    return str(cell)


# --- the cells ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path", "role"), CELLS, ids=_ids)
def test_role_decides_on_own_data(home: Place, come: Any, method: str, path: str, role: Role) -> None:
    row = ROWS[method, path]
    if _skip_pages_by_token(come, method, path):
        assert call(come(home, role), method, path, home.names()).status_code == 302
        return
    names = home.names()
    if row.is_once:  # granting again gives the one that stands
        names["referral_id"] = str(refer(home.world, home.loaded.study_id))
    answer = call(come(home, role), method, path, names)
    if row.is_once:
        refer(home.world, home.loaded.study_id)  # for those who come after
    if role in row.may:
        assert answer.status_code == row.status, answer.text
    else:
        assert answer.status_code == 403, answer.text
        assert answer.json()["code"] == "role.not_permitted"


@pytest.mark.parametrize(
    ("method", "path", "role"),
    [cell for cell in CELLS if any(f"{{{name}}}" in cell[1] + str(ROWS[cell[:2]].body) for name in NAMES)],
    ids=_ids,
)
def test_what_is_another_tenant_s_looks_absent(
    home: Place, other: Place, come: Any, method: str, path: str, role: Role
) -> None:
    """With one's own address and another tenant's identifiers."""
    row = ROWS[method, path]
    named = {name for name in ABSENT if f"{{{name}}}" in path + str(row.body)}
    client, theirs = come(home, role), other.names()
    own_study = {name: home.names()[name] for name in ("study_id", "study_uid")}
    for of_home in [{}, own_study] if named - set(own_study) else [{}]:
        foreign = call(client, method, path, theirs | of_home)
        absent = call(client, method, path, ABSENT | of_home)
        assert shape(foreign, *theirs.values()) == shape(absent, *ABSENT.values())


@pytest.mark.parametrize(("method", "path", "role"), CELLS, ids=_ids)
def test_other_tenant_looks_absent(home: Place, other: Place, come: Any, method: str, path: str, role: Role) -> None:
    """With another tenant's address and one's own credentials."""
    names, nowhere = other.names(), f"t-{uuid4().hex[:12]}"
    foreign = call(come(home, role, other.world.slug), method, path, names)
    absent = call(come(home, role, nowhere), method, path, names)
    assert shape(foreign, other.world.slug) == shape(absent, nowhere)
    if not _skip_pages_by_token(come, method, path):
        assert foreign.status_code == 404, foreign.text


@pytest.mark.parametrize(("method", "path", "role"), CELLS, ids=_ids)
def test_nothing_is_told_when_no_agreement_is_in_force(
    lapsed: Place, come: Any, method: str, path: str, role: Role
) -> None:
    row = ROWS[method, path]
    client, names = come(lapsed, role), {**ABSENT, **_names_without_referral(lapsed)}
    present = call(client, method, path, names)
    absent = call(client, method, path, ABSENT)
    if row.is_plain:
        assert present.status_code in {200, 302}
        return
    assert present.status_code == 403, present.text
    assert present.json()["code"] == "agreement.not_in_force"
    assert shape(present, *names.values()) == shape(absent, *ABSENT.values())


def _names_without_referral(place: Place) -> dict[str, str]:
    return {
        "study_id": str(place.loaded.study_id), "study_uid": place.loaded.study_uid, "series_id": str(place.series_id),
        "series_uid": place.loaded.series_uid,
        "sop_uid": place.loaded.sop_uid, "analysis_id": str(place.result.analysis_id),
        "finding_id": str(place.result.finding_ids[0]),
    }  # fmt: skip


@pytest.mark.parametrize(("method", "path"), list(ROWS), ids=_ids)
def test_stranger_is_told_to_sign_in(home: Place, other: Place, method: str, path: str) -> None:
    shapes: dict[int, list[Any]] = {}
    for slug, names in ((home.world.slug, home.names()), (f"t-{uuid4().hex[:12]}", ABSENT)):
        strangers = (Client(slug), Client(slug, token="gantry_nonsense"), Client(slug, session="nonsense"))
        for kind, client in enumerate(strangers):
            answer = call(client, method, path, names)
            shapes.setdefault(kind, []).append(shape(answer, slug, *names.values()))
            if (method, path) in PAGE_ROWS:
                assert answer.status_code == 302
                assert answer.headers["location"].startswith("/accounts/login/")
            else:
                assert answer.status_code == 401, answer.text
                assert answer.json()["code"] == "auth.required"
                assert "WWW-Authenticate" in answer.headers
    assert all(here == nowhere for here, nowhere in shapes.values())


@pytest.fixture(scope="module")
def left(database: None) -> tuple[Place, dict[Role, str]]:
    """A tenant whose members have left, with sessions that still hold."""
    place = make_place()
    sessions = {role: sign_in(place.world.users[role]) for role in MEMBER_ROLES}
    with tenant_scope(place.world.system):
        for role in MEMBER_ROLES:
            end_membership(actor=place.world.system, user_id=place.world.users[role])
    return place, sessions


@pytest.mark.parametrize(("method", "path", "role"), CELLS, ids=_ids)
def test_former_member_finds_nothing(left: tuple[Place, dict[Role, str]], method: str, path: str, role: Role) -> None:
    place, sessions = left
    names = {**ABSENT, **_names_without_referral(place)}
    client = Client(place.world.slug, session=sessions[role])
    nowhere = Client(f"t-{uuid4().hex[:12]}", session=sessions[role])
    answer = call(client, method, path, names)
    assert answer.status_code == 404
    assert shape(answer, client.slug) == shape(call(nowhere, method, path, names), nowhere.slug)
    if role is not R.INTEGRATOR and (method, path) not in PAGE_ROWS:  # a system's token is nobody's membership
        assert call(by_token(place.world, role), method, path, names).status_code == 401


@pytest.mark.parametrize("path", [path for method, path in ROWS if method == "POST" and "/api/" in path])
def test_session_changes_nothing_when_another_site_s_page_asks(home: Place, path: str) -> None:
    names = home.names()
    client = by_session(home.world, R.RADIOLOGIST)
    assert call(client, "POST", path, names).status_code == ROWS["POST", path].status
    for change in ({"X-CSRFToken": "x" * 32}, {"Origin": "https://evil.example"}):
        forged = by_session(home.world, R.RADIOLOGIST, headers=change)
        answer = call(forged, "POST", path, names)
        assert (answer.status_code, answer.json()["code"]) == (403, "request.forbidden")


@pytest.mark.parametrize("role", MEMBER_ROLES)
def test_socket_opens_streams_by_role(home: Place, other: Place, lapsed: Place, role: Role) -> None:
    own, foreign, absent = (f"study:{one}" for one in (home.loaded.study_id, other.loaded.study_id, uuid4()))
    home.names()  # the referral that a referring physician needs
    socket = Socket(home.world.slug, sign_in(home.world.users[role]))
    assert socket.is_accepted()
    answers = {name: socket.subscribe(name) for name in ("worklist", own, foreign, absent, "nonsense", "study:x")}
    socket.close()
    expected = "subscribed" if role in CLINICAL else "error"
    assert [answers[name]["type"] for name in ("worklist", own)] == [expected] * 2
    unknown = {name: {**answers[name], "stream": ""} for name in (foreign, absent, "nonsense", "study:x")}
    assert all(answer == unknown[absent] and answer["type"] == "error" for answer in unknown.values())

    socket = Socket(lapsed.world.slug, sign_in(lapsed.world.users[role]))
    assert socket.is_accepted()
    assert socket.subscribe("worklist")["type"] == "error"
    assert socket.subscribe(f"study:{lapsed.loaded.study_id}")["type"] == "error"
    socket.close()


@pytest.mark.parametrize("role", MEMBER_ROLES)
def test_socket_of_another_tenant_looks_absent(home: Place, other: Place, role: Role) -> None:
    session = sign_in(home.world.users[role])
    closes = []
    for slug in (other.world.slug, f"t-{uuid4().hex[:12]}"):
        socket = Socket(slug, session)
        assert socket.is_accepted()
        closes.append(socket.receive())
    assert closes == [{"type": "closed", "code": 4404}] * 2


@pytest.mark.parametrize("name", list(INTERNAL))
def test_internal_address_is_there_for_nobody_with_a_credential_of_a_tenant(home: Place, come: Any, name: str) -> None:
    for role in MEMBER_ROLES:
        client = come(home, role)
        answers = []
        for path in (name, "nothing"):
            url = f"{ORIGIN}/internal/render/v1/{path}"
            answers.append(client.post(url, json={**INTERNAL[name], **({"ticket": ""} if name == "redeem" else {})}))
        found, absent = answers
        assert found.status_code == 404
        assert shape(found, name) == shape(absent, "nothing")


@pytest.mark.parametrize("role", MEMBER_ROLES)
def test_render_socket_says_nothing_of_tenants_and_series(home: Place, other: Place, role: Role) -> None:
    """Whoever opens it reaches the render service, which hears of a series by a ticket alone."""
    session = sign_in(home.world.users[role])
    heard = []
    for slug, series_id in ((home.world.slug, home.series_id), (other.world.slug, other.series_id), ("t-x", uuid4())):
        socket = Socket(slug, session, path=f"render/v1/{series_id}")
        assert socket.is_accepted()
        socket.send(type="ping")
        heard.append(socket.receive())
        socket.close()
    assert heard == [{"type": "ping"}] * 3
    for origin in ("", "https://evil.example"):
        refused = Socket(home.world.slug, session, path=f"render/v1/{home.series_id}", origin=origin)
        assert not refused.is_accepted()
