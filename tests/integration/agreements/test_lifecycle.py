"""The life of an agreement: every state × every step, who signs, what time does, and that history stays as it was."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from gantry.agreements.clockwork import turn_version
from gantry.agreements.domain import NEXT
from gantry.agreements.errors import (
    IllegalStepError,
    MaySignError,
    StaleEditError,
    UnfinishedDraftError,
    VersionTakenError,
    WrongDocumentError,
)
from gantry.agreements.models import Agreement, AgreementStep, Signature
from gantry.agreements.public import (
    Disposition,
    Side,
    Signatory,
    Status,
    Step,
    advance_agreement,
    amend_agreement,
    choose_disposition,
    draft_agreement,
    edit_agreement,
    enter_agreement,
    load_terms,
    review_agreement,
    sign_agreement,
    turn_agreements,
)
from gantry.foundation.context import sign_context
from gantry.foundation.scope import tenant_scope
from gantry.kernel.clock import SYSTEM_CLOCK, ManualClock
from gantry.kernel.decision import Refused
from gantry.kernel.ids import AgreementId
from gantry.kernel.vocabulary import MEMBER_ROLES, Role
from world import World, content_with, everything_permitted, make_world, put_in_force

pytestmark = pytest.mark.usefixtures("database")

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def shared(database: None) -> World:
    """Return a tenant whose officer and operator act; every test makes versions of its own in it or in a fresh one."""
    return make_world(in_force=False)


def _draft(world: World, *, clock: Any = SYSTEM_CLOCK, **changes: Any) -> AgreementId:
    content = dataclasses.replace(content_with(everything_permitted()), **changes)
    with world.acting(Role.COMPLIANCE) as officer:
        row = draft_agreement(actor=officer, version=f"v-{uuid4().hex[:8]}", content=content, clock=clock)
    return AgreementId(row.pk)


def _review(world: World, key: AgreementId) -> str:
    with world.acting(Role.COMPLIANCE) as officer:
        return review_agreement(actor=officer, agreement_id=key).document_sha256


def _sign(world: World, key: AgreementId, side: Side, digest: str, *, clock: Any = SYSTEM_CLOCK) -> Agreement:
    with tenant_scope(world.system):
        actor = world.actor(Role.COMPLIANCE) if side is Side.CONTROLLER else world.system
        return sign_agreement(
            actor=actor,
            agreement_id=key,
            side=side,
            signatory=Signatory("Somebody", "Something"),
            document_sha256=digest,
            clock=clock,
        )


def _step(world: World, key: AgreementId, step: Step, **options: Any) -> Agreement:
    with world.acting(Role.COMPLIANCE) as officer:
        return advance_agreement(actor=officer, agreement_id=key, step=step, **options)


def _get(world: World, key: AgreementId) -> Agreement:
    with world.reading():
        return Agreement.objects.get(pk=key)


TOMORROW = {"effective_from": SYSTEM_CLOCK.now() + timedelta(days=1)}


def _arrive(status: Status) -> tuple[World, AgreementId]:
    """Return a version in a state, in a tenant of its own."""
    world = make_world(in_force=False)
    later = status is Status.SIGNED
    key = _draft(world, **(TOMORROW if later else {}))
    if status is Status.DRAFT:
        return world, key
    if status is Status.WITHDRAWN:
        _step(world, key, Step.WITHDRAW)
        return world, key
    digest = _review(world, key)
    if status is Status.REVIEWED:
        return world, key
    _sign(world, key, Side.CONTROLLER, digest)
    if status is Status.COUNTERSIGNING:
        return world, key
    _sign(world, key, Side.PROCESSOR, digest)
    if status is Status.SUSPENDED:
        _step(world, key, Step.SUSPEND)
    elif status is Status.TERMINATED:
        _step(world, key, Step.TERMINATE)
    elif status is Status.EXPIRED:
        _step(world, key, Step.EXPIRE)
    elif status is Status.SUPERSEDED:
        with world.acting(Role.COMPLIANCE) as officer:
            put_in_force(officer, amend_agreement(actor=officer, agreement_id=key, version="v2").pk)
    return world, key


@pytest.mark.parametrize("status", Status)
def test_version_takes_exactly_the_steps_of_the_table(status: Status) -> None:
    world, key = _arrive(status)
    assert _get(world, key).status == status
    steps = (Step.SUSPEND, Step.RESUME, Step.SUPERSEDE, Step.TERMINATE, Step.EXPIRE, Step.WITHDRAW)
    for step in steps:
        if (status, step) not in NEXT:
            with pytest.raises(IllegalStepError):
                _step(world, key, step)
    if (status, Step.EDIT) not in NEXT:
        with pytest.raises(IllegalStepError), world.acting(Role.COMPLIANCE) as officer:
            edit_agreement(actor=officer, agreement_id=key, revision=1, content=content_with(everything_permitted()))
    if (status, Step.REVIEW) not in NEXT:
        with pytest.raises(IllegalStepError):
            _review(world, key)
    if status not in {Status.REVIEWED, Status.COUNTERSIGNING}:
        with pytest.raises(IllegalStepError):
            _sign(world, key, Side.PROCESSOR, _get(world, key).document_sha256)
    with pytest.raises(IllegalStepError), tenant_scope(world.system):
        enter_agreement(actor=world.system, agreement_id=key)
    assert _get(world, key).status == status, "what was refused left no trace"


#: As the table has them, written a second time: a slip there must meet a disagreement here.
EXPECTED = {
    ("draft", "edit"): "draft",
    ("draft", "review"): "reviewed",
    ("draft", "withdraw"): "withdrawn",
    ("reviewed", "sign"): "countersigning",
    ("reviewed", "withdraw"): "withdrawn",
    ("countersigning", "countersign"): "signed",
    ("countersigning", "withdraw"): "withdrawn",
    ("signed", "enter"): "in_force",
    ("signed", "enter_suspended"): "suspended",
    ("signed", "withdraw"): "withdrawn",
    ("in_force", "suspend"): "suspended",
    ("in_force", "supersede"): "superseded",
    ("in_force", "terminate"): "terminated",
    ("in_force", "expire"): "expired",
    ("suspended", "resume"): "in_force",
    ("suspended", "supersede"): "superseded",
    ("suspended", "terminate"): "terminated",
    ("suspended", "expire"): "expired",
}


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("step", Step)
def test_table_of_steps_is_exactly_this(status: Status, step: Step) -> None:
    assert NEXT.get((status, step)) == EXPECTED.get((status.value, step.value))


def test_agreement_is_in_force_when_both_sides_have_signed() -> None:
    world = make_world(in_force=False)
    key = _draft(world)
    digest = _review(world, key)
    with world.reading():
        assert load_terms() is None
    assert _sign(world, key, Side.PROCESSOR, digest).status == Status.COUNTERSIGNING
    assert _sign(world, key, Side.CONTROLLER, digest).status == Status.IN_FORCE
    with world.reading():
        terms = load_terms()
        assert terms is not None and terms.is_in_force(SYSTEM_CLOCK.now())
        steps = list(AgreementStep.objects.filter(agreement_id=key).order_by("at").values_list("step", flat=True))
        assert steps == [Step.REVIEW, Step.SIGN, Step.COUNTERSIGN, Step.ENTER]
        assert {one.document_sha256 for one in Signature.objects.filter(agreement_id=key)} == {digest}


@pytest.mark.parametrize("role", [*MEMBER_ROLES, Role.SYSTEM])
def test_only_its_own_side_signs(shared: World, role: Role) -> None:
    key = _draft(shared)
    digest = _review(shared, key)
    actor = shared.system if role is Role.SYSTEM else shared.actor(role)
    may = {Role.COMPLIANCE: Side.CONTROLLER, Role.SYSTEM: Side.PROCESSOR}.get(role)
    for side in Side:
        if side is may:
            continue
        with pytest.raises((MaySignError, Refused)), tenant_scope(actor):
            sign_agreement(actor=actor, agreement_id=key, side=side, signatory=Signatory("X"), document_sha256=digest)
    with shared.reading():
        assert not Signature.objects.filter(agreement_id=key).exists()


@pytest.mark.parametrize("role", [role for role in MEMBER_ROLES if role is not Role.COMPLIANCE])
def test_nobody_but_compliance_drafts_and_moves_agreements(shared: World, role: Role) -> None:
    key = _draft(shared)
    with shared.acting(role) as actor:
        attempts: list[Callable[[], object]] = [
            lambda: draft_agreement(actor=actor, version="x", content=content_with(())),
            lambda: review_agreement(actor=actor, agreement_id=key),
            lambda: advance_agreement(actor=actor, agreement_id=key, step=Step.WITHDRAW),
        ]
        for attempt in attempts:
            with pytest.raises(Refused) as refused:
                attempt()
            assert refused.value.code == "role.not_permitted"


def test_signature_is_refused_when_the_document_is_another(shared: World) -> None:
    key = _draft(shared)
    _review(shared, key)
    with pytest.raises(WrongDocumentError):
        _sign(shared, key, Side.CONTROLLER, "0" * 64)


def test_one_side_does_not_sign_for_both(shared: World) -> None:
    key = _draft(shared)
    digest = _review(shared, key)
    _sign(shared, key, Side.CONTROLLER, digest)
    with pytest.raises(IllegalStepError):
        _sign(shared, key, Side.CONTROLLER, digest)


def test_edit_is_refused_when_somebody_else_was_faster(shared: World) -> None:
    key = _draft(shared)
    content = content_with(everything_permitted())
    with shared.acting(Role.COMPLIANCE) as officer:
        first = edit_agreement(actor=officer, agreement_id=key, revision=1, content=content)
        assert first.revision == 2
        with pytest.raises(StaleEditError):
            edit_agreement(actor=officer, agreement_id=key, revision=1, content=content)


def test_version_names_are_unique(shared: World) -> None:
    with shared.acting(Role.COMPLIANCE) as officer:
        content = content_with(everything_permitted())
        draft_agreement(actor=officer, version="same", content=content)
        with pytest.raises(VersionTakenError):
            draft_agreement(actor=officer, version="same", content=content)


def test_draft_is_not_reviewed_when_it_leaves_things_open(shared: World) -> None:
    content = content_with(everything_permitted(), regions=frozenset(), retention={})
    key = _draft(shared, terms=content.terms)
    with pytest.raises(UnfinishedDraftError) as unfinished:
        _review(shared, key)
    assert "region" in str(unfinished.value)
    assert "pixel_data" in str(unfinished.value)


def test_old_version_stays_in_force_until_the_new_one_is() -> None:
    world = make_world()
    old = AgreementId(UUID(str(world.agreement_id)))
    with world.acting(Role.COMPLIANCE) as officer:
        amended = amend_agreement(actor=officer, agreement_id=old, version="v2")
        assert amended.amends_id == old
        new = AgreementId(amended.pk)
    digest = _review(world, new)
    _sign(world, new, Side.CONTROLLER, digest)
    assert _version(world) == "v1"
    _sign(world, new, Side.PROCESSOR, digest)
    assert _version(world) == "v2"
    assert _get(world, old).status == Status.SUPERSEDED


def test_new_version_stays_stopped_when_the_old_one_was() -> None:
    world = make_world()
    old = AgreementId(UUID(str(world.agreement_id)))
    _step(world, old, Step.SUSPEND)
    with world.acting(Role.COMPLIANCE) as officer:
        new = amend_agreement(actor=officer, agreement_id=old, version="v2").pk
        put_in_force(officer, new)
    assert _get(world, AgreementId(new)).status == Status.SUSPENDED


def _version(world: World, clock: Any = SYSTEM_CLOCK) -> str:
    with world.reading():
        terms = load_terms(clock=clock)
    return terms.version if terms and terms.is_in_force(clock.now()) else ""


def test_gate_goes_by_time_when_no_job_has_noticed() -> None:
    world, clock = make_world(), ManualClock(SYSTEM_CLOCK.now())
    content = {"effective_from": clock.now() + timedelta(days=10), "duration_days": 5}
    key = _draft(world, **content)
    digest = _review(world, key)
    for side in Side:
        _sign(world, key, side, digest)
    name = _get(world, key).version
    assert _version(world, clock) == "v1"
    clock.advance(timedelta(days=10))
    assert _version(world, clock) == name
    clock.advance(timedelta(days=5))
    assert _version(world, clock) == ""
    assert _get(world, key).status == Status.SIGNED, "nobody turned it"


def test_time_puts_in_force_reminds_once_a_mark_and_ends() -> None:
    world, clock = make_world(), ManualClock(SYSTEM_CLOCK.now())
    key = _draft(world, effective_from=clock.now() + timedelta(days=1), duration_days=100)
    digest = _review(world, key)
    for side in Side:
        _sign(world, key, side, digest)

    def turn() -> Agreement:
        with tenant_scope(world.system):
            turn_version(actor=world.system, agreement_id=key, clock=clock)
        return _get(world, key)

    assert turn().status == Status.SIGNED
    clock.advance(timedelta(days=1))
    assert turn().status == Status.IN_FORCE
    assert turn().reminded_days is None
    reminders = []
    for _ in range(101):
        row = turn()
        if row.status != Status.IN_FORCE:
            break
        if row.reminded_days is not None and row.reminded_days not in reminders:
            reminders.append(row.reminded_days)
        clock.advance(timedelta(days=1))
    assert reminders == [90, 60, 30, 14, 7, 3, 1]
    assert _get(world, key).status == Status.EXPIRED


def test_clock_finds_what_is_due_in_every_tenant() -> None:
    world, past = make_world(in_force=False), ManualClock(SYSTEM_CLOCK.now() - timedelta(days=40))
    key = _draft(world, clock=past, effective_from=past.now(), duration_days=30)
    digest = _review(world, key)
    for side in Side:
        _sign(world, key, side, digest, clock=past)
    assert _get(world, key).status == Status.IN_FORCE
    turn_agreements()
    assert _get(world, key).status == Status.EXPIRED


def test_disposition_is_chosen_once() -> None:
    world = make_world()
    key = AgreementId(UUID(str(world.agreement_id)))
    _step(world, key, Step.EXPIRE)
    with world.acting(Role.COMPLIANCE) as officer:
        choose_disposition(actor=officer, agreement_id=key, disposition=Disposition.RETURN)
        with pytest.raises(IllegalStepError):
            choose_disposition(actor=officer, agreement_id=key, disposition=Disposition.DELETE)
    with world.reading():
        terms = load_terms()
    assert terms is not None
    assert (terms.status, terms.disposition) == (Status.EXPIRED, Disposition.RETURN)


def test_operator_does_not_resume_what_the_organisation_suspended() -> None:
    world = make_world()
    key = AgreementId(UUID(str(world.agreement_id)))
    _step(world, key, Step.SUSPEND)
    with pytest.raises(MaySignError), tenant_scope(world.system):
        advance_agreement(actor=world.system, agreement_id=key, step=Step.RESUME)
    assert _step(world, key, Step.RESUME).status == Status.IN_FORCE


# History, against raw SQL as the application's own role


@pytest.fixture
def raw(connect: Callable[[str], Any]) -> Callable[[World], Any]:
    """Return a function that opens a transaction of the application role in a tenant's signed context."""
    from django.conf import settings

    def begin(world: World) -> Any:
        app = connect("app")
        context = sign_context(
            settings.CONTEXT_KEY,
            tenant_id=world.tenant_id,
            actor_id=uuid4(),
            backend_pid=app.info.backend_pid,
            expires_at=int(SYSTEM_CLOCK.now().timestamp()) + 30,
        )
        app.execute("select set_config('gantry.context', %s, false)", [context])
        app.commit()
        return app

    return begin


FORBIDDEN = {
    "content": "content = jsonb_set(content, '{title}', '\"Other\"')",
    "terms": "content = jsonb_set(content, '{terms,viewing,places}', '[\"abroad\"]')",
    "hash": "document_sha256 = repeat('a', 64)",
    "title": "title = 'Other'",
    "revision": "revision = revision + 1",
    "begin": "valid_from = valid_from - interval '1 year'",
    "end": "valid_until = valid_until + interval '1 year'",
    "version": "version = 'other'",
    "author": "created_by = gen_random_uuid()",
    "back to draft": "status = 'draft'",
    "back to review": "status = 'reviewed'",
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_database_refuses_to_rewrite_a_version_that_left_draft(raw: Callable[[World], Any], what: str) -> None:
    world = make_world()
    with raw(world) as app:
        with pytest.raises(psycopg.errors.CheckViolation):
            app.execute(f"update agreements_agreement set {FORBIDDEN[what]} where id = %s", [world.agreement_id])
        app.rollback()
        assert app.execute("select count(*) from agreements_agreement").fetchone() == (1,)


@pytest.mark.parametrize("table", ["agreement", "signature", "agreementstep"])
@pytest.mark.parametrize(
    "verb", ["delete from {}", "truncate {}", "alter table {} disable trigger all", "drop table {}"]
)
def test_database_lets_nobody_take_history_away(raw: Callable[[World], Any], table: str, verb: str) -> None:
    with raw(make_world()) as app, pytest.raises(psycopg.errors.InsufficientPrivilege):
        app.execute(verb.format(f"agreements_{table}"))


@pytest.mark.parametrize("table", ["signature", "agreementstep"])
def test_database_lets_nobody_change_signatures_and_steps(raw: Callable[[World], Any], table: str) -> None:
    with raw(make_world()) as app, pytest.raises(psycopg.errors.InsufficientPrivilege):
        app.execute(f"update agreements_{table} set tenant_id = tenant_id")


def test_database_takes_no_agreement_that_is_in_force_at_once(raw: Callable[[World], Any]) -> None:
    world = make_world()
    with raw(world) as app, pytest.raises(psycopg.errors.CheckViolation):
        app.execute(
            "insert into agreements_agreement (id, tenant_id, version, status, title, template, content, revision, "
            "document_sha256, created_at, created_by, disposition) select gen_random_uuid(), tenant_id, 'forged', "
            "'in_force', title, template, content, 1, '', now(), created_by, '' from agreements_agreement"
        )


def test_database_takes_no_step_without_its_signatures(raw: Callable[[World], Any]) -> None:
    world = make_world(in_force=False)
    key = _draft(world)
    digest = _review(world, key)
    with raw(world) as app:
        for status in ("countersigning", "signed", "in_force"):
            with pytest.raises(psycopg.errors.CheckViolation):
                app.execute("update agreements_agreement set status = %s where id = %s", [status, key])
            app.rollback()
    _sign(world, key, Side.CONTROLLER, digest)
    with raw(world) as app:
        with pytest.raises(psycopg.errors.CheckViolation):
            app.execute("update agreements_agreement set status = 'signed' where id = %s", [key])
        app.rollback()
        with pytest.raises(psycopg.errors.CheckViolation):
            app.execute(
                "insert into agreements_signature (id, tenant_id, agreement_id, side, name, function, method, "
                "document_sha256, signed_at, recorded_by, session, paper_sha256, paper_size_bytes, paper_wrapped_key) "
                "select gen_random_uuid(), tenant_id, agreement_id, 'processor', name, function, method, "
                "repeat('b', 64), signed_at, recorded_by, session, '', 0, '' from agreements_signature"
            )


@pytest.mark.parametrize("before", Status)
def test_database_knows_the_same_steps_as_the_table(connect: Callable[[str], Any], before: Status) -> None:
    """Ask the guard itself: its list of pairs is text in a migration, the table is Python."""
    with connect("owner") as owner:
        ((source,),) = owner.execute("select prosrc from pg_proc where proname = 'guard_agreement'").fetchall()
    for after in Status:
        is_step = any(frm is before and to is after for (frm, _), to in NEXT.items() if frm is not to)
        assert (f"'{before} {after}'" in source) == is_step, (before, after)


def test_two_tenants_see_nothing_of_each_other(shared: World) -> None:
    other = make_world()
    with shared.reading():
        assert not Agreement.objects.filter(pk=other.agreement_id or uuid4()).exists()
    with pytest.raises(Exception, match="nothing here"), shared.acting(Role.COMPLIANCE) as officer:
        amend_agreement(actor=officer, agreement_id=AgreementId(UUID(str(other.agreement_id))), version="mine")
