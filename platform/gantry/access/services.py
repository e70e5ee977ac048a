"""Object grants through django-guardian: who may see which study, and until when."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model, QuerySet

from gantry.access.models import ObjectGrant
from gantry.kernel.actor import Actor
from gantry.kernel.clock import Clock

M = TypeVar("M", bound=Model)


def _permission(target: Model, codename: str) -> Permission:
    return Permission.objects.get(content_type=ContentType.objects.get_for_model(target), codename=codename)


def _rows(grant_model: type[ObjectGrant]) -> QuerySet[Any]:
    # `content_object` is the subclass's, so the checker cannot know it here.
    return grant_model.objects.all()


def grant(
    grant_model: type[ObjectGrant],
    *,
    actor: Actor,
    user_id: UUID,
    target: Model,
    codename: str,
    until: datetime,
    reason: str,
    clock: Clock,
) -> ObjectGrant:
    """Give a person a permission on an object until a date; granting again moves the date."""
    row: ObjectGrant
    row, _ = _rows(grant_model).update_or_create(
        user_id=user_id,
        permission=_permission(target, codename),
        content_object=target,
        defaults={"valid_until": until, "reason": reason, "granted_by": actor.id, "granted_at": clock.now()},
    )
    return row


def withdraw(grant_model: type[ObjectGrant], *, user_id: UUID, target: Model, codename: str) -> bool:
    """Take a person's permission away; tells whether there was one."""
    removed, _ = (
        _rows(grant_model)
        .filter(user_id=user_id, permission=_permission(target, codename), content_object=target)
        .delete()
    )
    return removed > 0


def list_grants(grant_model: type[ObjectGrant], target: Model) -> list[ObjectGrant]:
    """Return the grants on an object that have not run out."""
    return list(_rows(grant_model).filter(content_object=target).order_by("granted_at"))


def has_grant(grant_model: type[ObjectGrant], *, user_id: UUID | None, target: Model, codename: str) -> bool:
    """Tell whether a person holds a permission on an object now."""
    if user_id is None:
        return False
    return _rows(grant_model).filter(user_id=user_id, permission__codename=codename, content_object=target).exists()


def filter_granted(
    grant_model: type[ObjectGrant], queryset: QuerySet[M], *, user_id: UUID | None, codename: str
) -> QuerySet[M]:
    """Keep the objects that a person holds a permission on."""
    granted = _rows(grant_model).filter(user_id=user_id, permission__codename=codename).values("content_object_id")
    return queryset.filter(pk__in=granted)
