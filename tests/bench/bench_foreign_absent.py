"""Whether it can be told by the clock that a study is there for somebody else: foreign against absent, p50."""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

TESTS = Path(__file__).resolve().parents[1]
sys.path += [str(TESTS), str(TESTS / "support")]

from bench_result import write_result  # noqa: E402 - the path comes first

ROUNDS, BAR_MS = 400, 5.0


def main() -> int:
    """Ask for foreign and absent studies in turn, compare the medians."""
    load = os.getloadavg()[0]
    from own_database import start_database

    start_database()
    from pydicom.uid import generate_uid

    from analysed import load_study
    from gantry.kernel.vocabulary import Role
    from site_client import by_token
    from world import make_world

    home, other = make_world(), make_world()
    foreign = load_study(other, 4)
    load_study(home, 4)
    client = by_token(home, Role.RADIOLOGIST)
    pairs: dict[str, tuple[str, Callable[[], str]]] = {
        "rest": (f"/api/v1/studies/{foreign.study_id}", lambda: f"/api/v1/studies/{uuid4()}"),
        "dicomweb": (f"/dicomweb/studies/{foreign.study_uid}", lambda: f"/dicomweb/studies/{generate_uid()}"),
    }
    worst, details = 0.0, {}
    for name, (known, make_absent) in pairs.items():
        took: dict[str, list[float]] = {"foreign": [], "absent": []}
        for _ in range(ROUNDS):
            for kind, path in (("foreign", known), ("absent", make_absent())):
                begun = time.perf_counter()
                answer = client.get(path)
                took[kind].append((time.perf_counter() - begun) * 1000)
                assert answer.status_code == 404, answer.text
        medians = {kind: statistics.median(values) for kind, values in took.items()}
        difference = abs(medians["foreign"] - medians["absent"])
        worst = max(worst, difference)
        details[name] = {kind: round(value, 3) for kind, value in medians.items()}
    write_result(
        "foreign_absent",
        unit="ms between the medians of foreign and absent",
        better="lower",
        ours=worst,
        bar=BAR_MS,
        load_before=load,
        details=details,
    )
    return 0 if worst <= BAR_MS else 1


if __name__ == "__main__":
    sys.exit(main())
