"""Tenants, their institutions, the people and service accounts that belong to them."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from gantry.foundation.models import TenantModel, parent_key
from gantry.kernel.ids import new_uuid
from gantry.kernel.vocabulary import MEMBER_ROLES

_ROLES = [(role.value, role.value) for role in MEMBER_ROLES]


class Tenant(models.Model):
    """A hospital group. Visible only from its own context (the policy compares `id`)."""

    id = models.UUIDField(primary_key=True, default=new_uuid, editable=False)
    slug = models.SlugField(max_length=32, unique=True)
    name = models.CharField(max_length=128)
    #: Pairs of CIDR and place: where a person is who comes from there.
    networks = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[models.Manager[Tenant]] = models.Manager()

    def __str__(self) -> str:
        return f"Tenant {self.slug}"


class Institution(TenantModel):
    """A hospital of the group; issuer of its own patient numbers unless the DICOM says otherwise."""

    code = models.SlugField(max_length=32)
    name = models.CharField(max_length=128)
    #: Where a study goes that comes without saying which institution it is from.
    is_default = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant_id", "code"], name="institution_code"),
            models.UniqueConstraint(fields=["tenant_id"], condition=Q(is_default=True), name="institution_one_default"),
        ]


class Membership(TenantModel):
    """A person's place in a tenant: one role."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.DO_NOTHING, related_name="+", db_constraint=False
    )
    role = models.CharField(max_length=16, choices=_ROLES)
    is_active = models.BooleanField(default=True)
    #: Empty: the whole tenant.
    institutions: models.ManyToManyField[Institution, MembershipInstitution] = models.ManyToManyField(
        Institution, through="MembershipInstitution", related_name="+"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant_id", "user"], name="membership_user"),
            models.CheckConstraint(condition=Q(role__in=[role.value for role in MEMBER_ROLES]), name="membership_role"),
        ]


class MembershipInstitution(TenantModel):
    membership = parent_key("tenancy.Membership")
    institution = parent_key("tenancy.Institution")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant_id", "membership", "institution"], name="membership_institution")
        ]


class ServiceAccount(TenantModel):
    """What a token speaks for: a system of the hospital's (PACS, router), or a member's own programs."""

    name = models.CharField(max_length=128)
    role = models.CharField(max_length=16, choices=_ROLES)
    institution = parent_key("tenancy.Institution", null=True)
    #: Set where the token is a person's: it may what they may, is recorded as them, and ends with their membership.
    membership = parent_key("tenancy.Membership", null=True)
    #: What its tokens may be used for (`kernel.Scope`); null: everything that the role may do.
    scopes = ArrayField(models.CharField(max_length=32), null=True)
    is_active = models.BooleanField(default=True)


class AccessToken(TenantModel):
    """A token of a service account; only its SHA-256 is kept."""

    account = parent_key("tenancy.ServiceAccount")
    digest = models.BinaryField(max_length=32)
    label = models.CharField(max_length=64)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    #: When it was last used, to the hour: enough to see that nobody needs it any more.
    last_used_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant_id", "digest"], name="access_token_digest")]
        indexes = [models.Index(fields=["digest"], name="access_token_digest_lookup")]


class SupportSession(TenantModel):
    """Some time in which an operator of the platform may look into a tenant, whose members see that they do.

    Configuration and counts are open to it. A category of patient data is, once the tenant has agreed.
    """

    #: Who looks; a person who is no member of any tenant.
    operator_id = models.UUIDField()
    operator_name = models.CharField(max_length=128)
    reason = models.CharField(max_length=500)
    #: Categories of data (`kernel.DataCategory`) that support asks to be shown, and that the tenant agreed to.
    requested = ArrayField(models.CharField(max_length=32), default=list)
    consents = ArrayField(models.CharField(max_length=32), default=list)
    consented_by = models.UUIDField(null=True)
    consented_at = models.DateTimeField(null=True)
    opened_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    ended_by = models.UUIDField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["operator_id"], name="support_operator"),
            models.Index(fields=["tenant_id", "-opened_at"], name="support_opened"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant_id", "operator_id"], condition=Q(ended_at=None), name="support_one_open"
            )
        ]
