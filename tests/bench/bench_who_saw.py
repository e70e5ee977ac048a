"""Who saw this patient, asked of a trail of 5,000,000 events; the peer is a search for the same rows by what they say."""

from __future__ import annotations

import base64
import logging
import os
import random
import statistics
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

TESTS = Path(__file__).resolve().parents[1]
sys.path += [str(TESTS), str(TESTS / "support")]

from bench_result import write_result  # noqa: E402 - the path comes first

EVENTS = int(os.environ.get("EVENTS", "5000000"))
PATIENTS, QUESTIONS, BAR_S = 25_000, 60, 1.0
_ROUND: Final = 500_000
_FILL: Final = (
    """insert into audit_auditevent (id, tenant_id, occurred_at, kind, action, outcome, actor_kind, actor_id, role, place,
           session, correlation_id, activity, purpose, code, clause, agreement_version, data_category, study_id,
           patient_pseudonym, detail, address, patients, sealed_sha256)
       select md5('event' || i)::uuid, %(log)s, now() - make_interval(secs => (%(all)s - i) * 5), 'instances_accessed',
           'study.opened', 'success', 'person', md5('person' || i %% 400)::uuid, 'radiologist', 'site', 's' || i %% 5000, '',
           'view', 'TREAT', 'allowed', 'Annex 1', 'v1', 'pixel_data', md5('study' || i %% 50000)::uuid,
           md5('patient' || i %% %(patients)s)::uuid, '{}', '10.0.0.1', '{}', ''
       from generate_series(%(first)s::bigint, %(last)s::bigint) i""",
    """insert into audit_sequence (log_id, index, event_id, leaf, counters)
       select %(log)s, i, md5('event' || i)::uuid, sha256(i::text::bytea), array[i / %(patients)s + 1]
       from generate_series(%(first)s::bigint, %(last)s::bigint) i""",
    """insert into audit_patient (log_id, pseudonym, counter, index)
       select %(log)s, md5('patient' || i %% %(patients)s)::uuid, i / %(patients)s + 1, i
       from generate_series(%(first)s::bigint, %(last)s::bigint) i""",
)


def fill(cluster: Any, log: UUID) -> None:
    """Write a trail as the sequencer would have left it, but for its hashes, which this question does not read."""
    with cluster.connect(database="gantry") as connection:
        connection.execute("set session_replication_role = replica")
        for first in range(0, EVENTS, _ROUND):
            values = {
                "log": log,
                "all": EVENTS,
                "patients": PATIENTS,
                "first": first,
                "last": min(EVENTS, first + _ROUND) - 1,
            }
            for statement in _FILL:
                connection.execute(statement, values)
        root = base64.b64encode(bytes(32)).decode()
        note = (
            f"gantry.test/{log}\n{EVENTS}\n{root}\n\n\N{EM DASH} gantry.test {base64.b64encode(bytes(68)).decode()}\n"
        )
        connection.execute("insert into audit_checkpoint (log_id, size, note) values (%s, %s, %s)", [log, EVENTS, note])
        connection.execute("analyze")


def main() -> int:
    """Fill, ask of random patients, write the result."""
    load = os.getloadavg()[0]
    from own_database import start_database

    cluster = start_database()
    logging.disable(logging.INFO)
    from gantry.kernel.clock import SYSTEM_CLOCK
    from gantry.kernel.vocabulary import Role
    from gantry.oversight.exports.tracing import trace_patient
    from world import make_world

    world, draw = make_world(), random.Random(3)
    begun = time.monotonic()
    fill(cluster, world.tenant_id)
    filled_s = time.monotonic() - begun
    now = SYSTEM_CLOCK.now()
    took: dict[str, list[float]] = {"a year": [], "a month": [], "nobody": []}
    rows = 0
    for _ in range(QUESTIONS):
        import hashlib

        pseudonym = UUID(hashlib.md5(f"patient{draw.randrange(PATIENTS)}".encode()).hexdigest())
        for name, days, whom in (("a year", 365, pseudonym), ("a month", 30, pseudonym), ("nobody", 365, uuid4())):
            with world.acting(Role.COMPLIANCE) as actor:
                at = time.perf_counter()
                (trace,) = trace_patient(actor=actor, since=now - timedelta(days=days), until=now, pseudonym=whom)
                took[name].append(time.perf_counter() - at)
            rows = max(rows, sum(one.events for one in trace.people))
    assert rows > 0.9 * EVENTS / PATIENTS, rows
    p95 = {name: statistics.quantiles(values, n=20)[-1] for name, values in took.items()}
    with cluster.connect(database="gantry") as connection:
        at = time.perf_counter()
        connection.execute(
            "select count(*) from audit_auditevent where tenant_id = %s and patient_pseudonym = %s",
            [world.tenant_id, uuid4()],
        )
        scan_s = time.perf_counter() - at
    write_result(
        "who_saw",
        unit="s, p95 of who saw this patient in a year",
        better="lower",
        ours=p95["a year"],
        peer=scan_s,
        peer_name="reading the events from end to end",
        bar=BAR_S,
        load_before=load,
        details={
            "events": EVENTS,
            "events_of_a_patient": rows,
            "filled_s": round(filled_s),
            "p95_ms": {name: round(value * 1000, 1) for name, value in p95.items()},
            "p50_ms": {name: round(statistics.median(values) * 1000, 1) for name, values in took.items()},
        },
    )
    return 0 if p95["a year"] <= BAR_S else 1


if __name__ == "__main__":
    sys.exit(main())
