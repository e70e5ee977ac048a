"""REST of duties: requests of people, incidents, records of processing, impact assessment."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from gantry.audit.public import LedgerFilter
from gantry.foundation.documents import Block, Heading, Table, to_html, to_pdf, to_text
from gantry.foundation.web.input import PageQuery, StrictSerializer, page_of, validated
from gantry.kernel.vocabulary import DataCategory
from gantry.oversight.duties import incidents, records, reports, requests
from gantry.oversight.duties.domain import Harm, Law, Recipient, RequestKind, RequestStep, Risk, blanks
from gantry.oversight.models import Incident, SubjectRequest
from gantry.tenancy.public import TenantAPIView

_NOTE = 2000


class ListQuery(PageQuery):
    """Which page, and whether of open or closed ones."""

    is_open = serializers.BooleanField(required=False, allow_null=True, default=None)


class RequestInput(StrictSerializer):
    """What a person asked."""

    kind = serializers.ChoiceField([kind.value for kind in RequestKind])
    law = serializers.ChoiceField([law.value for law in Law], default=Law.GDPR.value)
    received_at = serializers.DateTimeField(required=False, allow_null=True, default=None)
    channel = serializers.CharField(max_length=32, required=False, allow_blank=True, default="")
    note = serializers.CharField(max_length=_NOTE, required=False, allow_blank=True, default="")


class RequestStepInput(StrictSerializer):
    """The next step of a request, with what it needs."""

    step = serializers.ChoiceField([*(step.value for step in RequestStep), "lift"])
    patient_number = serializers.CharField(max_length=128, required=False, allow_blank=True, default="")
    patient_id = serializers.UUIDField(required=False, allow_null=True, default=None)
    note = serializers.CharField(max_length=_NOTE, required=False, allow_blank=True, default="")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["step"] == RequestStep.IDENTIFY and not (attrs["patient_number"] or attrs["patient_id"]):
            raise serializers.ValidationError({"patient_number": ["Give the patient's number, or an id."]})
        if attrs["step"] in {RequestStep.EXTEND, RequestStep.REFUSE} and not attrs["note"].strip():
            raise serializers.ValidationError({"note": ["Say why; the person is told the reason."]})
        return attrs


class IncidentInput(StrictSerializer):
    """An incident to open."""

    title = serializers.CharField(max_length=200)
    law = serializers.ChoiceField([law.value for law in Law], default=Law.GDPR.value)
    known_at = serializers.DateTimeField(required=False, allow_null=True, default=None)
    detected_how = serializers.CharField(max_length=_NOTE, required=False, allow_blank=True, default="")


class IncidentChange(StrictSerializer):
    """What is known by now; what is left out stays."""

    revision = serializers.IntegerField(min_value=1)
    title = serializers.CharField(max_length=200, required=False)
    detected_how = serializers.CharField(max_length=10_000, required=False, allow_blank=True)
    nature = serializers.CharField(max_length=10_000, required=False, allow_blank=True)
    consequences = serializers.CharField(max_length=10_000, required=False, allow_blank=True)
    measures_before = serializers.CharField(max_length=10_000, required=False, allow_blank=True)
    measures_after = serializers.CharField(max_length=10_000, required=False, allow_blank=True)
    occurred_from = serializers.DateTimeField(required=False)
    occurred_until = serializers.DateTimeField(required=False)
    harms = serializers.ListField(child=serializers.ChoiceField([one.value for one in Harm]), required=False)
    categories = serializers.ListField(
        child=serializers.ChoiceField([one.value for one in DataCategory]), required=False
    )
    subjects = serializers.IntegerField(min_value=0, max_value=2_000_000_000, required=False)
    records = serializers.IntegerField(min_value=0, max_value=2_000_000_000, required=False)


class IncidentStepInput(StrictSerializer):
    """The next step of an incident."""

    step = serializers.ChoiceField(["assess", "close", "reopen"])
    risk = serializers.ChoiceField([risk.value for risk in Risk], required=False, allow_null=True, default=None)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["step"] == "assess" and attrs["risk"] is None:
            raise serializers.ValidationError({"risk": ["Say how high the risk is."]})
        return attrs


class NoticeInput(StrictSerializer):
    """That somebody was told."""

    recipient = serializers.ChoiceField([one.value for one in Recipient])
    given_at = serializers.DateTimeField(required=False, allow_null=True, default=None)
    reference = serializers.CharField(max_length=128, required=False, allow_blank=True, default="")
    late_reason = serializers.CharField(max_length=_NOTE, required=False, allow_blank=True, default="")


class ReachInput(StrictSerializer):
    """Which events of the audit trail a breach is about."""

    since = serializers.DateTimeField()
    until = serializers.DateTimeField(required=False, allow_null=True, default=None)
    actor_id = serializers.UUIDField(required=False, allow_null=True, default=None)
    address = serializers.IPAddressField(required=False, allow_null=True, default=None)


class SubjectRequestsView(TenantAPIView):
    @extend_schema(operation_id="list_subject_requests", parameters=[ListQuery], responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, tenant: str) -> Response:
        """List the requests of people about their data: open ones first, by when they are due."""
        offset, limit = page_of(request)
        count, rows = requests.list_requests(actor=self.actor, is_open=_is_open(request), offset=offset, limit=limit)
        return Response({"count": count, "results": [_request_row(row) for row in rows]})

    @extend_schema(operation_id="open_subject_request", request=RequestInput, responses=OpenApiTypes.OBJECT)
    def post(self, request: Request, tenant: str) -> Response:
        """Take in what a person asked."""
        wanted = validated(RequestInput, request)
        row = requests.open_request(
            actor=self.actor,
            kind=RequestKind(wanted["kind"]),
            law=Law(wanted["law"]),
            received_at=wanted["received_at"],
            channel=wanted["channel"],
            note=wanted["note"],
        )
        return Response(_request_card(requests.get_request(actor=self.actor, request_id=row.pk)), status=201)


class SubjectRequestView(TenantAPIView):
    @extend_schema(operation_id="get_subject_request", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, tenant: str, request_id: UUID) -> Response:
        """Return a request with its history and what is to be done next."""
        return Response(_request_card(requests.get_request(actor=self.actor, request_id=request_id)))


class SubjectRequestStepsView(TenantAPIView):
    @extend_schema(operation_id="advance_subject_request", request=RequestStepInput, responses=OpenApiTypes.OBJECT)
    def post(self, request: Request, tenant: str, request_id: UUID) -> Response:
        """Take the next step of a request."""
        wanted = validated(RequestStepInput, request)
        step, note = wanted["step"], wanted["note"]
        how: dict[str, Any] = {"actor": self.actor, "request_id": request_id}
        if step == "lift":
            card = requests.end_restriction(**how, note=note)
        elif step == RequestStep.IDENTIFY:
            number, patient_id = wanted["patient_number"], wanted["patient_id"]
            card = requests.identify_subject(**how, patient_number=number, patient_id=patient_id)
        elif step == RequestStep.BEGIN:
            card = requests.begin_request(**how, note=note)
        elif step == RequestStep.EXTEND:
            card = requests.extend_request(**how, reason=note)
        else:
            card = requests.close_request(**how, step=RequestStep(step), note=note)
        return Response(_request_card(card))


class SubjectRequestReportView(TenantAPIView):
    @extend_schema(
        operation_id="get_subject_request_report",
        parameters=[OpenApiParameter("as", enum=["json", "html", "pdf", "text"])],
        responses=OpenApiTypes.OBJECT,
    )
    def get(self, request: Request, tenant: str, request_id: UUID) -> HttpResponse:
        """Return the answer to a request for access, or the account of disclosures."""
        return _document(request, functools.partial(reports.open_report, actor=self.actor, request_id=request_id))


class IncidentsView(TenantAPIView):
    @extend_schema(operation_id="list_incidents", parameters=[ListQuery], responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, tenant: str) -> Response:
        """List incidents: open ones first, by when the authority must be told."""
        offset, limit = page_of(request)
        count, rows = incidents.list_incidents(actor=self.actor, is_open=_is_open(request), offset=offset, limit=limit)
        return Response({"count": count, "results": [_incident_row(row) for row in rows]})

    @extend_schema(operation_id="open_incident", request=IncidentInput, responses=OpenApiTypes.OBJECT)
    def post(self, request: Request, tenant: str) -> Response:
        """Open an incident; its clocks run from when it was known."""
        wanted = validated(IncidentInput, request)
        card = incidents.open_incident(
            actor=self.actor,
            title=wanted["title"],
            law=Law(wanted["law"]),
            known_at=wanted["known_at"],
            detected_how=wanted["detected_how"],
        )
        return Response(_incident_card(card), status=201)


class IncidentView(TenantAPIView):
    @extend_schema(operation_id="get_incident", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, tenant: str, incident_id: UUID) -> Response:
        """Return an incident with its notices and what must still be done."""
        return Response(_incident_card(incidents.get_incident(actor=self.actor, incident_id=incident_id)))

    @extend_schema(operation_id="edit_incident", request=IncidentChange, responses=OpenApiTypes.OBJECT)
    def patch(self, request: Request, tenant: str, incident_id: UUID) -> Response:
        """Write down what is known by now."""
        wanted = validated(IncidentChange, request)
        harms, categories = wanted.get("harms"), wanted.get("categories")
        change = incidents.Change(
            texts={name: wanted[name] for name in incidents.TEXTS if name in wanted},
            occurred_from=wanted.get("occurred_from"),
            occurred_until=wanted.get("occurred_until"),
            harms=None if harms is None else frozenset(map(Harm, harms)),
            categories=None if categories is None else frozenset(map(DataCategory, categories)),
            subjects=wanted.get("subjects"),
            records=wanted.get("records"),
        )
        card = incidents.edit_incident(
            actor=self.actor, incident_id=incident_id, revision=wanted["revision"], change=change
        )
        return Response(_incident_card(card))


class IncidentStepsView(TenantAPIView):
    @extend_schema(operation_id="advance_incident", request=IncidentStepInput, responses=OpenApiTypes.OBJECT)
    def post(self, request: Request, tenant: str, incident_id: UUID) -> Response:
        """Assess an incident, close it, or open it again."""
        wanted = validated(IncidentStepInput, request)
        if wanted["step"] == "assess":
            card = incidents.assess_incident(actor=self.actor, incident_id=incident_id, risk=Risk(wanted["risk"]))
        elif wanted["step"] == "close":
            card = incidents.close_incident(actor=self.actor, incident_id=incident_id)
        else:
            card = incidents.reopen_incident(actor=self.actor, incident_id=incident_id)
        return Response(_incident_card(card))


class IncidentNoticesView(TenantAPIView):
    @extend_schema(operation_id="record_incident_notice", request=NoticeInput, responses=OpenApiTypes.OBJECT)
    def post(self, request: Request, tenant: str, incident_id: UUID) -> Response:
        """Record that the controller, the authority or the people concerned were told."""
        wanted = validated(NoticeInput, request)
        card = incidents.record_notice(
            actor=self.actor,
            incident_id=incident_id,
            recipient=Recipient(wanted["recipient"]),
            given_at=wanted["given_at"],
            reference=wanted["reference"],
            late_reason=wanted["late_reason"],
        )
        return Response(_incident_card(card), status=201)


class IncidentReachView(TenantAPIView):
    @extend_schema(operation_id="measure_incident_reach", request=ReachInput, responses=OpenApiTypes.OBJECT)
    def post(self, request: Request, tenant: str, incident_id: UUID) -> Response:
        """Count in the audit trail whom an incident concerns, and keep the numbers with it."""
        wanted = validated(ReachInput, request)
        selection = LedgerFilter(
            since=wanted["since"],
            until=wanted["until"],
            actor_id=wanted["actor_id"],
            address=wanted["address"] or "",
        )
        card, reach = incidents.measure_reach(actor=self.actor, incident_id=incident_id, wanted=selection)
        counted = {"events": reach.events, "patients": reach.patients, "studies": reach.studies, "people": reach.people}
        return Response({**_incident_card(card), "reach": counted})


class IncidentFormView(TenantAPIView):
    @extend_schema(
        operation_id="get_incident_form",
        parameters=[OpenApiParameter("as", enum=["json", "html", "pdf", "text"])],
        responses=OpenApiTypes.OBJECT,
    )
    def get(self, request: Request, tenant: str, incident_id: UUID) -> HttpResponse:
        """Return the fields of the notice to the authority, filled with what is known."""
        card, fields = incidents.open_form(actor=self.actor, incident_id=incident_id)
        if request.query_params.get("as", "json") == "json":
            missing = blanks(fields)
            rows = [{"key": one.key, "label": one.label, "source": one.source, "value": one.value} for one in fields]
            return Response({"incident_id": str(card.row.pk), "fields": rows, "blank": list(missing["person"])})
        return _document(request, lambda: incidents.write_form(card, fields))


class RecordsOfProcessingView(TenantAPIView):
    @extend_schema(
        operation_id="get_records_of_processing",
        parameters=[OpenApiParameter("as", enum=["json", "html", "pdf", "text"])],
        responses=OpenApiTypes.OBJECT,
    )
    def get(self, request: Request, tenant: str) -> HttpResponse:
        """Return the records of processing activities (GDPR art. 30) as they stand now."""
        return _document(request, functools.partial(records.open_records, actor=self.actor))


class ImpactAssessmentView(TenantAPIView):
    @extend_schema(
        operation_id="get_impact_assessment",
        parameters=[OpenApiParameter("as", enum=["json", "html", "pdf", "text"])],
        responses=OpenApiTypes.OBJECT,
    )
    def get(self, request: Request, tenant: str) -> HttpResponse:
        """Return the skeleton of an impact assessment (GDPR art. 35), filled from the configuration."""
        return _document(request, functools.partial(records.open_assessment, actor=self.actor))


def _document(request: Request, make: Callable[[], list[Block]]) -> HttpResponse:
    shape = request.query_params.get("as", "json")
    if shape not in {"json", "html", "pdf", "text"}:
        raise serializers.ValidationError({"as": ["Choose json, html, pdf or text."]})
    blocks = make()
    if shape == "json":
        return Response({"blocks": [_block_row(block) for block in blocks]})
    if shape == "text":
        return HttpResponse(to_text(blocks), content_type="text/plain; charset=utf-8")
    title = next((block.text for block in blocks if isinstance(block, Heading)), "Document")
    page = to_html(blocks, title=title)
    if shape == "pdf":
        return HttpResponse(
            to_pdf(page),
            content_type="application/pdf",
            headers={"Content-Disposition": 'attachment; filename="document.pdf"', "Cache-Control": "no-store"},
        )
    return HttpResponse(
        page,
        content_type="text/html; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="document.html"', "Cache-Control": "no-store"},
    )


def _block_row(block: Block) -> dict[str, Any]:
    if isinstance(block, Table):
        return {"type": "table", "headings": list(block.headings), "rows": [list(row) for row in block.rows]}
    if isinstance(block, Heading):
        return {"type": "heading", "level": block.level, "text": block.text}
    return {"type": "paragraph", "text": block.text}


def _is_open(request: Request) -> bool | None:
    query = ListQuery(data=request.query_params)
    query.is_valid(raise_exception=True)
    chosen: bool | None = query.validated_data["is_open"]
    return chosen


def _request_row(row: SubjectRequest) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "number": row.number,
        "kind": row.kind,
        "law": row.law,
        "state": row.state,
        "channel": row.channel,
        "received_at": row.received_at,
        "due_at": row.due_at,
        "is_extended": row.is_extended,
        "closed_at": row.closed_at,
        "patient_id": str(row.patient_id) if row.patient_id else None,
        "fulfilment_id": str(row.fulfilment_id) if row.fulfilment_id else None,
    }


def _request_card(card: requests.RequestCard) -> dict[str, Any]:
    steps = [
        {"step": one.step, "state": one.state, "at": one.at, "by": str(one.by), "note": one.note} for one in card.steps
    ]
    return {**_request_row(card.row), "basis": card.basis, "steps": steps, "next_step": card.next_step}


def _incident_row(row: Incident) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "number": row.number,
        "title": row.title,
        "law": row.law,
        "state": row.state,
        "risk": row.risk,
        "known_at": row.known_at,
        "controller_due": row.controller_due,
        "authority_due": row.authority_due,
        "closed_at": row.closed_at,
    }


def _incident_card(card: incidents.IncidentCard) -> dict[str, Any]:
    row = card.row
    notices = [
        {
            "recipient": one.recipient,
            "given_at": one.given_at,
            "reference": one.reference,
            "late_reason": one.late_reason,
        }
        for one in card.notices
    ]
    return {
        **_incident_row(row),
        "revision": row.revision,
        "occurred_from": row.occurred_from,
        "occurred_until": row.occurred_until,
        "harms": row.harms,
        "categories": row.categories,
        "subjects": row.subjects,
        "records": row.records,
        "scope": row.scope,
        **{name: getattr(row, name) for name in incidents.TEXTS},
        "notices": notices,
        "missing": list(card.missing),
    }
