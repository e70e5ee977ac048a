"""A correlation id for each request: in logs, audit events, spans and the response header."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextvars import ContextVar
from uuid import uuid4

import structlog
from django.http import HttpRequest, HttpResponse

HEADER = "X-Correlation-Id"
_FORM = re.compile(r"^[A-Za-z0-9._-]{8,64}$")
_current: ContextVar[str] = ContextVar("gantry_correlation_id", default="")


def begin_correlation(offered: str | None) -> str:
    """Take the caller's id where it has a harmless form, else make one."""
    value = offered if offered and _FORM.match(offered) else uuid4().hex
    _current.set(value)
    structlog.contextvars.bind_contextvars(correlation_id=value)
    return value


def correlation_id() -> str:
    """Return the id of the request in progress, or an empty string."""
    return _current.get()


class CorrelationMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        value = begin_correlation(request.headers.get(HEADER))
        response = self.get_response(request)
        response[HEADER] = value
        return response
