"""Numbers that people can speak: counted for each tenant, without gaps that would say how much others do."""

from __future__ import annotations

from django.db import connection
from django.db.models import Max

from gantry.foundation.scope import current_tenant_id
from gantry.oversight.models import Incident, SubjectRequest


def next_number(model: type[SubjectRequest | Incident]) -> int:
    """Return the next number; who asks at the same moment waits until this transaction ends."""
    key = int.from_bytes(current_tenant_id().bytes[:8], "big", signed=True)
    with connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(%s)", [key])
    highest: int | None = model.objects.aggregate(highest=Max("number"))["highest"]
    return (highest or 0) + 1
