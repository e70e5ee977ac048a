"""The statements that the commonest requests make, as the database is sent them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

from django.db import connection
from pydicom.uid import generate_uid

from gantry.kernel.vocabulary import Role
from world import World


def list_statements(world: World) -> list[tuple[str, Any]]:
    """Return each distinct SELECT of the commonest requests once, with the values of its first use."""
    seen: dict[str, Any] = {}

    def keep(execute: Callable[..., Any], sql: str, values: Any, many: bool, context: Any) -> Any:
        if sql.lstrip().lower().startswith("select") and not many:
            seen.setdefault(sql, values)
        return execute(sql, values, many, context)

    with connection.execute_wrapper(keep):
        for request in _requests(world):
            request()
    return list(seen.items())


def _requests(world: World) -> list[Callable[[], Any]]:
    """Return calls of services, in this thread, so that the wrapper sees their statements."""
    from gantry.studies.models import Study
    from gantry.studies.public import SeriesFilter, StudyFilter, search_series, search_studies
    from gantry.viewing.services import open_study_detail, open_worklist

    def worklist(wanted: StudyFilter, states: tuple[str, ...] = (), sort: str = "received") -> Callable[[], Any]:
        def call() -> None:
            for role in (Role.RADIOLOGIST, Role.REFERRER):
                with world.acting(role) as actor:
                    open_worklist(
                        actor=actor,
                        wanted=wanted,
                        analysis_states=states,
                        sort=sort,
                        descending=True,
                        page=1,
                        page_size=25,
                    )

        return call

    def detail() -> None:
        with world.reading():
            study_id = Study.objects.values_list("pk", flat=True).first() or uuid4()
        with world.acting(Role.RADIOLOGIST) as actor:
            open_study_detail(actor=actor, study_id=study_id, dicomweb_url="/dicomweb")

    def series() -> None:
        with world.acting(Role.RADIOLOGIST) as actor:
            search_series(actor=actor, wanted=SeriesFilter(study_instance_uid=generate_uid()), offset=0, limit=25)

    def qido(**patterns: str) -> Callable[[], Any]:
        def call() -> None:
            with world.acting(Role.RADIOLOGIST) as actor:
                search_studies(actor=actor, wanted=StudyFilter(patterns=patterns))

        return call

    return [
        worklist(StudyFilter()),
        worklist(StudyFilter(text="name77")),
        worklist(StudyFilter(text="P0000123")),
        worklist(StudyFilter(patient="P0000123")),
        worklist(StudyFilter(patient="name77")),
        worklist(StudyFilter(accession="A77")),
        worklist(StudyFilter(description="becken")),
        worklist(StudyFilter(modalities=("CT",))),
        worklist(StudyFilter(review_states=("none",))),
        worklist(StudyFilter(), states=("none",)),
        worklist(StudyFilter(), sort="patient_name"),
        worklist(StudyFilter(), sort="study_date"),
        worklist(StudyFilter(study_instance_uids=(generate_uid(), generate_uid()))),
        detail,
        series,
        qido(PatientID="P0000123"),
        qido(PatientName="Name77*"),
        qido(AccessionNumber="A77"),
        qido(StudyDescription="*Becken*"),
    ]
