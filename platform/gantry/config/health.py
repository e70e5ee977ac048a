"""Probes. Liveness asks nothing of anybody; readiness asks the database."""

from django.db import Error
from django.http import HttpRequest, JsonResponse

from gantry.audit.public import ledger_status
from gantry.tenancy.public import ping_database


def healthz(_request: HttpRequest) -> JsonResponse:
    """Answer while the process runs."""
    return JsonResponse({"status": "ok"})


def readyz(_request: HttpRequest) -> JsonResponse:
    """Answer 200 when requests can be served. Events wait for a sequencer that is away; requests do not."""
    try:
        ping_database()
        ledger = ledger_status()
    except Error:
        return JsonResponse({"status": "the database does not answer"}, status=503)
    return JsonResponse({"status": "ok", "audit": ledger.state, "audit_lag_s": round(ledger.lag_s, 1)})
