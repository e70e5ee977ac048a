"""What can go wrong with the audit trail."""

from gantry.kernel.errors import ErrorKind, GantryError


class AuditUnavailableError(GantryError):
    """The event could not be written down, so what it tells of does not happen."""

    code = "audit.unavailable"
    kind = ErrorKind.UNAVAILABLE
    title = "The audit trail cannot be written"


class LedgerEmptyError(GantryError):
    """Nothing of a log has been signed yet."""

    code = "audit.nothing_signed"
    kind = ErrorKind.UNAVAILABLE
    title = "The ledger has no checkpoint yet"
