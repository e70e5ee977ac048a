"""What a benchmark found, as a file beside it."""

from __future__ import annotations

import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

RESULTS = Path(__file__).resolve().parents[1] / "bench" / "results"


def _machine() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{model}, {os.cpu_count()} cores, {memory_gib:.0f} GiB, {platform.system()}"


def write_result(
    name: str,
    *,
    unit: str,
    better: Literal["lower", "higher"],
    ours: float,
    peer: float | None = None,
    peer_name: str = "",
    bar: float | None = None,
    load_before: float,
    details: dict[str, Any] | None = None,
) -> None:
    """Write and print a result.

    Parameters
    ----------
    bar
        What was asked for: at most this where lower is better, at least this where higher is.
    load_before
        Load average of the machine before it began: above one per core, the figure says less.
    """
    held = None if bar is None else ours <= bar if better == "lower" else ours >= bar
    result = {
        "name": name,
        "unit": unit,
        "better": better,
        "ours": round(ours, 2),
        "peer": None if peer is None else round(peer, 2),
        "peer_name": peer_name,
        "ratio": None if not peer else round(ours / peer, 2),
        "bar": bar,
        "held": held,
        "machine": _machine(),
        "date": datetime.now(UTC).date().isoformat(),
        "command": f"make bench NAME={Path(sys.argv[0]).stem.removeprefix('bench_')}",
        "load_before": round(load_before, 2),
        "details": details or {},
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    against = f", {peer_name}: {peer:.2f} {unit}" if peer else ""
    asked = "" if bar is None else f", asked for {bar:g}: {'held' if held else 'NOT HELD'}"
    sys.stdout.write(f"{name}: {ours:.2f} {unit}{against}{asked} (load before: {load_before:.1f})\n")
