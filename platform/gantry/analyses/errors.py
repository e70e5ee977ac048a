"""What can go wrong with analyses, apart from refusals."""

from gantry.kernel.errors import ErrorKind, GantryError


class AnalysesError(GantryError):
    code = "analysis.error"


class UnknownModelError(AnalysesError):
    """The tenant has no such model in use."""

    code = "analysis.unknown_model"
    kind = ErrorKind.INVALID
    title = "Unknown model"


class NothingToAnalyseError(AnalysesError):
    """The study has no series the model was made for; the sentence says why."""

    code = "analysis.not_applicable"
    kind = ErrorKind.INVALID
    title = "The model was not made for this"


class FencedError(AnalysesError):
    """Another worker has taken the analysis over; this one must write nothing more."""

    code = "analysis.fenced"
    kind = ErrorKind.CONFLICT


class ReviewConflictError(AnalysesError):
    """Somebody has judged the finding since it was shown."""

    code = "finding.changed"
    kind = ErrorKind.CONFLICT
    title = "Somebody has reviewed this finding meanwhile"


class ReasonRequiredError(AnalysesError):
    """A rejection says why."""

    code = "finding.reason_required"
    kind = ErrorKind.INVALID
    title = "Say why"


class IdempotencyConflictError(AnalysesError):
    """The key was used for another request."""

    code = "request.idempotency_conflict"
    kind = ErrorKind.CONFLICT
    title = "This Idempotency-Key was used for another request"
