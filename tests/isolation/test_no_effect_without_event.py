"""No effect without its event, and no event of success without its effect: links break and processes die at random bytes.

The full numbers (10,000 requests, 300 kills) are run by `make bench NAME=no_effect_without_event`.
"""

from __future__ import annotations

from typing import Any

import pytest

from effects import Findings, break_links, kill_processes

pytestmark = pytest.mark.usefixtures("database")


def assert_sound(found: Findings) -> None:
    assert found.faults > 0
    assert all(found.effects.values()), found.statuses
    assert found.without_event() == []
    assert found.without_effect() == []
    assert found.lost() == []
    assert found.unrecorded() == []


def test_every_effect_has_its_event_when_the_link_to_the_database_breaks(cluster: Any) -> None:
    found = break_links(cluster, requests=300, seed=11)
    assert_sound(found)
    told = {status for statuses in found.statuses.values() for status in statuses}
    assert told <= {200, 201, 403, 503}, found.statuses


def test_every_effect_has_its_event_when_the_process_is_killed(cluster: Any) -> None:
    assert_sound(kill_processes(cluster, kills=8, seed=12))
