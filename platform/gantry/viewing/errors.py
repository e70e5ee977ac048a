"""What can go wrong with viewing, apart from refusals."""

from gantry.kernel.errors import ErrorKind, GantryError


class ViewingError(GantryError):
    code = "viewing.error"


class RenderUnavailableError(ViewingError):
    """There is no render service, or it does not answer."""

    code = "render.unavailable"
    kind = ErrorKind.UNAVAILABLE
    title = "The render service is not there"

    def __init__(self) -> None:
        super().__init__("The render service is not there now. Pictures can be had one by one, without MPR and 3D.")


class TicketRefusedError(ViewingError):
    """A ticket that is worth nothing: `ticket.malformed`, `ticket.forged`, `ticket.expired`, `ticket.used`."""

    kind = ErrorKind.FORBIDDEN
    title = "The ticket is refused"

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class SessionEndedError(ViewingError):
    """Whoever opened the session is no longer signed in, no member any more, or the series is not theirs to see."""

    kind = ErrorKind.FORBIDDEN
    title = "The viewing session has ended"

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
