"""Tenants for tests: an organisation with people, tokens and an agreement, made through the real services."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID, uuid4

from gantry.agreements.public import Permission, Step, advance_agreement, draft_agreement
from gantry.foundation.scope import tenant_scope, unit_of_work
from gantry.identity.models import User
from gantry.kernel.actor import Actor, system_actor
from gantry.kernel.ids import AgreementId, TenantId
from gantry.kernel.vocabulary import MEMBER_ROLES, Activity, DataCategory, Place, ProcessingBoundary, Purpose, Role
from gantry.tenancy.public import add_member, create_institution, create_tenant, issue_token, resolve_person

ADDRESS = "127.0.0.1"


def everything_permitted() -> tuple[Permission, ...]:
    """Return clauses that permit every activity; what roles may do still limits it."""
    return tuple(
        Permission(
            clause=f"Annex 1 {number}",
            activity=activity,
            categories=frozenset(DataCategory),
            purposes=frozenset(Purpose),
            roles=frozenset(Role),
        )
        for number, activity in enumerate(Activity, start=1)
        if activity is not Activity.VIEW_ABROAD
    )


@dataclass(frozen=True)
class World:
    """One tenant and who belongs to it."""

    tenant_id: TenantId
    slug: str
    institution_id: UUID
    users: dict[Role, UUID]
    tokens: dict[Role, str]
    agreement_id: UUID | None

    @property
    def system(self) -> Actor:
        return system_actor(self.tenant_id)

    def actor(self, role: Role, *, address: str = ADDRESS) -> Actor:
        """Return the member of this role, as a request of theirs would resolve."""
        return resolve_person(
            slug=self.slug, user_id=self.users[role], address=address, session=f"session-{role}", correlation_id="test"
        )

    @contextmanager
    def acting(self, role: Role) -> Iterator[Actor]:
        """Act as the member of a role, inside the tenant's scope."""
        actor = self.actor(role)
        with tenant_scope(actor):
            yield actor

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Look at the tenant's rows as the platform itself."""
        with tenant_scope(self.system), unit_of_work():
            yield


def make_world(*, in_force: bool = True, permissions: tuple[Permission, ...] | None = None) -> World:
    """Make a tenant with one institution, a member and a token for each role, and an agreement."""
    slug = f"t-{uuid4().hex[:12]}"
    tenant_id = create_tenant(slug=slug, name=slug, networks=[("127.0.0.0/8", Place.SITE.value)])
    system = system_actor(tenant_id)
    users: dict[Role, UUID] = {}
    tokens: dict[Role, str] = {}
    with tenant_scope(system):
        institution = create_institution(actor=system, code="main", name="Main Hospital")
        for role in MEMBER_ROLES:
            user = User.objects.create(email=f"{role}@{slug}.test", name=f"{role.title()} {slug}")
            users[role] = user.pk
            add_member(actor=system, user_id=user.pk, role=role)
            owner = None if role is Role.INTEGRATOR else user.pk
            tokens[role] = issue_token(actor=system, account_name=role, role=role, user_id=owner).secret
        agreement = draft_agreement(
            actor=system,
            version="v1",
            title="Data processing agreement",
            permissions=permissions if permissions is not None else everything_permitted(),
            boundary=ProcessingBoundary.SERVER,
            boundary_clause="§4",
            viewing_places=frozenset({Place.SITE, Place.COUNTRY}),
            viewing_clause="§5",
        )
        if in_force:
            advance_agreement(actor=system, agreement_id=AgreementId(agreement.pk), step=Step.SIGN)
    return World(tenant_id, slug, institution.pk, users, tokens, agreement.pk)
