"""The page of benchmarks says what the results say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_the_page_agrees_with_the_results() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "benchmarks.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_make_bench_runs_every_benchmark_there_is() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (named,) = re.findall(r"^BENCHES = (.*)$", makefile, re.MULTILINE)
    found = {path.stem.removeprefix("bench_") for path in (ROOT / "tests" / "bench").glob("bench_*.py")}
    assert set(named.split()) == found
