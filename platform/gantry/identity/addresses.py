"""Where a request comes from."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str:
    """Return the caller's address; the last hop's word counts only where a trusted proxy is configured."""
    forwarded = request.headers.get("X-Forwarded-For", "")
    if settings.TRUSTED_PROXY and forwarded:
        return str(forwarded.split(",")[-1].strip())
    return str(request.META.get("REMOTE_ADDR", ""))
