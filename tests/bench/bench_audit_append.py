"""How many events a second four processes add to the ledger, each event in a transaction of its own, with fsync."""

from __future__ import annotations

import multiprocessing
import os
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

sys.path.append(str(Path(__file__).resolve().parents[1] / "support"))

from bench_result import write_result
from gantry.embedded.postgres import Cluster
from gantry.embedded.state import ROLES

ROOT = Path(__file__).resolve().parents[2]
CONNECTIONS, SECONDS, BAR = 8, 15.0, 2000.0


def add(tenant_id: UUID, start: Any, seconds: float, counts: Any, number: int) -> None:
    """Record events as services do, until the time is over."""
    import django

    django.setup()
    from gantry.audit.public import Entry, Kind, record
    from gantry.foundation.scope import tenant_scope, unit_of_work
    from gantry.kernel.actor import system_actor
    from gantry.kernel.ids import TenantId

    actor, done = system_actor(TenantId(tenant_id)), 0
    patients = [uuid4() for _ in range(50)]
    with tenant_scope(actor):
        start.wait()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with unit_of_work():
                entry = Entry(kind=Kind.QUERY, action="studies.searched", patients=(patients[done % 50],))
                record(actor=actor, entry=entry)
            done += 1
    counts[number] = done


def plain(database: dict[str, Any], start: Any, seconds: float, counts: Any, number: int) -> None:
    """Insert and commit a row of the same size into a bare table: what the database gives at most."""
    import psycopg

    done, text = 0, "x" * 500
    with psycopg.connect(**database, autocommit=True) as connection:
        start.wait()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            connection.execute("insert into plain (id, text) values (%s, %s)", [uuid4(), text], prepare=True)
            done += 1
    counts[number] = done


def rate(target: Any, *arguments: Any) -> float:
    """Return what all processes together do in a second."""
    context = multiprocessing.get_context("spawn")
    start, counts = context.Barrier(CONNECTIONS), context.Array("q", CONNECTIONS)
    processes = [
        context.Process(target=target, args=(*arguments, start, SECONDS, counts, number))
        for number in range(CONNECTIONS)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return float(sum(counts[:])) / SECONDS


def main() -> None:
    """Run it."""
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="gantry-bench-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o711)
        passwords = {role: secrets.token_urlsafe(12) for role in ROLES}
        cluster = Cluster(
            folder / "cluster",
            folder / "socket",
            superuser_password=secrets.token_urlsafe(12),
            role_passwords=passwords,
        )
        cluster.ensure_initialised()
        cluster.start(log=folder / "postgres.log")
        try:
            cluster.ensure_roles_and_database("gantry")
            os.environ.update(
                {
                    "DJANGO_SETTINGS_MODULE": "gantry.config.settings",
                    "GANTRY_STATE_DIR": name,
                    "GANTRY_SECRET_KEY": secrets.token_urlsafe(50),
                    "GANTRY_CONTEXT_KEY": secrets.token_hex(32),
                    "GANTRY_JOB_KEY": secrets.token_hex(32),
                    "GANTRY_LOG__LEVEL": "ERROR",
                    "GANTRY_DATABASE__HOST": str(cluster.socket_folder),
                    **{f"GANTRY_DATABASE__{role.upper()}_PASSWORD": passwords[role] for role in ROLES},
                    "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in ("platform", "inference", "rendering")),
                }
            )
            script = (
                "import django; django.setup(); from gantry.foundation.provision import migrate; migrate(verbosity=0)"
            )
            subprocess.run(
                [sys.executable, "-c", script], env={**os.environ, "GANTRY_DATABASE__ROLE": "owner"}, check=True
            )
            ours = rate(add, uuid4())
            with cluster.connect(database="gantry") as connection:
                connection.execute("create table plain (id uuid primary key, text text)")
                connection.execute("create index on plain (text)")
                connection.execute("grant insert on plain to gantry_app")
            peer = rate(plain, cluster.connection("app", "gantry"))
        finally:
            cluster.stop()
    write_result(
        "audit_append",
        unit="events/s",
        better="higher",
        ours=ours,
        peer=peer,
        peer_name="a bare insert and commit",
        bar=BAR,
        load_before=load_before,
        details={"connections": CONNECTIONS, "seconds": SECONDS, "fsync": True, "events_a_transaction": 1},
    )


if __name__ == "__main__":
    main()
