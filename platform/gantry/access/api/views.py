"""REST of administration: members, institutions, networks, service accounts, care teams, support sessions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from gantry.access import administration, teams
from gantry.access.matrix import matrix_rows
from gantry.access.policies import require_permission
from gantry.foundation.web.input import PageQuery, StrictSerializer, page_of, validated
from gantry.kernel.vocabulary import MEMBER_ROLES, AdminPermission, DataCategory, Place, Role, Scope
from gantry.tenancy.public import AccountCard, Institution, IssuedToken, MemberCard, SupportCard, TenantAPIView

_ROLES = [role.value for role in MEMBER_ROLES]
_MAX_LISTED = 100


def _ids(**options: Any) -> serializers.ListField:
    return serializers.ListField(child=serializers.UUIDField(), max_length=_MAX_LISTED, **options)


class MemberInput(StrictSerializer):
    """A person to make a member."""

    email = serializers.EmailField(max_length=254)
    name = serializers.CharField(max_length=128)
    role = serializers.ChoiceField(_ROLES)
    institution_ids = _ids(required=False, default=list)


class MemberChange(StrictSerializer):
    """What to change of a member; what is left out stays."""

    role = serializers.ChoiceField(_ROLES, required=False)
    institution_ids = _ids(required=False)
    is_active = serializers.BooleanField(required=False)


class InstitutionInput(StrictSerializer):
    """A hospital to add."""

    code = serializers.RegexField(r"^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$")
    name = serializers.CharField(max_length=128)


class InstitutionChange(StrictSerializer):
    """What to change of a hospital."""

    name = serializers.CharField(max_length=128, required=False)
    is_default = serializers.BooleanField(required=False)


class NetworkInput(StrictSerializer):
    """A network and the place that it is."""

    cidr = serializers.CharField(max_length=64)
    place = serializers.ChoiceField([place.value for place in Place])


class NetworksInput(StrictSerializer):
    """All networks of the tenant."""

    networks = serializers.ListField(child=NetworkInput(), max_length=64)


class AccountInput(StrictSerializer):
    """A service account to make."""

    name = serializers.CharField(max_length=128)
    scopes = serializers.ListField(
        child=serializers.ChoiceField([scope.value for scope in Scope]), min_length=1, max_length=len(Scope)
    )
    institution_id = serializers.UUIDField(required=False, allow_null=True, default=None)


class TokenInput(StrictSerializer):
    """A token to make."""

    label = serializers.CharField(  # type: ignore[assignment]  # what the client calls it; a serializer has one, too
        max_length=64, required=False, allow_blank=True, default=""
    )
    days = serializers.IntegerField(min_value=1, max_value=3650, required=False, allow_null=True, default=None)


class RotationInput(StrictSerializer):
    """How long the token before stays good."""

    overlap_hours = serializers.IntegerField(min_value=0, max_value=168, required=False, default=24)


class TeamInput(StrictSerializer):
    """A care team to make."""

    name = serializers.CharField(max_length=128)
    member_ids = _ids(required=False, default=list)


class TeamChange(StrictSerializer):
    """What to change of a care team."""

    name = serializers.CharField(max_length=128, required=False)
    member_ids = _ids(required=False)
    is_active = serializers.BooleanField(required=False)


class ConsentInput(StrictSerializer):
    """The categories of data that support may be shown in this session."""

    categories = serializers.ListField(
        child=serializers.ChoiceField([category.value for category in DataCategory]), max_length=len(DataCategory)
    )


class TenantView(TenantAPIView):
    @extend_schema(operation_id="view_tenant", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, tenant: str) -> Response:
        """Say how the tenant is set up, in numbers."""
        seen = administration.view_tenant(actor=self.actor)
        return Response(
            {
                "slug": seen.slug,
                "name": seen.name,
                "members_by_role": seen.members_by_role,
                "institutions": seen.institutions,
                "accounts": seen.accounts,
                "networks": seen.networks,
                "open_support_sessions": seen.open_support_sessions,
            }
        )


class AccessMatrixView(TenantAPIView):
    @extend_schema(operation_id="view_access_matrix", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, tenant: str) -> Response:
        """Return what each role may do and administer, before the agreement has its say."""
        require_permission(self.actor, AdminPermission.TENANT_VIEW)
        return Response(matrix_rows())


class MembersView(TenantAPIView):
    @extend_schema(operation_id="list_members", parameters=[PageQuery], responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, tenant: str) -> Response:
        """List members, former ones among them."""
        offset, limit = page_of(request)
        count, members = administration.list_members(actor=self.actor, offset=offset, limit=limit)
        return Response({"count": count, "results": [_member_row(one) for one in members]})

    @extend_schema(operation_id="add_member", request=MemberInput, responses={201: OpenApiTypes.OBJECT})
    def post(self, request: Request, tenant: str) -> Response:
        """Make a person a member."""
        wanted = validated(MemberInput, request)
        member = administration.invite_member(
            actor=self.actor,
            email=wanted["email"],
            name=wanted["name"],
            role=Role(wanted["role"]),
            institution_ids=wanted["institution_ids"],
        )
        return Response(_member_row(member), status=201)


class MemberView(TenantAPIView):
    @extend_schema(operation_id="change_member", request=MemberChange, responses=OpenApiTypes.OBJECT)
    def patch(self, request: Request, tenant: str, member_id: UUID) -> Response:
        """Change a member's role or institutions, or end their membership."""
        wanted = validated(MemberChange, request)
        member = administration.change_member(
            actor=self.actor,
            membership_id=member_id,
            role=Role(wanted["role"]) if "role" in wanted else None,
            institution_ids=wanted.get("institution_ids"),
            is_active=wanted.get("is_active"),
        )
        return Response(_member_row(member))


class InstitutionsView(TenantAPIView):
    @extend_schema(operation_id="list_institutions", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, tenant: str) -> Response:
        """List the hospitals of the group."""
        found = administration.list_institutions(actor=self.actor)
        return Response({"count": len(found), "results": [_institution_row(one) for one in found]})

    @extend_schema(operation_id="add_institution", request=InstitutionInput, responses={201: OpenApiTypes.OBJECT})
    def post(self, request: Request, tenant: str) -> Response:
        """Add a hospital."""
        wanted = validated(InstitutionInput, request)
        made = administration.create_institution(actor=self.actor, code=wanted["code"], name=wanted["name"])
        return Response(_institution_row(made), status=201)


class InstitutionView(TenantAPIView):
    @extend_schema(operation_id="change_institution", request=InstitutionChange, responses=OpenApiTypes.OBJECT)
    def patch(self, request: Request, tenant: str, institution_id: UUID) -> Response:
        """Rename a hospital, or make it the default."""
        wanted = validated(InstitutionChange, request)
        changed = administration.change_institution(actor=self.actor, institution_id=institution_id, **wanted)
        return Response(_institution_row(changed))


class NetworksView(TenantAPIView):
    @extend_schema(operation_id="list_networks", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, tenant: str) -> Response:
        """List the networks that say where somebody is."""
        return Response(_network_rows(administration.list_networks(actor=self.actor)))

    @extend_schema(operation_id="set_networks", request=NetworksInput, responses=OpenApiTypes.OBJECT)
    def put(self, request: Request, tenant: str) -> Response:
        """Say anew which networks are which place."""
        wanted = validated(NetworksInput, request)["networks"]
        pairs = [(one["cidr"], Place(one["place"])) for one in wanted]
        return Response(_network_rows(administration.set_networks(actor=self.actor, networks=pairs)))


class AccountsView(TenantAPIView):
    @extend_schema(operation_id="list_accounts", parameters=[PageQuery], responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, tenant: str) -> Response:
        """List service accounts with their tokens, never the secrets."""
        offset, limit = page_of(request)
        count, accounts = administration.list_accounts(actor=self.actor, offset=offset, limit=limit)
        return Response({"count": count, "results": [_account_row(one) for one in accounts]})

    @extend_schema(operation_id="create_account", request=AccountInput, responses={201: OpenApiTypes.OBJECT})
    def post(self, request: Request, tenant: str) -> Response:
        """Make a service account."""
        wanted = validated(AccountInput, request)
        account = administration.create_account(
            actor=self.actor,
            name=wanted["name"],
            scopes=[Scope(scope) for scope in wanted["scopes"]],
            institution_id=wanted["institution_id"],
        )
        return Response(_account_row(account), status=201)


class AccountView(TenantAPIView):
    @extend_schema(operation_id="end_account", responses={204: None})
    def delete(self, request: Request, tenant: str, account_id: UUID) -> Response:
        """End a service account; its tokens are worth nothing from now on."""
        administration.end_account(actor=self.actor, account_id=account_id)
        return Response(status=204)


class TokensView(TenantAPIView):
    @extend_schema(operation_id="issue_token", request=TokenInput, responses={201: OpenApiTypes.OBJECT})
    def post(self, request: Request, tenant: str, account_id: UUID) -> Response:
        """Make a token; its secret is shown in this answer and never again."""
        wanted = validated(TokenInput, request)
        issued = administration.issue_token(
            actor=self.actor, account_id=account_id, label=wanted["label"], days=wanted["days"]
        )
        return Response(_secret_row(issued), status=201)


class TokenRotationView(TenantAPIView):
    @extend_schema(operation_id="rotate_token", request=RotationInput, responses={201: OpenApiTypes.OBJECT})
    def post(self, request: Request, tenant: str, account_id: UUID, token_id: UUID) -> Response:
        """Replace a token by a new one, shown here alone."""
        wanted = validated(RotationInput, request)
        issued = administration.rotate_token(
            actor=self.actor, account_id=account_id, token_id=token_id, overlap_hours=wanted["overlap_hours"]
        )
        return Response(_secret_row(issued), status=201)


class TokenView(TenantAPIView):
    @extend_schema(operation_id="revoke_token", responses={204: None})
    def delete(self, request: Request, tenant: str, account_id: UUID, token_id: UUID) -> Response:
        """End a token at once."""
        administration.revoke_token(actor=self.actor, account_id=account_id, token_id=token_id)
        return Response(status=204)


class CareTeamsView(TenantAPIView):
    @extend_schema(operation_id="list_care_teams", parameters=[PageQuery], responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, tenant: str) -> Response:
        """List care teams with the memberships of who is in them."""
        offset, limit = page_of(request)
        count, found = teams.list_teams(actor=self.actor, offset=offset, limit=limit)
        return Response({"count": count, "results": [_team_row(one) for one in found]})

    @extend_schema(operation_id="create_care_team", request=TeamInput, responses={201: OpenApiTypes.OBJECT})
    def post(self, request: Request, tenant: str) -> Response:
        """Make a care team."""
        wanted = validated(TeamInput, request)
        return Response(_team_row(teams.create_team(actor=self.actor, **wanted)), status=201)


class CareTeamView(TenantAPIView):
    @extend_schema(operation_id="change_care_team", request=TeamChange, responses=OpenApiTypes.OBJECT)
    def patch(self, request: Request, tenant: str, team_id: UUID) -> Response:
        """Rename a team, say anew who is in it, or end it."""
        wanted = validated(TeamChange, request)
        return Response(_team_row(teams.update_team(actor=self.actor, team_id=team_id, **wanted)))


class SupportSessionsView(TenantAPIView):
    @extend_schema(operation_id="list_support_sessions", parameters=[PageQuery], responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, tenant: str) -> Response:
        """List the support sessions that operators of the platform have had here."""
        offset, limit = page_of(request)
        count, found = administration.list_support(actor=self.actor, offset=offset, limit=limit)
        return Response({"count": count, "results": [_support_row(one) for one in found]})


class SupportSessionView(TenantAPIView):
    @extend_schema(operation_id="end_support_session", responses=OpenApiTypes.OBJECT)
    def delete(self, request: Request, tenant: str, support_id: UUID) -> Response:
        """End a support session at once."""
        return Response(_support_row(administration.end_support(actor=self.actor, session_id=support_id)))


class SupportConsentView(TenantAPIView):
    @extend_schema(operation_id="consent_to_support", request=ConsentInput, responses=OpenApiTypes.OBJECT)
    def put(self, request: Request, tenant: str, support_id: UUID) -> Response:
        """Agree that support is shown some categories of data, or to fewer than before."""
        categories = [DataCategory(text) for text in validated(ConsentInput, request)["categories"]]
        session = administration.consent_to_support(actor=self.actor, session_id=support_id, categories=categories)
        return Response(_support_row(session))


def _member_row(member: MemberCard) -> dict[str, Any]:
    return {
        "id": str(member.id),
        "person": {"id": str(member.user_id), "name": member.name, "email": member.email},
        "role": member.role,
        "is_active": member.is_active,
        "institution_ids": [str(one) for one in member.institution_ids],
    }


def _institution_row(institution: Institution) -> dict[str, Any]:
    return {
        "id": str(institution.pk),
        "code": institution.code,
        "name": institution.name,
        "is_default": institution.is_default,
    }


def _network_rows(networks: list[tuple[str, str]]) -> dict[str, Any]:
    return {"networks": [{"cidr": cidr, "place": place} for cidr, place in networks]}


def _account_row(account: AccountCard) -> dict[str, Any]:
    return {
        "id": str(account.id),
        "name": account.name,
        "scopes": None if account.scopes is None else list(account.scopes),
        "institution_id": None if account.institution_id is None else str(account.institution_id),
        "is_active": account.is_active,
        "tokens": [
            {
                "id": str(token.id),
                "label": token.label,
                "created_at": token.created_at,
                "expires_at": token.expires_at,
                "revoked_at": token.revoked_at,
                "last_used_at": token.last_used_at,
            }
            for token in account.tokens
        ],
    }


def _secret_row(issued: IssuedToken) -> dict[str, Any]:
    return {"id": str(issued.id), "token": issued.secret, "expires_at": issued.expires_at}


def _team_row(team: teams.TeamCard) -> Mapping[str, Any]:
    return {
        "id": str(team.id),
        "name": team.name,
        "is_active": team.is_active,
        "member_ids": [str(one) for one in team.member_ids],
    }


def _support_row(session: SupportCard) -> dict[str, Any]:
    return {
        "id": str(session.id),
        "operator": {"id": str(session.operator_id), "name": session.operator_name},
        "reason": session.reason,
        "requested": list(session.requested),
        "consents": list(session.consents),
        "opened_at": session.opened_at,
        "expires_at": session.expires_at,
        "ended_at": session.ended_at,
        "is_open": session.is_open,
    }
