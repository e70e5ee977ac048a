from gantry.kernel.errors import ErrorKind, GantryError


class IllegalStepError(GantryError):
    """The agreement cannot take this step from the state it is in."""

    code = "agreement.illegal_step"
    kind = ErrorKind.CONFLICT
    title = "The agreement cannot take this step"


class StaleEditError(GantryError):
    """Somebody else changed the draft in the meantime."""

    code = "agreement.changed"
    kind = ErrorKind.CONFLICT
    title = "The draft was changed in the meantime"


class VersionTakenError(GantryError):
    """There is a version of this name already."""

    code = "agreement.version_taken"
    kind = ErrorKind.CONFLICT
    title = "There is such a version already"


class UnfinishedDraftError(GantryError):
    """The draft says too little, or contradicts itself; the sentence says where."""

    code = "agreement.unfinished"
    kind = ErrorKind.CONFLICT
    title = "The draft is not finished"


class WrongDocumentError(GantryError):
    """The signature is for another document than this version's."""

    code = "agreement.other_document"
    kind = ErrorKind.CONFLICT
    title = "This is not the document to be signed"


class MaySignError(GantryError):
    """The actor may not sign for that side."""

    code = "agreement.not_signatory"
    kind = ErrorKind.FORBIDDEN
    title = "Not allowed"
