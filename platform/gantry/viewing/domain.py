"""States of a render session, and what a ticket of one may be refused for."""

from __future__ import annotations

from enum import StrEnum


class RenderState(StrEnum):
    """Who has a viewing session of one series now."""

    ISSUED = "issued"
    """Nobody yet, or nobody any more: it waits for a ticket to be redeemed."""
    REDEEMED = "redeemed"
    """A render pod holds it and renews its lease."""
    ENDED = "ended"
    """It will not go on: whoever opened it may no longer see the series."""


class RenderStep(StrEnum):
    ISSUE = "issue"
    REDEEM = "redeem"
    RELEASE = "release"
    END = "end"


#: A ticket may be issued while a pod still holds the session: that pod goes on until another redeems it.
NEXT: dict[tuple[RenderState, RenderStep], RenderState] = {
    (RenderState.ISSUED, RenderStep.ISSUE): RenderState.ISSUED,
    (RenderState.ISSUED, RenderStep.REDEEM): RenderState.REDEEMED,
    (RenderState.ISSUED, RenderStep.END): RenderState.ENDED,
    (RenderState.REDEEMED, RenderStep.ISSUE): RenderState.REDEEMED,
    (RenderState.REDEEMED, RenderStep.REDEEM): RenderState.REDEEMED,
    (RenderState.REDEEMED, RenderStep.RELEASE): RenderState.ISSUED,
    (RenderState.REDEEMED, RenderStep.END): RenderState.ENDED,
}


def states_before(step: RenderStep) -> tuple[RenderState, ...]:
    """Return the states that a step may be taken from; an update is conditional on them."""
    return tuple(state for state, taken in NEXT if taken is step)
