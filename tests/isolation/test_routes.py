"""Every address of a tenant × every role × whose data it is: generated from the routes themselves.

A route without a row here fails the suite. What is another tenant's must be, to the byte, what is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from django.urls import URLPattern, URLResolver, get_resolver
from pydicom.uid import generate_uid

from analysed import Loaded, Result, analyse, load_study
from audit_trail import Trail
from decisions import patient_tables, undecided
from gantry.access.public import create_team
from gantry.agreements.public import (
    Step,
    TransferBasis,
    TransferKind,
    advance_agreement,
    content_to_json,
    draft_agreement,
    open_version,
)
from gantry.audit.public import Kind, kind_of
from gantry.config import audit_coverage as coverage
from gantry.dicomweb.app import ROUTES
from gantry.foundation.guard import guarding
from gantry.foundation.scope import tenant_scope, unit_of_work
from gantry.identity.models import User
from gantry.kernel.clock import SYSTEM_CLOCK
from gantry.kernel.ids import AgreementId
from gantry.kernel.vocabulary import MEMBER_ROLES, DataCategory, Role, Scope
from gantry.oversight.duties.domain import Law, RequestKind
from gantry.oversight.duties.incidents import open_incident
from gantry.oversight.duties.requests import begin_request, identify_subject, open_request
from gantry.oversight.exports.domain import ExportQuery
from gantry.oversight.exports.services import request_export
from gantry.studies.models import Series, Study
from gantry.studies.packs import pack_series
from gantry.studies.public import (
    EmergencyReason,
    ErasureCause,
    ErasureTarget,
    Sought,
    break_glass,
    confirm_erasure,
    execute_erasure,
    find_patients,
    place_hold,
    plan_erasure,
    refer_study,
    request_pack,
    share_study,
)
from gantry.tenancy.public import (
    add_member,
    create_account,
    end_membership,
    issue_account_token,
    open_support,
    resolve_person,
)
from gantry.viewing.internal import ROUTES as INTERNAL_ROUTES
from gantry.viewing.routing import websocket_urlpatterns
from ledger import sequence_all
from render_door import render_door
from site_client import ORIGIN, Client, Socket, by_session, by_token, sign_in
from world import ADDRESS, World, content_with, everything_permitted, make_world, put_in_force

pytestmark = pytest.mark.usefixtures("database")

R = Role
CLINICAL = frozenset({R.RADIOLOGIST, R.SURGEON, R.REFERRER, R.INTEGRATOR})
EVERYBODY = frozenset(MEMBER_ROLES)
SHARING = frozenset({R.RADIOLOGIST, R.SURGEON})
ADMIN, OFFICER = frozenset({R.ADMIN}), frozenset({R.COMPLIANCE})
OFFICE = ADMIN | OFFICER


@dataclass(frozen=True)
class Row:
    """What a route is about, and who may use it on their own tenant's data."""

    may: frozenset[Role]
    status: int = 200
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Holds no patient data: open to every member, agreement or not.
    is_plain: bool = False
    #: Makes what the call uses up (a referral that is ended), and returns how it is named.
    fresh: Callable[[Place], dict[str, str]] | None = None


TIME = {"since": "2026-01-01T00:00:00Z", "until": "2026-02-01T00:00:00Z"}
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
        frozenset({R.RADIOLOGIST, R.SURGEON}), 204, fresh=lambda place: place.refer()
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
    ("GET", "studies/{study_id}/grants"): Row(SHARING),
    ("POST", "studies/{study_id}/grants"): Row(
        SHARING, 201, body={"person_id": "{colleague}", "reason": "second_opinion"}
    ),
    ("DELETE", "studies/{study_id}/grants/{grant_id}"): Row(SHARING, 204, fresh=lambda place: place.share()),
    ("GET", "emergencies"): Row(OFFICER, is_plain=True),
    # All of them see the study as it is, so none needs an emergency; those who do are tests/integration/studies' own.
    ("POST", "emergencies"): Row(
        frozenset({R.RADIOLOGIST, R.SURGEON, R.REFERRER}), 409,
        body={"study_id": "{study_id}", "reason_code": "urgent_treatment", "reason": "Needed in the theatre now."},
    ),
    ("DELETE", "emergencies/{emergency_id}"): Row(OFFICER, fresh=lambda place: place.break_glass(), is_plain=True),
    ("POST", "emergencies/{emergency_id}/review"): Row(
        OFFICER, body={"verdict": "justified", "comment": "The theatre had asked for it."},
        fresh=lambda place: place.break_glass(), is_plain=True,
    ),
    ("GET", "agreements"): Row(OFFICER, is_plain=True),
    ("POST", "agreements"): Row(
        OFFICER, 201, is_plain=True,
        body={"version": "{random}", "template": "gdpr-28", "controller": {"name": "N"}, "processor": {"name": "P"}},
    ),
    ("GET", "agreements/templates"): Row(OFFICER, is_plain=True),
    ("POST", "agreements/explain"): Row(
        OFFICER, body={"role": "surgeon", "activity": "view", "category": "pixel_data"}, is_plain=True
    ),
    ("POST", "agreements/notices/{notice_id}"): Row(
        OFFICER, body={"given_on": "2026-11-25"}, fresh=lambda place: make_notice(place.world), is_plain=True
    ),
    ("GET", "agreements/{agreement_id}"): Row(OFFICER, is_plain=True),
    ("PUT", "agreements/{agreement_id}"): Row(
        OFFICER, body={"content": content_to_json(content_with(()))}, headers={"If-Match": '"1"'},
        fresh=lambda place: make_draft(place.world), is_plain=True,
    ),
    ("GET", "agreements/{agreement_id}/document"): Row(OFFICER, is_plain=True),
    ("POST", "agreements/{agreement_id}/review"): Row(
        OFFICER, fresh=lambda place: make_draft(place.world), is_plain=True
    ),
    # Both are signed with a password and a document of one's own: tests/integration/agreements.
    ("POST", "agreements/{agreement_id}/signature"): Row(
        OFFICER, 409, body={"name": "N", "document_sha256": "0" * 64, "password": "x"}, is_plain=True
    ),
    ("POST", "agreements/{agreement_id}/paper"): Row(OFFICER, 415, is_plain=True),
    ("GET", "agreements/{agreement_id}/papers/{side}"): Row(OFFICER, 404, is_plain=True),
    ("POST", "agreements/{agreement_id}/steps"): Row(
        OFFICER, body={"step": "withdraw"}, fresh=lambda place: make_draft(place.world), is_plain=True
    ),
    ("POST", "agreements/{agreement_id}/disposition"): Row(
        OFFICER, 409, body={"disposition": "return"}, is_plain=True
    ),
    ("POST", "agreements/{agreement_id}/amendments"): Row(OFFICER, 201, body={"version": "{random}"}, is_plain=True),
    ("GET", "agreements/{agreement_id}/effect"): Row(OFFICER, is_plain=True),
    ("GET", "agreements/{agreement_id}/differences/{other_id}"): Row(OFFICER, is_plain=True),
    ("POST", "subjects/lookup"): Row(OFFICER, body={"study_instance_uid": "{study_uid}"}, is_plain=True),
    ("GET", "subjects/{subject_id}/export"): Row(OFFICER),
    ("GET", "holds"): Row(OFFICER, is_plain=True),
    ("POST", "holds"): Row(OFFICER, 201, body={"study_id": "{study_id}", "reason": "Proceedings"}, is_plain=True),
    ("POST", "holds/{hold_id}/release"): Row(
        OFFICER, body={"reason": "Closed"}, fresh=lambda place: place.hold(), is_plain=True
    ),
    ("GET", "erasures"): Row(OFFICER, is_plain=True),
    ("POST", "erasures"): Row(
        OFFICER, 201, body={"target": "study", "study_ids": ["{study_id}"], "cause": "subject_request"}, is_plain=True
    ),
    ("GET", "erasures/{erasure_id}"): Row(OFFICER, is_plain=True),
    ("DELETE", "erasures/{erasure_id}"): Row(OFFICER, fresh=lambda place: place.erasure(), is_plain=True),
    ("POST", "erasures/{erasure_id}/confirmation"): Row(
        OFFICER, 202, body={"plan_hash": "{plan_hash}"}, fresh=lambda place: place.erasure(), is_plain=True
    ),
    ("GET", "erasures/{erasure_id}/certificate"): Row(OFFICER, is_plain=True),
    ("GET", "retention"): Row(OFFICER, is_plain=True),
    ("GET", "retention/preview"): Row(OFFICER, is_plain=True),
    ("GET", "retention/runs"): Row(OFFICER, is_plain=True),
    ("GET", "tenant"): Row(OFFICE, is_plain=True),
    ("GET", "access-matrix"): Row(OFFICE, is_plain=True),
    ("GET", "members"): Row(OFFICE, is_plain=True),
    ("POST", "members"): Row(
        ADMIN, 201, body={"email": "{random}@new.test", "name": "New", "role": "surgeon"}, is_plain=True
    ),
    ("PATCH", "members/{member_id}"): Row(ADMIN, body={"is_active": True}, is_plain=True),
    ("GET", "institutions"): Row(OFFICE, is_plain=True),
    ("POST", "institutions"): Row(ADMIN, 201, body={"code": "{random}", "name": "New"}, is_plain=True),
    ("PATCH", "institutions/{institution_id}"): Row(ADMIN, body={"name": "Main Hospital"}, is_plain=True),
    ("GET", "networks"): Row(OFFICE, is_plain=True),
    ("PUT", "networks"): Row(ADMIN, body={"networks": [{"cidr": "127.0.0.0/8", "place": "site"}]}, is_plain=True),
    ("GET", "accounts"): Row(OFFICE, is_plain=True),
    ("POST", "accounts"): Row(ADMIN, 201, body={"name": "Router", "scopes": ["dicomweb:store"]}, is_plain=True),
    ("DELETE", "accounts/{account_id}"): Row(ADMIN, 204, fresh=lambda place: place.account(), is_plain=True),
    ("POST", "accounts/{account_id}/tokens"): Row(ADMIN, 201, body={"days": 1}, is_plain=True),
    ("DELETE", "accounts/{account_id}/tokens/{token_id}"): Row(
        ADMIN, 204, fresh=lambda place: place.account(), is_plain=True
    ),
    ("POST", "accounts/{account_id}/tokens/{token_id}/rotation"): Row(
        ADMIN, 201, body={"overlap_hours": 1}, fresh=lambda place: place.account(), is_plain=True
    ),
    ("GET", "care-teams"): Row(OFFICE, is_plain=True),
    ("POST", "care-teams"): Row(ADMIN, 201, body={"name": "{random}"}, is_plain=True),
    ("PATCH", "care-teams/{team_id}"): Row(ADMIN, body={"is_active": True}, is_plain=True),
    ("GET", "support-sessions"): Row(OFFICE, is_plain=True),
    ("DELETE", "support-sessions/{support_id}"): Row(OFFICE, fresh=lambda place: place.support(), is_plain=True),
    ("PUT", "support-sessions/{support_id}/consent"): Row(
        OFFICE, body={"categories": ["pixel_data"]}, is_plain=True
    ),
    ("GET", "subject-requests"): Row(OFFICER, is_plain=True),
    ("POST", "subject-requests"): Row(OFFICER, 201, body={"kind": "access", "law": "gdpr"}, is_plain=True),
    ("GET", "subject-requests/{request_id}"): Row(OFFICER, is_plain=True),
    ("POST", "subject-requests/{request_id}/steps"): Row(
        OFFICER, body={"step": "answer"}, fresh=lambda place: place.subject_request(), is_plain=True
    ),
    ("GET", "subject-requests/{request_id}/report"): Row(OFFICER),
    ("GET", "incidents"): Row(OFFICER, is_plain=True),
    ("POST", "incidents"): Row(OFFICER, 201, body={"title": "A laptop was lost"}, is_plain=True),
    ("GET", "incidents/{incident_id}"): Row(OFFICER, is_plain=True),
    ("PATCH", "incidents/{incident_id}"): Row(
        OFFICER, body={"revision": 1, "nature": "Lost on a train."}, fresh=lambda place: place.incident(), is_plain=True
    ),
    ("POST", "incidents/{incident_id}/steps"): Row(OFFICER, body={"step": "assess", "risk": "high"}, is_plain=True),
    ("POST", "incidents/{incident_id}/notices"): Row(OFFICER, 201, body={"recipient": "authority"}, is_plain=True),
    ("POST", "incidents/{incident_id}/reach"): Row(OFFICER, body={"since": "2026-01-01T00:00:00Z"}, is_plain=True),
    ("GET", "incidents/{incident_id}/form"): Row(OFFICER, is_plain=True),
    ("GET", "records-of-processing"): Row(OFFICER, is_plain=True),
    ("GET", "impact-assessment"): Row(OFFICER, is_plain=True),
    ("GET", "audit/exports"): Row(OFFICER, is_plain=True),
    ("POST", "audit/exports"): Row(OFFICER, 202, body=TIME, is_plain=True),
    ("GET", "audit/exports/{export_id}"): Row(OFFICER, is_plain=True),
    ("DELETE", "audit/exports/{export_id}"): Row(OFFICER, fresh=lambda place: place.export(), is_plain=True),
    ("GET", "audit/exports/{export_id}/bundle"): Row(OFFICER, 409, is_plain=True),  # nobody has written it
    ("POST", "audit/who-saw"): Row(OFFICER, body={**TIME, "pseudonym": "{study_id}"}, is_plain=True),
    ("GET", "audit/checkpoint"): Row(OFFICER, is_plain=True),
    # A feed needs a receiver that the installation allows: tests/integration/oversight/test_feed.py.
    ("GET", "audit/feed"): Row(OFFICER, is_plain=True),
    ("PUT", "audit/feed"): Row(OFFICER, 400, body={"host": "evil.example", "authorities_pem": "x"}, is_plain=True),
    ("DELETE", "audit/feed"): Row(OFFICER, 404, is_plain=True),
    ("GET", "studies/{study_id}/presentations"): Row(OFFICER, is_plain=True),
}  # fmt: skip
PAGES: dict[tuple[str, str], Row] = {
    ("GET", ""): Row(EVERYBODY, is_plain=True),
    ("GET", "studies/{study_id}/"): Row(EVERYBODY, is_plain=True),
}
DATES = "date=ge2026-01-01&date=lt2026-02-01"
FHIR: dict[tuple[str, str], Row] = {
    ("GET", f"AuditEvent?{DATES}"): Row(OFFICER, is_plain=True),
    ("POST", "AuditEvent/_search"): Row(OFFICER, 400, is_plain=True),  # a search names a time
    ("GET", "metadata"): Row(OFFICER, is_plain=True),
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
    **{(method, f"/fhir/{path}"): row for (method, path), row in FHIR.items()},
}
PAGE_ROWS = {key for key in ROWS if key in {(method, f"/{path}") for method, path in PAGES}}
NAMES = (
    "study_id", "study_uid", "series_id", "series_uid", "sop_uid", "analysis_id", "finding_id", "referral_id", "referrer",
    "grant_id", "colleague", "emergency_id", "member_id", "institution_id", "account_id", "token_id", "team_id",
    "support_id", "request_id", "incident_id", "agreement_id", "other_id", "notice_id",
    "support_id", "hold_id", "erasure_id", "export_id",
    "subject_id",
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
    ours = {(method, path.partition("?")[0]) for method, path in ROWS if not path.startswith("/dicomweb/")}
    assert tenant == ours
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
    lasting: Mapping[str, str]

    def names(self) -> dict[str, str]:
        return {
            **self.lasting,
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

    def refer(self) -> dict[str, str]:
        return {"referral_id": str(refer(self.world, self.loaded.study_id))}

    def share(self) -> dict[str, str]:
        with self.world.acting(R.RADIOLOGIST) as actor:
            colleague = UUID(self.lasting["colleague"])
            card = share_study(actor=actor, study_id=self.loaded.study_id, user_id=colleague, reason="second_opinion")
        return {"grant_id": str(card.id)}

    def break_glass(self) -> dict[str, str]:
        return {"emergency_id": break_the_glass(self.world, self.loaded.study_id, UUID(self.lasting["stranger"]))}

    def account(self) -> dict[str, str]:
        return make_account(self.world)

    def hold(self) -> dict[str, str]:
        return {"hold_id": place_a_hold(self.world, self.loaded.study_id)}

    def erasure(self) -> dict[str, str]:
        return plan_an_erasure(self.world)

    def support(self) -> dict[str, str]:
        return {"support_id": open_a_support_session(self.world)}

    def subject_request(self) -> dict[str, str]:
        return {"request_id": begin_a_request(self.world, self.loaded.study_uid)}

    def incident(self) -> dict[str, str]:
        return {"incident_id": open_an_incident(self.world)}

    def export(self) -> dict[str, str]:
        return {"export_id": ask_for_an_export(self.world)}


def break_the_glass(world: World, study_id: UUID, user_id: UUID) -> str:
    """Have somebody break the glass who sees nothing of the study; says how to name it."""
    actor = resolve_person(slug=world.slug, user_id=user_id, address=ADDRESS, session="s", correlation_id="test")
    with tenant_scope(actor):
        card = break_glass(
            actor=actor,
            sought=Sought(study_id=study_id),
            reason_code=EmergencyReason.URGENT_TREATMENT,
            reason="Needed in the theatre now.",
        )
    return str(card.id)


def place_a_hold(world: World, study_id: UUID) -> str:
    """Place a legal hold; says how to name it."""
    with world.acting(R.COMPLIANCE) as actor:
        return str(place_hold(actor=actor, study_id=study_id, reason="Proceedings").pk)


def plan_an_erasure(world: World) -> dict[str, str]:
    """Plan the erasure of a study made for it; says how to name the plan."""
    study_id = load_study(world, 1, PatientID=uuid4().hex).study_id
    with world.acting(R.COMPLIANCE) as actor:
        plan = plan_erasure(
            actor=actor, target=ErasureTarget.STUDY, study_ids=[study_id], cause=ErasureCause.SUBJECT_REQUEST
        )
    return {"erasure_id": str(plan.pk), "plan_hash": plan.plan_hash}


def carry_out_an_erasure(world: World) -> dict[str, str]:
    """Plan, confirm and execute one."""
    names = plan_an_erasure(world)
    erasure_id = UUID(names["erasure_id"])
    with world.acting(R.COMPLIANCE) as actor:
        confirm_erasure(actor=actor, erasure_id=erasure_id, plan_hash=names["plan_hash"])
    with tenant_scope(world.system):
        execute_erasure(erasure_id=erasure_id)
    return names


def make_account(world: World) -> dict[str, str]:
    """Make a service account with a token; says how to name both."""
    with tenant_scope(world.system):
        account = create_account(actor=world.system, name="Router", scopes=[Scope.DICOMWEB_STORE])
        token = issue_account_token(actor=world.system, account_id=account.id)
    return {"account_id": str(account.id), "token_id": str(token.id)}


def open_a_support_session(world: World) -> str:
    """Open the tenant to an operator who is a member of none; says how to name the session."""
    with tenant_scope(world.system):
        session = open_support(
            actor=world.system,
            operator_id=uuid4(),
            operator_name="Olli Operator",
            reason="The router does not connect any more.",
            lifetime=timedelta(hours=1),
            requested=[DataCategory.PIXEL_DATA],
        )
    return str(session.id)


def begin_a_request(world: World, study_uid: str) -> str:
    """Have the study's patient ask what is held of them, and begin to answer; says how to name the request."""
    with tenant_scope(world.system):
        who: dict[str, Any] = {"actor": world.system}
        row = open_request(**who, kind=RequestKind.ACCESS, law=Law.GDPR)
        patient_id = find_patients(**who, study_instance_uid=study_uid)[0][0]
        identify_subject(**who, request_id=row.pk, patient_id=patient_id)
        begin_request(**who, request_id=row.pk)
    return str(row.pk)


def open_an_incident(world: World) -> str:
    """Open an incident; says how to name it."""
    with tenant_scope(world.system):
        return str(open_incident(actor=world.system, title="A laptop was lost", law=Law.GDPR).row.pk)


def make_draft(world: World) -> dict[str, str]:
    """Draft a version that can be reviewed; says how to name it."""
    with world.acting(R.COMPLIANCE) as officer:
        content = content_with(everything_permitted())
        return {"agreement_id": str(draft_agreement(actor=officer, version=uuid4().hex, content=content).pk)}


def make_notice(world: World) -> dict[str, str]:
    """Sign a version of some later day that rests on a standard contract; says how to name its notice."""
    recipient = f"Recipient {uuid4().hex}"
    basis = TransferBasis("§9", TransferKind.KVKK_STANDARD_CONTRACT, recipient, "elsewhere", "1")
    content = content_with(everything_permitted(), transfers=(basis,))
    content = replace(content, effective_from=SYSTEM_CLOCK.now() + timedelta(days=1000))
    with world.acting(R.COMPLIANCE) as officer:
        row = draft_agreement(actor=officer, version=uuid4().hex, content=content)
        put_in_force(officer, row.pk)
        notices = open_version(actor=officer, agreement_id=AgreementId(row.pk)).notices
    return {"notice_id": str(notices[0].pk)}


def ask_for_an_export(world: World) -> str:
    """Ask for an export, which no worker writes; says how to name it."""
    query = ExportQuery(since=SYSTEM_CLOCK.now() - timedelta(days=1), until=SYSTEM_CLOCK.now())
    with tenant_scope(world.system), world.acting(R.COMPLIANCE) as actor:
        return str(request_export(actor=actor, query=query, formats=frozenset()).pk)


def make_lasting(world: World, study_id: UUID, study_uid: str) -> dict[str, str]:
    """Make what is named by calls that use nothing up."""
    system = world.system
    people = {name: User.objects.create(email=f"{name}@{world.slug}.test", name=name.title()).pk for name in PEOPLE}
    with tenant_scope(system):
        member = add_member(actor=system, user_id=people["colleague"], role=R.SURGEON)
        add_member(actor=system, user_id=people["stranger"], role=R.REFERRER)
        team = create_team(actor=system, name="Tumour board", member_ids=[member.pk])
    names = {name: str(user_id) for name, user_id in people.items()}
    names |= {"member_id": str(member.pk), "team_id": str(team.id), "institution_id": str(world.institution_id)}
    names |= {**make_account(world), "support_id": open_a_support_session(world)}
    names["emergency_id"] = break_the_glass(world, study_id, people["stranger"])
    names |= {**carry_out_an_erasure(world), "hold_id": place_a_hold(world, study_id)}
    with world.reading():
        names["subject_id"] = str(Study.objects.get(pk=study_id).patient_id)
    with world.acting(R.RADIOLOGIST) as actor:
        share = share_study(actor=actor, study_id=study_id, team_id=team.id, reason="tumour_board")
    names |= {"agreement_id": str(world.agreement_id), "other_id": str(world.agreement_id), **make_notice(world)}
    names["side"] = "controller"
    names |= {"request_id": begin_a_request(world, study_uid), "incident_id": open_an_incident(world)}
    names["export_id"] = ask_for_an_export(world)
    return {**names, "grant_id": str(share.id)}


PEOPLE = ("colleague", "stranger")


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
    lasting = make_lasting(world, loaded.study_id, loaded.study_uid)
    place = Place(world, loaded, analyse(loaded), refer(world, loaded.study_id), series_id, lasting)
    from gantry.analyses.domain import Verdict
    from gantry.analyses.public import review_finding

    with world.acting(R.RADIOLOGIST) as actor:  # accepted, so that referring physicians see it
        review_finding(actor=actor, finding_id=place.result.finding_ids[0], verdict=Verdict.ACCEPT)
    sequence_all()  # what is not signed yet cannot be read
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
def trail(home: Place, connect: Callable[[str], Any]) -> Trail:
    return Trail(connect, home.world)


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
    "side": "controller",
    **{
        name: str(uuid4())
        for name in (
            "grant_id", "colleague", "emergency_id", "member_id", "institution_id", "account_id", "token_id", "team_id",
            "support_id", "request_id", "incident_id", "agreement_id", "other_id", "notice_id",
            "support_id", "hold_id", "erasure_id", "export_id",
            "subject_id",
        )
    },
    "plan_hash": "0" * 64,
}  # fmt: skip


WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


def call(client: Client, method: str, path: str, names: Mapping[str, str]) -> httpx.Response:
    row = ROWS[method, path]

    def fill(text: str) -> str:
        return text.format(random=uuid4().hex, **names)

    headers = {name: fill(value) for name, value in row.headers.items()}

    def fill_in(value: Any) -> Any:
        if isinstance(value, list):
            return [fill_in(item) for item in value]
        return fill(value) if isinstance(value, str) else value

    body = {key: fill_in(value) for key, value in (row.body or {}).items()}
    if "/dicomweb/" in path and method == "POST":
        return client.request(method, fill(path), content=b"--x--\r\n", headers=headers)
    return client.request(method, fill(path), json=body if method in WITH_BODY else None, headers=headers)


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


WINDOWED = {Kind.ACCESSED, Kind.TRANSFERRED, Kind.EXPORT}


def declared_actions(method: str, path: str) -> tuple[str, ...]:
    """Return the actions that a success leaves in the trail, as `config/audit_coverage.py` says."""
    if path.startswith("/dicomweb/"):
        theirs = path.removeprefix("/dicomweb")
        for ours, name in (("study_uid", "study"), ("series_uid", "series"), ("sop_uid", "instance")):
            theirs = theirs.replace(f"{{{ours}}}", f"{{{name}}}")
        line = coverage.DICOMWEB[method, theirs.replace("/frames/1/", "/frames/{frame}/")]
    else:
        line = coverage.ROUTES[method, f"t/{{tenant}}{path.partition('?')[0]}"]
    return () if isinstance(line, coverage.NONE) else line


# --- the cells ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path", "role"), CELLS, ids=_ids)
def test_role_decides_on_own_data(home: Place, trail: Trail, come: Any, method: str, path: str, role: Role) -> None:
    row = ROWS[method, path]
    if _skip_pages_by_token(come, method, path):
        assert call(come(home, role), method, path, home.names()).status_code == 302
        return
    names = home.names() | (row.fresh(home) if row.fresh else {})
    declared = declared_actions(method, path)
    before = trail.count(role=role, actions=declared)
    with guarding(patient_tables()) as guard:
        answer = call(come(home, role), method, path, names)
    assert undecided(guard) == [], "touched without asking the gate"
    after = trail.count(role=role, actions=declared)
    if row.fresh:
        home.refer()  # for those who come after: granting again gives the one that stands
    if role in row.may:
        assert answer.status_code == row.status, answer.text
        if declared and row.status < 400:
            # Reads of one study are one event within five minutes; whatever else is done is told each time.
            assert after > before or (after and all(kind_of(one) in WINDOWED for one in declared)), declared
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
        assert (present.status_code == 403) == (role not in row.may), present.text
        assert present.status_code < 500
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


@pytest.mark.parametrize(("method", "path"), [key for key in ROWS if key[0] != "GET" and "/api/" in key[1]], ids=_ids)
def test_session_changes_nothing_when_another_site_s_page_asks(home: Place, method: str, path: str) -> None:
    row = ROWS[method, path]
    names = home.names() | (row.fresh(home) if row.fresh else {})
    role = R.RADIOLOGIST if R.RADIOLOGIST in row.may else min(row.may)
    for change in ({"X-CSRFToken": "x" * 32}, {"Origin": "https://evil.example"}):
        answer = call(by_session(home.world, role, headers=change), method, path, names)
        assert (answer.status_code, answer.json()["code"]) == (403, "request.forbidden")
    assert call(by_session(home.world, role), method, path, names).status_code == row.status
    if row.fresh:
        home.refer()


@pytest.mark.parametrize("role", MEMBER_ROLES)
def test_socket_opens_streams_by_role(home: Place, other: Place, lapsed: Place, role: Role) -> None:
    own, foreign, absent = (f"study:{one}" for one in (home.loaded.study_id, other.loaded.study_id, uuid4()))
    home.names()  # the referral that a referring physician needs
    socket = Socket(home.world.slug, sign_in(home.world.users[role]))
    assert socket.is_accepted()
    with guarding(patient_tables()) as guard:
        answers = {name: socket.subscribe(name) for name in ("worklist", own, foreign, absent, "nonsense", "study:x")}
        socket.close()
    assert undecided(guard) == [], "touched without asking the gate"
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
