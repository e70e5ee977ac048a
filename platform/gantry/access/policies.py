"""Who may administer what. About patient data the gate is asked, never this."""

from __future__ import annotations

from gantry.access.domain import is_in_scopes, may_administer
from gantry.kernel.actor import Actor, Subject
from gantry.kernel.decision import Decision, Refused
from gantry.kernel.vocabulary import AdminPermission, DataCategory, Purpose


def require_permission(actor: Actor, permission: AdminPermission) -> Decision:
    """Let an administrative act go on, or raise; needs no agreement, for nothing of a patient is shown.

    Raises
    ------
    Refused
        The role, or the token's scopes, do not include it; recorded by the entry point's boundary.
    """

    def decision(code: str, reason: str) -> Decision:
        return Decision(code == "allowed", code, reason, permission, Purpose.OPERATIONS)

    if not may_administer(actor.role, permission) and not _is_of_scope(actor, permission):
        answer = decision("role.not_permitted", f"The role {actor.role} does not include {_words(permission)}.")
    elif not is_in_scopes(actor.scopes, permission):
        answer = decision("scope.missing", f"This token's scopes do not include {_words(permission)}.")
    else:
        return decision("allowed", "Permitted by the role.")
    raise Refused(answer, actor=actor, subject=Subject(actor.tenant_id, DataCategory.USAGE))


def _is_of_scope(actor: Actor, permission: AdminPermission) -> bool:
    """Tell whether a service account was given this by a scope: no integrator has it by role."""
    return actor.user_id is None and actor.scopes is not None and is_in_scopes(actor.scopes, permission)


_WORDS = {
    AdminPermission.TENANT_VIEW: "looking into the organisation's configuration",
    AdminPermission.MEMBER_MANAGE: "managing members",
    AdminPermission.INSTITUTION_MANAGE: "managing institutions and networks",
    AdminPermission.ACCOUNT_MANAGE: "managing service accounts and tokens",
    AdminPermission.SUPPORT_CONSENT: "deciding about support sessions",
    AdminPermission.AGREEMENT_MANAGE: "managing agreements",
    AdminPermission.AUDIT_READ: "reading the audit trail",
    AdminPermission.GRANT_REVIEW: "looking into grants",
    AdminPermission.BREAK_GLASS_REVIEW: "reviewing emergency access",
    AdminPermission.PRIVACY_MANAGE: "handling subject requests and incidents",
    AdminPermission.RETENTION_MANAGE: "managing retention and erasure",
    AdminPermission.KEY_MANAGE: "managing keys",
}


def _words(permission: AdminPermission) -> str:
    return _WORDS[permission]
