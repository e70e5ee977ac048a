"""Running a long command so that the user sees it move, with everything it said in a log."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_QUIET_REPORT_S = 15.0
"""How often something is said where there is no terminal to redraw."""


class StepFailedError(Exception):
    """A step did not succeed; the message tells the user what to do."""


def say(text: str) -> None:
    """Print one line at once."""
    print(text, flush=True)


def digest_of(line: str) -> str:
    """Show any line as it is."""
    return line


def run_visibly(
    title: str,
    command: Sequence[str | Path],
    *,
    log: Path,
    cwd: Path,
    environment: Mapping[str, str] | None = None,
    describe: Callable[[str], str] = digest_of,
    attempts: int = 1,
) -> None:
    """Run ``command``, showing its title, its age and what ``describe`` makes of its last line.

    Raises
    ------
    StepFailedError
        It failed ``attempts`` times; the message holds its last lines.
    """
    begun = time.monotonic()
    for attempt in range(1, attempts + 1):
        lines: list[str] = []
        code = _run_once(title, command, log, cwd, environment, describe, lines)
        if code == 0:
            _redraw("")
            say(f"✓ {title} ({time.monotonic() - begun:.0f} s)")
            return
        if attempt < attempts:
            _redraw("")
            say(f"! {title} failed, trying again ({attempt + 1} of {attempts})")
            time.sleep(2 * attempt)
    _redraw("")
    tail = "\n".join(f"    {line}" for line in lines[-12:])
    raise StepFailedError(f"{title} failed. Its last lines, from {log}:\n{tail}")


def _run_once(
    title: str,
    command: Sequence[str | Path],
    log: Path,
    cwd: Path,
    environment: Mapping[str, str] | None,
    describe: Callable[[str], str],
    lines: list[str],
) -> int:
    begun = time.monotonic()
    said_at = begun
    shown = [""]
    with log.open("a", encoding="utf-8") as file:
        file.write(f"\n$ {' '.join(map(str, command))}\n")
        file.flush()
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )

        def read() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                file.write(line)
                if text := line.strip():
                    lines.append(text)
                    shown.append(describe(text) or shown[-1])

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            while process.poll() is None:
                time.sleep(0.2)
                age_s = time.monotonic() - begun
                text = f"  {title} … {age_s:.0f} s  {shown[-1]}"
                if sys.stdout.isatty():
                    _redraw(text[:110])
                elif time.monotonic() - said_at > _QUIET_REPORT_S:
                    said_at = time.monotonic()
                    say(text[:110])
        except BaseException:
            process.terminate()
            process.wait()
            raise
        reader.join(timeout=5)
    return process.returncode


def _redraw(text: str) -> None:
    if sys.stdout.isatty():
        sys.stdout.write(f"\r\x1b[2K{text}")
        sys.stdout.flush()
