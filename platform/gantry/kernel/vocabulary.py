"""The words that every part shares: roles, activities, data categories, purposes, places."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What a member of a tenant is there for.

    `SYSTEM` is the platform's own worker, never a person; `SUPPORT` is an operator of the platform during a
    support session. Neither is a member of any tenant.
    """

    ADMIN = "admin"
    COMPLIANCE = "compliance"
    RADIOLOGIST = "radiologist"
    SURGEON = "surgeon"
    REFERRER = "referrer"
    INTEGRATOR = "integrator"
    SYSTEM = "system"
    SUPPORT = "support"


MEMBER_ROLES: tuple[Role, ...] = tuple(role for role in Role if role not in {Role.SYSTEM, Role.SUPPORT})


class ActorKind(StrEnum):
    PERSON = "person"
    SERVICE = "service"
    SYSTEM = "system"


class Activity(StrEnum):
    """What may happen to patient data; an agreement permits some of these and nothing else."""

    STORE = "store"
    FIND = "find"
    VIEW = "view"
    RENDER = "render"
    VIEW_ABROAD = "view_abroad"
    INFER = "infer"
    DERIVE = "derive"
    REVIEW = "review"
    ANNOTATE = "annotate"
    SHARE = "share"
    EXPORT = "export"
    TRANSFER = "transfer"
    LEARN = "learn"
    ERASE = "erase"


class AdminPermission(StrEnum):
    """What may be administered in a tenant. None of these shows patient data."""

    TENANT_VIEW = "tenant.view"
    MEMBER_MANAGE = "member.manage"
    INSTITUTION_MANAGE = "institution.manage"
    ACCOUNT_MANAGE = "account.manage"
    SUPPORT_CONSENT = "support.consent"
    AGREEMENT_MANAGE = "agreement.manage"
    AUDIT_READ = "audit.read"
    GRANT_REVIEW = "grant.review"
    BREAK_GLASS_REVIEW = "break_glass.review"
    PRIVACY_MANAGE = "privacy.manage"
    RETENTION_MANAGE = "retention.manage"
    KEY_MANAGE = "key.manage"


class GrantKind(StrEnum):
    """Why somebody sees a study or a patient whom their role and institution alone would not show them."""

    REFERRAL = "referral"
    SHARE = "share"
    CARE_TEAM = "care_team"
    BREAK_GLASS = "break_glass"


class Scope(StrEnum):
    """What a service account's token may be used for; a scope narrows the role, it adds nothing."""

    DICOMWEB_STORE = "dicomweb:store"
    DICOMWEB_READ = "dicomweb:read"
    WORKLIST_READ = "worklist:read"
    INFERENCE = "inference"
    AUDIT_READ = "audit:read"


class DataCategory(StrEnum):
    PIXEL_DATA = "pixel_data"
    IDENTIFYING_METADATA = "identifying_metadata"
    DERIVED_GEOMETRY = "derived_geometry"
    REPORTS = "measurements_and_reports"
    USAGE = "usage"


class Purpose(StrEnum):
    """Purpose of use, named after HL7 v3 PurposeOfUse codes."""

    TREATMENT = "TREAT"
    OPERATIONS = "HOPERAT"
    QUALITY = "HQUALIMP"
    PATIENT_REQUEST = "PATRQT"
    #: "Break the glass": access in an emergency, past what role and institution allow.
    EMERGENCY = "BTG"
    #: Support by an operator of the platform.
    SYSTEM_ADMINISTRATION = "HSYSADMIN"


class Place(StrEnum):
    """Where the person who looks is. What cannot be told counts as abroad."""

    SITE = "site"
    COUNTRY = "country"
    ABROAD = "abroad"


class ProcessingBoundary(StrEnum):
    """`SESSION`: pixels stay in the browser. `SERVER`: the server may store and process them."""

    SESSION = "session"
    SERVER = "server"
