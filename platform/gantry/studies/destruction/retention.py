"""Scheduled destruction: what the agreement no longer lets us keep is destroyed, at most six months late.

The agreement states how long each category of data is kept. Images go when the period of pixel data is over; a study goes
as a whole when that of identifying metadata is over, too; results go when those of derived geometry and of measurements
and reports are. A hold keeps what it is on. Every run is written down, also one that found nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import structlog
from django.apps import apps
from django.db.models import Exists, OuterRef, Q

from gantry.access.public import require_permission
from gantry.agreements.public import RetentionRule, RetentionStart, Terms, load_terms
from gantry.audit.public import Entry, Kind, Outcome, list_last_accesses, record
from gantry.foundation.scope import atomic_service, tenant_scope, unit_of_work
from gantry.kernel.actor import Actor, system_actor
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.kernel.errors import ErrorKind, GantryError
from gantry.kernel.vocabulary import AdminPermission, DataCategory
from gantry.studies.destruction.domain import RUN_AT_LEAST_EVERY, RUN_EVERY, is_overdue
from gantry.studies.destruction.erasing import hash_of, inventory_of, plan_of, scope_of
from gantry.studies.destruction.execution import AGAIN_AFTER, execute_erasure
from gantry.studies.destruction.inventory import take_inventory
from gantry.studies.domain import ErasureCause, ErasurePart, ErasureState, ErasureTarget
from gantry.studies.models import Erasure, Instance, LegalHold, QuarantinedInstance, RetentionRun, Series, Study
from gantry.tenancy.public import Institution, get_tenant, list_tenant_ids

log = structlog.get_logger(__name__)

#: Studies looked at in one go; the rest is for the next.
_BATCH: Final = 500
_OF_WHOLE: Final = (DataCategory.PIXEL_DATA, DataCategory.IDENTIFYING_METADATA)
_OF_RESULTS: Final = (DataCategory.DERIVED_GEOMETRY, DataCategory.REPORTS)


class NoTermsError(GantryError):
    """Nothing says how long data are kept."""

    code = "retention.no_agreement"
    kind = ErrorKind.CONFLICT
    title = "No agreement is in force"


@dataclass(frozen=True, slots=True)
class Due:
    """What is due of one kind."""

    part: ErasurePart
    ids: tuple[UUID, ...]
    held: int = 0
    """How many more are due and kept by a hold."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What a run would destroy now."""

    agreement_version: str
    due: tuple[Due, ...]
    categories: list[dict[str, Any]] = field(default_factory=list)
    is_more: bool = False
    """There is more than one run looks at."""

    def to_json(self) -> dict[str, Any]:
        return {
            "agreement_version": self.agreement_version,
            "due": [{"part": one.part, "count": len(one.ids), "held": one.held} for one in self.due],
            "categories": self.categories,
            "is_more": self.is_more,
        }


def _over(rules: Sequence[RetentionRule | None], institution: Institution, now: datetime) -> Q | None:
    """Return the condition of studies of an institution that none of some rules keeps; None where one keeps all."""
    condition = Q(institution=institution)
    for rule in rules:
        days = None if rule is None else rule.days_for(institution.code)
        if rule is None or days is None:
            return None
        before = now - timedelta(days=days)
        received = Q(last_instance_at__lt=before)
        if rule.starts == RetentionStart.STUDY_DATE:
            condition &= Q(study_date__lt=before.date()) | Q(study_date=None) & received
        else:  # opened last is looked at afterwards: nobody opens what has not come
            condition &= received
    return condition


def _opened_since(
    rules: Sequence[RetentionRule | None], study: Study, code: str, opened: Mapping[UUID, datetime], now: datetime
) -> bool:
    """Tell whether a rule that counts from the last opening keeps a study."""
    for rule in rules:
        days = None if rule is None else rule.days_for(code)
        if rule is not None and days is not None and rule.starts == RetentionStart.LAST_OPENED:
            last = opened.get(study.pk)
            if last is not None and last >= now - timedelta(days=days):
                return True
    return False


def _held() -> Q:
    on_study = LegalHold.objects.filter(study=OuterRef("pk"), released_at=None)
    on_patient = LegalHold.objects.filter(patient=OuterRef("patient"), released_at=None)
    return Q(Exists(on_study)) | Q(Exists(on_patient))


def _due_studies(terms: Terms, categories: Sequence[DataCategory], now: datetime, extra: Q) -> Iterator[Study]:
    rules = [terms.retention.get(category) for category in categories]
    for institution in Institution.objects.order_by("code"):
        condition = _over(rules, institution, now)
        if condition is None:
            continue
        found = list(Study.objects.filter(condition & extra).order_by("last_instance_at", "pk")[: _BATCH + 1])
        counts_openings = any(rule and rule.starts == RetentionStart.LAST_OPENED for rule in rules)
        opened = list_last_accesses([study.pk for study in found]) if counts_openings else {}
        yield from (study for study in found if not _opened_since(rules, study, institution.code, opened, now))


def find_due(terms: Terms, now: datetime) -> tuple[tuple[Due, ...], bool]:
    """Return what is due by an agreement, and whether there is more than one run looks at; in a unit of work."""
    analyses = apps.get_model("analyses", "Analysis").objects.filter(study=OuterRef("pk"))
    originals = Instance.objects.filter(study=OuterRef("pk"), series__analysis_id=None)
    results = Series.objects.filter(study=OuterRef("pk"), analysis_id__isnull=False)
    held_ids = set(Study.objects.filter(_held()).values_list("pk", flat=True))
    taken: set[UUID] = set()
    found: list[Due] = []
    is_more = False
    for part, categories, extra in (
        (ErasurePart.WHOLE, _OF_WHOLE, Q()),
        (ErasurePart.PIXELS, _OF_WHOLE[:1], Q(Exists(originals))),
        (ErasurePart.RESULTS, _OF_RESULTS, Q(Exists(results)) | Q(Exists(analyses))),
    ):
        due = [study.pk for study in _due_studies(terms, categories, now, extra) if study.pk not in taken]
        is_more |= len(due) > _BATCH
        free = [pk for pk in due if pk not in held_ids][:_BATCH]
        if part is not ErasurePart.RESULTS:
            taken |= set(free)
        found.append(Due(part, tuple(free), held=len([pk for pk in due if pk in held_ids])))
    found.append(Due(ErasurePart.QUARANTINE, tuple(_due_quarantine(terms, now))))
    return tuple(found), is_more


def _due_quarantine(terms: Terms, now: datetime) -> Iterator[UUID]:
    rule = terms.retention.get(DataCategory.PIXEL_DATA)
    for institution in Institution.objects.order_by("code"):
        days = None if rule is None else rule.days_for(institution.code)
        if days is None:
            continue
        rows = QuarantinedInstance.objects.filter(institution=institution, received_at__lt=now - timedelta(days=days))
        free = rows.exclude(Exists(LegalHold.objects.filter(patient=OuterRef("patient"), released_at=None)))
        yield from free.values_list("pk", flat=True)[:_BATCH]


def _require_terms(now: datetime) -> Terms:
    terms = load_terms()
    if terms is None or not terms.is_in_force(now):
        raise NoTermsError(
            "No agreement is in force, so nothing says how long data are kept. After its end the whole tenant is erased."
        )
    return terms


@atomic_service
def preview_retention(*, actor: Actor, clock: Clock = SYSTEM_CLOCK) -> Preview:
    """Return what a run would destroy now, in counts and bytes; destroys nothing.

    Raises
    ------
    NoTermsError
        No agreement is in force.
    """
    decision = require_permission(actor, AdminPermission.RETENTION_MANAGE)
    terms = _require_terms(clock.now())
    due, is_more = find_due(terms, clock.now())
    totals: dict[str, dict[str, Any]] = {}
    for one in due:
        if one.ids:
            for share in take_inventory(study_ids=one.ids, patient_id=None, part=one.part).shares:
                total = totals.setdefault(
                    share.category, {"category": share.category, "rows": 0, "objects": 0, "bytes": 0}
                )
                for key in ("rows", "objects", "bytes"):
                    total[key] += share.to_json()[key]
    record(actor=actor, entry=Entry(Kind.QUERY, "retention.previewed", decision=decision), clock=clock)
    return Preview(terms.version, due, sorted(totals.values(), key=lambda one: one["category"]), is_more)


def run_retention(*, actor: Actor, clock: Clock = SYSTEM_CLOCK) -> RetentionRun:
    """Destroy what is due in the scope's tenant, and write the run down.

    Raises
    ------
    NoTermsError
        No agreement is in force.
    """
    with unit_of_work():
        require_permission(actor, AdminPermission.RETENTION_MANAGE)
        terms = _require_terms(clock.now())
        due, is_more = find_due(terms, clock.now())
        run = RetentionRun.objects.create(
            started_at=clock.now(), started_by=actor.id, agreement_version=terms.version, outcome={}
        )
    outcome: dict[str, Any] = {"erasures": 0, "stopped": 0, "is_more": is_more, "parts": {}}
    for one in due:
        outcome["parts"][one.part] = {"destroyed": len(one.ids), "held": one.held}
        for ids in _by_patient(one):
            erasure_id = _order(actor, one.part, ids, run, clock)
            with tenant_scope(system_actor(actor.tenant_id)):
                execute_erasure(erasure_id=erasure_id, clock=clock)
            with unit_of_work():
                done = Erasure.objects.filter(pk=erasure_id, state=ErasureState.DONE).exists()
            outcome["erasures" if done else "stopped"] += 1
    with unit_of_work():
        run.finished_at, run.outcome = clock.now(), outcome
        run.save(update_fields=["finished_at", "outcome"])
        detail = {"run_id": str(run.pk), "erasures": str(outcome["erasures"]), "stopped": str(outcome["stopped"])}
        record(actor=actor, entry=Entry(Kind.CONFIGURATION, "retention.run", detail=detail), clock=clock)
    return run


def _by_patient(due: Due) -> Iterator[tuple[UUID, ...]]:
    """Yield what one erasure takes: studies of one patient, or a batch of what is in quarantine."""
    if due.part is ErasurePart.QUARANTINE:
        if due.ids:
            yield due.ids
        return
    with unit_of_work():
        patients: dict[UUID, list[UUID]] = {}
        for study_id, patient_id in Study.objects.filter(pk__in=due.ids).values_list("pk", "patient_id"):
            patients.setdefault(patient_id, []).append(study_id)
    yield from (tuple(sorted(ids)) for ids in patients.values())


def _order(actor: Actor, part: ErasurePart, ids: Sequence[UUID], run: RetentionRun, clock: Clock) -> UUID:
    """Write down an erasure that the agreement itself orders; it needs nobody's confirmation."""
    with unit_of_work():
        scope = scope_of(ErasureTarget.STUDY, patient_id=None, study_ids=ids, part=part)
        inventory = inventory_of(scope)
        erasure = Erasure.objects.create(
            target=ErasureTarget.STUDY,
            part=part,
            patient_id=scope.patient_id,
            study_ids=[str(one) for one in scope.study_ids],
            cause=ErasureCause.RETENTION,
            reference=f"retention run {run.pk}",
            state=ErasureState.CONFIRMED,
            plan=plan_of(scope, inventory, ()),
            plan_hash=hash_of(scope, inventory),
            planned_by=actor.id,
            planned_at=clock.now(),
            confirmed_by=actor.id,
            confirmed_at=clock.now(),
            next_attempt_at=clock.now() + AGAIN_AFTER,
        )
    return erasure.pk


@atomic_service
def list_retention_runs(
    *, actor: Actor, offset: int = 0, limit: int = 50, clock: Clock = SYSTEM_CLOCK
) -> tuple[int, Sequence[RetentionRun]]:
    """Return the runs of scheduled destruction, newest first, and how many there were."""
    decision = require_permission(actor, AdminPermission.RETENTION_MANAGE)
    rows = RetentionRun.objects.order_by("-started_at", "pk")
    record(actor=actor, entry=Entry(Kind.QUERY, "retention.listed", decision=decision), clock=clock)
    return rows.count(), list(rows[offset : offset + limit])


@dataclass(frozen=True, slots=True)
class Schedule:
    """When the tenant's destruction ran last and is to run next."""

    last_run: datetime | None
    next_due: datetime
    must_run_by: datetime
    is_overdue: bool


@atomic_service
def retention_schedule(*, actor: Actor, clock: Clock = SYSTEM_CLOCK) -> Schedule:
    """Return how the scope's tenant stands with scheduled destruction."""
    require_permission(actor, AdminPermission.RETENTION_MANAGE)
    last = RetentionRun.objects.filter(finished_at__isnull=False).order_by("-started_at").first()
    begun = get_tenant().created_at
    since = last.started_at if last else begun
    return Schedule(
        last_run=last.started_at if last else None,
        next_due=since + RUN_EVERY,
        must_run_by=since + RUN_AT_LEAST_EVERY,
        is_overdue=is_overdue(last_run=last.started_at if last else None, begun=begun, now=clock.now()),
    )


def run_due_retention(*, clock: Clock = SYSTEM_CLOCK) -> int:
    """Run scheduled destruction for each tenant whose time it is (the worker's clock); returns for how many."""
    count = 0
    for tenant_id in list_tenant_ids():
        actor = system_actor(tenant_id)
        with tenant_scope(actor):
            schedule = retention_schedule(actor=actor, clock=clock)
            if schedule.next_due > clock.now():
                continue
            if schedule.is_overdue:
                _alert(actor, schedule, clock)
            try:
                run_retention(actor=actor, clock=clock)
                count += 1
            except NoTermsError:
                continue
    return count


@atomic_service
def _alert(actor: Actor, schedule: Schedule, clock: Clock) -> None:
    detail = {"must_run_by": schedule.must_run_by.isoformat()}
    entry = Entry(Kind.SECURITY_ALERT, "retention.overdue", outcome=Outcome.FAILURE, detail=detail)
    record(actor=actor, entry=entry, clock=clock)
    log.warning("retention.overdue", tenant_id=str(actor.tenant_id))
