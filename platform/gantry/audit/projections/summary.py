"""What an export says at a glance: counts by kind, action, person and outcome, and activity over time, as one HTML page.

The page becomes a PDF where it is written (WeasyPrint); it needs no script and loads nothing.
"""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from gantry.audit.domain import Outcome
from gantry.audit.line import LedgerEvent
from gantry.audit.projections.names import is_person, user_id
from gantry.audit.vocabulary import ACTIONS
from gantry.kernel.vocabulary import Purpose

#: Bars of the picture; a longer time has broader ones.
_BARS = 60
_STEPS = (
    timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1), timedelta(hours=6), timedelta(days=1),
    timedelta(days=7), timedelta(days=30), timedelta(days=365),
)  # fmt: skip
#: More people than this are summed up as "others", so that memory stays bounded.
_PEOPLE = 5000


@dataclass(slots=True)
class Tally:
    """Counts of a stream of events, kept while it goes by."""

    since: datetime
    until: datetime
    events: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    actions: Counter[str] = field(default_factory=Counter)
    people: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    over_time: Counter[int] = field(default_factory=Counter)
    refused_over_time: Counter[int] = field(default_factory=Counter)
    emergencies: int = 0
    first: datetime | None = None
    last: datetime | None = None

    @property
    def step(self) -> timedelta:
        """Return how long one bar is."""
        span = self.until - self.since
        return next((step for step in _STEPS if span / step <= _BARS), _STEPS[-1])

    def add(self, event: LedgerEvent) -> None:
        """Count one event."""
        self.events += 1
        self.kinds[str(event.kind)] += 1
        self.outcomes[str(event.outcome)] += 1
        self.actions[event.action] += 1
        who = user_id(event) if is_person(event) else f"{event.actor_kind or 'platform'}"
        who = who if who in self.people or len(self.people) < _PEOPLE else "others"
        self.people[who] += 1
        bar = int((event.occurred_at - self.since) / self.step)
        self.over_time[bar] += 1
        if event.outcome is not Outcome.SUCCESS:
            self.refused[who] += 1
            self.refused_over_time[bar] += 1
        if event.purpose == Purpose.EMERGENCY:
            self.emergencies += 1
        self.first = min(self.first or event.occurred_at, event.occurred_at)
        self.last = max(self.last or event.occurred_at, event.occurred_at)


@dataclass(frozen=True, slots=True)
class Front:
    """What stands above the counts."""

    title: str
    organisation: str
    made_at: datetime
    made_by: str
    query: Sequence[tuple[str, str]]
    statement: str
    fingerprint: str


def render_summary(front: Front, tally: Tally, names: Mapping[UUID, str]) -> str:
    """Return the page."""
    facts = [
        ("Organisation", front.organisation),
        ("Made", f"{front.made_at:%Y-%m-%d %H:%M:%S} UTC by {front.made_by}"),
        *front.query,
        ("Events", f"{tally.events:,}"),
        (
            "First and last",
            f"{tally.first:%Y-%m-%d %H:%M:%S} to {tally.last:%Y-%m-%d %H:%M:%S} UTC" if tally.first else "none",
        ),
        ("Emergency access", f"{tally.emergencies:,} events"),
        ("What this proves", front.statement),
        ("Key of the log", front.fingerprint),
    ]
    shown = [(_name(who, names), count, tally.refused[who]) for who, count in tally.people.most_common(25)]
    actions = [(act_sentence(action), count, 0) for action, count in tally.actions.most_common(40)]
    return f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>{_esc(front.title)}</title><style>{_STYLE}</style>
<h1>{_esc(front.title)}</h1>
<table class="facts">{"".join(f"<tr><th>{_esc(name)}<td>{_esc(value)}" for name, value in facts)}</table>
<h2>Activity over time</h2>{_picture(tally)}
<h2>By kind</h2>{_table(("Kind", "Events"), [(kind.replace("_", " "), n, 0) for kind, n in tally.kinds.most_common()])}
<h2>By outcome</h2>{_table(("Outcome", "Events"), [(outcome, n, 0) for outcome, n in tally.outcomes.most_common()])}
<h2>By person</h2>{_table(("Who", "Events", "not successful"), shown)}
<h2>By action</h2>{_table(("What happened", "Events"), actions)}
</html>"""


def act_sentence(action: str) -> str:
    """Return an action with its sentence."""
    known = ACTIONS.get(action)
    return f"{known.sentence} ({action})" if known else action


def _name(who: str, names: Mapping[UUID, str]) -> str:
    try:
        return names.get(UUID(who), who)
    except ValueError:
        return who


def _table(heads: Sequence[str], rows: Sequence[tuple[str, int, int]]) -> str:
    head = "".join(f"<th>{_esc(one)}" for one in heads)
    cells = [
        f"<tr><td>{_esc(name)}<td class=n>{count:,}" + (f"<td class=n>{other:,}" if len(heads) > 2 else "")
        for name, count, other in rows
    ]
    return f"<table><tr>{head}{''.join(cells)}</table>"


def _picture(tally: Tally) -> str:
    """Return bars of events, what was refused or failed drawn darker at their foot."""
    bars = max(1, min(_BARS * 2, int((tally.until - tally.since) / tally.step) + 1))
    highest = max([*tally.over_time.values(), 1])
    width, height = 680.0, 140.0
    each = width / bars
    drawn = []
    for at in range(bars):
        all_of, bad = tally.over_time[at], tally.refused_over_time[at]
        for count, kind in ((all_of, "all"), (bad, "bad")):
            if count:
                tall = max(0.8, height * count / highest)
                drawn.append(
                    f'<rect class="{kind}" x="{at * each:.2f}" y="{height - tall:.2f}" width="{max(each - 1, 0.5):.2f}" '
                    f'height="{tall:.2f}"/>'
                )
    caption = (
        f"{tally.since:%Y-%m-%d %H:%M} to {tally.until:%Y-%m-%d %H:%M} UTC; one bar is {_words(tally.step)}; the highest has "
        f"{highest:,} events. Dark: refused or failed."
    )
    return (
        f'<svg viewBox="0 0 {width} {height + 4}" width="100%" role="img"><line x1="0" y1="{height}" x2="{width}" y2="{height}"/>'
        f"{''.join(drawn)}</svg><p class=note>{_esc(caption)}</p>"
    )


def _words(step: timedelta) -> str:
    minutes = int(step.total_seconds() // 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 1440 else f"{minutes // 1440} d"


def _esc(value: str) -> str:
    return html.escape(str(value))


_STYLE = """
@page { size: A4; margin: 18mm; @bottom-right { content: counter(page) " / " counter(pages); font: 8pt sans-serif } }
body { font: 10pt/1.35 sans-serif; color: #15202b } h1 { font-size: 17pt; margin: 0 0 6pt }
h2 { font-size: 12pt; margin: 14pt 0 4pt } table { border-collapse: collapse; width: 100% } tr { break-inside: avoid }
th, td { text-align: left; padding: 2pt 6pt 2pt 0; vertical-align: top; border-bottom: .4pt solid #c8d2dc }
.n { text-align: right } .facts th { width: 26%; font-weight: 600 } .note { font-size: 8.5pt; color: #46545f }
svg .all { fill: #7fa8cf } svg .bad { fill: #8f2d2d } svg line { stroke: #15202b; stroke-width: .6 }
"""
