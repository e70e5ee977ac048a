"""Base of every owned row, and the rows that carry news: streams and their events."""

from __future__ import annotations

from typing import Any, ClassVar, Self, TypeVar

from django.db import connection, models

from gantry.foundation.scope import current_tenant_id
from gantry.kernel.ids import new_uuid

M = TypeVar("M", bound=models.Model)


class TenantManager(models.Manager[M]):
    """Rows of the scope's tenant. Raises outside a scope and outside a transaction.

    Row-level security is what isolates; the explicit filter lets the planner use composite
    indexes and makes a missing scope fail loudly instead of finding nothing.
    """

    def get_queryset(self) -> models.QuerySet[M]:
        tenant_id = current_tenant_id()
        if not connection.in_atomic_block:
            raise RuntimeError("Owned rows are read and written inside `unit_of_work()` only.")
        return super().get_queryset().filter(tenant_id=tenant_id)


class TenantModel(models.Model):
    """A row that belongs to a tenant: random primary key, tenant column, guarded manager."""

    id = models.UUIDField(primary_key=True, default=new_uuid, editable=False)
    tenant_id = models.UUIDField(default=current_tenant_id, editable=False)

    objects: ClassVar[TenantManager[Self]] = TenantManager()

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{type(self).__name__} {self.pk}"


def parent_key(to: str, related_name: str = "+", **options: Any) -> models.ForeignKey[Any, Any]:
    """Return a foreign key whose constraint is the composite one made by `isolate()`."""
    return models.ForeignKey(to, on_delete=models.DO_NOTHING, db_constraint=False, related_name=related_name, **options)


class Stream(TenantModel):
    """The head of one stream of events: a study's, or the tenant's worklist."""

    name = models.CharField(max_length=64)
    epoch = models.UUIDField(default=new_uuid)
    seq = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant_id", "name"], name="stream_name")]


class StreamEvent(TenantModel):
    """One event, numbered within its stream in commit order. Ids and states only."""

    stream = parent_key("foundation.Stream")
    seq = models.BigIntegerField()
    name = models.CharField(max_length=64)
    data = models.JSONField(default=dict)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant_id", "stream", "seq"], name="stream_event_seq")]
