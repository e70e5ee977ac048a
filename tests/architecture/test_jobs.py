"""Names of jobs are stored in the queue: a changed name orphans what waits there."""

from __future__ import annotations

from procrastinate.contrib.django import app as queue

NAMES = {
    "analyses.select",
    "analyses.run",
    "oversight.export",
    "oversight.forget_exports",
    "studies.erase",
    "studies.pack_series",
    "studies.pack_study",
    "studies.plan_end",
}


def test_names_of_jobs_are_stable() -> None:
    ours = {name for name in queue.tasks if not name.startswith(("builtin:", "procrastinate.", "test"))}
    assert ours == NAMES
