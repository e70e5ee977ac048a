"""What administrators and compliance officers do: the permission first, then the act, which records itself."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from gantry.access.policies import require_permission
from gantry.foundation.scope import atomic_service
from gantry.identity.public import find_or_invite
from gantry.kernel.actor import Actor
from gantry.kernel.vocabulary import AdminPermission, DataCategory, Place, Role, Scope
from gantry.tenancy import public as tenancy
from gantry.tenancy.public import AccountCard, Institution, IssuedToken, MemberCard, SupportCard

P = AdminPermission


@dataclass(frozen=True, slots=True)
class TenantOverview:
    """A tenant's configuration, and counts: what support may see without consent. No person, no patient."""

    name: str
    slug: str
    members_by_role: dict[str, int]
    institutions: int
    accounts: int
    networks: int
    open_support_sessions: int


@atomic_service
def view_tenant(*, actor: Actor) -> TenantOverview:
    """Return the tenant's configuration in numbers."""
    require_permission(actor, P.TENANT_VIEW)
    tenant = tenancy.get_tenant()
    members = tenancy.list_members()
    roles = {role.value: sum(1 for one in members if one.role == role) for role in Role}
    _, sessions = tenancy.list_support()
    return TenantOverview(
        name=tenant.name,
        slug=tenant.slug,
        members_by_role={role: count for role, count in roles.items() if count},
        institutions=Institution.objects.count(),
        accounts=tenancy.list_accounts(limit=0)[0],
        networks=len(tenant.networks),
        open_support_sessions=sum(1 for one in sessions if one.is_open),
    )


@atomic_service
def list_members(*, actor: Actor, offset: int, limit: int) -> tuple[int, list[MemberCard]]:
    """Return how many members there are, former ones among them, and some of them."""
    require_permission(actor, P.GRANT_REVIEW)
    return tenancy.list_member_cards(offset=offset, limit=limit)


@atomic_service
def invite_member(
    *, actor: Actor, email: str, name: str, role: Role, institution_ids: Sequence[UUID] = ()
) -> MemberCard:
    """Make a person a member.

    Who is new to the platform cannot sign in until the operator gives them a password: the answer is the same for
    a new person and for one whom another organisation knows.
    """
    require_permission(actor, P.MEMBER_MANAGE)
    user_id = find_or_invite(email=email, name=name)
    membership = tenancy.add_member(actor=actor, user_id=user_id, role=role, institution_ids=institution_ids)
    return MemberCard(
        membership.pk, user_id, name.strip(), email.strip().lower(), role, True, tuple(sorted(set(institution_ids)))
    )


@atomic_service
def change_member(
    *,
    actor: Actor,
    membership_id: UUID,
    role: Role | None = None,
    institution_ids: Sequence[UUID] | None = None,
    is_active: bool | None = None,
) -> MemberCard:
    """Change a member's role or institutions, or end their membership."""
    require_permission(actor, P.MEMBER_MANAGE)
    return tenancy.update_member(
        actor=actor, membership_id=membership_id, role=role, institution_ids=institution_ids, is_active=is_active
    )


@atomic_service
def list_institutions(*, actor: Actor) -> list[Institution]:
    """Return the tenant's institutions."""
    require_permission(actor, P.TENANT_VIEW)
    return tenancy.list_institutions(actor=actor)


@atomic_service
def create_institution(*, actor: Actor, code: str, name: str) -> Institution:
    """Add a hospital to the group."""
    require_permission(actor, P.INSTITUTION_MANAGE)
    return tenancy.create_institution(actor=actor, code=code, name=name)


@atomic_service
def change_institution(
    *, actor: Actor, institution_id: UUID, name: str | None = None, is_default: bool | None = None
) -> Institution:
    """Rename a hospital, or make it the default."""
    require_permission(actor, P.INSTITUTION_MANAGE)
    return tenancy.update_institution(actor=actor, institution_id=institution_id, name=name, is_default=is_default)


@atomic_service
def list_networks(*, actor: Actor) -> list[tuple[str, str]]:
    """Return the tenant's networks with the place that each is."""
    require_permission(actor, P.TENANT_VIEW)
    return [(cidr, place) for cidr, place in tenancy.get_tenant().networks]


@atomic_service
def set_networks(*, actor: Actor, networks: Sequence[tuple[str, Place]]) -> list[tuple[str, str]]:
    """Say which networks are which place."""
    require_permission(actor, P.INSTITUTION_MANAGE)
    return tenancy.set_networks(actor=actor, networks=networks)


@atomic_service
def list_accounts(*, actor: Actor, offset: int, limit: int) -> tuple[int, list[AccountCard]]:
    """Return how many service accounts there are, and some of them."""
    require_permission(actor, P.GRANT_REVIEW)
    return tenancy.list_accounts(offset=offset, limit=limit)


@atomic_service
def create_account(*, actor: Actor, name: str, scopes: Collection[Scope], institution_id: UUID | None) -> AccountCard:
    """Make a service account."""
    require_permission(actor, P.ACCOUNT_MANAGE)
    return tenancy.create_account(actor=actor, name=name, scopes=scopes, institution_id=institution_id)


@atomic_service
def end_account(*, actor: Actor, account_id: UUID) -> None:
    """End a service account with its tokens."""
    require_permission(actor, P.ACCOUNT_MANAGE)
    tenancy.deactivate_account(actor=actor, account_id=account_id)


@atomic_service
def issue_token(*, actor: Actor, account_id: UUID, label: str, days: int | None) -> IssuedToken:
    """Make a token for a service account; the secret is in this answer alone."""
    require_permission(actor, P.ACCOUNT_MANAGE)
    lifetime = None if days is None else timedelta(days=days)
    return tenancy.issue_account_token(actor=actor, account_id=account_id, label=label, lifetime=lifetime)


@atomic_service
def rotate_token(*, actor: Actor, account_id: UUID, token_id: UUID, overlap_hours: int) -> IssuedToken:
    """Replace a token; the one before stays good for an overlap."""
    require_permission(actor, P.ACCOUNT_MANAGE)
    return tenancy.rotate_token(
        actor=actor, token_id=token_id, account_id=account_id, overlap=timedelta(hours=overlap_hours)
    )


@atomic_service
def revoke_token(*, actor: Actor, account_id: UUID, token_id: UUID) -> None:
    """End a token at once."""
    require_permission(actor, P.ACCOUNT_MANAGE)
    tenancy.revoke_token(actor=actor, token_id=token_id, account_id=account_id)


@atomic_service
def list_support(*, actor: Actor, offset: int, limit: int) -> tuple[int, list[SupportCard]]:
    """Return how many support sessions there were, and some of them, newest first."""
    require_permission(actor, P.SUPPORT_CONSENT)
    return tenancy.list_support(offset=offset, limit=limit)


@atomic_service
def consent_to_support(*, actor: Actor, session_id: UUID, categories: Collection[DataCategory]) -> SupportCard:
    """Agree that support is shown some categories of data during a session, or to fewer than before."""
    require_permission(actor, P.SUPPORT_CONSENT)
    return tenancy.consent_to_support(actor=actor, session_id=session_id, categories=categories)


@atomic_service
def end_support(*, actor: Actor, session_id: UUID) -> SupportCard:
    """End a support session at once."""
    require_permission(actor, P.SUPPORT_CONSENT)
    return tenancy.end_support(actor=actor, session_id=session_id)
