from gantry.kernel.errors import ErrorKind, GantryError


class IllegalStepError(GantryError):
    """The agreement cannot take this step from the state it is in."""

    code = "agreement.illegal_step"
    kind = ErrorKind.CONFLICT
    title = "The agreement cannot take this step"
