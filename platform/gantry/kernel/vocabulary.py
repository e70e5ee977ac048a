"""The words that every part shares: roles, activities, data categories, purposes, places."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What a member of a tenant is there for. `SYSTEM` is the platform's own worker, never a person."""

    ADMIN = "admin"
    COMPLIANCE = "compliance"
    RADIOLOGIST = "radiologist"
    SURGEON = "surgeon"
    REFERRER = "referrer"
    INTEGRATOR = "integrator"
    SYSTEM = "system"


MEMBER_ROLES: tuple[Role, ...] = tuple(role for role in Role if role is not Role.SYSTEM)


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


class Place(StrEnum):
    """Where the person who looks is. What cannot be told counts as abroad."""

    SITE = "site"
    COUNTRY = "country"
    ABROAD = "abroad"


class ProcessingBoundary(StrEnum):
    """`SESSION`: pixels stay in the browser. `SERVER`: the server may store and process them."""

    SESSION = "session"
    SERVER = "server"
