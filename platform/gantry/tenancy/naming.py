"""What ids of service accounts stand for."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from gantry.foundation.scope import atomic_service
from gantry.tenancy.models import Institution, ServiceAccount


@atomic_service
def list_account_names(account_ids: Collection[UUID]) -> dict[UUID, str]:
    """Return the names of some of the scope's service accounts."""
    return dict(ServiceAccount.objects.filter(pk__in=account_ids).values_list("pk", "name"))


@atomic_service
def list_institution_names() -> dict[UUID, str]:
    """Return the names of the scope's institutions."""
    return dict(Institution.objects.values_list("pk", "name"))
