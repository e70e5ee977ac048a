"""Objects that nothing refers to are swept once they are old, and only they."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gantry.analyses.public import sweep_orphans
from gantry.kernel.clock import SYSTEM_CLOCK, ManualClock
from gantry.kernel.vocabulary import Role
from gantry.vault.public import ObjectName, general_key_id, get_vault
from world import make_world

pytestmark = pytest.mark.usefixtures("database")


def test_orphan_is_deleted_when_it_is_old() -> None:
    world, vault = make_world(), get_vault()
    ref = vault.put(world.tenant_id, general_key_id(world.tenant_id), b"left by a crash")
    name = ObjectName(ref.tenant_id, ref.object_id)
    later = ManualClock(SYSTEM_CLOCK.now() + timedelta(hours=7))
    with world.acting(Role.RADIOLOGIST):
        assert sweep_orphans(older_than_s=6 * 3600) == 0
        assert vault.objects.exists(name)
        assert sweep_orphans(older_than_s=6 * 3600, clock=later) == 1
    assert not vault.objects.exists(name)
