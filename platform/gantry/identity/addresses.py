"""Where a request comes from."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str:
    """Return the caller's address; the last hop's word counts only where a trusted proxy is configured."""
    return peer_address(request.META.get("REMOTE_ADDR", ""), request.headers.get("X-Forwarded-For", ""))


def peer_address(peer: str, forwarded: str) -> str:
    """Return the caller's address from the connection's and the header `X-Forwarded-For`, for any transport."""
    if settings.TRUSTED_PROXY and forwarded:
        return forwarded.rsplit(",", maxsplit=1)[-1].strip()
    return str(peer)
