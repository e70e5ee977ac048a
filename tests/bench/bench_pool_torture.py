"""200 workers × 10,000 transactions on four pooled connections, with exceptions and cancelled statements."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path += [str(TESTS), str(TESTS / "support")]

from bench_result import write_result  # noqa: E402 - the path comes first

WORKERS = 200
#: 10,000 each are asked for; fewer by environment, and then the result says so.
TRANSACTIONS = int(os.environ.get("TRANSACTIONS", "10000"))


def main() -> int:
    """Torture, count foreign rows, write the result."""
    load = os.getloadavg()[0]
    from own_database import start_database

    start_database()
    from gantry.foundation.scope import tenant_scope
    from gantry.oversight.duties.domain import Law
    from gantry.oversight.duties.incidents import open_incident
    from pool_torture import CONNECTIONS, torture
    from world import make_world

    tenants = []
    for _ in range(3):
        world = make_world()
        with tenant_scope(world.system):
            open_incident(actor=world.system, title="A laptop was lost", law=Law.GDPR)
        tenants.append(str(world.tenant_id))
    begun = time.monotonic()
    seen = torture(tenants, workers=WORKERS, transactions=TRANSACTIONS, seed=7)
    write_result(
        "pool_torture",
        unit="foreign rows, and rows without a context",
        better="lower",
        ours=seen["foreign"] + seen["without context"],
        bar=0,
        load_before=load,
        details={
            "workers": WORKERS,
            "transactions_each": TRANSACTIONS,
            "connections": CONNECTIONS,
            "took_s": round(time.monotonic() - begun),
            **seen,
        },
    )
    return 0 if not seen["foreign"] + seen["without context"] else 1


if __name__ == "__main__":
    sys.exit(main())
