"""Exporting a million events of one tenant in every format: memory, time, and whether the formats agree.

The export runs in a process of its own, as a worker does it, while a sequencer signs beside it; the bundle is then
checked by the verifier that lies in it. `GANTRY_BENCH_EVENTS` makes it smaller.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from importlib import import_module
from pathlib import Path
from uuid import UUID

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / folder) for folder in ("platform", "inference", "rendering", "tests/support", "tests")]

EVENTS, PATIENTS, PEOPLE = int(os.environ.get("GANTRY_BENCH_EVENTS", "1000000")), 5000, 200
BAR_MIB = 256

#: A day of a hospital group, again and again: who did what to whom, one row a number.
FILL = """
insert into audit_auditevent (id, tenant_id, occurred_at, kind, action, outcome, actor_kind, actor_id, role, place, session,
    correlation_id, address, activity, purpose, code, clause, agreement_version, data_category, study_id,
    patient_pseudonym, patients, institution_id, detail, sealed_sha256)
select gen_random_uuid(), %(tenant)s, timestamptz '2026-01-01 00:00:00+00' + n * interval '7 seconds',
    (array['instances_accessed', 'instances_accessed', 'query', 'security_alert', 'ai_inference'])[1 + n %% 5],
    (array['study.opened', 'series.rendered', 'studies.searched', 'view.refused', 'analysis.finished'])[1 + n %% 5],
    case when n %% 5 = 3 then 'refused' else 'success' end,
    case when n %% 5 = 4 then 'system' else 'person' end,
    (%(people)s::uuid[])[1 + n %% array_length(%(people)s::uuid[], 1)], 'radiologist', 'site', md5((n / 50)::text),
    'c' || n, '10.0.' || n %% 250 || '.' || n %% 199, 'view', 'TREAT', 'allowed', 'Annex 1 3', 'v1', 'pixel_data',
    case when n %% 5 = 2 then null else md5((n %% 9000)::text)::uuid end,
    case when n %% 5 = 2 then null else (%(patients)s::uuid[])[1 + n %% array_length(%(patients)s::uuid[], 1)] end,
    case when n %% 5 = 2 then (%(patients)s::uuid[])[1 + n %% 4900 : 3 + n %% 4900] else array[]::uuid[] end,
    null, jsonb_build_object('studies', (n %% 25)::text), ''
from generate_series(%(first)s, %(last)s) n
"""


def fill(tenant_id: UUID) -> None:
    """Insert the events as the application does, a part at a time."""
    from django.conf import settings

    from gantry.foundation.context import sign_context
    from gantry.foundation.scope import tenant_scope, unit_of_work
    from gantry.kernel.actor import system_actor
    from gantry.kernel.ids import TenantId
    from gantry.studies.models import Patient
    from ledger import connect, sequencer

    with tenant_scope(system_actor(TenantId(tenant_id))), unit_of_work():
        patients = [
            Patient(issuer="bench", patient_id=f"P-{number}", name=f"Patient^Number {number}")
            for number in range(PATIENTS)
        ]
        Patient.objects.bulk_create(patients)
    people = [UUID(int=(1 << 96) + number) for number in range(PEOPLE)]
    step = 50_000
    with connect("app") as app, sequencer() as leader:
        for first in range(0, EVENTS, step):
            with app.transaction():
                context = sign_context(
                    settings.CONTEXT_KEY, tenant_id=tenant_id, actor_id=people[0],
                    backend_pid=app.info.backend_pid, expires_at=int(time.time()) + 30,
                )  # fmt: skip
                app.execute("select set_config('gantry.context', %s, true)", [context])
                values = {
                    "tenant": tenant_id, "people": people, "patients": [one.pseudonym for one in patients],
                    "first": first, "last": min(first + step, EVENTS) - 1,
                }  # fmt: skip
                app.execute(FILL, values)
            leader.drain()


def export(export_id: str, tenant_id: str) -> None:
    """Be the worker: write the bundle, and say what that took. Runs in a process of its own."""
    import django

    django.setup()
    from gantry.foundation.scope import tenant_scope
    from gantry.kernel.actor import system_actor
    from gantry.kernel.ids import TenantId
    from gantry.oversight.exports.services import run_export

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.perf_counter()
    with tenant_scope(system_actor(TenantId(UUID(tenant_id)))):
        run_export(export_id=UUID(export_id))
    took = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sys.stdout.write(json.dumps({"took_s": took, "before_mib": before / 1024, "peak_mib": peak / 1024}))


def main() -> None:
    """Run it."""
    from bench_result import write_result

    load_before = os.getloadavg()[0]
    import_module("conftest")._configure_environment()
    from datetime import UTC, datetime

    from gantry.kernel.vocabulary import Role
    from gantry.oversight.exports.domain import ExportQuery, Format
    from gantry.oversight.exports.services import get_export, open_bundle, request_export
    from sequencing import sequencing
    from world import make_world

    world = make_world()
    begun = time.perf_counter()
    fill(world.tenant_id)
    filled_s = time.perf_counter() - begun
    query = ExportQuery(since=datetime(2020, 1, 1, tzinfo=UTC), until=datetime(2030, 1, 1, tzinfo=UTC))
    with world.acting(Role.COMPLIANCE) as actor:
        wanted = request_export(actor=actor, query=query, formats=frozenset(Format))
    path = os.pathsep.join(str(ROOT / folder) for folder in ("platform", "inference", "rendering"))
    command = [sys.executable, __file__, "export", str(wanted.pk), str(world.tenant_id)]
    with sequencing():
        done = subprocess.run(
            command, env={**os.environ, "PYTHONPATH": path}, check=True, capture_output=True, text=True
        )
    measured = json.loads(done.stdout.splitlines()[-1])
    with world.acting(Role.COMPLIANCE) as actor:
        made = get_export(actor=actor, export_id=wanted.pk)
        bundle = open_bundle(actor=actor, export_id=wanted.pk)
    counts = {name: one["events"] for name, one in made.counts["by_format"].items()}
    assert len(set(counts.values())) == 1, f"the formats disagree: {counts}"
    with tempfile.TemporaryDirectory(prefix="gantry-bench-", dir="/tmp") as folder:
        target = Path(folder) / "bundle.zip"
        with bundle.reading() as reader, target.open("wb") as file:
            for chunk in reader.iter_chunks():
                file.write(chunk)
        with zipfile.ZipFile(target) as archive:
            archive.extract("verify.py", folder)
            key = json.loads(archive.read("keys.json"))["keys"][-1]["fingerprint"]
            plain = {info.filename: info.file_size for info in archive.infolist()}
        begun = time.perf_counter()
        verified = subprocess.run(
            [sys.executable, "-I", f"{folder}/verify.py", str(target), "--key", key],
            check=False,
            capture_output=True,
            text=True,
        )
        verified_s = time.perf_counter() - begun
        assert verified.returncode == 0, verified.stdout + verified.stderr
        size = target.stat().st_size
    events = made.counts["events"]
    details = {
        "events": events, "formats": made.counts["by_format"], "export_s": round(measured["took_s"], 1),
        "events_per_s": round(events / measured["took_s"]), "before_mib": round(measured["before_mib"], 1),
        "verify_s": round(verified_s, 1), "fill_and_sequence_s": round(filled_s, 1),
        "bundle_mib": round(size / 2**20, 1), "plain_mib": {name: round(one / 2**20, 1) for name, one in plain.items()},
    }  # fmt: skip
    write_result(
        "audit_export_memory", unit="MiB", better="lower", ours=measured["peak_mib"], bar=BAR_MIB, load_before=load_before,
        details=details,
    )  # fmt: skip
    write_result(
        "audit_export_time", unit="s", better="lower", ours=measured["took_s"], load_before=load_before, details=details
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["export"]:
        export(*sys.argv[2:4])
    else:
        main()
