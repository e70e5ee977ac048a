"""What can be wrong with a DICOMweb request."""

from gantry.kernel.errors import ErrorKind, GantryError


class DicomwebError(GantryError):
    code = "dicomweb.error"


class ForeignOriginError(DicomwebError):
    """A session was used from another site's page, or from none that says where it is."""

    code = "request.foreign_origin"
    kind = ErrorKind.FORBIDDEN
    title = "Not from this site"


class MalformedBodyError(DicomwebError):
    code = "request.malformed"
    kind = ErrorKind.INVALID
    title = "The body cannot be read"


class UnsupportedBodyError(DicomwebError):
    code = "request.unsupported"
    kind = ErrorKind.UNSUPPORTED
    title = "Unsupported media type"


class NotAcceptableError(DicomwebError):
    code = "request.not_acceptable"
    kind = ErrorKind.NOT_ACCEPTABLE
    title = "None of the accepted media types can be had"


class InvalidQueryError(DicomwebError):
    code = "request.invalid"
    kind = ErrorKind.INVALID
    title = "The query is not valid"


class PictureError(DicomwebError):
    """The pixels cannot be shown; the sentence says why."""

    code = "picture.unavailable"
    kind = ErrorKind.NOT_ACCEPTABLE
    title = "The image cannot be rendered"


class TooManyPicturesError(DicomwebError):
    """More pictures were asked for than come in one answer."""

    code = "request.too_many"
    kind = ErrorKind.TOO_LARGE
    title = "Too many pictures"

    def __init__(self, most: int) -> None:
        super().__init__(f"One answer holds at most {most} pictures. Ask series by series, or for frames.")


class BusyError(DicomwebError):
    code = "request.busy"
    kind = ErrorKind.UNAVAILABLE
    title = "Too busy"
