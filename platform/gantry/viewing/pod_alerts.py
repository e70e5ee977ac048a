"""What render pods give cause to record: a pod that speaks for another."""

from __future__ import annotations

from gantry.audit.public import Kind, Outcome, record_platform
from gantry.foundation.web.correlation import correlation_id
from gantry.kernel.clock import SYSTEM_CLOCK, Clock


def record_misnamed_pod(*, owner: str, claimed: str, clock: Clock = SYSTEM_CLOCK) -> None:
    """Record that the key of one pod came with the name of another."""
    _alert("render_pod.misnamed", {"pod": owner, "claimed": claimed}, clock)


def _alert(action: str, detail: dict[str, str], clock: Clock) -> None:
    record_platform(
        kind=Kind.SECURITY_ALERT,
        action=action,
        outcome=Outcome.REFUSED,
        user_id=None,
        correlation_id=correlation_id(),
        detail=detail,
        clock=clock,
    )
