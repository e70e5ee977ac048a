"""QIDO-RS of studies and series (PS3.18 §10.6)."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gantry.dicomweb.dicom_json import KEYWORD_OF_TAG, Item, encode
from gantry.dicomweb.errors import InvalidQueryError, NotAcceptableError
from gantry.foundation.threads import in_thread
from gantry.kernel.actor import Actor
from gantry.studies.public import (
    SERIES_PATTERNS,
    STUDY_PATTERNS,
    Series,
    SeriesFilter,
    Study,
    StudyFilter,
    search_series,
    search_studies,
)

MEDIA_TYPE = "application/dicom+json"
DEFAULT_LIMIT, MAX_LIMIT = 100, 1000
#: A pattern of more is only there to keep the database busy.
MAX_VALUE_CHARS, MAX_WILDCARDS, MAX_UIDS = 400, 8, 100
_TAG = re.compile(r"^[0-9A-Fa-f]{8}$")
_INTEGER = re.compile(r"^[+-]?[0-9]{1,12}$")  # VR IS


@dataclass
class Query:
    """A parsed query: attributes to match, paging, and what was not understood."""

    matches: dict[str, str] = field(default_factory=dict)
    limit: int = DEFAULT_LIMIT
    offset: int = 0
    ignored: list[str] = field(default_factory=list)


def parse_query(parameters: list[tuple[str, str]]) -> Query:
    """Read QIDO-RS parameters: keywords or tags, `limit`, `offset`, `includefield`, `fuzzymatching`.

    Raises
    ------
    InvalidQueryError
        A paging parameter is no number, or an attribute is named twice.
    """
    query = Query()
    for name, value in parameters:
        if name in {"limit", "offset"}:
            if not value.isdecimal() or len(value) > 9:
                raise InvalidQueryError(f"{name} must be a whole number.")
            setattr(query, name, int(value))
        elif name == "includefield":
            continue  # every attribute that we keep is returned anyway
        elif name == "fuzzymatching":
            if value.lower() == "true":
                query.ignored.append(name)
        else:
            keyword = KEYWORD_OF_TAG.get(name.upper(), name) if _TAG.match(name) else name
            if keyword in query.matches:
                raise InvalidQueryError(f"{keyword[:64]} is named twice.")
            _require_reasonable(keyword, value)
            query.matches[keyword] = value
    query.limit = min(query.limit, MAX_LIMIT)
    return query


def _require_reasonable(keyword: str, value: str) -> None:
    longest = MAX_UIDS * 65 if keyword.endswith("InstanceUID") else MAX_VALUE_CHARS
    if len(value) > longest or value.count("*") > MAX_WILDCARDS or "\0" in value:
        raise InvalidQueryError(
            f"A value has at most {longest} characters, {MAX_WILDCARDS} asterisks and no null character."
        )


def study_filter(query: Query) -> StudyFilter:
    """Turn matches into a filter of studies; what cannot be matched is noted as ignored."""
    values: dict[str, Any] = {}
    patterns: dict[str, str] = {}
    for keyword, value in query.matches.items():
        if keyword in STUDY_PATTERNS:
            if value and value != "*":
                patterns[keyword] = value
        elif keyword == "StudyInstanceUID":
            values["study_instance_uids"] = _uids(value)
        elif keyword == "StudyDate":
            values["date_from"], values["date_to"] = _date_range(value)
        elif keyword in {"ModalitiesInStudy", "Modality"}:
            values["modalities"] = tuple(value.replace("\\", ",").split(","))
        else:
            query.ignored.append(keyword)
    return StudyFilter(**values, patterns=patterns)


def series_filter(query: Query, study: str | None) -> SeriesFilter:
    """Turn matches into a filter of series."""
    values: dict[str, Any] = {"study_instance_uid": study}
    patterns: dict[str, str] = {}
    for keyword, value in query.matches.items():
        if keyword in SERIES_PATTERNS:
            if value and value != "*":
                patterns[keyword] = value
        elif keyword == "SeriesInstanceUID":
            values["series_instance_uids"] = _uids(value)
        elif keyword == "Modality":
            values["modality"] = value
        elif keyword == "StudyInstanceUID" and study is None:
            values["study_instance_uid"] = value
        elif keyword == "SeriesNumber" and _INTEGER.match(value):
            values["series_number"] = int(value)
        else:
            query.ignored.append(keyword)
    return SeriesFilter(**values, patterns=patterns)


def _uids(value: str) -> tuple[str, ...]:
    return tuple(uid for uid in re.split(r"[,\\]", value) if uid)[:MAX_UIDS]


def _date_range(value: str) -> tuple[dt.date | None, dt.date | None]:
    first, dash, last = value.partition("-")
    begin = _date(first)
    return (begin, _date(last)) if dash else (begin, begin)


def _date(text: str) -> dt.date | None:
    if not text:
        return None
    try:
        return dt.datetime.strptime(text, "%Y%m%d").replace(tzinfo=dt.UTC).date()
    except ValueError:
        raise InvalidQueryError("A date is written YYYYMMDD, a range YYYYMMDD-YYYYMMDD.") from None


async def search_for_studies(request: Request, actor: Actor) -> Response:
    """Answer `GET /studies`."""
    _require_json(request)
    query = parse_query(request.query_params.multi_items())
    wanted = study_filter(query)
    found = await in_thread(
        search_studies,
        actor=actor,
        wanted=wanted,
        sort="received",
        descending=False,
        offset=query.offset,
        limit=query.limit,
        asked=_asked(request),
    )
    base = _base(request)
    items = [_study_item(study, base) for study in found.studies]
    left = found.count - query.offset - len(items)
    return _answer(items, query, left if query.limit else 0)


async def search_for_series(request: Request, actor: Actor) -> Response:
    """Answer `GET /studies/{study}/series` and `GET /series`."""
    _require_json(request)
    query = parse_query(request.query_params.multi_items())
    wanted = series_filter(query, request.path_params.get("study"))
    # One more than asked for tells whether there are more.
    found = await in_thread(
        search_series, actor=actor, wanted=wanted, offset=query.offset, limit=query.limit + 1, asked=_asked(request)
    )
    items = [_series_item(series, _base(request)) for series in found[: query.limit]]
    return _answer(items, query, len(found) - len(items))


def _asked(request: Request) -> bytes:
    """Return the request line as it came."""
    return f"GET {request.scope['path']}?".encode() + bytes(request.scope["query_string"])


def _require_json(request: Request) -> None:
    accept = request.headers.get("Accept", "*/*")
    if not any(kind in accept for kind in ("application/dicom+json", "application/json", "*/*", "application/*")):
        raise NotAcceptableError("Searches are answered as application/dicom+json.")


def _base(request: Request) -> str:
    return f"{str(request.base_url).rstrip('/')}/t/{request.path_params['tenant']}/dicomweb"


def _answer(items: list[Item], query: Query, left: int) -> Response:
    headers: Mapping[str, str] = {}
    warnings = []
    if left > 0:
        warnings.append(f'299 gantry "There are {left} or more additional results that can be requested"')
    if query.ignored:
        known = [keyword for keyword in query.ignored if keyword.isalnum()]
        warnings.append(f'299 gantry "These parameters were not used: {", ".join(known)[:200]}"')
    if warnings:
        headers = {"Warning": ", ".join(warnings)}
    return JSONResponse(items, media_type=MEDIA_TYPE, headers=headers)


def _patient_values(study: Study) -> dict[str, object]:
    return {
        "PatientName": study.patient_name,
        "PatientID": study.patient.patient_id,
        "IssuerOfPatientID": study.patient.issuer_of_patient_id,
        "PatientBirthDate": study.patient_birth_date,
        "PatientSex": study.patient_sex,
    }


def _study_item(study: Study, base: str) -> Item:
    return encode(
        StudyDate=study.study_date,
        StudyTime=study.study_time,
        AccessionNumber=study.accession_number,
        InstanceAvailability="ONLINE",
        ModalitiesInStudy=study.modalities.split("\\"),
        ReferringPhysicianName=study.referring_physician_name,
        StudyDescription=study.description,
        RetrieveURL=f"{base}/studies/{study.study_instance_uid}",
        StudyInstanceUID=study.study_instance_uid,
        StudyID=study.study_id,
        NumberOfStudyRelatedSeries=study.number_of_series,
        NumberOfStudyRelatedInstances=study.number_of_instances,
        **_patient_values(study),
    )


def _series_item(series: Series, base: str) -> Item:
    study = series.study
    return encode(
        Modality=series.modality,
        SeriesDescription=series.description,
        RetrieveURL=f"{base}/studies/{study.study_instance_uid}/series/{series.series_instance_uid}",
        BodyPartExamined=series.body_part_examined,
        StudyInstanceUID=study.study_instance_uid,
        SeriesInstanceUID=series.series_instance_uid,
        SeriesNumber=series.series_number,
        FrameOfReferenceUID=series.frame_of_reference_uid,
        NumberOfSeriesRelatedInstances=series.number_of_instances,
    )
