"""The matrix as data: whole, and as the documentation shows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gantry.access.domain import (
    ADMINISTRATION,
    EMERGENCY_ACTIVITIES,
    MATRIX,
    MAY_BREAK_GLASS,
    ROLE_PERMISSIONS,
    SCOPE_ACTIVITIES,
    is_in_scopes,
    may,
    may_administer,
)
from gantry.access.matrix import matrix_rows, to_markdown, to_text
from gantry.kernel.vocabulary import MEMBER_ROLES, Activity, AdminPermission, DataCategory, Role, Scope

PAGE = Path(__file__).resolve().parents[3] / "docs" / "access.md"


def test_documentation_shows_the_matrix() -> None:
    begin, end = "<!-- matrix -->\n", "<!-- /matrix -->"
    shown = PAGE.read_text().split(begin, 1)[1].split(end, 1)[0]
    assert shown.strip() == to_markdown().strip(), (
        "`gantry access matrix --markdown` prints what belongs between the marks"
    )


def test_every_role_has_its_row() -> None:
    assert set(MATRIX) == set(ADMINISTRATION) == set(Role)
    assert set(SCOPE_ACTIVITIES) == set(Scope)


def test_whoever_administers_sees_no_patient() -> None:
    for role in Role:
        if ADMINISTRATION[role] and role not in {Role.SYSTEM, Role.SUPPORT}:
            assert not MATRIX[role], role


def test_every_permission_is_somebody_s() -> None:
    held = set().union(*(ADMINISTRATION[role] for role in MEMBER_ROLES))
    assert held == set(AdminPermission)


def test_usage_is_nobody_s_by_role() -> None:
    assert not any(may(role, activity, DataCategory.USAGE) for role in Role for activity in Activity)


def test_emergencies_are_for_those_who_may_see_at_all() -> None:
    for role in MAY_BREAK_GLASS:
        assert set(MATRIX[role]) >= EMERGENCY_ACTIVITIES


@pytest.mark.parametrize("scope", Scope)
def test_scope_reaches_what_its_name_says(scope: Scope) -> None:
    reached = {activity for activity in Activity if is_in_scopes(frozenset({scope}), activity)}
    expected = {
        Scope.DICOMWEB_STORE: {Activity.STORE},
        Scope.DICOMWEB_READ: {Activity.FIND, Activity.VIEW, Activity.EXPORT},
        Scope.WORKLIST_READ: {Activity.FIND, Activity.VIEW},
        Scope.INFERENCE: {Activity.FIND, Activity.VIEW, Activity.INFER},
        Scope.AUDIT_READ: set(),
    }[scope]
    assert reached == expected
    assert is_in_scopes(frozenset({scope}), AdminPermission.AUDIT_READ) == (scope is Scope.AUDIT_READ)


def test_no_scopes_confine_nothing_and_empty_ones_everything() -> None:
    assert all(is_in_scopes(None, activity) for activity in Activity)
    assert not any(is_in_scopes(frozenset(), activity) for activity in Activity)


def test_pages_show_controls_for_what_is_administered() -> None:
    for role in MEMBER_ROLES:
        shown = {text for text in ROLE_PERMISSIONS[role] if text in set(AdminPermission)}
        assert shown == {one for one in AdminPermission if may_administer(role, one)}


def test_other_forms_tell_the_same() -> None:
    assert set(matrix_rows()["activities"]) == set(Role)
    text = to_text()
    assert all(role in text for role in Role)
    assert all(permission in text for permission in AdminPermission)
