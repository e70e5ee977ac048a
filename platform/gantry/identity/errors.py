"""What may go wrong when somebody signs in."""

from __future__ import annotations

from gantry.kernel.errors import ErrorKind, GantryError


class IdentityError(GantryError):
    """Root of the errors of this app."""

    code = "identity.error"


class SignInLockedError(IdentityError):
    """Too many failures for this account or from this address; says the same whether or not the account exists."""

    code = "identity.locked"
    kind = ErrorKind.TOO_MANY
    title = "Too many failed sign-ins"

    def __init__(self, minutes: int) -> None:
        super().__init__(
            f"Too many failed attempts. Wait {minutes} minute{'' if minutes == 1 else 's'}, then try again, "
            "or ask your administrator."
        )


class NotConfirmedError(IdentityError):
    """A signed-in person gave a password that is not theirs."""

    code = "identity.not_confirmed"
    kind = ErrorKind.FORBIDDEN
    title = "Not confirmed"

    def __init__(self) -> None:
        super().__init__("The password is not right. Nothing was signed.")
