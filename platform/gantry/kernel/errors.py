"""Root error: a stable code for machines, a sentence for people, a kind for the transport."""

from __future__ import annotations

from enum import StrEnum


class ErrorKind(StrEnum):
    INVALID = "invalid"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    TOO_LARGE = "too_large"
    UNSUPPORTED = "unsupported"
    METHOD = "method"
    NOT_ACCEPTABLE = "not_acceptable"
    TOO_MANY = "too_many"
    UNAVAILABLE = "unavailable"


HTTP_STATUS: dict[ErrorKind, int] = {
    ErrorKind.INVALID: 400,
    ErrorKind.UNAUTHENTICATED: 401,
    ErrorKind.FORBIDDEN: 403,
    ErrorKind.NOT_FOUND: 404,
    ErrorKind.METHOD: 405,
    ErrorKind.NOT_ACCEPTABLE: 406,
    ErrorKind.CONFLICT: 409,
    ErrorKind.TOO_LARGE: 413,
    ErrorKind.UNSUPPORTED: 415,
    ErrorKind.TOO_MANY: 429,
    ErrorKind.UNAVAILABLE: 503,
}


class GantryError(Exception):
    """Root of every error that Gantry raises on purpose."""

    code: str = "gantry.error"
    kind: ErrorKind = ErrorKind.INVALID
    title: str = "The request could not be carried out"


class NotFoundError(GantryError):
    """Absent, or not for this actor to know of: the two look the same."""

    kind = ErrorKind.NOT_FOUND
    title = "Not found"
    code = "not_found"

    def __init__(self) -> None:
        super().__init__("There is nothing here, or it is not yours to see.")


class InvalidInputError(GantryError):
    """Input that cannot be used; the sentence says what would be."""

    kind = ErrorKind.INVALID
    title = "The request is not valid"
    code = "request.invalid"
