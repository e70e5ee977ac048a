"""What other parts may use of tenancy."""

from gantry.tenancy.authentication import resolve_actor
from gantry.tenancy.models import Institution, Membership, Tenant
from gantry.tenancy.services import (
    SignIn,
    add_member,
    create_institution,
    create_tenant,
    end_membership,
    find_tenant,
    get_tenant,
    is_actor_current,
    is_token_alive,
    issue_token,
    list_institutions,
    list_members,
    list_tenant_ids,
    list_tenants_of,
    ping_database,
    recall_actor,
    resolve_person,
    resolve_token,
    revoke_token,
)
from gantry.tenancy.views import TenantAPIView

__all__ = [
    "Institution",
    "Membership",
    "SignIn",
    "Tenant",
    "TenantAPIView",
    "add_member",
    "create_institution",
    "create_tenant",
    "end_membership",
    "find_tenant",
    "get_tenant",
    "is_actor_current",
    "is_token_alive",
    "issue_token",
    "list_institutions",
    "list_members",
    "list_tenant_ids",
    "list_tenants_of",
    "ping_database",
    "recall_actor",
    "resolve_actor",
    "resolve_person",
    "resolve_token",
    "revoke_token",
]
