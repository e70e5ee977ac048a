"""What each role is for: the permission matrix, as data."""

from __future__ import annotations

from gantry.kernel.vocabulary import Activity, Role

A = Activity

#: Which activities a role may do at all. The agreement may permit less, never more.
ROLE_ACTIVITIES: dict[Role, frozenset[Activity]] = {
    Role.ADMIN: frozenset(),
    Role.COMPLIANCE: frozenset(),
    Role.RADIOLOGIST: frozenset(
        {A.STORE, A.FIND, A.VIEW, A.RENDER, A.VIEW_ABROAD, A.INFER, A.REVIEW, A.ANNOTATE, A.SHARE, A.EXPORT}
    ),
    Role.SURGEON: frozenset({A.FIND, A.VIEW, A.RENDER, A.VIEW_ABROAD, A.ANNOTATE, A.SHARE}),
    Role.REFERRER: frozenset({A.FIND, A.VIEW, A.RENDER, A.VIEW_ABROAD}),
    Role.INTEGRATOR: frozenset({A.STORE, A.FIND, A.VIEW, A.EXPORT, A.INFER}),
    Role.SYSTEM: frozenset({A.STORE, A.RENDER, A.INFER, A.DERIVE, A.ERASE}),
}

#: Roles that see a study only through an object grant on it.
NEEDS_GRANT: frozenset[Role] = frozenset({Role.REFERRER})

#: Who sees AI results before anybody has reviewed them, and who sees those that were rejected.
SEES_UNREVIEWED: frozenset[Role] = frozenset({Role.RADIOLOGIST, Role.SURGEON, Role.SYSTEM})
SEES_REJECTED: frozenset[Role] = frozenset({Role.RADIOLOGIST, Role.SYSTEM})

#: What a role may do in the pages and the API, for showing and hiding controls. Enforcement is the gate's.
ROLE_PERMISSIONS: dict[Role, tuple[str, ...]] = {
    Role.ADMIN: ("tenant.manage",),
    Role.COMPLIANCE: ("audit.read",),
    Role.RADIOLOGIST: (
        "study.view", "study.import", "study.complete", "study.refer", "referral.confirm", "finding.review",
        "analysis.start", "quarantine.view",
    ),
    Role.SURGEON: ("study.view", "study.refer"),
    Role.REFERRER: ("study.view",),
    Role.INTEGRATOR: ("study.view", "study.import", "study.complete", "analysis.start", "quarantine.view"),
    Role.SYSTEM: (),
}  # fmt: skip


def may(role: Role, activity: Activity) -> bool:
    """Tell whether a role is for this activity at all."""
    return activity in ROLE_ACTIVITIES[role]
