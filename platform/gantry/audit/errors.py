"""What can go wrong with the audit trail."""

from gantry.kernel.errors import ErrorKind, GantryError


class AuditUnavailableError(GantryError):
    """The event could not be written down, so what it tells of does not happen."""

    code = "audit.unavailable"
    kind = ErrorKind.UNAVAILABLE
    title = "The audit trail cannot be written"
