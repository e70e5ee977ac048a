"""More people and hospitals of a tenant than `make_world` brings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from uuid import UUID, uuid4

from gantry.foundation.scope import tenant_scope
from gantry.identity.models import User
from gantry.kernel.actor import Actor
from gantry.kernel.vocabulary import Role
from gantry.tenancy.public import add_member, create_institution, resolve_person
from site_client import Client, sign_in
from world import ADDRESS, World


@dataclass(frozen=True)
class Colleague:
    """A member of a tenant."""

    world: World
    user_id: UUID
    membership_id: UUID
    role: Role

    @cached_property
    def session(self) -> str:
        return sign_in(self.user_id)

    @property
    def client(self) -> Client:
        """Return their signed-in browser."""
        return Client(self.world.slug, session=self.session)

    @contextmanager
    def acting(self) -> Iterator[Actor]:
        """Act as them, inside the tenant's scope."""
        actor = resolve_person(
            slug=self.world.slug, user_id=self.user_id, address=ADDRESS, session="session", correlation_id="test"
        )
        with tenant_scope(actor):
            yield actor

    def sees(self, study_id: UUID) -> bool:
        """Tell whether they can open a study."""
        return self.client.get(f"/api/v1/studies/{study_id}").status_code == 200


def make_person(name: str = "person") -> UUID:
    """Make a person who is a member nowhere."""
    return User.objects.create(email=f"{name}-{uuid4().hex[:12]}@people.test", name=name.title()).pk


def make_colleague(world: World, role: Role, *, institutions: Sequence[UUID] = ()) -> Colleague:
    """Make another member, confined to some hospitals or to none."""
    user_id = make_person(role.value)
    with tenant_scope(world.system):
        membership = add_member(actor=world.system, user_id=user_id, role=role, institution_ids=institutions)
    return Colleague(world, user_id, membership.pk, role)


def make_hospital(world: World) -> UUID:
    """Add a hospital that no study of the tests is of."""
    with tenant_scope(world.system):
        return create_institution(actor=world.system, code=f"h-{uuid4().hex[:8]}", name="Hill Hospital").pk
