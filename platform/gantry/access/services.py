"""Object grants through django-guardian: who may see which object, by what, and until when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.db.models import F, Model, QuerySet, Value

from gantry.access.models import CareTeamMember, ObjectGrant, TeamGrant
from gantry.kernel.actor import Actor
from gantry.kernel.clock import Clock
from gantry.kernel.vocabulary import GrantKind

GrantTable = type[ObjectGrant] | type[TeamGrant]


@dataclass(frozen=True, slots=True)
class Granted:
    """That an actor holds a grant on something: in which table, on what, of what kind, until when."""

    table: GrantTable
    object_id: UUID
    kind: GrantKind
    until: datetime


def _permission(target: Model, codename: str) -> Permission:
    return Permission.objects.get(content_type=ContentType.objects.get_for_model(target), codename=codename)


def _rows(table: GrantTable) -> QuerySet[Any]:
    # `content_object` is the subclass's, so the checker cannot know it here.
    return table.objects.all()


def grant(
    table: type[ObjectGrant],
    *,
    actor: Actor,
    user_id: UUID,
    target: Model,
    codename: str,
    until: datetime,
    reason: str,
    clock: Clock,
    kind: GrantKind = GrantKind.REFERRAL,
) -> ObjectGrant:
    """Give a person a permission on an object until a date; granting again moves the date."""
    row: ObjectGrant
    row, _ = _rows(table).update_or_create(
        user_id=user_id,
        permission=_permission(target, codename),
        content_object=target,
        kind=kind,
        defaults={"valid_until": until, "reason": reason, "granted_by": actor.id, "granted_at": clock.now()},
    )
    return row


def grant_to_team(
    table: type[TeamGrant],
    *,
    actor: Actor,
    team_id: UUID,
    target: Model,
    codename: str,
    until: datetime,
    reason: str,
    clock: Clock,
) -> TeamGrant:
    """Give a care team a permission on an object until a date; granting again moves the date."""
    row: TeamGrant
    row, _ = _rows(table).update_or_create(
        group_id=team_id,
        permission=_permission(target, codename),
        content_object=target,
        defaults={"valid_until": until, "reason": reason, "granted_by": actor.id, "granted_at": clock.now()},
    )
    return row


def withdraw(
    table: type[ObjectGrant],
    *,
    user_id: UUID,
    target: Model,
    codename: str,
    kind: GrantKind = GrantKind.REFERRAL,
) -> bool:
    """Take a person's permission away; tells whether there was one."""
    permission = _permission(target, codename)
    removed, _ = _rows(table).filter(user_id=user_id, permission=permission, content_object=target, kind=kind).delete()
    return removed > 0


def list_grants(table: type[ObjectGrant], target: Model, *, kind: GrantKind | None = None) -> list[ObjectGrant]:
    """Return the grants to people on an object that have not run out."""
    rows = _rows(table).filter(content_object=target).order_by("granted_at", "pk")
    return list(rows.filter(kind=kind) if kind else rows)


def list_team_grants(table: type[TeamGrant], target: Model) -> list[TeamGrant]:
    """Return the grants to care teams on an object that have not run out."""
    return list(_rows(table).filter(content_object=target).order_by("granted_at", "pk"))


def list_granted(tables: Sequence[GrantTable], *, user_id: UUID | None) -> list[Granted]:
    """Return everything that somebody was granted, themselves or as one of a team, in one query.

    Few people have many grants, and these ids find rows by index, where a subquery in an `or` would not.
    """
    if user_id is None:
        return []
    teams = CareTeamMember.objects.filter(membership__user_id=user_id, team__is_active=True).values("team_id")
    parts = []
    for number, table in enumerate(tables):
        if issubclass(table, TeamGrant):
            rows = _rows(table).filter(group_id__in=teams).annotate(how=Value(GrantKind.CARE_TEAM.value))
        else:
            rows = _rows(table).filter(user_id=user_id).annotate(how=F("kind"))
        parts.append(rows.annotate(at=Value(number)).values_list("at", "content_object_id", "how", "valid_until"))
    first, *others = parts
    return [
        Granted(tables[number], object_id, GrantKind(how), until)
        for number, object_id, how, until in first.union(*others, all=True)
    ]
