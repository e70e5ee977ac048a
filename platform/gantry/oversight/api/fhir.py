"""FHIR: `/t/<tenant>/fhir/AuditEvent`, the search of IHE ATX (ITI-81), and what the server can do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any, Final
from uuid import UUID

from django.http import JsonResponse, QueryDict
from drf_spectacular.utils import extend_schema
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import FormParser
from rest_framework.request import Request

from gantry.audit.public import ACTIONS, Kind, Outcome, to_fhir
from gantry.foundation.web.correlation import correlation_id
from gantry.kernel.errors import GantryError
from gantry.kernel.vocabulary import Purpose, Role, Scope
from gantry.oversight.exports.domain import ExportQuery
from gantry.oversight.exports.errors import TimeRequiredError
from gantry.oversight.exports.services import recorder_of_tenant, require_reader
from gantry.oversight.exports.tracing import read_page
from gantry.studies.public import find_pseudonyms, find_study_id
from gantry.tenancy.public import TenantAPIView

MEDIA_TYPE: Final = "application/fhir+json"
_MOST: Final = 200
_PSEUDONYM: Final = "urn:gantry:pseudonym"
_KINDS: Final[Mapping[str, frozenset[Kind]]] = {
    "110114": frozenset({Kind.AUTHENTICATION}),
    "110113": frozenset({Kind.SECURITY_ALERT, Kind.CONFIGURATION}),
    "110106": frozenset({Kind.EXPORT, Kind.DISCLOSURE}),
    "110101": frozenset({Kind.AUDIT_READ}),
    "rest": frozenset({Kind.ACCESSED, Kind.TRANSFERRED, Kind.QUERY, Kind.INFERENCE, Kind.REVIEW}),
}
#: As `outcome_code` says: a failure is 12 where security may have been broken, else 8.
_OUTCOMES: Final = {"0": Outcome.SUCCESS, "4": Outcome.REFUSED, "8": Outcome.FAILURE, "12": Outcome.FAILURE}
_KINDS_OF_FAILURE: Final = {"8": frozenset(Kind) - {Kind.SECURITY_ALERT}, "12": frozenset({Kind.SECURITY_ALERT})}


class SearchError(GantryError):
    """A search that cannot be understood; said as an OperationOutcome."""

    code = "fhir.search"


class _AnyJson(BaseContentNegotiation):
    """We speak JSON, whatever a client would rather have."""

    def select_parser(self, request: Request, parsers: Iterable[Any]) -> Any:
        return next(iter(parsers))

    def select_renderer(self, request: Request, renderers: Iterable[Any], format_suffix: str | None = None) -> Any:
        return next(iter(renderers)), MEDIA_TYPE


class _FhirView(TenantAPIView):
    scopes = frozenset({Scope.AUDIT_READ})
    content_negotiation_class = _AnyJson
    parser_classes = [FormParser]

    def _search(self, request: Request, tenant: str, parameters: Mapping[str, list[str]]) -> JsonResponse:
        require_reader(self.actor)
        try:
            query, after, count = parse_search(parameters)
        except (SearchError, TimeRequiredError) as error:
            return _answer(_outcome(str(error)), 400)
        ledger, events, names = read_page(actor=self.actor, query=query, after_index=after, limit=count)
        recorder = recorder_of_tenant()
        resources = [one for event in events for one in to_fhir(event, recorder, names)]
        base = f"{recorder.base_url}/fhir"
        links = [{"relation": "self", "url": f"{base}/AuditEvent"}]
        if len(events) == count and request.method == "GET":
            following = request.query_params.copy()
            following["_after"] = str(events[-1].index)
            links.append({"relation": "next", "url": f"{base}/AuditEvent?{following.urlencode()}"})
        bundle = {
            "resourceType": "Bundle",
            "type": "searchset",
            # As of when it is: what came later is not in it.
            **({"timestamp": ledger.checkpoint.signed_at.isoformat()} if ledger else {}),
            "link": links,
            "entry": [
                {"fullUrl": f"{base}/AuditEvent/{one['id']}", "resource": one, "search": {"mode": "match"}}
                for one in resources
            ],
        }
        response = _answer(bundle, 200)
        if len(events) == count:
            response["X-Next-After"] = str(events[-1].index)
        return response


class AuditEventView(_FhirView):
    @extend_schema(operation_id="search_audit_events", responses={(200, MEDIA_TYPE): dict[str, Any]})
    def get(self, request: Request, tenant: str) -> JsonResponse:
        """Search AuditEvents (ITI-81). `date` is required, with a beginning and an end."""
        return self._search(request, tenant, dict(request.query_params.lists()))


class AuditEventSearchView(_FhirView):
    @extend_schema(operation_id="search_audit_events_by_post", responses={(200, MEDIA_TYPE): dict[str, Any]})
    def post(self, request: Request, tenant: str) -> JsonResponse:
        """Search like `AuditEventView`, with the parameters in the body, so that a patient is in no address."""
        form = request.data
        given = {name: form.getlist(name) for name in form} if isinstance(form, QueryDict) else {}
        return self._search(request, tenant, given)


class CapabilityView(_FhirView):
    @extend_schema(operation_id="fhir_metadata", responses={(200, MEDIA_TYPE): dict[str, Any]})
    def get(self, request: Request, tenant: str) -> JsonResponse:
        """Say what the server can do."""
        require_reader(self.actor)
        names = ("date", "address", "agent.identifier", "patient.identifier", "entity.identifier", "type", "subtype",
                 "outcome", "purpose", "role")  # fmt: skip
        statement = {
            "resourceType": "CapabilityStatement", "status": "active", "kind": "instance", "fhirVersion": "4.0.1",
            "date": "2026-11-25", "format": ["json"], "software": {"name": "Gantry"},
            "implementation": {"description": "Audit trail", "url": f"{recorder_of_tenant().base_url}/fhir"},
            "instantiates": ["https://profiles.ihe.net/ITI/BALP/CapabilityStatement/IHE.BALP.AuditRecordRepository"],
            "rest": [{
                "mode": "server",
                "resource": [{
                    "type": "AuditEvent", "interaction": [{"code": "search-type"}],
                    "searchParam": [{"name": name, "type": "date" if name == "date" else "token"} for name in names],
                }],
            }],
        }  # fmt: skip
        return _answer(statement, 200)


def parse_search(parameters: Mapping[str, list[str]]) -> tuple[ExportQuery, int, int]:
    """Return query, index to go on behind, and how many events a page has.

    Raises
    ------
    SearchError, TimeRequiredError
        A parameter is unknown or makes no sense, or no time is named.
    """
    values: dict[str, Any] = {}
    after, count = -1, 50
    since, until = _times(parameters.get("date", []))
    for name, given in parameters.items():
        text = given[-1].strip()
        if name in {"date", "_format"} or (name == "_sort" and text == "date"):
            continue
        if name == "_count":
            count = min(_number(name, text), _MOST) or 1
        elif name == "_after":
            after = _number(name, text)
        elif name in _PARSERS:
            found = _PARSERS[name](text)
            if "kinds" in found and "kinds" in values:
                found["kinds"] &= values["kinds"]
                if not found["kinds"]:  # which would narrow nothing
                    found["study_id"] = UUID(int=0)
            values |= found
        else:
            raise SearchError(f"This server does not search by {name[:40]}.")
    return ExportQuery(since=since, until=until, **values), after, count


def _times(given: list[str]) -> tuple[datetime, datetime]:
    since = until = None
    for text in given:
        prefix, rest = (text[:2], text[2:]) if text[:2].isalpha() else ("eq", text)
        first, last = _moment(rest)
        if prefix in {"ge", "gt", "sa", "eq"}:
            since = last if prefix in {"gt", "sa"} else first
        if prefix in {"le", "lt", "eb", "eq"}:
            until = first if prefix in {"lt", "eb"} else last
        if prefix not in {"ge", "gt", "sa", "eq", "le", "lt", "eb"}:
            raise SearchError(f"A date is not searched by {prefix}.")
    if since is None or until is None:
        raise TimeRequiredError("Name a time: date=ge2026-01-01&date=lt2026-02-01.")
    return since, until


def _moment(text: str) -> tuple[datetime, datetime]:
    """Return the beginning of a moment or day, and the beginning of the next."""
    try:
        if len(text) == 10:
            day = datetime.combine(datetime.fromisoformat(text).date(), time(), UTC)
            return day, day + timedelta(days=1)
        moment = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        raise SearchError("A date is a day (2026-01-31) or an instant with its zone (2026-01-31T08:00:00Z).") from None
    if moment.tzinfo is None:
        raise SearchError("An instant has its zone: 2026-01-31T08:00:00Z.")
    return moment, moment + timedelta(microseconds=1)


def _number(name: str, text: str) -> int:
    if not text.isdigit() or len(text) > 18:
        raise SearchError(f"{name} is a number.")
    return int(text)


def _token(text: str) -> tuple[str, str]:
    system, bar, value = text.rpartition("|")
    return (system, value) if bar else ("", text)


def _uuid(name: str, text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise SearchError(f"{name} is an id of ours.") from None


def _patient(text: str) -> dict[str, Any]:
    system, value = _token(text)
    if system == _PSEUDONYM:
        return {"patient": _uuid("patient.identifier", value)}
    issuer = system.removeprefix("urn:gantry:issuer:") if system.startswith("urn:gantry:issuer:") else ""
    found = find_pseudonyms(patient_id=value[:128], issuer=issuer)
    if len(found) > 1:
        raise SearchError("Several patients have this number: name the issuer.")
    # Whom nobody knows has no events; a pseudonym that nobody has finds none.
    return {"patient": found[0] if found else UUID(int=0)}


def _entity(text: str) -> dict[str, Any]:
    _, value = _token(text)
    found = find_study_id(value.removeprefix("urn:oid:")[:64])
    return {"study_id": found or UUID(int=0)}


def _type(text: str) -> dict[str, Any]:
    _, value = _token(text)
    if value not in _KINDS:
        raise SearchError(f"A type is one of {', '.join(_KINDS)}.")
    return {"kinds": _KINDS[value]}


def _subtype(text: str) -> dict[str, Any]:
    _, value = _token(text)
    if value not in ACTIONS:
        raise SearchError("A subtype is an action of ours, such as study.opened.")
    return {"actions": frozenset({value})}


def _outcome_of(text: str) -> dict[str, Any]:
    _, value = _token(text)
    if value not in _OUTCOMES:
        raise SearchError("An outcome is 0, 4, 8 or 12.")
    kinds = {"kinds": _KINDS_OF_FAILURE[value]} if value in _KINDS_OF_FAILURE else {}
    return {"outcomes": frozenset({_OUTCOMES[value]}), **kinds}


def _one_of(name: str, known: Iterable[str], text: str) -> dict[str, Any]:
    _, value = _token(text)
    if value not in set(known):
        raise SearchError(f"There is no such {name}.")
    return {name: value}


_PARSERS: Final[Mapping[str, Callable[[str], dict[str, Any]]]] = {
    "patient.identifier": _patient,
    "agent.identifier": lambda text: {"actor_id": _uuid("agent.identifier", _token(text)[1])},
    "entity.identifier": _entity,
    "address": lambda text: {"address": text[:64]},
    "type": _type,
    "subtype": _subtype,
    "outcome": _outcome_of,
    "purpose": lambda text: _one_of("purpose", (one.value for one in Purpose), text),
    "role": lambda text: _one_of("role", (one.value for one in Role), text),
}


def _outcome(sentence: str) -> dict[str, Any]:
    return {
        "resourceType": "OperationOutcome",
        "issue": [{"severity": "error", "code": "invalid", "diagnostics": sentence}],
    }


def _answer(content: dict[str, Any], status: int) -> JsonResponse:
    response = JsonResponse(content, status=status, content_type=f"{MEDIA_TYPE}; charset=utf-8")
    response["Cache-Control"] = "private, no-store"
    response["X-Request-Id"] = correlation_id()
    return response
