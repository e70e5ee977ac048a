"""10,000 requests over a link to the database that breaks at random bytes, and 300 kills at random statements."""

from __future__ import annotations

import os
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path += [str(TESTS), str(TESTS / "support")]

from bench_result import write_result  # noqa: E402 - the path comes first

REQUESTS, KILLS = 10_000, 300


def main() -> int:
    """Break and kill, count what does not agree, write the results."""
    load = os.getloadavg()[0]
    from own_database import start_database

    cluster = start_database()
    from effects import break_links, kill_processes

    is_held = True
    for name, found in (
        ("no_effect_without_event_cut", break_links(cluster, requests=REQUESTS, seed=101)),
        ("no_effect_without_event_killed", kill_processes(cluster, kills=KILLS, seed=102)),
    ):
        wrong = [*found.without_event(), *found.without_effect(), *found.lost(), *found.unrecorded()]
        is_held = is_held and not wrong
        write_result(
            name,
            unit="effects without event, events without effect, acknowledgements or refusals lost",
            better="lower",
            ours=len(wrong),
            bar=0,
            load_before=load,
            details={
                "faults": found.faults,
                "answers": {kind: dict(sorted(counts.items())) for kind, counts in sorted(found.statuses.items())},
                "effects": {kind: len(rows) for kind, rows in sorted(found.effects.items())},
            },
        )
    return 0 if is_held else 1


if __name__ == "__main__":
    sys.exit(main())
