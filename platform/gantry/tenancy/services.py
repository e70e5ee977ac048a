"""Tenants, and who acts within one: a member, support, or what a token speaks for."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from gantry.audit.public import Entry, Kind, Outcome, record, record_platform
from gantry.foundation.scope import atomic_service, tenant_scope, unit_of_work
from gantry.kernel.actor import Actor, system_actor
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.kernel.errors import NotFoundError
from gantry.kernel.ids import ActorId, InstitutionId, TenantId, new_uuid
from gantry.kernel.vocabulary import ActorKind, Role
from gantry.tenancy.accounts import USED_INTERVAL, live_tokens, note_use, scopes_of
from gantry.tenancy.domain import place_of
from gantry.tenancy.models import Membership, MembershipInstitution, Tenant
from gantry.tenancy.support import consents_of, current_consents, find_support
from gantry.vault.public import get_vault


@dataclass(frozen=True, slots=True)
class TenantCard:
    """What a signed-in person may know of a tenant they belong to."""

    id: TenantId
    slug: str
    name: str
    role: Role


def list_tenants_of(user_id: UUID) -> list[TenantCard]:
    """Return the tenants a person is an active member of."""
    with connection.cursor() as cursor:
        cursor.execute("select tenant_id, slug, name, role from gantry.memberships_of(%s) order by name", [user_id])
        return [TenantCard(TenantId(row[0]), row[1], row[2], Role(row[3])) for row in cursor.fetchall()]


def resolve_person(*, slug: str, user_id: UUID, address: str, session: str, correlation_id: str) -> Actor:
    """Return the actor that a signed-in person is in a tenant: a member, or support while a session is open.

    Raises
    ------
    NotFoundError
        No such tenant, or no active membership of it: the two look the same.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "select tenant_id, role, networks, institutions from gantry.find_member(%s, %s)", [slug, user_id]
        )
        row = cursor.fetchone()
    if row is not None:
        return _actor(row, ActorKind.PERSON, user_id, address, session, correlation_id, user_id=user_id)
    support = find_support(slug, user_id)
    if support is None:
        raise NotFoundError
    tenant_id, networks, consents = support
    row = (tenant_id, Role.SUPPORT, networks, [])
    actor = _actor(row, ActorKind.PERSON, user_id, address, session, correlation_id, user_id=user_id)
    return replace(actor, consents=consents_of(consents))


def resolve_token(
    *, slug: str, token: str, address: str, correlation_id: str, clock: Clock = SYSTEM_CLOCK
) -> Actor | None:
    """Return the actor that a bearer token is in a tenant; `None` when the token is worth nothing.

    Raises
    ------
    NotFoundError
        The token is good, but for another tenant.
    """
    digest = hashlib.sha256(token.encode()).digest()
    with connection.cursor() as cursor:
        cursor.execute(
            "select slug, account_id, user_id, tenant_id, role, networks, institutions, scopes, token_id, last_used_at "
            "from gantry.find_token(%s)",
            [digest],
        )
        row = cursor.fetchone()
    if row is None:
        return None
    if row[0] != slug:
        raise NotFoundError
    user_id: UUID | None = row[2]
    kind = ActorKind.SERVICE if user_id is None else ActorKind.PERSON
    actor = _actor(row[3:7], kind, user_id or row[1], address, digest.hex()[:32], correlation_id, user_id=user_id)
    _, token_id, last_used_at = row[7:]
    if last_used_at is None or clock.now() - last_used_at >= USED_INTERVAL:
        with tenant_scope(actor):
            note_use(token_id=token_id, clock=clock)
    return replace(actor, scopes=scopes_of(row[7]))


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
        address=address,
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
        # An act of the operator: it stands in the platform's log, too.
        record_platform(
            kind=Kind.CONFIGURATION,
            action="tenant.created",
            outcome=Outcome.SUCCESS,
            user_id=None,
            correlation_id="",
            detail={"tenant": str(tenant_id)},
        )
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


def is_actor_current(actor: Actor) -> bool:
    """Tell whether a person is still what they were in the tenant (asked every few seconds by sockets)."""
    if actor.user_id is None:
        return True
    with tenant_scope(actor), unit_of_work():
        if actor.role is Role.SUPPORT:
            # What was consented to may have grown; what was taken back ends what stands on it.
            consents = current_consents(actor.user_id, SYSTEM_CLOCK)
            return consents is not None and consents >= (actor.consents or frozenset())
        membership = Membership.objects.filter(user_id=actor.user_id, role=actor.role, is_active=True).first()
        # Other institutions than those it was opened for: what is open must be opened anew.
        return membership is not None and _institutions_of(membership) == (actor.institutions or frozenset())


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
    scopes, consents = None, None
    institutions: list[UUID] = []
    if kept.role is Role.SUPPORT:
        consents = current_consents(kept.actor_id, clock)
        if consents is None:
            return None
    elif kept.user_id is not None:
        membership = Membership.objects.filter(user_id=kept.user_id, role=kept.role, is_active=True).first()
        if membership is None:
            return None
        institutions = sorted(_institutions_of(membership))
    else:
        token = live_tokens(kept.session, clock).select_related("account").first()
        if token is None or token.account_id != kept.actor_id or token.account.role != kept.role:
            return None
        institutions = [token.account.institution_id] if token.account.institution_id else []
        scopes = scopes_of(token.account.scopes)
    row = (tenant.pk, kept.role, tenant.networks, institutions)
    actor = _actor(row, kept.kind, kept.actor_id, kept.address, kept.session, "", user_id=kept.user_id)
    return replace(actor, scopes=scopes, consents=consents)


def _institutions_of(membership: Membership) -> frozenset[UUID]:
    rows = MembershipInstitution.objects.filter(membership=membership)
    return frozenset(rows.values_list("institution_id", flat=True))


def ping_database() -> None:
    """Prove that the database answers (readiness)."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("select 1")
