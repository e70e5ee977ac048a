"""What a confined token opens at all; what it may do behind that door, the gate is asked."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from gantry.kernel.actor import Actor, Subject
from gantry.kernel.decision import Decision, Refused
from gantry.kernel.vocabulary import Activity, DataCategory, Purpose, Scope


def require_scope(actor: Actor, scopes: AbstractSet[Scope]) -> None:
    """Let those through whom no scope confines, and those who hold one of `scopes`.

    Raises
    ------
    Refused
        The token is for something else; recorded by the entry point's boundary.
    """
    if actor.scopes is None or actor.scopes & scopes:
        return
    reason = "This token is not for this address. Ask your administrator for one with another scope."
    decision = Decision(False, "scope.missing", reason, Activity.FIND, Purpose.OPERATIONS)
    raise Refused(decision, actor=actor, subject=Subject(actor.tenant_id, DataCategory.USAGE))
