"""Probes. Liveness asks nothing of anybody; readiness asks the database."""

from django.db import Error
from django.http import HttpRequest, JsonResponse

from gantry.tenancy.public import ping_database


def healthz(_request: HttpRequest) -> JsonResponse:
    """Answer while the process runs."""
    return JsonResponse({"status": "ok"})


def readyz(_request: HttpRequest) -> JsonResponse:
    """Answer 200 when requests can be served."""
    try:
        ping_database()
    except Error:
        return JsonResponse({"status": "the database does not answer"}, status=503)
    return JsonResponse({"status": "ok"})
