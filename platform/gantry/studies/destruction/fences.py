"""What keeps work in flight from bringing back what is being erased."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from uuid import UUID

from django.db import connection
from django.db.models import F, Max

from gantry.foundation.scope import current_tenant_id
from gantry.kernel.clock import Clock
from gantry.studies.domain import PackState
from gantry.studies.models import Erasure, SeriesPack

Fence = Callable[[Collection[UUID]], None]
_fences: list[Fence] = []

#: Tells our locks from others' that are taken by a number.
_LOCK_SPACE = 0x6761_6E74_7279_0001


def register_fence(fence: Fence) -> None:
    """Have `fence` called with the ids of studies whose keys change, in that transaction, before anything is read.

    Work on them that is under way must find, at its next write, that it no longer may (it starts anew).
    """
    if fence not in _fences:
        _fences.append(fence)


def raise_fences(study_ids: Collection[UUID], clock: Clock) -> None:
    """Let everything that works on some studies start anew."""
    SeriesPack.objects.filter(study_id__in=list(study_ids), state=PackState.PREPARING).update(
        attempt=F("attempt") + 1, state=PackState.FAILED, code="pack.fenced", written_at=clock.now()
    )
    for fence in _fences:
        fence(study_ids)


def _lock_number() -> int:
    return int.from_bytes(current_tenant_id().bytes[:8], "big", signed=True) ^ _LOCK_SPACE


def hold_off_erasures() -> None:
    """Keep erasures of the tenant from beginning until this transaction ends; many may do so at once."""
    with connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock_shared(%s)", [_lock_number()])


def wait_for_writers() -> None:
    """Wait until nobody in the tenant is storing, and keep everybody from it until this transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(%s)", [_lock_number()])


def erasures_begun() -> datetime | None:
    """Return when the tenant's last erasure began: whoever decided before it must not make new rows after it."""
    begun: datetime | None = Erasure.objects.aggregate(last=Max("started_at"))["last"]
    return begun
