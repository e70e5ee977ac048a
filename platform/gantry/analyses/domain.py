"""The states of an analysis and of a finding's review, as tables."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"
    NOT_ANALYSED = "not_analysed"


class Step(StrEnum):
    CLAIM = "claim"
    WAIT = "wait"
    FINISH = "finish"
    FAIL = "fail"


#: RUNNING may be claimed again: only once the lease of the worker that held it has run out.
NEXT: dict[tuple[State, Step], State] = {
    (State.QUEUED, Step.CLAIM): State.RUNNING,
    (State.WAITING, Step.CLAIM): State.RUNNING,
    (State.RUNNING, Step.CLAIM): State.RUNNING,
    (State.RUNNING, Step.WAIT): State.WAITING,
    (State.RUNNING, Step.FINISH): State.DONE,
    (State.RUNNING, Step.FAIL): State.FAILED,
}

UNFINISHED = (State.QUEUED, State.RUNNING, State.WAITING)


class Stage(StrEnum):
    """What a running analysis is doing."""

    QUEUED = "queued"
    READ = "read"
    PRE = "pre"
    INFER = "infer"
    POST = "post"
    WRITE = "write"
    DONE = "done"


class Verdict(StrEnum):
    ACCEPT = "accept"
    REJECT = "reject"
    REOPEN = "reopen"


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's right to write about an analysis: good while `attempt` is the row's."""

    attempt: int


#: Seconds a worker holds an analysis without a sign of life, and how often it gives one.
LEASE_S = 30
HEARTBEAT_S = 8
#: After putting an analysis back into the queue, the reaper leaves it alone for this long.
REAP_AGAIN_S = 20
#: Attempts that may end in a crash before the analysis is called failed.
MAX_CRASHES = 5
