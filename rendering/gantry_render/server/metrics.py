"""What a pod counts, as Prometheus text. Labels are kinds, tiers and stages, never anybody's ids."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Metrics:
    """One pod's counters.

    Parameters
    ----------
    held_bytes, sessions
        Asked when the page is read.
    """

    def __init__(self, held_bytes: Callable[[], float], sessions: Callable[[], float]) -> None:
        self.registry = CollectorRegistry()
        self.frames = Counter(
            "gantry_render_frames", "Frames sent.", ("kind", "tier", "urgency"), registry=self.registry
        )
        self.sent_bytes = Counter("gantry_render_sent_bytes", "Bytes of frames sent.", registry=self.registry)
        self.stages = Histogram(
            "gantry_render_stage_seconds",
            "Latency of a frame by stage: queued, render, encode, acknowledged.",
            ("stage",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.cache = Counter(
            "gantry_render_cache", "Series found in memory or opened.", ("outcome",), registry=self.registry
        )
        self.evictions = Counter("gantry_render_evictions", "Series evicted from memory.", registry=self.registry)
        self.failures = Counter(
            "gantry_render_failures", "Frames not made, by code.", ("code",), registry=self.registry
        )
        self.closed = Counter("gantry_render_closed", "Sessions ended, by code.", ("code",), registry=self.registry)
        for name, text, ask in (
            ("gantry_render_held_bytes", "Memory admitted for pixels.", held_bytes),
            ("gantry_render_sessions", "Open sessions.", sessions),
        ):
            Gauge(name, text, registry=self.registry).set_function(ask)
        if gpu_bytes() is not None:
            gauge = Gauge("gantry_render_gpu_bytes", "Memory in use on the graphics processor.", registry=self.registry)
            gauge.set_function(lambda: gpu_bytes() or 0.0)

    def text(self) -> bytes:
        """Return the page."""
        return generate_latest(self.registry)


def gpu_bytes() -> float | None:
    """Return the memory in use on the first graphics processor; None where its driver's tool is not there."""
    command = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=2, check=True)
        return float(done.stdout.split()[0]) * (1 << 20)
    except (OSError, ValueError, IndexError, subprocess.SubprocessError):
        return None
