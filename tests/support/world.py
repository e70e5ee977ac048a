"""Tenants for tests: an organisation with people, tokens and an agreement, made through the real services."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from gantry.agreements.public import (
    Content,
    Party,
    Permission,
    RetentionRule,
    Side,
    Signatory,
    Status,
    SubProcessor,
    Terms,
    draft_agreement,
    review_agreement,
    sign_agreement,
)
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


def content_with(permissions: tuple[Permission, ...], **terms: Any) -> Content:
    """Return an agreement of a few words that lasts from long ago until long from now."""
    stated = Terms(
        version="",
        status=Status.DRAFT,
        valid_from=None,
        valid_until=None,
        boundary=ProcessingBoundary.SERVER,
        boundary_clause="§4",
        viewing_places=frozenset({Place.SITE, Place.COUNTRY}),
        viewing_clause="§5",
        permissions=permissions,
        regions=frozenset({"local"}),
        regions_clause="§6",
        sub_processors=(
            SubProcessor(
                name="Gantry project",
                clause="§7.1",
                task="Models",
                activities=frozenset({Activity.INFER}),
                categories=frozenset(DataCategory),
                regions=frozenset({"local"}),
            ),
        ),
        sub_processors_clause="§7",
        retention={category: RetentionRule(clause="§8", keep_days=None) for category in DataCategory},
    )
    return Content(
        title="Data processing agreement",
        template="custom",
        controller=Party("Test Hospital Group"),
        processor=Party("Gantry"),
        sections=(),
        terms=replace(stated, **terms),
        effective_from=datetime(2020, 1, 1, tzinfo=UTC),
        duration_days=365 * 30,
    )


def put_in_force(compliance: Actor, agreement_id: UUID) -> None:
    """Have a draft reviewed and signed by both sides."""
    system, key = system_actor(compliance.tenant_id), AgreementId(agreement_id)
    digest = review_agreement(actor=compliance, agreement_id=key).document_sha256
    for side, actor in ((Side.CONTROLLER, compliance), (Side.PROCESSOR, system)):
        sign_agreement(
            actor=actor,
            agreement_id=key,
            side=side,
            signatory=Signatory(name=f"{side.title()} Signatory"),
            document_sha256=digest,
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


def make_world(*, in_force: bool = True, permissions: tuple[Permission, ...] | None = None, **terms: Any) -> World:
    """Make a tenant with one institution, a member and a token for each role, and an agreement; `terms` are some of its."""
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
            content=content_with(permissions if permissions is not None else everything_permitted(), **terms),
        )
        if in_force:
            compliance = resolve_person(
                slug=slug, user_id=users[Role.COMPLIANCE], address=ADDRESS, session="signing", correlation_id="test"
            )
            put_in_force(compliance, agreement.pk)
    return World(tenant_id, slug, institution.pk, users, tokens, agreement.pk)
