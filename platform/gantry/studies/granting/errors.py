"""What can go wrong with grants and emergency access, apart from refusals."""

from gantry.kernel.errors import ErrorKind, GantryError


class GrantError(GantryError):
    """The study cannot be shared like this."""

    code = "grant.invalid"
    title = "The study cannot be shared like this"


class EmergencyNotNeededError(GantryError):
    """Nothing stands between this person and the patient."""

    code = "emergency.not_needed"
    kind = ErrorKind.CONFLICT
    title = "No emergency access is needed"

    def __init__(self) -> None:
        super().__init__("You may see this patient as it is. Open the study from the worklist.")


class EmergencyAmbiguousError(GantryError):
    """The number is in use at more than one hospital."""

    code = "emergency.ambiguous"
    kind = ErrorKind.CONFLICT
    title = "Several patients have this number"

    def __init__(self) -> None:
        super().__init__("Several patients of the organisation have this number. Name the study instead.")


class TooManyEmergenciesError(GantryError):
    """Breaking the glass is for emergencies, not for looking around."""

    code = "emergency.too_many"
    kind = ErrorKind.TOO_MANY
    title = "Too many emergencies"

    def __init__(self) -> None:
        super().__init__("You have asked for emergency access too often within an hour. Call your compliance officer.")


class EmergencyReviewError(GantryError):
    """A review that cannot be written down."""

    code = "emergency.review"
    kind = ErrorKind.CONFLICT
    title = "The review cannot be written down"
