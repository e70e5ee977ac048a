"""REST of the worklist and the opened study."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from gantry.access.public import ROLE_PERMISSIONS
from gantry.foundation.web.input import validated
from gantry.identity.public import client_address
from gantry.kernel.vocabulary import Scope
from gantry.studies.public import StudyFilter
from gantry.tenancy.public import TenantAPIView, list_institutions
from gantry.viewing.pods import is_render_service_there
from gantry.viewing.render_sessions import open_render_session
from gantry.viewing.services import open_study_detail, open_worklist
from gantry_render.protocol import TICKET_LIVES_S

_SORTS = ["received", "study_date", "patient_name", "modality", "description", "state"]
_ANALYSIS_STATES = ["none", "queued", "running", "waiting", "done", "failed", "not_analysed"]
_REVIEW_STATES = ["none", "unreviewed", "accepted", "rejected", "mixed"]


class WorklistQuery(serializers.Serializer[Any]):
    """What to look for. A search travels in the body: names do not belong in addresses."""

    text = serializers.CharField(required=False, allow_blank=True, max_length=128, default="")
    patient = serializers.CharField(required=False, allow_blank=True, max_length=128, default="")
    accession = serializers.CharField(required=False, allow_blank=True, max_length=64, default="")
    description = serializers.CharField(required=False, allow_blank=True, max_length=128, default="")
    date_from = serializers.DateField(required=False, allow_null=True, default=None)
    date_to = serializers.DateField(required=False, allow_null=True, default=None)
    modalities = serializers.ListField(
        child=serializers.RegexField(r"^[A-Z0-9_]{1,16}$"), required=False, max_length=16, default=list
    )
    analysis_states = serializers.ListField(
        child=serializers.ChoiceField(_ANALYSIS_STATES), required=False, default=list
    )
    review_states = serializers.ListField(child=serializers.ChoiceField(_REVIEW_STATES), required=False, default=list)
    referred_only = serializers.BooleanField(required=False, default=False)
    sort = serializers.ChoiceField(_SORTS, required=False, default="received")
    order = serializers.ChoiceField(["asc", "desc"], required=False, default="desc")
    page = serializers.IntegerField(required=False, min_value=1, max_value=100_000, default=1)
    page_size = serializers.IntegerField(required=False, min_value=1, max_value=100, default=25)


class RenderSessionInput(serializers.Serializer[Any]):
    """The viewing session that goes on, if there is one."""

    session = serializers.UUIDField(required=False, allow_null=True, default=None)


_RENDER_STATUS = {"ready": 201, "preparing": 202, "refused": 200}


class RenderSessionView(TenantAPIView):
    @extend_schema(
        operation_id="open_render_session",
        request=RenderSessionInput,
        responses={200: OpenApiTypes.OBJECT, 201: OpenApiTypes.OBJECT, 202: OpenApiTypes.OBJECT},
    )
    def post(self, request: Request, tenant: str, study_id: UUID, series_id: UUID) -> Response:
        """Have a series drawn by the server: a ticket for the render stream, good once and for a minute."""
        wanted = validated(RenderSessionInput, request)
        opened = open_render_session(
            actor=self.actor,
            study_id=study_id,
            series_id=series_id,
            session_id=wanted["session"],
            address=client_address(request._request),  # noqa: SLF001 - the address belongs to the request beneath
            is_service_there=is_render_service_there(),
        )
        row: dict[str, Any] = {"state": opened.state}
        if opened.state == "ready":
            row |= {
                "session": str(opened.session_id),
                "ticket": opened.ticket,
                "socket": f"/t/{tenant}/render/v1/{series_id}",
                "expires_in_s": TICKET_LIVES_S,
            }
        else:
            row |= {"code": opened.code, "sentence": opened.sentence}
        return Response(row, status=_RENDER_STATUS[opened.state])


class MeView(TenantAPIView):
    scopes = frozenset({Scope.WORKLIST_READ, Scope.INFERENCE})

    @extend_schema(operation_id="me", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, tenant: str) -> Response:
        """Say who is calling and what they are here for."""
        actor = self.actor
        institutions = list_institutions(actor=actor)
        return Response(
            {
                "id": str(actor.id),
                "kind": actor.kind,
                "role": actor.role,
                "permissions": ROLE_PERMISSIONS[actor.role],
                "institutions": [{"id": str(one.pk), "name": one.name} for one in institutions],
            }
        )


class WorklistView(TenantAPIView):
    scopes = frozenset({Scope.WORKLIST_READ})

    @extend_schema(operation_id="search_worklist", request=WorklistQuery, responses=OpenApiTypes.OBJECT)
    def post(self, request: Request, tenant: str) -> Response:
        """Search the worklist."""
        query = validated(WorklistQuery, request)
        wanted = StudyFilter(
            text=query["text"].strip(),
            patient=query["patient"].strip(),
            accession=query["accession"].strip(),
            description=query["description"].strip(),
            date_from=query["date_from"],
            date_to=query["date_to"],
            modalities=tuple(query["modalities"]),
            review_states=tuple(query["review_states"]),
            referred_only=query["referred_only"],
        )
        return Response(
            open_worklist(
                actor=self.actor,
                wanted=wanted,
                analysis_states=tuple(query["analysis_states"]),
                sort=query["sort"],
                descending=query["order"] == "desc",
                page=query["page"],
                page_size=query["page_size"],
                asked=f"POST {request.path}\n\n{json.dumps(request.data)}".encode(),
            )
        )


class StudyView(TenantAPIView):
    scopes = frozenset({Scope.WORKLIST_READ})

    @extend_schema(operation_id="open_study", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, tenant: str, study_id: UUID) -> Response:
        """Open a study with its series and instances."""
        return Response(open_study_detail(actor=self.actor, study_id=study_id, dicomweb_url=f"/t/{tenant}/dicomweb"))
