"""What each role is for: the permission matrix, as data (ADR 0017)."""

from __future__ import annotations

from gantry.kernel.vocabulary import Activity, AdminPermission, DataCategory, Role, Scope

A = Activity
P = AdminPermission

#: What a patient's record is made of; usage says who did what, and is nobody's by role.
CLINICAL: frozenset[DataCategory] = frozenset(DataCategory) - {DataCategory.USAGE}
#: What is learnt from is how people judged results, never a picture.
FEEDBACK: frozenset[DataCategory] = frozenset({DataCategory.REPORTS})


def _clinical(*activities: Activity) -> dict[Activity, frozenset[DataCategory]]:
    return dict.fromkeys(activities, CLINICAL)


#: Role × activity × data category. The agreement may permit less, never more.
MATRIX: dict[Role, dict[Activity, frozenset[DataCategory]]] = {
    Role.ADMIN: {},
    Role.COMPLIANCE: {},
    Role.RADIOLOGIST: _clinical(
        A.STORE, A.FIND, A.VIEW, A.RENDER, A.VIEW_ABROAD, A.INFER, A.REVIEW, A.ANNOTATE, A.SHARE, A.EXPORT
    ),
    Role.SURGEON: _clinical(A.FIND, A.VIEW, A.RENDER, A.VIEW_ABROAD, A.ANNOTATE, A.SHARE),
    Role.REFERRER: _clinical(A.FIND, A.VIEW, A.RENDER, A.VIEW_ABROAD),
    Role.INTEGRATOR: _clinical(A.STORE, A.FIND, A.VIEW, A.EXPORT, A.INFER),
    Role.SYSTEM: {
        **_clinical(A.STORE, A.RENDER, A.INFER, A.DERIVE, A.EXPORT, A.TRANSFER, A.ERASE),
        A.LEARN: FEEDBACK,
    },
    # Of these, only what the tenant consented to for this session.
    Role.SUPPORT: _clinical(A.FIND, A.VIEW, A.RENDER),
}

#: Which activities a role may do at all.
ROLE_ACTIVITIES: dict[Role, frozenset[Activity]] = {role: frozenset(row) for role, row in MATRIX.items()}

#: Role × what may be administered. None of it shows patient data.
ADMINISTRATION: dict[Role, frozenset[AdminPermission]] = {
    Role.ADMIN: frozenset(
        {P.TENANT_VIEW, P.MEMBER_MANAGE, P.INSTITUTION_MANAGE, P.ACCOUNT_MANAGE, P.SUPPORT_CONSENT, P.GRANT_REVIEW}
    ),
    Role.COMPLIANCE: frozenset(
        {
            P.TENANT_VIEW, P.SUPPORT_CONSENT, P.AGREEMENT_MANAGE, P.AUDIT_READ, P.GRANT_REVIEW, P.BREAK_GLASS_REVIEW,
            P.PRIVACY_MANAGE, P.RETENTION_MANAGE, P.KEY_MANAGE,
        }
    ),
    Role.RADIOLOGIST: frozenset(),
    Role.SURGEON: frozenset(),
    Role.REFERRER: frozenset(),
    Role.INTEGRATOR: frozenset(),
    Role.SYSTEM: frozenset(AdminPermission),
    Role.SUPPORT: frozenset({P.TENANT_VIEW}),
}  # fmt: skip

#: Roles that see a study only through an object grant on it.
NEEDS_GRANT: frozenset[Role] = frozenset({Role.REFERRER})

#: Roles whose people may break the glass: those who treat patients.
MAY_BREAK_GLASS: frozenset[Role] = frozenset({Role.RADIOLOGIST, Role.SURGEON, Role.REFERRER})

#: What an emergency is for: to see. Nothing is changed, passed on or taken away under one.
EMERGENCY_ACTIVITIES: frozenset[Activity] = frozenset({A.FIND, A.VIEW, A.RENDER, A.VIEW_ABROAD})

#: What a service account's scope reaches.
SCOPE_ACTIVITIES: dict[Scope, frozenset[Activity]] = {
    Scope.DICOMWEB_STORE: frozenset({A.STORE}),
    Scope.DICOMWEB_READ: frozenset({A.FIND, A.VIEW, A.EXPORT}),
    Scope.WORKLIST_READ: frozenset({A.FIND, A.VIEW}),
    Scope.INFERENCE: frozenset({A.FIND, A.VIEW, A.INFER}),
    Scope.AUDIT_READ: frozenset(),
}
SCOPE_ADMINISTRATION: dict[Scope, frozenset[AdminPermission]] = {
    Scope.AUDIT_READ: frozenset({P.AUDIT_READ}),
}

#: Who sees AI results before anybody has reviewed them, and who sees those that were rejected.
SEES_UNREVIEWED: frozenset[Role] = frozenset({Role.RADIOLOGIST, Role.SURGEON, Role.SYSTEM})
SEES_REJECTED: frozenset[Role] = frozenset({Role.RADIOLOGIST, Role.SYSTEM})

#: What the pages show controls for. Enforcement is the gate's.
_CONTROLS: dict[Role, tuple[str, ...]] = {
    Role.RADIOLOGIST: (
        "study.view", "study.import", "study.complete", "study.refer", "referral.confirm", "finding.review",
        "analysis.start", "quarantine.view",
    ),
    Role.SURGEON: ("study.view", "study.refer"),
    Role.REFERRER: ("study.view",),
    Role.INTEGRATOR: ("study.view", "study.import", "study.complete", "analysis.start", "quarantine.view"),
}  # fmt: skip
ROLE_PERMISSIONS: dict[Role, tuple[str, ...]] = {
    role: (
        *_CONTROLS.get(role, ()),
        *(("glass.break",) if role in MAY_BREAK_GLASS else ()),
        *(sorted(ADMINISTRATION[role]) if role is not Role.SYSTEM else ()),
    )
    for role in Role
}


def may(role: Role, activity: Activity, category: DataCategory | None = None) -> bool:
    """Tell whether a role is for this activity at all, on data of a category where one is given."""
    categories = MATRIX[role].get(activity)
    return categories is not None and (category is None or category in categories)


def may_administer(role: Role, permission: AdminPermission) -> bool:
    """Tell whether a role may administer this."""
    return permission in ADMINISTRATION[role]


def is_in_scopes(scopes: frozenset[Scope] | None, act: Activity | AdminPermission) -> bool:
    """Tell whether a token's scopes reach an act; no scopes at all confine nothing."""
    if scopes is None:
        return True
    if isinstance(act, Activity):
        return any(act in SCOPE_ACTIVITIES[scope] for scope in scopes)
    return any(act in SCOPE_ADMINISTRATION.get(scope, frozenset()) for scope in scopes)
