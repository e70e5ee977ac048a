"""Queries over studies. Private to this app; what leaves it goes through a service that decides first."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django.db.models import QuerySet

from gantry.kernel.actor import Actor
from gantry.studies.models import Instance, Series, Study
from gantry.studies.policies import visible_series, visible_studies


def find_studies(
    actor: Actor, *, study_id: UUID | None = None, study_instance_uid: str | None = None
) -> QuerySet[Study]:
    """Return the study the actor may know of, by id or UID, if there is one."""
    studies = visible_studies(actor).select_related("institution")
    if study_id is not None:
        return studies.filter(pk=study_id)
    return studies.filter(study_instance_uid=study_instance_uid)


def list_series(actor: Actor, study: Study) -> list[Series]:
    """Return the study's series that the actor may know of, in the order of their numbers."""
    return sorted(
        visible_series(actor).filter(study=study),
        key=lambda one: (one.analysis_id is not None, one.series_number is None, one.series_number or 0, str(one.pk)),
    )


def list_instances(series: Iterable[Series]) -> QuerySet[Instance]:
    """Return the instances of some series."""
    return Instance.objects.filter(series__in=list(series)).select_related("series")
