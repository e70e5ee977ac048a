"""Whose rows do transactions see, when many workers with exceptions and cancelled statements share few connections.

Run as a program: it reads tenants and numbers as JSON from standard input and prints what it saw. A process of its own,
because the pool of connections has a size that a process settles once.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
CONNECTIONS: Final = 4
_OWNED: Final = ("studies_study", "studies_patient", "oversight_incident", "tenancy_membership")


class GaveUpError(Exception):
    """What a worker raises in the middle of its work."""


def torture(tenants: list[str], *, workers: int, transactions: int, seed: int) -> dict[str, int]:
    """Torture in a process of its own and return what it counted."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(
            str(ROOT / name) for name in ("platform", "inference", "rendering", "tests/support")
        ),
    }
    task = {"tenants": tenants, "workers": workers, "transactions": transactions, "seed": seed}
    done = subprocess.run(
        [sys.executable, __file__],
        env=environment,
        input=json.dumps(task),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise AssertionError(done.stderr[-2000:])
    counted: dict[str, int] = json.loads(done.stdout)
    return counted


def _look(connection: Any, draw: random.Random) -> list[str]:
    """Return whose rows a statement without any condition sees."""
    with connection.cursor() as cursor:
        cursor.execute(f"select tenant_id::text from {draw.choice(_OWNED)}")
        return [row[0] for row in cursor.fetchall()]


def _transact(tenant_id: str, draw: random.Random, seen: Counter[str]) -> None:
    from uuid import UUID

    from django.db import OperationalError, connection, transaction

    from gantry.foundation.scope import tenant_scope, unit_of_work
    from gantry.kernel.actor import system_actor
    from gantry.kernel.ids import TenantId

    way = draw.random()
    if way < 0.1:  # a transaction that nobody gave a context
        with transaction.atomic():
            seen["without context"] += len(_look(connection, draw))
        return
    try:
        with tenant_scope(system_actor(TenantId(UUID(tenant_id)))), unit_of_work():
            for owner in _look(connection, draw):
                seen["own" if owner == tenant_id else "foreign"] += 1
            if way < 0.25:
                raise GaveUpError
            if way < 0.35:
                with connection.cursor() as cursor:
                    cursor.execute("set local statement_timeout = '2ms'")
                    cursor.execute("select pg_sleep(5)")
            if way < 0.45:
                threading.Timer(0.002, connection.connection.cancel).start()
                with connection.cursor() as cursor:
                    cursor.execute("select pg_sleep(0.02)")
            for owner in _look(connection, draw):
                seen["own" if owner == tenant_id else "foreign"] += 1
        seen["finished"] += 1
    except (GaveUpError, OperationalError):
        seen["broken off"] += 1


def _work(tenants: list[str], transactions: int, seed: int, total: Counter[str], lock: threading.Lock) -> None:
    from django.db import connections

    draw, seen = random.Random(seed), Counter[str]()
    for _ in range(transactions):
        _transact(draw.choice(tenants), draw, seen)
        connections.close_all()  # back to the pool, as at the end of each request
    with lock:
        total.update(seen)


def main() -> None:
    """Read a task, do it, print what was seen."""
    import django

    django.setup()
    from django.db import connections

    options = connections.settings["default"]["OPTIONS"]
    options["pool"] = {"min_size": 0, "max_size": CONNECTIONS, "timeout": 300}
    task = json.load(sys.stdin)
    total: Counter[str] = Counter({"foreign": 0, "without context": 0})
    lock = threading.Lock()
    workers = [
        threading.Thread(target=_work, args=(task["tenants"], task["transactions"], task["seed"] + n, total, lock))
        for n in range(task["workers"])
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    json.dump(total, sys.stdout)


if __name__ == "__main__":
    main()
