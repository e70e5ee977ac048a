"""The permission matrix as people read it: a table, JSON, and the page of the documentation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from gantry.access.domain import (
    ADMINISTRATION,
    EMERGENCY_ACTIVITIES,
    MATRIX,
    MAY_BREAK_GLASS,
    NEEDS_GRANT,
    SCOPE_ACTIVITIES,
    SCOPE_ADMINISTRATION,
)
from gantry.kernel.vocabulary import MEMBER_ROLES, Activity, AdminPermission, DataCategory, Role, Scope

YES, NO = "yes", "·"
NOBODY = "Nobody, by role."
#: Members first, then who belongs to no tenant.
ROLES: tuple[Role, ...] = (*MEMBER_ROLES, Role.SYSTEM, Role.SUPPORT)


def matrix_rows() -> dict[str, Any]:
    """Return the matrix as JSON-ready data."""
    return {
        "activities": {
            role.value: {activity.value: sorted(MATRIX[role].get(activity, ())) for activity in Activity}
            for role in ROLES
        },
        "administration": {role.value: sorted(ADMINISTRATION[role]) for role in ROLES},
        "scopes": {scope.value: sorted(_of_scope(scope)) for scope in Scope},
        "needs_grant": sorted(NEEDS_GRANT),
        "may_break_glass": sorted(MAY_BREAK_GLASS),
        "emergency_activities": sorted(EMERGENCY_ACTIVITIES),
    }


def activity_table(category: DataCategory) -> list[list[str]]:
    """Return role × activity for one category of data, with its heading."""
    rows = [["activity", *(role.value for role in ROLES)]]
    rows += [[activity.value, *(_mark(role, activity, category) for role in ROLES)] for activity in Activity]
    return rows


def administration_table() -> list[list[str]]:
    """Return role × what may be administered, with its heading."""
    rows = [["permission", *(role.value for role in ROLES)]]
    rows += [
        [permission.value, *(YES if permission in ADMINISTRATION[role] else NO for role in ROLES)]
        for permission in AdminPermission
    ]
    return rows


def scope_table() -> list[list[str]]:
    """Return what each scope of a service account's token reaches, with its heading."""
    return [["scope", "reaches"], *([scope.value, ", ".join(sorted(_of_scope(scope)))] for scope in Scope)]


def _of_scope(scope: Scope) -> set[str]:
    return {*map(str, SCOPE_ACTIVITIES[scope]), *map(str, SCOPE_ADMINISTRATION.get(scope, ()))}


def _mark(role: Role, activity: Activity, category: DataCategory) -> str:
    if category not in MATRIX[role].get(activity, ()):
        return NO
    if role is Role.SUPPORT:
        return "by consent"
    return "by grant" if role in NEEDS_GRANT else YES


def distinct_categories() -> list[tuple[tuple[DataCategory, ...], list[list[str]]]]:
    """Return the tables of all categories, those that are the same shown once."""
    found: list[tuple[list[DataCategory], list[list[str]]]] = []
    for category in DataCategory:
        table = activity_table(category)
        for categories, known in found:
            if known == table:
                categories.append(category)
                break
        else:
            found.append(([category], table))
    return [(tuple(categories), table) for categories, table in found]


def to_markdown() -> str:
    """Return the tables as Markdown, as `docs/access.md` holds them."""
    parts = []
    for categories, table in distinct_categories():
        names = ", ".join(category.value.replace("_", " ") for category in categories)
        parts += [f"**Activities on {names}**", _markdown(table) if _says_something(table) else NOBODY]
    parts += ["**Administration**", _markdown(administration_table()), "**Scopes of tokens**", _markdown(scope_table())]
    return "\n\n".join(parts) + "\n"


def to_text() -> str:
    """Return the tables for a terminal."""
    parts = []
    for categories, table in distinct_categories():
        names = ", ".join(category.value.replace("_", " ") for category in categories)
        parts += [f"Activities on {names}", _plain(table) if _says_something(table) else NOBODY, ""]
    parts += ["Administration", _plain(administration_table()), "", "Scopes of tokens", _plain(scope_table())]
    return "\n".join(parts) + "\n"


def _says_something(table: Sequence[Sequence[str]]) -> bool:
    return any(cell != NO for row in table[1:] for cell in row[1:])


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _plain(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(_line(cells, widths) for cells in rows)


def _line(cells: Iterable[str], widths: Iterable[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
