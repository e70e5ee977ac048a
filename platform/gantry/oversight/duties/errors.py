from gantry.kernel.errors import ErrorKind, GantryError


class IllegalDutyStepError(GantryError):
    """The request or incident cannot take this step from the state it is in."""

    code = "duty.illegal_step"
    kind = ErrorKind.CONFLICT
    title = "This step is not possible now"


class UnknownRightError(GantryError):
    """The law that was named does not know this right."""

    code = "subject_request.no_such_right"
    kind = ErrorKind.INVALID
    title = "This law does not know this right"


class NotExtendableError(GantryError):
    """The time to answer cannot be lengthened, or was lengthened already."""

    code = "subject_request.not_extendable"
    kind = ErrorKind.CONFLICT
    title = "The time to answer cannot be lengthened"


class NoPatientError(GantryError):
    """The request names nobody yet."""

    code = "subject_request.not_identified"
    kind = ErrorKind.CONFLICT
    title = "It is not known yet whom this request is about"


class NotClosableError(GantryError):
    """Something that the law asks for is not recorded yet."""

    code = "incident.not_closable"
    kind = ErrorKind.CONFLICT
    title = "The incident cannot be closed yet"


class LateWithoutReasonError(GantryError):
    """A notice that comes after its time says why."""

    code = "incident.late_without_reason"
    kind = ErrorKind.INVALID
    title = "A late notice must say why it is late"


class SeveralPatientsError(GantryError):
    """More than one patient goes by the number that was given."""

    code = "subject_request.several_patients"
    kind = ErrorKind.CONFLICT
    title = "Several patients have this number"


class StaleIncidentError(GantryError):
    """Somebody else wrote meanwhile."""

    code = "incident.stale"
    kind = ErrorKind.CONFLICT
    title = "The incident was changed meanwhile"
