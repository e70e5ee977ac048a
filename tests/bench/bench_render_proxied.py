"""A rendered CT slice as a viewer of `gantry up` gets it: a real session, through the control plane's proxy to the pod.

The peer is the same stream straight from a pod, `render_slice`, of the last run on this machine.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / folder) for folder in ("platform", "rendering", "inference", "tests/support")]

import numpy as np  # noqa: E402  # the path stands above

from bench_result import RESULTS, write_result  # noqa: E402  # as above
from bench_stack import BenchSeries, BenchStack, bench_stack  # noqa: E402  # as above
from gantry_render.protocol import StackState, Tier, Voi  # noqa: E402  # as above
from real_ct import find_set  # noqa: E402  # as above
from thin_client import ThinStream  # noqa: E402  # as above


def state_of(frame: int) -> StackState:
    """Return the state that shows a slice as `bench_render_slice` asks for it."""
    return StackState(frame, (512, 512), voi=Voi("window", -600.0, 1500.0))


def main() -> None:
    """Run it."""
    folder = find_set("ct-chest-lidc0314")
    if folder is None:
        sys.stdout.write("render_proxied: left out: the real CT does not lie beside the checkout.\n")
        return
    with bench_stack() as stack:
        measure(stack, stack.add_series(folder))


def measure(stack: BenchStack, series: BenchSeries) -> None:
    """Ask for every slice in random order, once to warm up and once for the clock."""
    load_before = os.getloadavg()[0]
    browser = stack.stack.sign_in("radiologist")
    path = f"/t/north/api/v1/studies/{series.study_id}/series/{series.series_id}/render-session"
    answer = browser.post(path, json={"session": None})
    answer.raise_for_status()
    opened = answer.json()
    cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    url = stack.stack.url.rstrip("/")
    chance = random.Random(3)
    times: list[float] = []
    with ThinStream(stack.port, opened["socket"], opened["ticket"], origin=url, headers={"Cookie": cookies}) as stream:
        for number in [*range(series.slices), *chance.sample(range(series.slices), 60)]:
            stream.ask(state_of(number))
        for number in chance.sample(range(series.slices), series.slices):
            seconds, frame = stream.ask(state_of(number))
            assert frame.tier is Tier.T2
            times.append(1e3 * seconds)
    browser.close()
    direct = RESULTS / "render_slice.json"
    peer = json.loads(direct.read_text(encoding="utf-8"))["ours"] if direct.exists() else None
    write_result(
        "render_proxied",
        unit="ms p50",
        better="lower",
        ours=statistics.median(times),
        peer=peer,
        peer_name="the same stream straight from the pod",
        load_before=load_before,
        details={"asked": len(times), "p95_ms": round(float(np.quantile(times, 0.95)), 2)},
    )


if __name__ == "__main__":
    main()
