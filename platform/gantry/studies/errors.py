"""What can go wrong with studies, apart from refusals."""

from gantry.kernel.errors import ErrorKind, GantryError


class StudiesError(GantryError):
    code = "studies.error"


class UnknownInstitutionError(StudiesError):
    """The institution named in the request is not one the sender may store for."""

    code = "ingest.unknown_institution"
    kind = ErrorKind.INVALID
    title = "Unknown institution"


class ObjectUnavailableError(StudiesError):
    """The bytes of an instance cannot be read now."""

    code = "object.unavailable"
    kind = ErrorKind.UNAVAILABLE
    title = "The stored object cannot be read"


class ReferralError(StudiesError):
    """The study cannot be referred like this."""

    code = "referral.invalid"
    kind = ErrorKind.INVALID
    title = "The study cannot be referred like this"
