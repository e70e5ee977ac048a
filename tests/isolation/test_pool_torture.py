"""200 workers share four pooled connections: no transaction sees a row of another tenant, however the last one ended."""

from __future__ import annotations

import pytest

from gantry.foundation.scope import tenant_scope
from gantry.oversight.duties.domain import Law
from gantry.oversight.duties.incidents import open_incident
from pool_torture import torture
from world import make_world

pytestmark = pytest.mark.usefixtures("database")

WORKERS, TRANSACTIONS = 200, 100


def test_no_transaction_sees_another_tenant_s_rows_on_a_shared_connection() -> None:
    tenants = []
    for _ in range(3):
        world = make_world()
        with tenant_scope(world.system):
            open_incident(actor=world.system, title="A laptop was lost", law=Law.GDPR)
        tenants.append(str(world.tenant_id))
    seen = torture(tenants, workers=WORKERS, transactions=TRANSACTIONS, seed=5)
    assert (seen["foreign"], seen["without context"]) == (0, 0), seen
    assert seen["own"] > 0
    assert seen["finished"] + seen["broken off"] > 0.85 * WORKERS * TRANSACTIONS
    assert seen["broken off"] > 0.1 * WORKERS * TRANSACTIONS
