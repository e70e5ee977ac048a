"""Whether a socket was opened by a page of this site: cookies alone would let any page in."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings


def header(scope: MutableMapping[str, Any], name: bytes) -> str:
    """Return a header of an ASGI scope, or an empty text; `name` in lower case."""
    return next((bytes(value).decode("latin-1") for key, value in scope["headers"] if key == name), "")


def is_own_origin(scope: MutableMapping[str, Any]) -> bool:
    """Tell whether the Origin of an ASGI scope is this site's own."""
    origin = header(scope, b"origin")
    parts = urlsplit(origin)
    return bool(origin) and (
        origin.rstrip("/") in settings.CSRF_TRUSTED_ORIGINS
        or (parts.netloc == header(scope, b"host") and (parts.hostname or "") in settings.ALLOWED_HOSTS)
    )
