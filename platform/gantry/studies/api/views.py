"""REST of what people do to studies: complete, refer, look into quarantine."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from gantry.foundation.web.input import validated
from gantry.kernel.vocabulary import Role
from gantry.studies.public import (
    Referral,
    complete_study,
    list_names,
    list_quarantine,
    refer_study,
    withdraw_referral,
)
from gantry.tenancy.public import TenantAPIView, list_members


class ReferralInput(serializers.Serializer[Any]):
    person_id = serializers.UUIDField()
    until = serializers.DateTimeField(required=False, allow_null=True, default=None)


class PageQuery(serializers.Serializer[Any]):
    page = serializers.IntegerField(required=False, min_value=1, max_value=100_000, default=1)
    page_size = serializers.IntegerField(required=False, min_value=1, max_value=100, default=25)


class CompletionView(TenantAPIView):
    @extend_schema(operation_id="complete_study", request=None, responses=OpenApiTypes.OBJECT)
    def post(self, request: Request, tenant: str, study_id: UUID) -> Response:
        """Declare a study complete without waiting for the quiet time."""
        study = complete_study(actor=self.actor, study_id=study_id)
        return Response({"id": str(study.pk), "state": study.state, "revision": study.revision})


class ReferralsView(TenantAPIView):
    @extend_schema(operation_id="refer_study", request=ReferralInput, responses=OpenApiTypes.OBJECT)
    def post(self, request: Request, tenant: str, study_id: UUID) -> Response:
        """Let a referring physician see a study until a date."""
        wanted = validated(ReferralInput, request)
        referral = refer_study(actor=self.actor, study_id=study_id, user_id=wanted["person_id"], until=wanted["until"])
        return Response(_referral_row(referral), status=201)


class ReferralView(TenantAPIView):
    @extend_schema(operation_id="withdraw_referral", responses={204: None})
    def delete(self, request: Request, tenant: str, study_id: UUID, referral_id: UUID) -> Response:
        """End a referral at once."""
        withdraw_referral(actor=self.actor, study_id=study_id, referral_id=referral_id)
        return Response(status=204)


class PeopleView(TenantAPIView):
    @extend_schema(operation_id="list_referring_physicians", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, tenant: str) -> Response:
        """List the referring physicians of the tenant, whom a study can be referred to."""
        members = list_members(role=Role.REFERRER)
        names = list_names([member.user_id for member in members])
        people = [{"id": str(user_id), "name": name} for user_id, name in names.items()]
        return Response({"people": sorted(people, key=lambda one: one["name"])})


class QuarantineView(TenantAPIView):
    @extend_schema(operation_id="list_quarantine", parameters=[PageQuery], responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, tenant: str) -> Response:
        """List what could not be stored, with the reasons."""
        query = PageQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        size = query.validated_data["page_size"]
        count, rows = list_quarantine(actor=self.actor, offset=(query.validated_data["page"] - 1) * size, limit=size)
        results = [
            {
                "id": str(row.pk),
                "received_at": row.received_at,
                "reason_code": row.reason_code,
                "sentence": row.sentence,
                "sop_instance_uid": row.sop_instance_uid,
                "size_bytes": row.size_bytes,
            }
            for row in rows
        ]
        return Response({"count": count, "results": results})


def _referral_row(referral: Referral) -> dict[str, Any]:
    return {
        "id": str(referral.id),
        "person": {"id": str(referral.user_id), "name": referral.name},
        "until": referral.until,
        "state": referral.reason,
    }
