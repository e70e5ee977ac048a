"""Business days of Türkiye: a signed standard contract is notified within five of them (KVKK art. 9(5))."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import yaml

_DATA = Path(__file__).with_name("drafts") / "holidays-tr.yaml"
ISTANBUL = ZoneInfo("Europe/Istanbul")
NOTICE_BUSINESS_DAYS = 5


@dataclass(frozen=True, slots=True)
class Deadline:
    """A day that is counted in business days.

    Parameters
    ----------
    is_calendar_known
        Whether the religious holidays of the years in between are known; where they are not, the day is early.
    """

    day: date
    is_calendar_known: bool


@functools.cache
def _holidays() -> tuple[frozenset[str], dict[int, frozenset[str]]]:
    data = yaml.safe_load(_DATA.read_text(encoding="utf-8"))
    return frozenset(data["fixed"]), {int(year): frozenset(days) for year, days in data["religious"].items()}


def is_business_day(day: date) -> bool:
    """Tell whether offices work on a day, as far as its year is known."""
    fixed, religious = _holidays()
    name = f"{day:%m-%d}"
    return day.weekday() < 5 and name not in fixed and name not in religious.get(day.year, frozenset())


def notice_deadline(signed_at: datetime) -> Deadline:
    """Return the last day for notifying the Authority of a contract; the day of signature itself does not count."""
    signed_on = signed_at.astimezone(ISTANBUL).date()
    day, left = signed_on, NOTICE_BUSINESS_DAYS
    while left:
        day += timedelta(days=1)
        left -= is_business_day(day)
    known = _holidays()[1]
    return Deadline(day, all(year in known for year in range(signed_on.year, day.year + 1)))
