"""Terms decide alone: what they do not mention is refused, whatever else they say. And what is written reads back."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gantry.agreements.domain import (
    Disposition,
    EndRule,
    Permission,
    RetentionRule,
    RetentionStart,
    Status,
    SubProcessor,
    Terms,
    TransferBasis,
    TransferKind,
    judge,
    list_objections,
    terms_from_json,
    terms_to_json,
)
from gantry.kernel.actor import Actor, Subject
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

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
TENANT = TenantId(UUID(int=1))

clauses = st.sampled_from(["§1", "§2", "§3"])


def some(words: Any) -> Any:
    return st.frozensets(st.sampled_from(list(words)), max_size=len(list(words)))


permissions = st.builds(
    Permission,
    clause=clauses,
    activity=st.sampled_from(Activity),
    categories=some(DataCategory),
    purposes=some(Purpose),
    roles=some(Role),
)
processors = st.builds(
    SubProcessor,
    name=st.sampled_from(["Vendor A", "Vendor B"]),
    clause=clauses,
    task=st.just("Models"),
    activities=some(Activity),
    categories=some(DataCategory),
    regions=st.frozensets(st.sampled_from(["eu", "us"]), max_size=2),
)
terms = st.builds(
    Terms,
    version=st.just("v"),
    status=st.sampled_from([Status.IN_FORCE, Status.IN_FORCE, Status.SUSPENDED, Status.DRAFT, Status.TERMINATED]),
    valid_from=st.sampled_from([NOW - timedelta(days=1), NOW, NOW + timedelta(seconds=1), None]),
    valid_until=st.sampled_from([NOW + timedelta(days=1), NOW, None]),
    boundary=st.sampled_from(ProcessingBoundary),
    boundary_clause=clauses,
    viewing_places=some(Place),
    viewing_clause=clauses,
    permissions=st.lists(permissions, max_size=6).map(tuple),
    regions=st.frozensets(st.sampled_from(["eu", "us"]), max_size=2),
    regions_clause=clauses,
    sub_processors=st.lists(processors, max_size=2).map(tuple),
    sub_processors_clause=clauses,
    end=st.just(EndRule(clause="§end")),
    disposition=st.sampled_from([None, Disposition.RETURN, Disposition.DELETE]),
)
actors = st.builds(
    Actor,
    kind=st.just(ActorKind.PERSON),
    id=st.just(ActorId(UUID(int=2))),
    tenant_id=st.just(TENANT),
    role=st.sampled_from(Role),
    institutions=st.sampled_from([None, frozenset({InstitutionId(UUID(int=3))})]),
    place=st.sampled_from(Place),
    consents=st.sampled_from([None, frozenset(DataCategory)]),
)
subjects = st.builds(
    Subject,
    tenant_id=st.sampled_from([TENANT, TENANT, TENANT, TenantId(UUID(int=9))]),
    category=st.sampled_from(DataCategory),
    study_id=st.sampled_from([None, StudyId(UUID(int=4))]),
    institution_id=st.sampled_from([None, InstitutionId(UUID(int=3)), InstitutionId(UUID(int=5))]),
    granted_by=st.sampled_from([None, *GrantKind]),
    is_withheld=st.booleans(),
    is_quarantined=st.booleans(),
    has_legal_hold=st.booleans(),
    is_restricted=st.booleans(),
    processor=st.sampled_from(["", "", "Vendor A", "vendor  a", "Nobody"]),
)
acts = st.fixed_dictionaries(
    {
        "actor": actors,
        "subject": subjects,
        "activity": st.sampled_from(Activity),
        "purpose": st.sampled_from(Purpose),
        "region": st.sampled_from(["eu", "us", "mars"]),
        "at": st.just(NOW),
    }
)


@settings(deadline=None)
@given(terms, acts)
def test_yes_stands_on_a_permission_that_mentions_the_act(stated: Terms, act: dict[str, Any]) -> None:
    decision = judge(stated, **act)
    if not decision.allowed:
        return
    activity, subject, actor = act["activity"], act["subject"], act["actor"]
    mentioned = any(one.covers(activity, subject.category, decision.purpose, actor.role) for one in stated.permissions)
    is_over = stated.status is not Status.IN_FORCE or (stated.valid_until is not None and stated.valid_until <= NOW)
    assert mentioned or (is_over and activity in {Activity.ERASE, Activity.EXPORT})
    assert decision.clause
    assert act["region"] in stated.regions or activity is Activity.ERASE
    assert subject.tenant_id == actor.tenant_id
    if subject.processor:
        assert subject.processor != "Nobody"
    if is_over:
        assert activity in {Activity.ERASE, Activity.EXPORT}


@settings(deadline=None)
@given(terms, acts)
def test_nothing_is_permitted_when_no_permission_is_left(stated: Terms, act: dict[str, Any]) -> None:
    bare = dataclasses.replace(stated, permissions=())
    decision = judge(bare, **act)
    assert not decision.allowed or (decision.clause == "§end" and act["activity"] in {Activity.ERASE, Activity.EXPORT})


@settings(deadline=None)
@given(terms, acts)
def test_first_objection_is_the_answer_and_what_hides_comes_first(stated: Terms, act: dict[str, Any]) -> None:
    decision, objections = judge(stated, **act), list_objections(stated, **act)
    assert decision.allowed == (objections == [])
    if objections:
        assert decision == objections[0]
    told = [one for one in objections if not one.is_hidden and one.code != "agreement.not_in_force"]
    hidden = [one for one in objections if one.is_hidden]
    if told and hidden:
        assert objections.index(hidden[-1]) < objections.index(told[0])


@settings(deadline=None)
@given(terms, acts)
def test_what_is_hidden_answers_alike_whatever_the_terms_permit(stated: Terms, act: dict[str, Any]) -> None:
    """A refusal that hides must not tell by its clause what an agreement would have said."""
    decision = judge(stated, **act)
    if decision.is_hidden:
        assert decision.clause == ""


@settings(deadline=None)
@given(terms)
def test_terms_survive_their_way_through_json(stated: Terms) -> None:
    full = dataclasses.replace(
        stated,
        retention={
            DataCategory.PIXEL_DATA: RetentionRule("§8", 30, RetentionStart.STUDY_DATE, {"hill": 10}),
            DataCategory.USAGE: RetentionRule("§8", None),
        },
        transfers=(TransferBasis("§9", TransferKind.SCC, "Vendor A", "us", "Module 2"),),
    )
    envelope = {
        name: getattr(full, name)
        for name in ("version", "status", "valid_from", "valid_until", "ended_at", "disposition")
    }
    assert terms_from_json(terms_to_json(full), **envelope) == full


def test_retention_of_an_institution_goes_before_the_rule() -> None:
    rule = RetentionRule("§8", 30, by_institution={"hill": 10})
    assert (rule.days_for("hill"), rule.days_for("harbour")) == (10, 30)


BASE = Terms(
    "v", Status.IN_FORCE, NOW - timedelta(days=1), None, ProcessingBoundary.SERVER, "§1", frozenset(Place), "§2",
    (Permission("§3", Activity.INFER, frozenset(DataCategory), frozenset(Purpose), frozenset(Role)),),
    regions=frozenset({"eu"}), regions_clause="§4", sub_processors_clause="§5",
    sub_processors=(
        SubProcessor("Vendor", "§6", "Models", frozenset({Activity.INFER}), frozenset({DataCategory.PIXEL_DATA}),
                     frozenset({"eu"})),
    ),
)  # fmt: skip
DOCTOR = Actor(ActorKind.PERSON, ActorId(UUID(int=2)), TENANT, Role.RADIOLOGIST, place=Place.SITE)
ABROAD = dataclasses.replace(BASE.sub_processors[0], regions=frozenset({"us"}))
CARRIED = (TransferBasis("§9", TransferKind.SCC, "vendor", "us", ""),)


@pytest.mark.parametrize(
    ("changes", "subject", "region", "expected"),
    [
        ({}, {}, "eu", ("allowed", "§3; §6")),
        ({}, {"processor": ""}, "eu", ("allowed", "§3")),
        ({}, {"processor": " VENDOR "}, "eu", ("allowed", "§3; §6")),
        ({}, {"processor": "Other"}, "eu", ("agreement.sub_processor", "§5")),
        ({}, {"category": DataCategory.REPORTS}, "eu", ("agreement.sub_processor", "§6")),
        ({}, {}, "us", ("agreement.region", "§4")),
        ({"regions": frozenset()}, {}, "eu", ("agreement.region", "§4")),
        ({"sub_processors": (ABROAD,)}, {}, "eu", ("agreement.transfer_basis", "§6")),
        ({"sub_processors": (ABROAD,), "transfers": CARRIED}, {}, "eu", ("allowed", "§3; §6")),
    ],
)
def test_regions_and_sub_processors_decide(
    changes: dict[str, Any], subject: dict[str, Any], region: str, expected: tuple[str, str]
) -> None:
    about = dataclasses.replace(Subject(TENANT, DataCategory.PIXEL_DATA, processor="Vendor"), **subject)
    decision = judge(
        dataclasses.replace(BASE, **changes), at=NOW, actor=DOCTOR, activity=Activity.INFER, subject=about,
        purpose=Purpose.TREATMENT, region=region,
    )  # fmt: skip
    assert (decision.code, decision.clause) == expected


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("activity", [Activity.ERASE, Activity.EXPORT, Activity.STORE])
@pytest.mark.parametrize("disposition", [None, *Disposition])
def test_after_the_end_only_what_is_owed_is_done(
    status: Status, activity: Activity, disposition: Disposition | None
) -> None:
    stated = dataclasses.replace(BASE, status=status, disposition=disposition, end=EndRule("§11"), permissions=())
    worker = dataclasses.replace(DOCTOR, role=Role.SYSTEM)
    decision = judge(
        stated, at=NOW, actor=worker, activity=activity, subject=Subject(TENANT, DataCategory.PIXEL_DATA),
        purpose=Purpose.OPERATIONS, region="eu",
    )  # fmt: skip
    is_ended = status in {Status.TERMINATED, Status.EXPIRED}
    is_owed = (activity is Activity.ERASE and (is_ended or status is Status.SUSPENDED)) or (
        activity is Activity.EXPORT and is_ended and disposition is Disposition.RETURN
    )
    assert decision.allowed == is_owed
