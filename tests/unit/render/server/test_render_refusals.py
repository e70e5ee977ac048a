"""What a pod tells of tickets that it refused: soon, once, and in few messages however many come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gantry_render.protocol import MAX_REPORTED_TICKETS
from gantry_render.server.control import MemoryControlPlane
from gantry_render.server.refusals import Refusals

WITHIN_S = 20.0


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not is_so():  # noqa: ASYNC110 - the list tells nobody
            await asyncio.sleep(0.001)


async def test_first_refusal_is_told_at_once_and_the_rest_together() -> None:
    control = MemoryControlPlane()
    refusals = Refusals(control, every_s=0.05)
    refusals.note("one", "ticket.forged")
    await until(lambda: len(control.reported) == 1)
    for n in range(1000):
        refusals.note(f"another {n}", "ticket.forged")
    refusals.note("late", "ticket.expired")
    refusals.note("late", "ticket.expired")
    await until(lambda: len(control.reported) == 3)
    assert [(each.code, each.count) for each in control.reported] == [
        ("ticket.forged", 1), ("ticket.forged", 1000), ("ticket.expired", 2),
    ]  # fmt: skip
    await refusals.close()
    assert len(control.reported) == 3


async def test_many_of_ours_are_counted_with_one_of_their_kind() -> None:
    control = MemoryControlPlane()
    refusals = Refusals(control, every_s=0.05)
    for n in range(MAX_REPORTED_TICKETS + 10):
        refusals.note(f"late {n}", "ticket.expired")
    refusals.note("x" * 100_000, "ticket.forged")
    await until(lambda: bool(control.reported))
    assert len(control.reported) == MAX_REPORTED_TICKETS
    assert sum(each.count for each in control.reported) == MAX_REPORTED_TICKETS + 11
    await refusals.close()


async def test_nothing_is_lost_while_the_control_plane_is_away() -> None:
    control = MemoryControlPlane()
    control.is_reachable = False
    refusals = Refusals(control, every_s=0.01)
    refusals.note("one", "ticket.forged")
    await asyncio.sleep(0)
    refusals.note("two", "ticket.forged")
    control.is_reachable = True
    await until(lambda: sum(each.count for each in control.reported) == 2)
    await refusals.close()


async def test_what_is_left_is_told_at_the_end() -> None:
    control = MemoryControlPlane()
    refusals = Refusals(control, every_s=3600)
    refusals.note("one", "ticket.forged")
    await until(lambda: bool(control.reported))
    refusals.note("two", "ticket.forged")
    await refusals.close()
    assert [each.count for each in control.reported] == [1, 1]
