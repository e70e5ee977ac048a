"""Members, institutions and networks of a tenant: what an administrator changes."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import IntegrityError, connection
from django.db.models import QuerySet

from gantry.audit.public import Entry, Kind, record
from gantry.foundation.scope import atomic_service, unit_of_work
from gantry.identity.public import end_all_sessions
from gantry.kernel.actor import Actor
from gantry.kernel.errors import InvalidInputError, NotFoundError
from gantry.kernel.vocabulary import Place, Role
from gantry.tenancy.errors import AlreadyMemberError, CodeTakenError, LastAdminError
from gantry.tenancy.models import Institution, Membership, MembershipInstitution, Tenant

MAX_NETWORKS = 64


@dataclass(frozen=True, slots=True)
class MemberCard:
    """A member, as an administrator sees them; no institutions: the whole tenant."""

    id: UUID
    user_id: UUID
    name: str
    email: str
    role: Role
    is_active: bool
    institution_ids: tuple[UUID, ...]


@atomic_service
def add_member(*, actor: Actor, user_id: UUID, role: Role, institution_ids: Sequence[UUID] = ()) -> Membership:
    """Make a person a member of the tenant, confined to some institutions or to none.

    Raises
    ------
    AlreadyMemberError
        They have a membership, perhaps one that was ended.
    NotFoundError
        There is no such institution.
    """
    if Membership.objects.filter(user_id=user_id).exists():
        raise AlreadyMemberError
    membership = Membership.objects.create(user_id=user_id, role=role)
    _confine(membership, institution_ids)
    _record(actor, "member.added", membership_id=membership.pk, role=role)
    return membership


@atomic_service
def update_member(
    *,
    actor: Actor,
    membership_id: UUID,
    role: Role | None = None,
    institution_ids: Sequence[UUID] | None = None,
    is_active: bool | None = None,
) -> MemberCard:
    """Change a member's role or institutions, end their membership or begin it again.

    Whatever they have open as what they were closes within seconds.

    Raises
    ------
    NotFoundError
        There is no such member or institution.
    LastAdminError
        Nobody would be left to manage members.
    """
    membership = _lock_members().filter(pk=membership_id).first()
    if membership is None:
        raise NotFoundError
    new_role = Role(membership.role) if role is None else role
    active = membership.is_active if is_active is None else is_active
    was_admin = membership.is_active and membership.role == Role.ADMIN
    if was_admin and not (active and new_role is Role.ADMIN):
        _require_another_admin(membership)
    if (new_role, active) != (membership.role, membership.is_active):
        membership.role, membership.is_active = new_role, active
        membership.save(update_fields=["role", "is_active"])
    if institution_ids is not None:
        MembershipInstitution.objects.filter(membership=membership).delete()
        _confine(membership, institution_ids)
    action = "member.changed" if active else "member.ended"
    _record(actor, action, membership_id=membership.pk, user_id=membership.user_id, role=new_role)
    if not active:
        _end_sessions(membership.user_id)
    return _cards([membership])[0]


def end_membership(*, actor: Actor, user_id: UUID) -> None:
    """Take a person's membership away; their sockets close within seconds.

    Raises
    ------
    NotFoundError
        The person is no member.
    """
    with unit_of_work():
        membership = Membership.objects.filter(user_id=user_id).first()
        if membership is None:
            raise NotFoundError
        Membership.objects.filter(pk=membership.pk).update(is_active=False)
        _record(actor, "member.ended", membership_id=membership.pk, user_id=user_id, role=membership.role)


@atomic_service
def list_members(*, role: Role | None = None) -> list[Membership]:
    """Return active memberships, with their people."""
    members = Membership.objects.filter(is_active=True)
    return list(members.filter(role=role) if role else members)


@atomic_service
def list_member_cards(*, offset: int = 0, limit: int = 100) -> tuple[int, list[MemberCard]]:
    """Return how many members there are, former ones among them, and some of them in the order of their joining."""
    rows = Membership.objects.order_by("-is_active", "role", "pk")
    return rows.count(), _cards(list(rows[offset : offset + limit]))


@atomic_service
def update_institution(
    *, actor: Actor, institution_id: UUID, name: str | None = None, is_default: bool | None = None
) -> Institution:
    """Rename an institution, or make it the one where studies go that name none.

    Raises
    ------
    NotFoundError
        There is no such institution.
    InvalidInputError
        The default cannot be taken away, only given to another.
    """
    institution = Institution.objects.select_for_update().filter(pk=institution_id).first()
    if institution is None:
        raise NotFoundError
    if is_default is False and institution.is_default:
        raise InvalidInputError("One institution is the default. Make another one the default instead.")
    if is_default and not institution.is_default:
        Institution.objects.filter(is_default=True).update(is_default=False)
        institution.is_default = True
    institution.name = name or institution.name
    institution.save(update_fields=["name", "is_default"])
    _record(actor, "institution.changed", institution_id=institution.pk)
    return institution


@atomic_service
def create_institution(*, actor: Actor, code: str, name: str) -> Institution:
    """Add a hospital to the group; the first one is where studies go that name none.

    Raises
    ------
    CodeTakenError
        There is one with this code.
    """
    try:
        with unit_of_work():
            is_first = not Institution.objects.exists()
            institution = Institution.objects.create(code=code, name=name, is_default=is_first)
    except IntegrityError as error:
        raise CodeTakenError from error
    _record(actor, "institution.created", institution_id=institution.pk)
    return institution


@atomic_service
def list_institutions(*, actor: Actor) -> list[Institution]:
    """Return the institutions an actor may act for."""
    institutions = Institution.objects.order_by("name")
    if actor.institutions is not None:
        institutions = institutions.filter(pk__in=actor.institutions)
    return list(institutions)


@atomic_service
def set_networks(*, actor: Actor, networks: Sequence[tuple[str, Place]]) -> list[tuple[str, str]]:
    """Say which networks are which place; an address of none of them counts as abroad.

    Raises
    ------
    InvalidInputError
        Something is no network, or there are too many.
    """
    if len(networks) > MAX_NETWORKS:
        raise InvalidInputError(f"A tenant has {MAX_NETWORKS} networks at most.")
    pairs: dict[str, str] = {}
    for cidr, place in networks:
        try:
            pairs[str(ipaddress.ip_network(cidr))] = place.value
        except ValueError as error:
            raise InvalidInputError(f"{cidr} is no network. Write it like 192.0.2.0/24.") from error
    kept = list(pairs.items())
    Tenant.objects.update(networks=kept)
    _record(actor, "networks.changed", count=len(kept))
    return kept


def _lock_members() -> QuerySet[Membership]:
    return Membership.objects.select_for_update()


def _require_another_admin(membership: Membership) -> None:
    # Locked in one order, so that two administrators who end each other do not both succeed.
    admins = _lock_members().filter(role=Role.ADMIN, is_active=True).order_by("pk").values_list("pk", flat=True)
    if not set(admins) - {membership.pk}:
        raise LastAdminError


def _confine(membership: Membership, institution_ids: Sequence[UUID]) -> None:
    wanted = set(institution_ids)
    if Institution.objects.filter(pk__in=wanted).count() != len(wanted):
        raise NotFoundError
    for institution_id in sorted(wanted):
        MembershipInstitution.objects.create(membership=membership, institution_id=institution_id)


def _end_sessions(user_id: UUID) -> None:
    """Sign a person out who belongs nowhere any more; members of other tenants stay signed in there."""
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from gantry.memberships_of(%s)", [user_id])
        (count,) = cursor.fetchone() or (0,)
    if not count:
        end_all_sessions(user_id=user_id)


def _cards(members: Sequence[Membership]) -> list[MemberCard]:
    people = {}
    with connection.cursor() as cursor:
        cursor.execute(
            "select id, name, email from identity_user where id = any(%s)", [[one.user_id for one in members]]
        )
        people = {user_id: (name, email) for user_id, name, email in cursor.fetchall()}
    institutions: dict[UUID, list[UUID]] = {one.pk: [] for one in members}
    for row in MembershipInstitution.objects.filter(membership__in=members).order_by("institution_id"):
        institutions[row.membership_id].append(row.institution_id)
    return [
        MemberCard(
            id=one.pk,
            user_id=one.user_id,
            name=people.get(one.user_id, ("", ""))[0],
            email=people.get(one.user_id, ("", ""))[1],
            role=Role(one.role),
            is_active=one.is_active,
            institution_ids=tuple(institutions[one.pk]),
        )
        for one in members
    ]


def _record(actor: Actor, action: str, **detail: object) -> None:
    entry = Entry(kind=Kind.CONFIGURATION, action=action, detail={key: str(value) for key, value in detail.items()})
    record(actor=actor, entry=entry)
