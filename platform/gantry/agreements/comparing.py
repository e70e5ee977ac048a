"""What changes between two versions: in words, and in what may be done. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from typing import Any
from uuid import UUID

from gantry.agreements.content import Content, content_to_json
from gantry.agreements.domain import Terms, judge
from gantry.kernel.actor import Actor, Subject
from gantry.kernel.decision import Decision
from gantry.kernel.ids import ActorId, StudyId, TenantId
from gantry.kernel.vocabulary import (
    Activity,
    ActorKind,
    DataCategory,
    GrantKind,
    Place,
    Purpose,
    Role,
)

#: What identifies an entry of a list, so that an entry that moved is not a change.
_KEYS: dict[str, tuple[str, ...]] = {
    "sections": ("number",),
    "terms.permissions": ("clause", "activity"),
    "terms.sub_processors.list": ("name",),
    "terms.transfers": ("recipient", "region"),
}


@dataclass(frozen=True, slots=True)
class Change:
    """One place of the content that differs; `None` is where a side has nothing there."""

    path: str
    before: Any
    after: Any


def diff_contents(before: Content, after: Content) -> list[Change]:
    """Return every place where two contents differ, in a stable order."""
    first, second = dict(_flatten(content_to_json(before))), dict(_flatten(content_to_json(after)))
    return [
        Change(path, first.get(path), second.get(path))
        for path in sorted(first.keys() | second.keys())
        if first.get(path) != second.get(path)
    ]


def _flatten(value: Any, path: str = "", kind: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each leaf with its path; lists of words are leaves, lists of entries go by what identifies an entry."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flatten(item, f"{path}.{key}" if path else key, f"{kind}.{key}" if kind else key)
    elif isinstance(value, list) and kind in _KEYS:
        seen: dict[str, int] = {}
        for item in value:
            name = ", ".join(str(item[key]) for key in _KEYS[kind])
            seen[name] = seen.get(name, 0) + 1
            label = name if seen[name] == 1 else f"{name} ({seen[name]})"
            yield from _flatten(
                {k: v for k, v in item.items() if k not in _KEYS[kind]}, f"{path}[{label}]", f"{kind}[]"
            )
    else:
        yield path, value


@dataclass(frozen=True, slots=True)
class Shift:
    """One act that another version would decide otherwise."""

    role: Role
    activity: Activity
    category: DataCategory
    purpose: Purpose
    place: Place
    before: Decision
    after: Decision


def list_shifts(before: Terms | None, after: Terms, *, at: datetime, region: str) -> list[Shift]:
    """Return the acts, role × activity × category × purpose × place, that two terms decide differently.

    Asked of somebody whom the object was granted to, in their own institution, so that what differs is the agreement.
    """
    tenant = TenantId(UUID(int=1))
    shifts = []
    for role, activity, category, purpose, place in product(
        Role, Activity, DataCategory, Purpose, (Place.SITE, Place.ABROAD)
    ):
        actor = Actor(
            ActorKind.SYSTEM if role is Role.SYSTEM else ActorKind.PERSON,
            ActorId(UUID(int=2)),
            tenant,
            role,
            place=place,
            consents=frozenset(DataCategory),
        )
        grant = GrantKind.BREAK_GLASS if purpose is Purpose.EMERGENCY else GrantKind.REFERRAL
        subject = Subject(tenant, category, study_id=StudyId(UUID(int=3)), granted_by=grant)

        old, new = (
            judge(terms, at=at, actor=actor, activity=activity, subject=subject, purpose=purpose, region=region)
            for terms in (before, after)
        )
        if new.purpose is not purpose:
            continue  # such a role, or by such a grant, one acts for a purpose of its own: it has its row
        if (old.allowed or new.allowed) and (old.allowed, old.clause) != (new.allowed, new.clause):
            shifts.append(Shift(role, activity, category, purpose, place, old, new))
    return shifts
