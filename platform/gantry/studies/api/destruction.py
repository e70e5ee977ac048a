"""REST of compliance: legal holds, erasures and their certificates, runs of scheduled destruction."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from gantry.foundation.web.input import PageQuery, StrictSerializer, page_of, validated
from gantry.kernel.errors import NotFoundError
from gantry.studies.public import (
    Erasure,
    ErasureCause,
    ErasureTarget,
    LegalHold,
    certificate_json,
    certificate_pdf,
    confirm_erasure,
    find_patients,
    get_erasure,
    list_erasures,
    list_holds,
    list_retention_runs,
    place_hold,
    plan_erasure,
    preview_retention,
    release_hold,
    retention_schedule,
    withdraw_erasure,
)
from gantry.tenancy.public import TenantAPIView

_CAUSES = [one.value for one in ErasureCause if one is not ErasureCause.RETENTION]


class LookupInput(StrictSerializer):
    """Whom to find: by number, or by one of their studies. In the body, so that it stands in no address."""

    patient_number = serializers.CharField(max_length=128, required=False, default="")
    study_instance_uid = serializers.CharField(max_length=64, required=False, default="")


class HoldInput(StrictSerializer):
    """What to hold: a patient or a study."""

    patient_id = serializers.UUIDField(required=False, allow_null=True, default=None)
    study_id = serializers.UUIDField(required=False, allow_null=True, default=None)
    reason = serializers.CharField(max_length=500)
    reference = serializers.CharField(max_length=128, required=False, default="", allow_blank=True)


class HoldRelease(StrictSerializer):
    """Why a hold is released."""

    reason = serializers.CharField(max_length=500)


class PlanInput(StrictSerializer):
    """What to plan the erasure of."""

    target = serializers.ChoiceField([one.value for one in ErasureTarget])
    patient_id = serializers.UUIDField(required=False, allow_null=True, default=None)
    study_ids = serializers.ListField(child=serializers.UUIDField(), max_length=1000, required=False, default=list)
    cause = serializers.ChoiceField(_CAUSES)
    reference = serializers.CharField(max_length=128, required=False, default="", allow_blank=True)


class ConfirmInput(StrictSerializer):
    """The hash of the plan that is confirmed."""

    plan_hash = serializers.RegexField(r"^[0-9a-f]{64}$")


class SubjectLookupView(TenantAPIView):
    @extend_schema(operation_id="look_up_subject", request=LookupInput, responses=OpenApiTypes.OBJECT)
    def post(self, request: Request, tenant: str) -> Response:
        """Find the id of a patient to hold or erase; answers ids and counts, no names."""
        wanted = validated(LookupInput, request)
        found = find_patients(
            actor=self.actor, patient_id=wanted["patient_number"], study_instance_uid=wanted["study_instance_uid"]
        )
        return Response({"subjects": [{"id": str(one), "studies": studies} for one, studies in found]})


class HoldsView(TenantAPIView):
    @extend_schema(operation_id="list_holds", parameters=[PageQuery], responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, tenant: str) -> Response:
        """List legal holds in force, newest first."""
        offset, limit = page_of(request)
        count, holds = list_holds(actor=self.actor, offset=offset, limit=limit)
        return Response({"count": count, "results": [_hold_row(hold) for hold in holds]})

    @extend_schema(operation_id="place_hold", request=HoldInput, responses=OpenApiTypes.OBJECT)
    def post(self, request: Request, tenant: str) -> Response:
        """Place a legal hold on a patient or a study."""
        return Response(_hold_row(place_hold(actor=self.actor, **validated(HoldInput, request))), status=201)


class HoldReleaseView(TenantAPIView):
    @extend_schema(operation_id="release_hold", request=HoldRelease, responses=OpenApiTypes.OBJECT)
    def post(self, request: Request, tenant: str, hold_id: UUID) -> Response:
        """Release a legal hold."""
        wanted = validated(HoldRelease, request)
        return Response(_hold_row(release_hold(actor=self.actor, hold_id=hold_id, reason=wanted["reason"])))


class ErasuresView(TenantAPIView):
    @extend_schema(operation_id="list_erasures", parameters=[PageQuery], responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, tenant: str) -> Response:
        """List erasures, newest first."""
        offset, limit = page_of(request)
        count, rows = list_erasures(actor=self.actor, offset=offset, limit=limit)
        return Response({"count": count, "results": [_erasure_row(row) for row in rows]})

    @extend_schema(operation_id="plan_erasure", request=PlanInput, responses=OpenApiTypes.OBJECT)
    def post(self, request: Request, tenant: str) -> Response:
        """List what an erasure would destroy; nothing happens until the plan is confirmed by its hash."""
        wanted = validated(PlanInput, request)
        made = plan_erasure(
            actor=self.actor,
            target=ErasureTarget(wanted["target"]),
            patient_id=wanted["patient_id"],
            study_ids=wanted["study_ids"],
            cause=ErasureCause(wanted["cause"]),
            reference=wanted["reference"],
        )
        return Response(_erasure_row(made), status=201)


class ErasureView(TenantAPIView):
    @extend_schema(operation_id="get_erasure", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, tenant: str, erasure_id: UUID) -> Response:
        """Show one erasure: its plan and how far it is."""
        return Response(_erasure_row(get_erasure(actor=self.actor, erasure_id=erasure_id)))

    @extend_schema(operation_id="withdraw_erasure", responses=OpenApiTypes.OBJECT)
    def delete(self, request: Request, tenant: str, erasure_id: UUID) -> Response:
        """Drop a plan whose execution has not begun."""
        return Response(_erasure_row(withdraw_erasure(actor=self.actor, erasure_id=erasure_id)))


class ErasureConfirmationView(TenantAPIView):
    @extend_schema(operation_id="confirm_erasure", request=ConfirmInput, responses=OpenApiTypes.OBJECT)
    def post(self, request: Request, tenant: str, erasure_id: UUID) -> Response:
        """Confirm a plan: a worker destroys what it lists. There is no way back."""
        wanted = validated(ConfirmInput, request)
        confirmed = confirm_erasure(actor=self.actor, erasure_id=erasure_id, plan_hash=wanted["plan_hash"])
        return Response(_erasure_row(confirmed), status=202)


class CertificateView(TenantAPIView):
    @extend_schema(operation_id="get_erasure_certificate", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, tenant: str, erasure_id: UUID) -> HttpResponse:
        """Return the signed certificate of an erasure that is done; `?form=pdf` for people."""
        found = get_erasure(actor=self.actor, erasure_id=erasure_id)
        if found.certificate is None:
            raise NotFoundError
        is_pdf = request.query_params.get("form") == "pdf"
        answer = HttpResponse(
            certificate_pdf(found) if is_pdf else certificate_json(found),
            content_type="application/pdf" if is_pdf else "application/json",
        )
        answer["Content-Disposition"] = f'attachment; filename="erasure-{found.pk}.{"pdf" if is_pdf else "json"}"'
        return answer


class RetentionView(TenantAPIView):
    @extend_schema(operation_id="get_retention_schedule", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, tenant: str) -> Response:
        """Say when scheduled destruction ran last, runs next, and must have run."""
        schedule = retention_schedule(actor=self.actor)
        return Response(
            {
                "last_run": schedule.last_run,
                "next_due": schedule.next_due,
                "must_run_by": schedule.must_run_by,
                "is_overdue": schedule.is_overdue,
            }
        )


class RetentionPreviewView(TenantAPIView):
    @extend_schema(operation_id="preview_retention", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, tenant: str) -> Response:
        """List what a run would destroy now, in counts and bytes."""
        return Response(preview_retention(actor=self.actor).to_json())


class RetentionRunsView(TenantAPIView):
    @extend_schema(operation_id="list_retention_runs", parameters=[PageQuery], responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, tenant: str) -> Response:
        """List runs of scheduled destruction, newest first."""
        offset, limit = page_of(request)
        count, rows = list_retention_runs(actor=self.actor, offset=offset, limit=limit)
        results = [
            {
                "id": str(row.pk),
                "started_at": row.started_at,
                "finished_at": row.finished_at,
                "agreement_version": row.agreement_version,
                "outcome": row.outcome,
            }
            for row in rows
        ]
        return Response({"count": count, "results": results})


def _hold_row(hold: LegalHold) -> dict[str, Any]:
    return {
        "id": str(hold.pk),
        "patient_id": str(hold.patient_id) if hold.patient_id else None,
        "study_id": str(hold.study_id) if hold.study_id else None,
        "reason": hold.reason,
        "reference": hold.reference,
        "placed_at": hold.placed_at,
        "placed_by": str(hold.placed_by),
        "released_at": hold.released_at,
        "release_reason": hold.release_reason,
    }


def _erasure_row(erasure: Erasure) -> dict[str, Any]:
    return {
        "id": str(erasure.pk),
        "target": erasure.target,
        "part": erasure.part,
        "cause": erasure.cause,
        "reference": erasure.reference,
        "state": erasure.state,
        "code": erasure.code,
        "sentence": erasure.sentence,
        "plan": erasure.plan,
        "plan_hash": erasure.plan_hash,
        "planned_at": erasure.planned_at,
        "confirmed_at": erasure.confirmed_at,
        "finished_at": erasure.finished_at,
        "has_certificate": erasure.certificate is not None,
    }
