"""What can go wrong with members, accounts and support sessions."""

from gantry.kernel.errors import ErrorKind, GantryError


class LastAdminError(GantryError):
    """Somebody must stay who can manage members."""

    code = "member.last_admin"
    kind = ErrorKind.CONFLICT
    title = "This is the last administrator"

    def __init__(self) -> None:
        super().__init__("This is the organisation's last administrator. Make somebody else one first.")


class AlreadyMemberError(GantryError):
    """A person has one membership in a tenant."""

    code = "member.exists"
    kind = ErrorKind.CONFLICT
    title = "Already a member"

    def __init__(self) -> None:
        super().__init__("This person is a member already. Change their role instead.")


class CodeTakenError(GantryError):
    """Two institutions of a tenant cannot share a code."""

    code = "institution.code_taken"
    kind = ErrorKind.CONFLICT
    title = "The code is taken"

    def __init__(self) -> None:
        super().__init__("An institution with this code exists already.")


class TokenLifetimeError(GantryError):
    """A token ends: nobody remembers one that does not."""

    code = "token.lifetime"
    title = "The token would live too long"


class SupportError(GantryError):
    """A support session that cannot be opened, consented to or ended."""

    code = "support.not_possible"
    kind = ErrorKind.CONFLICT
    title = "This is not possible for the support session"
