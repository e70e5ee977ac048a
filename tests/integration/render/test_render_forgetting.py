"""A pod keeps nothing of what nobody may see any more."""

from __future__ import annotations

import time
from uuid import uuid4

from ct_files import make_ct
from gantry_render.protocol import CloseCode, StackState
from render_peer import Pod, RenderPeer, to_bytes

WITHIN_S = 30.0


def evictions(pod: Pod) -> float:
    lines = pod.get("/metrics").text.splitlines()
    return float(next(line for line in lines if line.startswith("gantry_render_evictions_total")).split()[-1])


async def test_a_series_leaves_the_memory_with_the_last_who_may_see_it(peer: RenderPeer, pod: Pod) -> None:
    series = peer.add_series(to_bytes(make_ct(4)))
    before = evictions(pod)
    session, other = str(uuid4()), str(uuid4())
    async with (
        await peer.connect(pod, series, session=session) as client,
        await peer.connect(pod, series, session=other) as last,
    ):
        for one in (client, last):
            await one.look(StackState(0, (64, 48)))
            await one.next_frame()
        peer.control.end(session, "session.absent", "The study is gone.")
        assert (await client.closed())[0] == CloseCode.ABSENT
        # The other still looks at it.
        await last.look(StackState(1, (64, 48)))
        await last.next_frame()
        peer.control.end(other, "session.absent", "The study is gone.")
        assert (await last.closed())[0] == CloseCode.ABSENT
    until = time.monotonic() + WITHIN_S
    while evictions(pod) == before:
        assert time.monotonic() < until, "its pixels are still held"
    assert evictions(pod) == before + 1
