"""Who somebody is within a tenant, and the making of tenants, members and tokens."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q, QuerySet

from gantry.audit.public import Entry, Kind, record
from gantry.foundation.scope import atomic_service, tenant_scope, unit_of_work
from gantry.kernel.actor import Actor, system_actor
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.kernel.errors import NotFoundError
from gantry.kernel.ids import ActorId, InstitutionId, TenantId, new_uuid
from gantry.kernel.vocabulary import ActorKind, Role
from gantry.tenancy.domain import place_of
from gantry.tenancy.models import (
    AccessToken,
    Institution,
    Membership,
    MembershipInstitution,
    ServiceAccount,
    Tenant,
)
from gantry.vault.public import get_vault

TOKEN_PREFIX = "gantry_"  # noqa: S105 - what every token begins with


@dataclass(frozen=True, slots=True)
class TenantCard:
    """What a signed-in person may know of a tenant they belong to."""

    id: TenantId
    slug: str
    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A new token; `secret` is shown once and kept nowhere."""

    id: UUID
    secret: str
    expires_at: datetime


def list_tenants_of(user_id: UUID) -> list[TenantCard]:
    """Return the tenants a person is an active member of."""
    with connection.cursor() as cursor:
        cursor.execute("select tenant_id, slug, name, role from gantry.memberships_of(%s) order by name", [user_id])
        return [TenantCard(TenantId(row[0]), row[1], row[2], Role(row[3])) for row in cursor.fetchall()]


def resolve_person(*, slug: str, user_id: UUID, address: str, session: str, correlation_id: str) -> Actor:
    """Return the actor that a signed-in person is in a tenant.

    Raises
    ------
    NotFoundError
        No such tenant, or no active membership of it: the two look the same.
    """
    row = _one("select tenant_id, role, networks, institutions from gantry.find_member(%s, %s)", [slug, user_id])
    return _actor(row, ActorKind.PERSON, user_id, address, session, correlation_id, user_id=user_id)


def resolve_token(*, slug: str, token: str, address: str, correlation_id: str) -> Actor | None:
    """Return the actor that a bearer token is in a tenant; `None` when the token is worth nothing.

    Raises
    ------
    NotFoundError
        The token is good, but for another tenant.
    """
    digest = hashlib.sha256(token.encode()).digest()
    with connection.cursor() as cursor:
        cursor.execute(
            "select slug, account_id, user_id, tenant_id, role, networks, institutions from gantry.find_token(%s)",
            [digest],
        )
        row = cursor.fetchone()
    if row is None:
        return None
    if row[0] != slug:
        raise NotFoundError
    user_id: UUID | None = row[2]
    kind = ActorKind.SERVICE if user_id is None else ActorKind.PERSON
    return _actor(row[3:], kind, user_id or row[1], address, digest.hex()[:32], correlation_id, user_id=user_id)


def _one(query: str, parameters: list[Any]) -> tuple[Any, ...]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        row: tuple[Any, ...] | None = cursor.fetchone()
    if row is None:
        raise NotFoundError
    return row


def _actor(
    row: tuple[Any, ...],
    kind: ActorKind,
    actor_id: UUID,
    address: str,
    session: str,
    correlation_id: str,
    user_id: UUID | None = None,
) -> Actor:
    tenant_id, role, networks, institutions = row
    pairs = json.loads(networks) if isinstance(networks, str) else networks
    return Actor(
        kind=kind,
        id=ActorId(actor_id),
        tenant_id=TenantId(tenant_id),
        role=Role(role),
        institutions=frozenset(map(InstitutionId, institutions)) if institutions else None,
        place=place_of(address, [(cidr, place) for cidr, place in pairs]),
        session=session,
        correlation_id=correlation_id,
        user_id=user_id,
    )


def create_tenant(*, slug: str, name: str, networks: list[tuple[str, str]]) -> TenantId:
    """Make a tenant. Its first rows are written by the platform itself."""
    tenant_id = TenantId(new_uuid())
    actor = system_actor(tenant_id)
    get_vault().keys.create_tenant_key(tenant_id)
    with tenant_scope(actor), unit_of_work():
        Tenant.objects.bulk_create([Tenant(id=tenant_id, slug=slug, name=name, networks=networks)])
        record(actor=actor, entry=Entry(kind=Kind.CONFIGURATION, action="tenant.created", detail={"slug": slug}))
    return tenant_id


def find_tenant(slug: str) -> TenantId | None:
    """Return the id behind a slug; for commands of the operator, never for a request."""
    with connection.cursor() as cursor:
        cursor.execute("select gantry.find_tenant(%s)", [slug])
        row = cursor.fetchone()
    return TenantId(row[0]) if row and row[0] else None


def list_tenant_ids() -> list[TenantId]:
    """Return every tenant's id; for housekeeping, never for a request."""
    with connection.cursor() as cursor:
        cursor.execute("select gantry.tenant_ids()")
        return [TenantId(row[0]) for row in cursor.fetchall()]


@atomic_service
def get_tenant() -> Tenant:
    """Return the tenant of the scope."""
    return Tenant.objects.get()


@atomic_service
def create_institution(*, actor: Actor, code: str, name: str) -> Institution:
    """Add a hospital to the group; the first one is where studies go that name none."""
    institution = Institution.objects.create(code=code, name=name, is_default=not Institution.objects.exists())
    record(actor=actor, entry=_configuration("institution.created", institution_id=institution.pk))
    return institution


@atomic_service
def list_institutions(*, actor: Actor) -> list[Institution]:
    """Return the institutions an actor may act for."""
    institutions = Institution.objects.order_by("name")
    if actor.institutions is not None:
        institutions = institutions.filter(pk__in=actor.institutions)
    return list(institutions)


@atomic_service
def add_member(*, actor: Actor, user_id: UUID, role: Role, institution_ids: tuple[UUID, ...] = ()) -> Membership:
    """Make a person a member of the tenant, confined to some institutions or to none."""
    membership = Membership.objects.create(user_id=user_id, role=role)
    for institution_id in institution_ids:
        MembershipInstitution.objects.create(membership=membership, institution_id=institution_id)
    record(actor=actor, entry=_configuration("member.added", membership_id=membership.pk, role=role))
    return membership


@atomic_service
def end_membership(*, actor: Actor, user_id: UUID) -> None:
    """Take a person's membership away; their sockets close within seconds."""
    Membership.objects.filter(user_id=user_id).update(is_active=False)
    record(actor=actor, entry=_configuration("member.ended", user_id=user_id))


@atomic_service
def list_members(*, role: Role | None = None) -> list[Membership]:
    """Return active memberships, with their people."""
    members = Membership.objects.filter(is_active=True)
    return list(members.filter(role=role) if role else members)


@atomic_service
def issue_token(
    *,
    actor: Actor,
    account_name: str,
    role: Role,
    institution_id: UUID | None = None,
    user_id: UUID | None = None,
    label: str = "",
    lifetime: timedelta = timedelta(days=365),
    clock: Clock = SYSTEM_CLOCK,
) -> IssuedToken:
    """Make a token for a service account, or for a member's own programs; the secret is returned once.

    Raises
    ------
    NotFoundError
        `user_id` is no active member with this role.
    """
    membership = None
    if user_id is not None:
        membership = Membership.objects.filter(user_id=user_id, role=role, is_active=True).first()
        if membership is None:
            raise NotFoundError
    account, _ = ServiceAccount.objects.get_or_create(
        name=account_name,
        role=role,
        institution_id=institution_id,  # type: ignore[misc]  # null finds null
        membership=membership,
        defaults={"is_active": True},
    )
    secret = TOKEN_PREFIX + base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
    token = AccessToken.objects.create(
        account=account,
        digest=hashlib.sha256(secret.encode()).digest(),
        label=label,
        created_at=clock.now(),
        expires_at=clock.now() + lifetime,
    )
    record(actor=actor, entry=_configuration("token.issued", token_id=token.pk, account_id=account.pk, role=role))
    return IssuedToken(id=token.pk, secret=secret, expires_at=token.expires_at)


@atomic_service
def revoke_token(*, actor: Actor, token_id: UUID, clock: Clock = SYSTEM_CLOCK) -> None:
    """End a token at once."""
    if not AccessToken.objects.filter(pk=token_id, revoked_at=None).update(revoked_at=clock.now()):
        raise NotFoundError
    record(actor=actor, entry=_configuration("token.revoked", token_id=token_id))


def is_actor_current(actor: Actor) -> bool:
    """Tell whether a person's membership still holds with the same role (asked every few seconds by sockets)."""
    if actor.user_id is None:
        return True
    with tenant_scope(actor), unit_of_work():
        return Membership.objects.filter(user_id=actor.user_id, role=actor.role, is_active=True).exists()


@dataclass(frozen=True, slots=True)
class SignIn:
    """What is kept of who opened something that lasts, so that it can be asked again whether they still may.

    `session` is a login session's digest, or the beginning of an access token's.
    """

    kind: ActorKind
    actor_id: UUID
    user_id: UUID | None
    role: Role
    address: str
    session: str


@atomic_service
def recall_actor(kept: SignIn, *, clock: Clock = SYSTEM_CLOCK) -> Actor | None:
    """Return the actor that somebody is now in the scope's tenant; `None` where they no longer are what they were.

    Role, institutions and place are read anew. Whether a login session holds is for `identity` to say.
    """
    tenant = Tenant.objects.get()
    if kept.user_id is not None:
        membership = Membership.objects.filter(user_id=kept.user_id, role=kept.role, is_active=True).first()
        if membership is None:
            return None
        rows = MembershipInstitution.objects.filter(membership=membership)
        institutions = list(rows.values_list("institution_id", flat=True))
    else:
        token = _live_tokens(kept.session, clock).select_related("account").first()
        if token is None or token.account_id != kept.actor_id or token.account.role != kept.role:
            return None
        institutions = [token.account.institution_id] if token.account.institution_id else []
    row = (tenant.pk, kept.role, tenant.networks, institutions)
    return _actor(row, kept.kind, kept.actor_id, kept.address, kept.session, "", user_id=kept.user_id)


@atomic_service
def is_token_alive(session: str, *, clock: Clock = SYSTEM_CLOCK) -> bool:
    """Tell whether `session` stands for an access token of the scope's tenant that still holds."""
    return _live_tokens(session, clock).exists()


def _live_tokens(session: str, clock: Clock) -> QuerySet[AccessToken]:
    """Return the token whose digest begins like this: `resolve_token` gives its first half as the session."""
    try:
        start = bytes.fromhex(session)
    except ValueError:
        return AccessToken.objects.none()
    if len(start) != 16:
        return AccessToken.objects.none()
    return AccessToken.objects.filter(
        digest__gte=start,
        digest__lte=start + b"\xff" * 16,
        revoked_at=None,
        expires_at__gt=clock.now(),
        account__is_active=True,
    ).filter(Q(account__membership=None) | Q(account__membership__is_active=True))


def ping_database() -> None:
    """Prove that the database answers (readiness)."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("select 1")


def _configuration(action: str, **detail: object) -> Entry:
    return Entry(kind=Kind.CONFIGURATION, action=action, detail={key: str(value) for key, value in detail.items()})
