"""How far numbering and signing are behind what is recorded: for probes, `gantry doctor` and `gantry audit status`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import connection

#: The sequencer reports at least every few seconds; silent for longer than this, it is not running.
SILENT_S: Final = 30.0
#: Events are to be under a signed checkpoint within a minute (DESIGN.md §5).
BEHIND_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class LedgerStatus:
    """What the sequencer last said, and how long ago.

    Parameters
    ----------
    lag_events
        Events that waited for a place when it last reported; counted up to 100,000.
    lag_s
        For how long the oldest of them has waited.
    problem
        Why it signs nothing more of some log; empty when there is no such.
    """

    beat_s: float | None
    lag_events: int
    lag_s: float
    checkpoint_at: datetime | None
    problem: str
    fingerprints: tuple[str, ...]

    @property
    def state(self) -> str:
        """`ok`, `behind`, `refused` or `stopped`."""
        if self.beat_s is None or self.beat_s > SILENT_S:
            return "stopped"
        if self.problem:
            return "refused"
        return "behind" if self.lag_s > BEHIND_S else "ok"

    @property
    def is_well(self) -> bool:
        """Whether nobody need look."""
        return self.state == "ok"

    @property
    def sentence(self) -> str:
        """Say it to a person."""
        if self.beat_s is None:
            return "The sequencer has never run: nothing is numbered or signed. Start `gantry sequencer`."
        words = {
            "stopped": f"The sequencer has been silent for {self.beat_s:.0f} s: events are kept, but not signed.",
            "refused": f"A log contradicts what was signed, and is signed no more: {self.problem}",
            "behind": f"{self.lag_events} events wait for their place, the oldest for {self.lag_s:.0f} s.",
            "ok": f"The ledger is up to date; the last checkpoint is of {self.checkpoint_at:%Y-%m-%d %H:%M:%S} UTC."
            if self.checkpoint_at
            else "The ledger is up to date; there is no checkpoint yet.",
        }
        return words[self.state]


def ledger_status() -> LedgerStatus:
    """Ask the database; `django.db.Error` when it does not answer."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select extract(epoch from clock_timestamp() - beat_at), pending, "
            "coalesce(extract(epoch from clock_timestamp() - oldest_at), 0), checkpoint_at, problem, "
            "array(select fingerprint from audit_logkey order by since) from audit_sequencer"
        )
        beat, pending, oldest, checkpoint_at, problem, fingerprints = cursor.fetchone()
    return LedgerStatus(
        beat_s=None if beat is None else float(beat),
        lag_events=pending,
        lag_s=float(oldest),
        checkpoint_at=checkpoint_at,
        problem=problem,
        fingerprints=tuple(fingerprints),
    )
