"""Who acts, and on what: the two sides that the gate joins."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from gantry.kernel.ids import ActorId, InstitutionId, StudyId, TenantId
from gantry.kernel.vocabulary import ActorKind, DataCategory, GrantKind, Place, Role, Scope


@dataclass(frozen=True, slots=True)
class Actor:
    """A person, service account or the platform itself, acting within one tenant.

    Parameters
    ----------
    institutions
        The institutions the actor is confined to; `None` is the whole tenant.
    place
        Where the actor is, told by the tenant's table of networks.
    session
        A digest that groups what one sign-in did; never the session key.
    scopes
        What a service account's token is confined to; `None` is everything that the role may do.
    consents
        During a support session, the categories of data that the tenant agreed to have shown; `None` for
        everybody else.
    """

    kind: ActorKind
    id: ActorId
    tenant_id: TenantId
    role: Role
    institutions: frozenset[InstitutionId] | None = None
    place: Place = Place.ABROAD
    session: str = ""
    correlation_id: str = ""
    #: Network address that the request came from; empty for the platform's own worker.
    address: str = ""
    user_id: UUID | None = None
    scopes: frozenset[Scope] | None = None
    consents: frozenset[DataCategory] | None = None

    def is_confined_from(self, institution_id: InstitutionId) -> bool:
        """Tell whether the actor's institutions leave this one out."""
        return self.institutions is not None and institution_id not in self.institutions


SYSTEM_ACTOR_ID = ActorId(UUID("00000000-0000-4000-8000-000000000001"))


def system_actor(tenant_id: TenantId, *, correlation_id: str = "") -> Actor:
    """Return the platform's own worker acting for a tenant, on the tenant's ground."""
    return Actor(
        kind=ActorKind.SYSTEM,
        id=SYSTEM_ACTOR_ID,
        tenant_id=tenant_id,
        role=Role.SYSTEM,
        place=Place.SITE,
        correlation_id=correlation_id,
    )


@dataclass(frozen=True, slots=True)
class Subject:
    """What an activity is about, with the state that the caller loaded.

    `granted_by` says by what object grant the actor reaches the study, where their role and institutions
    alone would not show it to them.
    """

    tenant_id: TenantId
    category: DataCategory
    study_id: StudyId | None = None
    institution_id: InstitutionId | None = None
    patient_pseudonym: UUID | None = None
    granted_by: GrantKind | None = None
    is_erased: bool = False
    is_quarantined: bool = False
    is_embargoed: bool = False
    has_legal_hold: bool = False
    #: The patient had processing restricted (GDPR art. 18): their data are kept, and little else.
    is_restricted: bool = False
    #: A result that this reader may not see yet (unreviewed) or any more (rejected).
    is_withheld: bool = False
    #: Who besides the platform would work on the data: a model's vendor, an external service. Empty: nobody.
    processor: str = ""
    detail: dict[str, str] = field(default_factory=dict)

    @property
    def is_granted(self) -> bool:
        """Tell whether the actor holds an object grant on the study."""
        return self.granted_by is not None
