"""RFC 9457 problem details: one mapping from errors to answers, for REST, pages and the DICOM door."""

from __future__ import annotations

import re
from typing import Any

import structlog
from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404, JsonResponse
from psycopg_pool import PoolTimeout
from rest_framework import exceptions
from rest_framework.response import Response

from gantry.foundation.boundary import RefusalNotRecordedError, record_refusal
from gantry.foundation.web.correlation import correlation_id
from gantry.kernel.decision import Refused
from gantry.kernel.errors import HTTP_STATUS, ErrorKind, GantryError, NotFoundError
from gantry_storage.errors import StorageError

log = structlog.get_logger(__name__)
MEDIA_TYPE = "application/problem+json"


class UnauthenticatedError(GantryError):
    """No session and no token, or one that has ended."""

    code = "auth.required"
    kind = ErrorKind.UNAUTHENTICATED
    title = "Sign in first"

    def __init__(self) -> None:
        super().__init__("You are not signed in, or your session has ended. Sign in and try again.")


class NoSuchMethodError(GantryError):
    """The address is right, the method is not."""

    code = "request.method"
    kind = ErrorKind.METHOD
    title = "Method not allowed"


class DatabaseUnavailableError(GantryError):
    """The link to the database broke, or it took too long. What was in progress may have been committed or not."""

    code = "database.unavailable"
    kind = ErrorKind.UNAVAILABLE
    title = "The database did not answer"

    def __init__(self) -> None:
        super().__init__("The database did not answer. Look whether this was done before you try it again.")


class UnexpectedError(GantryError):
    """A defect of ours; the correlation id finds it in the logs."""

    code = "gantry.unexpected"
    title = "Something went wrong on our side"

    def __init__(self) -> None:
        super().__init__("Something went wrong on our side. Nothing was changed. Give support the correlation id.")


def problem_body(error: GantryError) -> tuple[int, dict[str, Any]]:
    """Return status and problem+json body of an error. A hidden refusal looks like absence."""
    if isinstance(error, Refused) and error.decision.is_hidden:
        error = NotFoundError()
    status = 500 if isinstance(error, UnexpectedError) else HTTP_STATUS[error.kind]
    body: dict[str, Any] = {
        "type": f"urn:gantry:problem:{error.code}",
        "title": "Not allowed" if isinstance(error, Refused) else error.title,
        "status": status,
        "detail": str(error),
        "code": error.code,
        "correlation_id": correlation_id(),
    }
    if isinstance(error, Refused) and error.decision.clause:
        body["clause"] = error.decision.clause
        body["agreement_version"] = error.decision.agreement_version
    return status, body


def problem_headers(status: int) -> dict[str, str]:
    """Return the headers that belong to a status: 401 says how to sign in (RFC 9110 §11.6.1)."""
    return {"WWW-Authenticate": "Bearer"} if status == 401 else {}


def answer_error(error: Exception) -> tuple[int, dict[str, Any]]:
    """Turn any exception into an answer; a refusal is recorded first (or answered with 503)."""
    if isinstance(error, Refused):
        try:
            record_refusal(error)
        except RefusalNotRecordedError as failure:
            return problem_body(failure)
    return problem_body(as_gantry_error(error))


def as_gantry_error(error: Exception) -> GantryError:
    """Translate the frameworks' errors into ours; what is unknown is logged and unexpected."""
    if isinstance(error, GantryError):
        return error
    if isinstance(error, StorageError):
        return _plain(ErrorKind(error.kind), error.code, error.title, str(error))
    if isinstance(error, (OperationalError, InterfaceError, PoolTimeout)):
        log.warning("database.unavailable", error=type(error).__name__)
        return DatabaseUnavailableError()
    if isinstance(error, Http404):
        return NotFoundError()
    if isinstance(error, (exceptions.NotAuthenticated, exceptions.AuthenticationFailed)):
        return UnauthenticatedError()
    if isinstance(error, (PermissionDenied, exceptions.PermissionDenied)):
        return _plain(ErrorKind.FORBIDDEN, "request.forbidden", "Not allowed", _sentence(error))
    if isinstance(error, exceptions.MethodNotAllowed):
        return NoSuchMethodError(_sentence(error))
    if isinstance(error, exceptions.UnsupportedMediaType):
        return _plain(ErrorKind.UNSUPPORTED, "request.unsupported", "Unsupported media type", _sentence(error))
    if isinstance(error, exceptions.Throttled):
        return _plain(ErrorKind.TOO_MANY, "request.throttled", "Too many requests", _sentence(error))
    if isinstance(error, exceptions.APIException) and error.status_code < 500:
        return _plain(ErrorKind.INVALID, "request.invalid", "The request is not valid", _sentence(error))
    log.exception("request.failed", error=type(error).__name__)  # noqa: LOG004 - called while it is handled
    return UnexpectedError()


def _plain(kind: ErrorKind, code: str, title: str, sentence: str) -> GantryError:
    error = GantryError(sentence)
    error.kind, error.code, error.title = kind, code, title
    return error


def _sentence(error: Exception) -> str:
    detail = getattr(error, "detail", None)
    if isinstance(detail, dict):
        return " ".join(f"{field}: {_unquoted(' '.join(map(str, messages)))}" for field, messages in detail.items())
    return str(detail if detail is not None else error) or "The request was refused."


def _unquoted(sentence: str) -> str:
    """Leave out what a sentence of REST framework quotes of the input: it may be a patient's."""
    return _QUOTED.sub("This", sentence)


#: `"x" is not a valid choice.`, `"x" is not a valid UUID.`
_QUOTED = re.compile(r'["“].*["”](?= is not)', re.DOTALL)


def handle_exception(error: Exception, _context: dict[str, Any]) -> Response:
    """Answer for REST framework (its `EXCEPTION_HANDLER`)."""
    status, body = answer_error(error)
    return Response(body, status=status, content_type=MEDIA_TYPE, headers=problem_headers(status))


def problem_response(error: Exception) -> JsonResponse:
    """Answer for plain Django views."""
    status, body = answer_error(error)
    return JsonResponse(body, status=status, content_type=MEDIA_TYPE, headers=problem_headers(status))
