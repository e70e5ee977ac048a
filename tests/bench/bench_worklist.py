"""The worklist at 1,000 tenants and 1,000,000 studies, four clients: what row policies, gate and audit add to it.

Two servers answer in turn from one database: ours, and the same code without row policies, gate and audit trail. Then every
statement that the commonest requests made is explained: none may read a table of many rows from end to end.
"""

from __future__ import annotations

import json
import logging
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
TESTS: Final = ROOT / "tests"
sys.path += [str(TESTS), str(TESTS / "support")]

from bench_result import write_result  # noqa: E402 - the path comes first

TENANTS = int(os.environ.get("TENANTS", "1000"))
STUDIES_EACH = int(os.environ.get("STUDIES_EACH", "1000"))
CLIENTS, ROUNDS, REQUESTS = 4, 6, 60
BAR_MS, BAR_PART = 5.0, 0.35
_SERVER: Final = """
import sys
port, is_plain = int(sys.argv[1]), sys.argv[2] == "plain"
import django
django.setup()
if is_plain:
    from django.db import connections
    import os
    settings = connections.settings["default"]
    settings["USER"], settings["PASSWORD"] = "postgres", os.environ["SUPERUSER_PASSWORD"]
    from gantry.foundation import scope
    scope.enter_context = lambda *a, **k: None
    from gantry.kernel.decision import Decision
    from gantry.kernel.vocabulary import Activity, Purpose
    yes = Decision(True, "allowed", "", Activity.FIND, Purpose.TREATMENT)
    import gantry.studies.reading as reading
    import gantry.viewing.services as viewing
    for module in (reading, viewing):
        module.require = lambda **k: yes
        module.record = lambda **k: None
import uvicorn
uvicorn.run("gantry.config.asgi:application", host="127.0.0.1", port=port, log_level="error", access_log=False)
"""
_FILL: Final = (
    """insert into tenancy_tenant (id, slug, name, networks, created_at)
       select gen_random_uuid(), 'fill-' || n, 'Filled ' || n, '[]', now() from generate_series(1, %(tenants)s) n""",
    """insert into tenancy_institution (id, tenant_id, code, name, is_default)
       select gen_random_uuid(), id, 'main', 'Main', true from tenancy_tenant
       where not exists (select 1 from tenancy_institution i where i.tenant_id = tenancy_tenant.id)""",
    """insert into studies_patient (id, tenant_id, issuer, issuer_of_patient_id, patient_id, name, name_folded, birth_date,
           sex, key_id, pseudonym)
       select gen_random_uuid(), t.id, 'fill', '', 'P' || lpad(n::text, 7, '0'), 'Name' || n || '^Test',
           'name' || n || ' test', date '1950-01-01' + n %% 20000, 'O', gen_random_uuid(), gen_random_uuid()
       from tenancy_tenant t, generate_series(1, %(patients)s) n""",
    """insert into studies_study (id, tenant_id, patient_id, institution_id, study_instance_uid, patient_name,
           patient_name_folded, patient_sex, identity_differs, accession_number, study_id, description, description_folded,
           study_date, referring_physician_name, modalities, number_of_series, number_of_instances, state, revision,
           received_at, last_instance_at, review)
       select gen_random_uuid(), p.tenant_id, p.id, i.id,
           '2.25.' || (('x' || substr(md5(p.id::text || n), 1, 15))::bit(60)::bigint),
           p.name, p.name_folded, 'O', false,
           'A' || (row_number() over ())::text, 'S' || n, 'CT Becken', 'ct becken',
           date '2020-01-01' + (n * 37) %% 2000, '', 'CT', 1, 100, 'complete', 1,
           now() - make_interval(mins => (random() * 500000)::int), now(), 'none'
       from studies_patient p join tenancy_institution i on i.tenant_id = p.tenant_id and i.is_default,
           generate_series(1, 2) n where p.issuer = 'fill'""",
    """insert into studies_studyterm (id, tenant_id, study_id, kind, term)
       select gen_random_uuid(), s.tenant_id, s.id, t.kind, t.term
       from studies_study s join studies_patient p on p.id = s.patient_id and p.tenant_id = s.tenant_id, lateral (values
           ('w', ''), ('m', 'ct'), ('p', lower(p.patient_id)), ('a', lower(s.accession_number)),
           ('n', lower(s.patient_name)), ('N', split_part(s.patient_name_folded, ' ', 1)), ('D', 'becken')) t(kind, term)
       where p.issuer = 'fill'""",
    "analyze",
)


def fill(cluster: Any) -> None:
    """Fill the database as its superuser."""
    with cluster.connect(database="gantry") as connection:
        connection.execute("set session_replication_role = replica")  # no triggers: a million rows are made, not sent
        for statement in _FILL:
            connection.execute(statement, {"tenants": TENANTS, "patients": STUDIES_EACH // 2})


@contextmanager
def server(port: int, kind: str, password: str) -> Iterator[str]:
    """Run one of the two servers."""
    environment = {
        **os.environ,
        "SUPERUSER_PASSWORD": password,
        "PYTHONPATH": os.pathsep.join(str(ROOT / name) for name in ("platform", "inference", "rendering")),
    }
    process = subprocess.Popen([sys.executable, "-c", _SERVER, str(port), kind], env=environment)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def load(base: str, worlds: list[Any], body: dict[str, Any]) -> list[float]:
    """Have four clients ask for the worklist; return how long each request took, in milliseconds."""
    import httpx

    from gantry.kernel.vocabulary import Role

    took: list[float] = []
    lock = threading.Lock()

    def ask(world: Any) -> None:
        own = []
        with httpx.Client(headers={"Authorization": f"Bearer {world.tokens[Role.RADIOLOGIST]}"}, timeout=30) as client:
            for _ in range(REQUESTS):
                begun = time.perf_counter()
                answer = client.post(f"{base}/t/{world.slug}/api/v1/worklist/search", json=body)
                own.append((time.perf_counter() - begun) * 1000)
                assert answer.status_code == 200, answer.text
                assert answer.json()["count"] > 0
        with lock:
            took.extend(own)

    threads = [threading.Thread(target=ask, args=(world,)) for world in worlds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return took


def p95(values: list[float]) -> float:
    """Return the 95th percentile."""
    return statistics.quantiles(values, n=20)[-1]


def wait_for(base: str) -> None:
    """Wait until a server answers."""
    import httpx

    for _ in range(600):
        try:
            if httpx.get(f"{base}/healthz", timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise SystemExit("The server did not start.")


def explained(world: Any) -> dict[str, list[str]]:
    """Make the commonest requests and return, by statement, the tables of many rows that it reads from end to end."""
    from django.db import connection

    from gantry.foundation.scope import unit_of_work
    from gantry.kernel.vocabulary import Role
    from statements import list_statements

    statements = list_statements(world)
    found: dict[str, list[str]] = {}
    with world.acting(Role.RADIOLOGIST), unit_of_work(), connection.cursor() as cursor:
        cursor.execute("select relname from pg_class where relkind = 'r' and reltuples > 10000")
        large = {row[0] for row in cursor.fetchall()}
        for sql, values in statements:
            cursor.execute(f"explain (format json) {sql}", values)
            (plan,) = cursor.fetchone()
            plan = json.loads(plan) if isinstance(plan, str) else plan
            whole = [
                node["Relation Name"] for node in _nodes(plan[0]["Plan"]) if node["Node Type"].endswith("Seq Scan")
            ]
            if bad := sorted(set(whole) & large):
                found[sql] = bad
    return found | {"": [str(len(statements))]}


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


def main() -> int:
    """Fill, ask in turn, explain, write the results."""
    load_before = os.getloadavg()[0]
    logging.disable(logging.INFO)
    from own_database import start_database

    cluster = start_database(is_durable=True)
    from world import make_world

    begun = time.monotonic()
    worlds = [make_world() for _ in range(CLIENTS)]
    fill(cluster)
    filled_s = time.monotonic() - begun
    password = str(cluster.connection()["password"])
    bodies: dict[str, dict[str, Any]] = {
        "newest": {"page_size": 25},
        "patient": {"patient": "P0000123", "page_size": 25},
        "text": {"text": "name77", "page_size": 25},
    }
    took: dict[str, dict[str, list[float]]] = {name: {"ours": [], "plain": []} for name in bodies}
    ports = {"ours": 8471, "plain": 8472}
    with server(ports["ours"], "ours", password) as ours, server(ports["plain"], "plain", password) as plain:
        bases = {"ours": ours, "plain": plain}
        for base in bases.values():
            wait_for(base)
            load(base, worlds, bodies["newest"])  # warm
        for _ in range(ROUNDS):
            for name, body in bodies.items():
                for kind, base in bases.items():
                    took[name][kind] += load(base, worlds, body)
    details: dict[str, Any] = {"tenants": TENANTS, "studies": TENANTS * STUDIES_EACH, "filled_s": round(filled_s)}
    for name, kinds in took.items():
        details[name] = {
            kind: {"p50": round(statistics.median(values), 1), "p95": round(p95(values), 1)}
            for kind, values in kinds.items()
        }
    ours_ms, plain_ms = p95(took["newest"]["ours"]), p95(took["newest"]["plain"])
    write_result(
        "worklist",
        unit="ms, p95 of the worklist, four clients",
        better="lower",
        ours=ours_ms,
        peer=plain_ms,
        peer_name="the same code without row policies, gate and audit",
        bar=min(plain_ms + BAR_MS, plain_ms * (1 + BAR_PART)),
        load_before=load_before,
        details=details,
    )
    found = explained(worlds[0])
    (count,) = found.pop("")
    write_result(
        "worklist_plans",
        unit="of the commonest statements read a large table from end to end",
        better="lower",
        ours=len(found),
        bar=0,
        load_before=load_before,
        details={"statements": int(count), "found": {sql[:400]: tables for sql, tables in found.items()}},
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
