"""What the embedded stack takes from the environment of whoever starts it, and hands on to its processes.

Settings of the control plane are read by ``gantry.config.env``; this module serves what runs before those.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

_OPEN_TO_THE_USER = ("GANTRY_INGEST__QUIET_S", "GANTRY_TELEMETRY__EXPORTER")
"""Keys the stack sets that yield to the user's own value."""


def hidden_parts() -> frozenset[str]:
    """Name the parts of the machine to pretend absent, from ``GANTRY_HIDE=egl,libpython,chromium``."""
    hidden = os.environ.get("GANTRY_HIDE", "")  # noqa: TID251  # asked before there are settings
    return frozenset(part.strip() for part in hidden.split(",") if part.strip())


def search_path() -> str:
    """Return PATH with the system's administration folders, which a normal user often lacks."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])  # noqa: TID251  # as above


def child_environment(stack: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for a process of the stack.

    PG* and DJANGO_* variables of the user's shell would point the process at another database or at other
    settings, so they stay behind; other ``GANTRY_*`` keys pass unless the stack sets them itself.
    """
    everything = os.environ  # noqa: TID251  # handed on, not read
    inherited = {k: v for k, v in everything.items() if not k.startswith(("PG", "DJANGO_", "PYTHONHOME"))}
    chosen = {key: inherited[key] for key in _OPEN_TO_THE_USER if key in inherited}
    return {**inherited, "PYTHONUNBUFFERED": "1", **stack, **chosen}


def read_environment_file(path: Path) -> dict[str, str]:
    """Read the KEY=VALUE lines that a running stack wrote; a missing file is an empty environment."""
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
