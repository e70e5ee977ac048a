"""The gate's answer, and the refusal that carries it to the entry point."""

from __future__ import annotations

from dataclasses import dataclass

from gantry.kernel.actor import Actor, Subject
from gantry.kernel.errors import ErrorKind, GantryError
from gantry.kernel.vocabulary import Activity, AdminPermission, Purpose


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether something may happen to patient data, and by which clause.

    `is_hidden` asks the entry point to answer as if the subject did not exist: the actor may not
    know of it.
    """

    allowed: bool
    code: str
    reason: str
    activity: Activity | AdminPermission
    purpose: Purpose
    clause: str = ""
    agreement_version: str = ""
    is_hidden: bool = False


class Refused(GantryError):  # noqa: N818 - the word the whole platform uses for it
    """The gate said no. The entry point rolls back, records this and answers."""

    kind = ErrorKind.FORBIDDEN

    def __init__(self, decision: Decision, *, actor: Actor, subject: Subject) -> None:
        super().__init__(decision.reason)
        self.decision = decision
        self.actor = actor
        self.subject = subject
        self.code = decision.code
