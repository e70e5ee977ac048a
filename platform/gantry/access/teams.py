"""Care teams: who is in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError

from gantry.access.errors import TeamNameTakenError
from gantry.access.models import CareTeam, CareTeamMember
from gantry.access.policies import require_permission
from gantry.audit.public import Entry, Kind, record
from gantry.foundation.scope import atomic_service, unit_of_work
from gantry.kernel.actor import Actor
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.kernel.errors import NotFoundError
from gantry.kernel.vocabulary import AdminPermission
from gantry.tenancy.public import Membership


@dataclass(frozen=True, slots=True)
class TeamCard:
    """A care team and the memberships of who is in it."""

    id: UUID
    name: str
    is_active: bool
    created_at: datetime
    member_ids: tuple[UUID, ...]


@atomic_service
def create_team(*, actor: Actor, name: str, member_ids: Sequence[UUID] = (), clock: Clock = SYSTEM_CLOCK) -> TeamCard:
    """Make a care team. It sees nothing until something is shared with it.

    Raises
    ------
    TeamNameTakenError
        There is one of this name.
    NotFoundError
        Somebody is no active member of the tenant.
    """
    decision = require_permission(actor, AdminPermission.MEMBER_MANAGE)
    try:
        with unit_of_work():
            team = CareTeam.objects.create(name=name, created_at=clock.now(), created_by=actor.id)
    except IntegrityError as error:
        raise TeamNameTakenError from error
    _fill(team, member_ids)
    detail = {"team_id": str(team.pk), "members": str(len(set(member_ids)))}
    entry = Entry(kind=Kind.CONFIGURATION, action="care_team.created", decision=decision, detail=detail)
    record(actor=actor, entry=entry, clock=clock)
    return _cards([team])[0]


@atomic_service
def update_team(
    *,
    actor: Actor,
    team_id: UUID,
    name: str | None = None,
    member_ids: Sequence[UUID] | None = None,
    is_active: bool | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> TeamCard:
    """Rename a team, say anew who is in it, or end it; who is in it no longer loses what it was granted at once.

    Raises
    ------
    NotFoundError
        There is no such team, or somebody is no active member of the tenant.
    TeamNameTakenError
        There is one of this name.
    """
    decision = require_permission(actor, AdminPermission.MEMBER_MANAGE)
    team = CareTeam.objects.select_for_update().filter(pk=team_id).first()
    if team is None:
        raise NotFoundError
    team.name = name or team.name
    team.is_active = team.is_active if is_active is None else is_active
    try:
        with unit_of_work():
            team.save(update_fields=["name", "is_active"])
    except IntegrityError as error:
        raise TeamNameTakenError from error
    if member_ids is not None:
        CareTeamMember.objects.filter(team=team).delete()
        _fill(team, member_ids)
    detail = {"team_id": str(team.pk), "active": str(team.is_active)}
    entry = Entry(kind=Kind.CONFIGURATION, action="care_team.changed", decision=decision, detail=detail)
    record(actor=actor, entry=entry, clock=clock)
    return _cards([team])[0]


@atomic_service
def list_teams(*, actor: Actor, offset: int = 0, limit: int = 100) -> tuple[int, list[TeamCard]]:
    """Return how many care teams there are, and some of them by name."""
    require_permission(actor, AdminPermission.GRANT_REVIEW)
    rows = CareTeam.objects.order_by("name", "pk")
    return rows.count(), _cards(list(rows[offset : offset + limit]))


def _fill(team: CareTeam, member_ids: Sequence[UUID]) -> None:
    wanted = set(member_ids)
    if Membership.objects.filter(pk__in=wanted, is_active=True).count() != len(wanted):
        raise NotFoundError
    for membership_id in sorted(wanted):
        CareTeamMember.objects.create(team=team, membership_id=membership_id)


def _cards(teams: Sequence[CareTeam]) -> list[TeamCard]:
    members: dict[UUID, list[UUID]] = {team.pk: [] for team in teams}
    for row in CareTeamMember.objects.filter(team__in=teams).order_by("membership_id"):
        members[row.team_id].append(row.membership_id)
    return [TeamCard(team.pk, team.name, team.is_active, team.created_at, tuple(members[team.pk])) for team in teams]
