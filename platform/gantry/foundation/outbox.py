"""News: events numbered per stream in commit order, and a doorbell that says there is some.

The rows are the truth. The doorbell (Channels layer) may be lost; whoever listens looks into the
rows again after a second or two.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

import structlog
from asgiref.sync import async_to_sync
from channels.layers import BaseChannelLayer, get_channel_layer
from django.db import transaction
from django.db.models import F

from gantry.foundation.jobs import Job
from gantry.foundation.models import Stream, StreamEvent
from gantry.foundation.scope import current_tenant_id
from gantry.kernel.clock import Clock
from gantry.kernel.events import DomainEvent

log = structlog.get_logger(__name__)

WORKLIST = "worklist"
#: What compliance officers and administrators hear of: emergency access, support, agreements. Names no study.
COMPLIANCE = "compliance"

_subscribers: dict[str, list[Job]] = {}


def subscribe(event: type[DomainEvent], job: Job) -> None:
    """Have `job` deferred with each such event, in its transaction. It is given the event's ids by name.

    This is how news travels to the parts above the one that speaks, which must not import them.
    """
    jobs = _subscribers.setdefault(event.NAME, [])
    if job not in jobs:
        jobs.append(job)


def study_stream(study_id: UUID) -> str:
    """Name the stream of one study."""
    return f"study:{study_id}"


def group_name(tenant_id: UUID, stream: str) -> str:
    """Name the Channels group that a stream's doorbell rings in."""
    return f"gantry.{tenant_id}.{stream.replace(':', '.')}"


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in a stream: everything up to `seq` of `epoch` was seen."""

    stream: str
    epoch: UUID
    seq: int


def emit(event: DomainEvent, *, streams: tuple[str, ...], clock: Clock) -> None:
    """Append an event to streams, in the caller's transaction, and ring after commit.

    The stream's row is locked from here to commit, which is what makes the order of sequence
    numbers the order of commits: emit last in the transaction.
    """
    # Sorted: two transactions that write the same two streams must lock them in the same order.
    for name in sorted(streams):
        stream = _lock_stream(name)
        Stream.objects.filter(pk=stream.pk).update(seq=F("seq") + 1)
        StreamEvent.objects.create(
            stream=stream, seq=stream.seq + 1, name=event.NAME, data=event.to_data(), created_at=clock.now()
        )
        transaction.on_commit(functools.partial(ring, current_tenant_id(), name), robust=True)
    for job in _subscribers.get(event.NAME, []):
        job.defer(**{field: value for field, value in event.ids().items() if field in job.parameters})


def lock_streams(names: Iterable[str]) -> None:
    """Lock streams that this transaction will emit to, in the one order that everybody keeps."""
    for name in sorted(names):
        _lock_stream(name)


def get_cursor(name: str) -> Cursor:
    """Return where a stream stands now; a stream that never spoke is made, so that it has an epoch."""
    stream = Stream.objects.filter(name=name).first() or _lock_stream(name)
    return Cursor(stream=name, epoch=stream.epoch, seq=stream.seq)


def list_events_after(name: str, *, seq: int, limit: int = 200) -> list[StreamEvent]:
    """Return the next events of a stream, oldest first."""
    return list(StreamEvent.objects.filter(stream__name=name, seq__gt=seq).order_by("seq")[:limit])


def _lock_stream(name: str) -> Stream:
    Stream.objects.bulk_create([Stream(name=name)], ignore_conflicts=True)
    return Stream.objects.select_for_update().get(name=name)


def ring(tenant_id: UUID, stream: str) -> None:
    """Tell listeners to look; a lost doorbell costs time, not news."""
    layer = get_channel_layer()
    if layer is None or time.monotonic() < _silence.until:
        return
    try:
        async_to_sync(_ring)(layer, group_name(tenant_id, stream))
    except Exception as error:  # noqa: BLE001 - the layer's client raises its own kinds; none may undo a commit
        _silence.until = time.monotonic() + _SILENCE_S
        log.warning("doorbell.lost", error=type(error).__name__)


async def _ring(layer: BaseChannelLayer, group: str) -> None:
    await asyncio.wait_for(layer.group_send(group, {"type": "doorbell"}), _PATIENCE_S)


@dataclass
class _Silence:
    """Until when nobody rings, because the last one rang in vain: who wrote something waits for no dead doorbell."""

    until: float = 0.0


_PATIENCE_S, _SILENCE_S = 1.0, 5.0
_silence = _Silence()
