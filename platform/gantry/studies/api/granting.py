"""REST of sharing a study, and of emergency access with its review."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from gantry.foundation.web.input import PageQuery, StrictSerializer, page_of, validated
from gantry.studies.domain import EmergencyReason, GrantScope, ReviewVerdict
from gantry.studies.granting.emergency import (
    EmergencyCard,
    Sought,
    break_glass,
    end_emergency,
    list_emergencies,
    review_emergency,
)
from gantry.studies.granting.services import GrantCard, list_study_grants, share_study, withdraw_grant
from gantry.studies.services import list_names
from gantry.tenancy.public import TenantAPIView


class GrantInput(StrictSerializer):
    """With whom to share: one person, or one care team."""

    person_id = serializers.UUIDField(required=False, allow_null=True, default=None)
    team_id = serializers.UUIDField(required=False, allow_null=True, default=None)
    scope = serializers.ChoiceField([scope.value for scope in GrantScope], required=False, default="study")
    until = serializers.DateTimeField(required=False, allow_null=True, default=None)
    reason = serializers.RegexField(r"^[a-z_]{3,64}$")


class EmergencyInput(StrictSerializer):
    """Whose data, named exactly once, and why."""

    study_id = serializers.UUIDField(required=False, allow_null=True, default=None)
    study_instance_uid = serializers.RegexField(r"^[0-9.]{1,64}$", required=False, allow_blank=True, default="")
    accession_number = serializers.CharField(max_length=128, required=False, allow_blank=True, default="")
    patient_id = serializers.CharField(max_length=128, required=False, allow_blank=True, default="")
    reason_code = serializers.ChoiceField([reason.value for reason in EmergencyReason])
    reason = serializers.CharField(max_length=500)


class EmergencyQuery(PageQuery):
    """Which of the queue."""

    verdict = serializers.ChoiceField([verdict.value for verdict in ReviewVerdict], required=False)


class EmergencyReview(StrictSerializer):
    """What the compliance officer found."""

    verdict = serializers.ChoiceField([ReviewVerdict.JUSTIFIED.value, ReviewVerdict.NOT_JUSTIFIED.value])
    comment = serializers.CharField(max_length=500)


class GrantsView(TenantAPIView):
    @extend_schema(operation_id="list_study_grants", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, tenant: str, study_id: UUID) -> Response:
        """List the grants on a study and on its patient that hold now."""
        cards = list_study_grants(actor=self.actor, study_id=study_id)
        names = list_names([one.user_id for one in cards if one.user_id])
        return Response({"count": len(cards), "results": [_grant_row(one, names) for one in cards]})

    @extend_schema(operation_id="share_study", request=GrantInput, responses={201: OpenApiTypes.OBJECT})
    def post(self, request: Request, tenant: str, study_id: UUID) -> Response:
        """Share a study, or its patient, with a person or a care team until a date."""
        wanted = validated(GrantInput, request)
        card = share_study(
            actor=self.actor,
            study_id=study_id,
            user_id=wanted["person_id"],
            team_id=wanted["team_id"],
            scope=GrantScope(wanted["scope"]),
            until=wanted["until"],
            reason=wanted["reason"],
        )
        return Response(_grant_row(card, list_names([card.user_id] if card.user_id else [])), status=201)


class GrantView(TenantAPIView):
    @extend_schema(operation_id="withdraw_grant", responses={204: None})
    def delete(self, request: Request, tenant: str, study_id: UUID, grant_id: UUID) -> Response:
        """Take a grant back at once."""
        withdraw_grant(actor=self.actor, study_id=study_id, grant_id=grant_id)
        return Response(status=204)


class EmergenciesView(TenantAPIView):
    @extend_schema(operation_id="list_emergencies", parameters=[EmergencyQuery], responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, tenant: str) -> Response:
        """List emergency accesses for review; no patient data, the patient's pseudonym in the audit trail."""
        query = EmergencyQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        verdict = query.validated_data.get("verdict")
        offset, limit = page_of(request)
        count, cards = list_emergencies(
            actor=self.actor, verdict=ReviewVerdict(verdict) if verdict else None, offset=offset, limit=limit
        )
        names = list_names([one.user_id for one in cards])
        return Response({"count": count, "results": [_emergency_row(one, names) for one in cards]})

    @extend_schema(operation_id="break_glass", request=EmergencyInput, responses={201: OpenApiTypes.OBJECT})
    def post(self, request: Request, tenant: str) -> Response:
        """Break the glass: see a patient's studies for an hour, told to the compliance officer at once."""
        wanted = validated(EmergencyInput, request)
        sought = Sought(
            study_id=wanted["study_id"],
            study_instance_uid=wanted["study_instance_uid"],
            accession_number=wanted["accession_number"],
            patient_id=wanted["patient_id"],
        )
        card = break_glass(
            actor=self.actor,
            sought=sought,
            reason_code=EmergencyReason(wanted["reason_code"]),
            reason=wanted["reason"],
        )
        return Response(_emergency_row(card, list_names([card.user_id])), status=201)


class EmergencyView(TenantAPIView):
    @extend_schema(operation_id="end_emergency", responses=OpenApiTypes.OBJECT)
    def delete(self, request: Request, tenant: str, emergency_id: UUID) -> Response:
        """End emergency access before its time."""
        card = end_emergency(actor=self.actor, emergency_id=emergency_id)
        return Response(_emergency_row(card, list_names([card.user_id])))


class EmergencyReviewView(TenantAPIView):
    @extend_schema(operation_id="review_emergency", request=EmergencyReview, responses=OpenApiTypes.OBJECT)
    def post(self, request: Request, tenant: str, emergency_id: UUID) -> Response:
        """Say whether breaking the glass was justified; where it was not, access ends."""
        wanted = validated(EmergencyReview, request)
        card = review_emergency(
            actor=self.actor,
            emergency_id=emergency_id,
            verdict=ReviewVerdict(wanted["verdict"]),
            comment=wanted["comment"],
        )
        return Response(_emergency_row(card, list_names([card.user_id])))


def _grant_row(card: GrantCard, names: dict[UUID, str]) -> dict[str, Any]:
    return {
        "id": str(card.id),
        "kind": card.kind,
        "scope": card.scope,
        "person": None if card.user_id is None else {"id": str(card.user_id), "name": names.get(card.user_id, "")},
        "team": None if card.team_id is None else {"id": str(card.team_id), "name": card.team_name},
        "until": card.until,
        "reason": card.reason,
        "granted_at": card.granted_at,
    }


def _emergency_row(card: EmergencyCard, names: dict[UUID, str]) -> dict[str, Any]:
    return {
        "id": str(card.id),
        "person": {"id": str(card.user_id), "name": names.get(card.user_id, "")},
        "role": card.role,
        "patient_pseudonym": str(card.patient_pseudonym),
        "study_ids": [str(one) for one in card.study_ids],
        "reason_code": card.reason_code,
        "reason": card.reason,
        "opened_at": card.opened_at,
        "expires_at": card.expires_at,
        "ended_at": card.ended_at,
        "is_open": card.is_open,
        "verdict": card.verdict,
        "comment": card.comment,
        "reviewed_at": card.reviewed_at,
    }
