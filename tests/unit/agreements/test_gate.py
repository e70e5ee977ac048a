"""The gate's decision, as a table. Allow and deny share one arrangement: each case changes one thing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from gantry.access.public import NEEDS_GRANT, ROLE_ACTIVITIES
from gantry.agreements.domain import (
    Permission,
    Status,
    Terms,
    judge,
    list_objections,
    permissions_from_json,
    permissions_to_json,
)
from gantry.kernel.actor import Actor, Subject
from gantry.kernel.decision import Decision
from gantry.kernel.ids import ActorId, InstitutionId, StudyId, TenantId
from gantry.kernel.vocabulary import (
    Activity,
    ActorKind,
    DataCategory,
    GrantKind,
    Place,
    ProcessingBoundary,
    Purpose,
    Role,
)

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
TENANT = TenantId(UUID(int=1))
HOSPITAL = InstitutionId(UUID(int=2))
A = Activity

#: Who may do what at all, written out here a second time on purpose: a slip in the code must meet a disagreement.
MAY: dict[Role, set[Activity]] = {
    Role.ADMIN: set(),
    Role.COMPLIANCE: set(),
    Role.RADIOLOGIST: {
        A.STORE, A.FIND, A.VIEW, A.RENDER, A.VIEW_ABROAD, A.INFER, A.REVIEW, A.ANNOTATE, A.SHARE, A.EXPORT,
    },
    Role.SURGEON: {A.FIND, A.VIEW, A.RENDER, A.VIEW_ABROAD, A.ANNOTATE, A.SHARE},
    Role.REFERRER: {A.FIND, A.VIEW, A.RENDER, A.VIEW_ABROAD},
    Role.INTEGRATOR: {A.STORE, A.FIND, A.VIEW, A.EXPORT, A.INFER},
    Role.SYSTEM: {A.STORE, A.RENDER, A.INFER, A.DERIVE, A.EXPORT, A.TRANSFER, A.LEARN, A.ERASE},
    Role.SUPPORT: {A.FIND, A.VIEW, A.RENDER},
}  # fmt: skip


def _everything(*, without: Activity | None = None) -> tuple[Permission, ...]:
    return tuple(
        Permission(f"§{activity.value}", activity, frozenset(DataCategory), frozenset(Purpose), frozenset(Role))
        for activity in Activity
        if activity is not without
    )


TERMS = Terms(
    version="v1",
    status=Status.IN_FORCE,
    valid_from=NOW - timedelta(days=1),
    valid_until=NOW + timedelta(days=1),
    boundary=ProcessingBoundary.SERVER,
    boundary_clause="§boundary",
    viewing_places=frozenset({Place.SITE}),
    viewing_clause="§viewing",
    permissions=_everything(),
    regions=frozenset({"here"}),
    regions_clause="§regions",
)
ACTOR = Actor(ActorKind.PERSON, ActorId(UUID(int=3)), TENANT, Role.RADIOLOGIST, place=Place.SITE)
SUBJECT = Subject(TENANT, DataCategory.PIXEL_DATA, study_id=StudyId(UUID(int=4)), institution_id=HOSPITAL)
REFERRED = replace(SUBJECT, granted_by=GrantKind.REFERRAL)
ABROAD = replace(TERMS, permissions=_everything(without=A.VIEW_ABROAD))


def _judge(
    terms: Terms | None = TERMS, actor: Actor = ACTOR, activity: Activity = A.VIEW, subject: Subject = SUBJECT
) -> Any:
    return judge(
        terms, at=NOW, actor=actor, activity=activity, subject=subject, purpose=Purpose.TREATMENT, region="here"
    )


def _objections(
    terms: Terms | None = TERMS, actor: Actor = ACTOR, activity: Activity = A.VIEW, subject: Subject = SUBJECT
) -> list[Decision]:
    return list_objections(
        terms, at=NOW, actor=actor, activity=activity, subject=subject, purpose=Purpose.TREATMENT, region="here"
    )


@pytest.mark.parametrize("activity", Activity)
@pytest.mark.parametrize("role", Role)
def test_role_decides_when_the_agreement_permits_everything(role: Role, activity: Activity) -> None:
    decision = _judge(
        actor=replace(ACTOR, role=role, consents=frozenset(DataCategory)),
        activity=activity,
        subject=replace(REFERRED, category=DataCategory.REPORTS),
    )
    assert decision.allowed == (activity in MAY[role])
    assert decision.code == ("allowed" if decision.allowed else "role.not_permitted")
    assert decision.clause == (f"§{activity.value}" if decision.allowed else "")
    assert not decision.is_hidden


def test_every_role_has_its_row() -> None:
    assert set(ROLE_ACTIVITIES) == set(MAY) == set(Role)
    assert {Role.REFERRER} == NEEDS_GRANT


@pytest.mark.parametrize("activity", sorted(MAY[Role.RADIOLOGIST]))
def test_agreement_decides_when_it_leaves_one_activity_out(activity: Activity) -> None:
    assert _judge(activity=activity).allowed
    decision = _judge(replace(TERMS, permissions=_everything(without=activity)), activity=activity)
    assert (decision.allowed, decision.code) == (False, "agreement.not_permitted")


#: What is changed in the one arrangement, the code of the answer, and whether the answer hides the subject.
DENIALS: dict[str, tuple[dict[str, Any], str, bool]] = {
    "no agreement": ({"terms": None}, "agreement.not_in_force", False),
    "draft": ({"terms": replace(TERMS, status=Status.DRAFT)}, "agreement.not_in_force", False),
    "suspended": ({"terms": replace(TERMS, status=Status.SUSPENDED)}, "agreement.not_in_force", False),
    "terminated": ({"terms": replace(TERMS, status=Status.TERMINATED)}, "agreement.not_in_force", False),
    "expired": ({"terms": replace(TERMS, valid_until=NOW)}, "agreement.not_in_force", False),
    "not yet": ({"terms": replace(TERMS, valid_from=NOW + timedelta(seconds=1))}, "agreement.not_in_force", False),
    "never signed": ({"terms": replace(TERMS, valid_from=None)}, "agreement.not_in_force", False),
    "other tenant": ({"subject": replace(SUBJECT, tenant_id=TenantId(uuid4()))}, "subject.foreign", True),
    "other tenant, no agreement": (
        {"subject": replace(SUBJECT, tenant_id=TenantId(uuid4())), "terms": None}, "subject.foreign", True,
    ),
    "other institution": (
        {"actor": replace(ACTOR, institutions=frozenset({InstitutionId(uuid4())}))}, "institution.outside", True,
    ),
    "referrer without referral": (
        {"actor": replace(ACTOR, role=Role.REFERRER), "subject": SUBJECT}, "grant.missing", True,
    ),
    "referrer without referral may not either": (
        {
            "actor": replace(ACTOR, role=Role.REFERRER),
            "subject": SUBJECT,
            "activity": A.STORE,
        },
        "grant.missing",
        True,
    ),
    "withheld": ({"subject": replace(SUBJECT, is_withheld=True)}, "subject.withheld", True),
    "erased": ({"subject": replace(SUBJECT, is_erased=True)}, "subject.withheld", True),
    "quarantined": ({"subject": replace(SUBJECT, is_quarantined=True)}, "subject.quarantined", False),
    "embargoed": ({"subject": replace(SUBJECT, is_embargoed=True)}, "subject.embargoed", False),
    "role": ({"actor": replace(ACTOR, role=Role.ADMIN)}, "role.not_permitted", False),
    "abroad": ({"actor": replace(ACTOR, place=Place.ABROAD), "terms": ABROAD}, "agreement.view_abroad", False),
    "abroad, rendering": (
        {"actor": replace(ACTOR, place=Place.ABROAD), "terms": ABROAD, "activity": A.RENDER}, "agreement.view_abroad", False,
    ),
    "abroad, exporting": (
        {"actor": replace(ACTOR, place=Place.ABROAD), "terms": ABROAD, "activity": A.EXPORT}, "agreement.view_abroad", False,
    ),
    "other purpose": (
        {"terms": replace(TERMS, permissions=(replace(_everything()[2], purposes=frozenset({Purpose.QUALITY})),))},
        "agreement.not_permitted",
        False,
    ),
    "other category": (
        {"terms": replace(TERMS, permissions=(replace(_everything()[2], categories=frozenset({DataCategory.USAGE})),))},
        "agreement.not_permitted",
        False,
    ),
    "other role's clause": (
        {"terms": replace(TERMS, permissions=(replace(_everything()[2], roles=frozenset({Role.SURGEON})),))},
        "agreement.not_permitted",
        False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DENIALS)
def test_gate_refuses_when_one_thing_is_changed(name: str) -> None:
    changes, code, is_hidden = DENIALS[name]
    assert _judge().allowed
    decision = _judge(**changes)
    assert (decision.allowed, decision.code, decision.is_hidden) == (False, code, is_hidden)
    assert decision.reason


@pytest.mark.parametrize("activity", sorted(set[Activity]().union(*MAY.values())))
def test_pixels_stay_in_the_session_when_the_boundary_says_so(activity: Activity) -> None:
    session_only = replace(TERMS, boundary=ProcessingBoundary.SESSION)
    server_work = {A.STORE, A.INFER, A.RENDER, A.DERIVE, A.TRANSFER, A.LEARN}
    role = next(role for role in Role if activity in MAY[role])
    actor = replace(ACTOR, role=role)
    if activity is not A.LEARN:  # no role learns from pixels at all
        assert _judge(actor=actor, activity=activity).allowed
    objections = {one.code: one.clause for one in _objections(session_only, actor, activity)}
    assert ("agreement.session_only" in objections) == (activity in server_work)
    if activity in server_work:
        assert objections["agreement.session_only"] == "§boundary"
    others = replace(SUBJECT, category=DataCategory.REPORTS)
    assert _judge(session_only, actor, activity, others).allowed


def test_viewing_abroad_cites_its_own_clause_when_permitted() -> None:
    assert _judge().clause == "§view"
    assert _judge(actor=replace(ACTOR, place=Place.ABROAD)).clause == "§view_abroad"


def test_legal_hold_forbids_erasing_only() -> None:
    eraser, held = replace(ACTOR, role=Role.SYSTEM), replace(SUBJECT, has_legal_hold=True)
    assert _judge(actor=eraser, activity=A.ERASE).allowed
    assert _judge(actor=eraser, activity=A.ERASE, subject=held).code == "subject.legal_hold"
    assert _judge(subject=held).allowed


def test_confined_actor_is_allowed_when_the_institution_is_theirs() -> None:
    assert _judge(actor=replace(ACTOR, institutions=frozenset({HOSPITAL}))).allowed


def test_clauses_survive_their_way_through_json() -> None:
    assert permissions_from_json(permissions_to_json(_everything())) == _everything()
