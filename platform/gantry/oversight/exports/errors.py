"""What can go wrong with exports, apart from refusals."""

from gantry.kernel.errors import ErrorKind, GantryError


class ExportError(GantryError):
    code = "export.error"


class TimeRequiredError(ExportError):
    """A search of the trail names a time, or it would read everything (as national profiles of ITI-81 require)."""

    code = "audit.time_required"
    kind = ErrorKind.INVALID
    title = "Name a time"


class ExportNotReadyError(ExportError):
    """There is no bundle: not yet, or not any more."""

    code = "export.not_ready"
    kind = ErrorKind.CONFLICT
    title = "There is nothing to download"


class ExportOverError(ExportError):
    """It cannot be cancelled: it is over."""

    code = "export.over"
    kind = ErrorKind.CONFLICT
    title = "The export is over"


class NotSignedError(ExportError):
    """The sequencer did not answer in time, so nothing can be proven at the moment."""

    code = "export.not_signed"
    kind = ErrorKind.UNAVAILABLE
    title = "The trail cannot be signed at the moment"


class OvertakenError(ExportError):
    """Another worker has taken the export, or it was cancelled; this one writes nothing more."""

    code = "export.overtaken"
    kind = ErrorKind.CONFLICT
