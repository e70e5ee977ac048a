"""Twenty people scroll through CT at once, five slices a second each, on one pod: latency, fairness and memory.

Each state is a slice that its client does not have, so that every one is a picture to be made. Half look at a chest, half at a
pelvis. One more client never acknowledges a frame, to see that it delays nobody. Clients run in this process, the pod in its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / folder) for folder in ("platform", "rendering", "tests/support")]

import numpy as np  # noqa: E402  # the path stands above

from bench_result import write_result  # noqa: E402  # as above
from gantry_render.protocol import Ack, Frame, StackState, Voi  # noqa: E402  # as above
from real_ct import find_set, image_files  # noqa: E402  # as above
from render_peer import Client, PeerSeries, Pod, RenderPeer  # noqa: E402  # as above

SESSIONS, PER_S, LASTS_S, WARM_S = 20, 5.0, 24.0, 3.0
BAR_MS = 250.0
MEMORY_BYTES = 384 << 20
SETS = {"ct-chest-lidc0314": (-600.0, 1500.0), "ct-pelvis-vhf": (300.0, 1500.0)}


@dataclass
class Reader:
    """One session that scrolls up and down."""

    client: Client
    frames: int
    voi: Voi
    seed: int
    acknowledges: bool = True
    sent_at: dict[int, float] = field(default_factory=dict)
    latencies_ms: list[float] = field(default_factory=list)
    size_bytes: int = 0

    async def scroll(self, begins: float, ends: float) -> None:
        """Send a state at a steady pace, from a place of its own."""
        chance = random.Random(self.seed)
        place, step = chance.randrange(self.frames), chance.choice((-1, 1))
        due = begins + chance.random() / PER_S
        while (now := time.perf_counter()) < ends:
            await asyncio.sleep(max(0.0, due - now))
            due += 1 / PER_S
            if not 0 <= place + step < self.frames:
                step = -step
            place += step
            sent = time.perf_counter()
            number = await self.client.look(StackState(place, (512, 512), voi=self.voi), moving=True)
            if sent > begins + WARM_S:
                self.sent_at[number] = sent

    async def receive(self) -> None:
        """Note when each state's first picture came."""
        async for message in self.client.messages():
            if not isinstance(message, Frame):
                assert message["type"] != "bye", message
                continue
            if (sent := self.sent_at.pop(message.state_id, None)) is not None:
                self.latencies_ms.append(1e3 * (time.perf_counter() - sent))
                self.size_bytes += len(message.payload)
            if self.acknowledges:
                await self.client.send(Ack(message.seq, painted=True))


def resident_bytes(pid: int) -> int:
    """Return the resident set size of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def processor_s(pid: int) -> float:
    """Return the processor time that a process took."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def run(peer: RenderPeer, pod: Pod, shown: list[tuple[PeerSeries, Voi]]) -> tuple[list[Reader], list[int]]:
    """Let everybody scroll; return them, and the pod's memory twice a second."""
    readers: list[Reader] = []
    memory: list[int] = []

    async def sample() -> None:
        while True:
            memory.append(resident_bytes(pod.process.pid))
            await asyncio.sleep(0.5)

    async with contextlib.AsyncExitStack() as stack:
        for number in range(SESSIONS + 1):
            series, voi = shown[number % len(shown)]
            client = await stack.enter_async_context(await peer.connect(pod, series))
            await client.welcome()
            # The last one is the one that never says that it got anything.
            readers.append(Reader(client, len(series.index.frames), voi, number, acknowledges=number < SESSIONS))
        listening = [asyncio.create_task(reader.receive()) for reader in readers]
        sampling = asyncio.create_task(sample())
        begins = time.perf_counter()
        await asyncio.gather(*(reader.scroll(begins, begins + WARM_S + LASTS_S) for reader in readers))
        await asyncio.sleep(1.0)
        for task in (*listening, sampling):
            if task.done():
                task.result()
            task.cancel()
    return readers[:SESSIONS], memory


def main() -> None:
    """Run it."""
    folders = {name: find_set(name) for name in SETS}
    if None in folders.values():
        sys.stdout.write("sessions: left out: the real CT does not lie beside the checkout.\n")
        return
    load_before = os.getloadavg()[0]
    with RenderPeer() as peer:
        shown = []
        for name, folder in folders.items():
            assert folder is not None
            series = peer.add_series([path.read_bytes() for path in image_files(folder)])
            shown.append((series, Voi("window", *SETS[name])))
        with peer.start_pod(memory_bytes=str(MEMORY_BYTES)) as pod:
            idle, idle_s = resident_bytes(pod.process.pid), processor_s(pod.process.pid)
            readers, memory = asyncio.run(run(peer, pod, shown))
            busy_s = processor_s(pod.process.pid) - idle_s
    everything = [value for reader in readers for value in reader.latencies_ms]
    p95s = [float(np.quantile(reader.latencies_ms, 0.95)) for reader in readers]
    asked = sum(len(reader.latencies_ms) + len(reader.sent_at) for reader in readers)
    details = {
        "sessions": SESSIONS,
        "states_a_second_each": PER_S,
        "asked": asked,
        "never_answered": sum(len(reader.sent_at) for reader in readers),
        "p50_ms": round(float(np.median(everything)), 1),
        "max_ms": round(max(everything), 1),
        "worst_session_p95_ms": round(max(p95s), 1),
        "best_session_p95_ms": round(min(p95s), 1),
        "fewest_frames_of_a_session": min(len(reader.latencies_ms) for reader in readers),
        "kib_a_frame": round(sum(reader.size_bytes for reader in readers) / len(everything) / 1024, 1),
        "pod_processor_share": round(busy_s / (WARM_S + LASTS_S), 2),
        "memory_bound_mib": MEMORY_BYTES >> 20,
        "idle_mib": idle >> 20,
        "peak_mib": max(memory) >> 20,
    }
    write_result(
        "sessions",
        unit="ms p95",
        better="lower",
        ours=float(np.quantile(everything, 0.95)),
        bar=BAR_MS,
        load_before=load_before,
        details=details,
    )
    write_result(
        "sessions_worst",
        unit="ms p95 of the session that waits longest",
        better="lower",
        ours=max(p95s),
        bar=BAR_MS,
        load_before=load_before,
        details=details,
    )
    write_result(
        "sessions_memory",
        unit="MiB above the idle pod",
        better="lower",
        ours=(max(memory) - idle) / 2**20,
        bar=MEMORY_BYTES / 2**20,
        load_before=load_before,
        details=details,
    )


if __name__ == "__main__":
    main()
