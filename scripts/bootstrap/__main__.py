"""Prepare a fresh checkout: `python3 scripts/bootstrap run | dev | npm WORDS…`. Standard library only."""

from __future__ import annotations

import fcntl
import os
import sys
import time
from pathlib import Path
from typing import BinaryIO

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "platform"))

from console import StepFailedError, say  # noqa: E402  # after the path to the project
from gantry.embedded.state import EmbeddedError, make_own_folder  # noqa: E402
from python import ensure_environment, ensure_kernels, ensure_triton  # noqa: E402
from system import ensure_system_packages  # noqa: E402
from web import ensure_bundle, run_npm  # noqa: E402


def wait_for_turn(turnstile: BinaryIO) -> None:
    """Let one bootstrap at a time work in one checkout."""
    try:
        fcntl.flock(turnstile, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("  Another start prepares this checkout; waiting for it …")
        fcntl.flock(turnstile, fcntl.LOCK_EX)


def main(words: list[str]) -> int:
    """Prepare for ``words[0]``; return the exit status."""
    # A restrictive umask would make packages that PostgreSQL's own account cannot read.
    os.umask(0o022)
    passage = 0o711 if os.getuid() == 0 else 0o700
    make_own_folder(ROOT / ".gantry", passage)
    make_own_folder(ROOT / ".gantry" / "logs", 0o700)
    log = ROOT / ".gantry" / "logs" / "bootstrap.log"
    if words[0] == "npm":
        return run_npm(ROOT, words[1:], log=log)
    begun = time.monotonic()
    with_tests = words[0] == "dev"
    with (ROOT / "pyproject.toml").open("rb") as turnstile:
        wait_for_turn(turnstile)
        ensure_system_packages(with_tests=with_tests, log=log)
        ensure_environment(ROOT, with_tests=with_tests, log=log)
        ensure_kernels(ROOT, log=log)
        ensure_triton(ROOT, log=log)
        ensure_bundle(ROOT, log=log)
    took_s = time.monotonic() - begun
    if took_s > 2:
        say(f"Ready after {took_s:.0f} s.")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:] or ["run"]))
    except KeyboardInterrupt:
        say("\nInterrupted. The next start goes on from here.")
        sys.exit(130)
    except (StepFailedError, EmbeddedError, OSError) as error:
        say(f"✗ {error}")
        sys.exit(1)
