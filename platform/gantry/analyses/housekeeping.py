"""What crashes leave behind: ciphertext that no row refers to."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from gantry.agreements.public import list_paper_ids
from gantry.analyses.models import Artefact
from gantry.foundation.scope import current_scope, unit_of_work
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.studies.public import list_object_ids
from gantry.vault.public import get_vault


def sweep_orphans(*, older_than_s: float, also_used: Callable[[], set[UUID]] = set, clock: Clock = SYSTEM_CLOCK) -> int:
    """Delete the scope's tenant's objects that are old and that nothing refers to; returns how many.

    `also_used` names the objects that parts above this one refer to. The store is listed before the rows are read:
    what becomes real in between is young.
    """
    objects = get_vault().objects
    before = clock.now() - timedelta(seconds=older_than_s)
    old = [blob.name for blob in objects.list(current_scope().tenant_id) if blob.modified < before]
    if not old:
        return 0
    with unit_of_work():
        used = (
            list_object_ids()
            | list_paper_ids()
            | set(Artefact.objects.values_list("object_id", flat=True))
            | also_used()
        )
    orphans = [name for name in old if name.object_id not in used]
    for name in orphans:
        objects.delete(name)
    return len(orphans)
