"""Scheduled destruction: what the agreement's periods let go is destroyed, what a hold keeps stays, each run is written down."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from analysed import analyse, load_study
from audit_trail import Trail
from gantry.agreements.public import RetentionRule
from gantry.foundation.scope import tenant_scope
from gantry.kernel.clock import SYSTEM_CLOCK, ManualClock
from gantry.kernel.vocabulary import DataCategory, Role
from gantry.studies.models import Instance, QuarantinedInstance, RetentionRun, Series, Study
from gantry.studies.public import (
    place_hold,
    preview_retention,
    retention_schedule,
    run_due_retention,
    run_retention,
    stored_ref,
)
from gantry.vault.public import get_vault
from site_client import by_token
from world import World, make_world

pytestmark = pytest.mark.usefixtures("database")


def make(**days: int | None) -> World:
    """Make a tenant whose agreement keeps each category for so many days."""
    rules = {
        category: RetentionRule(clause=f"§8 {category}", keep_days=days.get(category.name.lower()))
        for category in DataCategory
    }
    return make_world(retention=rules)


def in_days(days: float) -> ManualClock:
    return ManualClock(SYSTEM_CLOCK.now() + timedelta(days=days))


def run(world: World, clock: ManualClock) -> dict[str, Any]:
    with tenant_scope(world.system):
        outcome: dict[str, Any] = run_retention(actor=world.system, clock=clock).outcome
    return outcome


def test_study_goes_when_the_periods_of_images_and_of_metadata_are_over() -> None:
    world = make(pixel_data=100, identifying_metadata=100)
    loaded = load_study(world, 3)
    assert run(world, in_days(99))["erasures"] == 0
    outcome = run(world, in_days(101))
    assert outcome["parts"]["whole"] == {"destroyed": 1, "held": 0}
    with world.reading():
        assert not Study.objects.filter(pk=loaded.study_id).exists()
        assert RetentionRun.objects.count() == 2
    assert not list(get_vault().objects.list(world.tenant_id))


def test_images_go_first_when_metadata_are_kept_longer_and_results_stay_readable() -> None:
    world = make(pixel_data=100, identifying_metadata=1000)
    loaded = load_study(world, 8)
    analyse(loaded)
    run(world, in_days(101))
    with world.reading():
        assert Study.objects.get(pk=loaded.study_id).number_of_instances == 0
        assert not Instance.objects.filter(series__analysis_id=None).exists()
        results = [stored_ref(row, row.tenant_id) for row in Instance.objects.all()]
    assert results
    for ref in results:
        with get_vault().open(ref) as reader:
            assert reader.read()[128:132] == b"DICM"
    outcome = run(world, in_days(102))
    assert outcome["erasures"] == 0, "what is gone is not due again"


def test_results_go_first_when_their_periods_are_shorter() -> None:
    world = make(derived_geometry=10, reports=10)
    loaded = load_study(world, 8)
    analyse(loaded)
    run(world, in_days(11))
    with world.reading():
        assert Instance.objects.filter(series__analysis_id=None).count() == 8
        assert not Series.objects.filter(analysis_id__isnull=False).exists()


def test_hold_keeps_what_is_due_and_says_so() -> None:
    world = make(pixel_data=10, identifying_metadata=10)
    loaded = load_study(world, 2)
    with world.acting(Role.COMPLIANCE) as actor:
        place_hold(actor=actor, study_id=loaded.study_id, reason="Proceedings")
    outcome = run(world, in_days(11))
    assert outcome["parts"]["whole"] == {"destroyed": 0, "held": 1}
    with world.reading():
        assert Study.objects.filter(pk=loaded.study_id).exists()


def test_preview_counts_and_destroys_nothing() -> None:
    world = make(pixel_data=10, identifying_metadata=10)
    loaded = load_study(world, 3)
    with world.acting(Role.COMPLIANCE) as actor:
        preview = preview_retention(actor=actor, clock=in_days(11))
    shares = {share["category"]: share for share in preview.categories}
    assert shares["originals"]["objects"] == 3
    assert shares["originals"]["bytes"] > 0
    with world.reading():
        assert Study.objects.filter(pk=loaded.study_id).exists()


def test_institution_has_its_own_period() -> None:
    rules = {
        category: RetentionRule(clause="§8", keep_days=1000, by_institution={"main": 5}) for category in DataCategory
    }
    world = make_world(retention=rules)
    load_study(world, 2)
    assert run(world, in_days(6))["parts"]["whole"]["destroyed"] == 1


def test_quarantine_goes_with_the_period_of_images() -> None:
    world = make(pixel_data=10)
    by_token(world, Role.INTEGRATOR).stow([b"no DICOM at all" * 20])
    with world.reading():
        assert QuarantinedInstance.objects.count() == 1
    run(world, in_days(11))
    with world.reading():
        assert QuarantinedInstance.objects.count() == 0
    assert not list(get_vault().objects.list(world.tenant_id))


def test_runs_follow_one_another_within_the_lawful_time(trail_of: Callable[[World], Trail]) -> None:
    world = make(pixel_data=10)
    trail = trail_of(world)
    late = in_days(200)
    with tenant_scope(world.system):
        assert retention_schedule(actor=world.system, clock=late).is_overdue
    run_due_retention(clock=late)
    assert {"retention.overdue", "retention.run"} <= set(trail.actions())
    with tenant_scope(world.system):
        schedule = retention_schedule(actor=world.system, clock=late)
    assert not schedule.is_overdue
    assert schedule.next_due <= late.now() + timedelta(days=180)
    run_due_retention(clock=late)
    assert "retention.run" not in trail.actions(), "not again before its time"
