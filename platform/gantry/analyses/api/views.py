"""REST of analyses and findings, and their progress as Server-Sent Events."""

from __future__ import annotations

import gzip
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from gantry.analyses.api.rows import analysis_row, finding_row
from gantry.analyses.domain import Verdict
from gantry.analyses.public import open_analyses, open_analysis, open_contours, review_finding, start_analysis
from gantry.catalog.public import list_deployed_cards
from gantry.foundation.web.input import validated
from gantry.kernel.vocabulary import Scope
from gantry.studies.public import list_names, open_object
from gantry.tenancy.public import TenantAPIView

_UID = r"^[0-9]+(\.[0-9]+)*$"


class InferenceInput(serializers.Serializer[Any]):
    """Which model on which study or series."""

    study_instance_uid = serializers.RegexField(_UID, max_length=64, required=False)
    series_instance_uid = serializers.RegexField(_UID, max_length=64, required=False)
    model = serializers.CharField(max_length=64)


class ReviewInput(serializers.Serializer[Any]):
    decision = serializers.ChoiceField([verdict.value for verdict in Verdict])
    reason = serializers.CharField(required=False, allow_blank=True, max_length=500, default="")


class ModelsView(TenantAPIView):
    scopes = frozenset({Scope.INFERENCE})

    @extend_schema(operation_id="list_models", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, tenant: str) -> Response:
        """List the models that the tenant runs."""
        models = [
            {
                "name": card.name,
                "version": card.version,
                "title": card.title,
                "summary": card.summary,
                "phase": row.phase,
                "intended_use": card.intended_use,
                "limits": card.limits,
                "is_reference": card.reference_model,
            }
            for row, card in list_deployed_cards()
        ]
        return Response({"models": models})


class StudyAnalysesView(TenantAPIView):
    scopes = frozenset({Scope.INFERENCE, Scope.WORKLIST_READ})

    @extend_schema(operation_id="open_study_analyses", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, tenant: str, study_id: UUID) -> Response:
        """Open a study's analyses with the findings that the caller may see."""
        opened = open_analyses(actor=self.actor, study_id=study_id)
        reviewers = {
            finding.reviewed_by for one in opened for finding in one.findings if finding.reviewed_by is not None
        }
        names = list_names(sorted(reviewers))
        return Response({"analyses": [analysis_row(one, names, tenant) for one in opened]})


class InferenceView(TenantAPIView):
    scopes = frozenset({Scope.INFERENCE})

    @extend_schema(
        operation_id="start_inference",
        request=InferenceInput,
        responses={202: OpenApiTypes.OBJECT},
        parameters=[
            OpenApiParameter(
                "Idempotency-Key", str, OpenApiParameter.HEADER, required=True, description="8 to 64 characters"
            )
        ],
    )
    def post(self, request: Request, tenant: str) -> Response:
        """Start an analysis by hand; the same Idempotency-Key gives the same analysis."""
        wanted = validated(InferenceInput, request)
        key = request.headers.get("Idempotency-Key", "")
        if not 8 <= len(key) <= 64:
            raise ValidationError({"Idempotency-Key": ["Send a header with 8 to 64 characters of your choice."]})
        if "study_instance_uid" not in wanted and "series_instance_uid" not in wanted:
            raise ValidationError({"study_instance_uid": ["Name a study or a series."]})
        analysis = start_analysis(
            actor=self.actor,
            model=wanted["model"],
            study_instance_uid=wanted.get("study_instance_uid"),
            series_instance_uid=wanted.get("series_instance_uid"),
            request_key=key,
        )
        opened = open_analysis(actor=self.actor, analysis_id=analysis.pk)
        response = Response(analysis_row(opened, {}, tenant), status=202)
        response["Location"] = f"/t/{tenant}/api/v1/inference/{analysis.pk}"
        return response


class InferenceStateView(TenantAPIView):
    scopes = frozenset({Scope.INFERENCE})

    @extend_schema(operation_id="get_inference", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, tenant: str, analysis_id: UUID) -> Response:
        """Say how far an analysis is, and what it found."""
        return Response(analysis_row(open_analysis(actor=self.actor, analysis_id=analysis_id), {}, tenant))


class ContoursView(TenantAPIView):
    scopes = frozenset({Scope.INFERENCE, Scope.WORKLIST_READ})

    @extend_schema(operation_id="get_contours", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, tenant: str, finding_id: UUID) -> HttpResponse:
        """Return a finding's outlines, slice by slice."""
        ref, _ = open_contours(actor=self.actor, finding_id=finding_id)
        with open_object(ref) as reader:
            compressed = reader.read()
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            response = HttpResponse(compressed, content_type="application/json")
            response["Content-Encoding"] = "gzip"
        else:
            response = HttpResponse(gzip.decompress(compressed), content_type="application/json")
        response["Vary"] = "Accept-Encoding"
        response["Cache-Control"] = "private, no-store"
        return response


class ReviewView(TenantAPIView):
    @extend_schema(operation_id="review_finding", request=ReviewInput, responses=OpenApiTypes.OBJECT)
    def post(self, request: Request, tenant: str, finding_id: UUID) -> Response:
        """Accept, reject or reopen a finding. `If-Match` with the finding's etag guards against surprises."""
        wanted = validated(ReviewInput, request)
        finding = review_finding(
            actor=self.actor,
            finding_id=finding_id,
            verdict=Verdict(wanted["decision"]),
            reason=wanted["reason"],
            expected_count=_expected_count(request.headers.get("If-Match", "*").strip()),
        )
        names = list_names([finding.reviewed_by] if finding.reviewed_by else [])
        return Response(finding_row(finding, names, tenant))


def _expected_count(etag: str) -> int | None:
    """Return the number of reviews an `If-Match` speaks of; one that is none of ours matches nothing."""
    if etag == "*":
        return None
    number = etag.strip('"')
    return int(number) if number.isdecimal() and len(number) < 10 else -1
