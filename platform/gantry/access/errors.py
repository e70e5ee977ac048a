"""What can go wrong with grants and care teams, apart from refusals."""

from gantry.kernel.errors import ErrorKind, GantryError


class TeamNameTakenError(GantryError):
    """People tell teams apart by their names."""

    code = "care_team.name_taken"
    kind = ErrorKind.CONFLICT
    title = "The name is taken"

    def __init__(self) -> None:
        super().__init__("A care team with this name exists already.")


class KeysError(GantryError):
    """Something about the tenant's keys that cannot be done."""

    code = "keys.not_possible"
    kind = ErrorKind.CONFLICT
    title = "This is not possible with the keys"
