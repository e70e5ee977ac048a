"""Who acts, and on what: the two sides that the gate joins."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from gantry.kernel.ids import ActorId, InstitutionId, StudyId, TenantId
from gantry.kernel.vocabulary import ActorKind, DataCategory, Place, Role


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
    """

    kind: ActorKind
    id: ActorId
    tenant_id: TenantId
    role: Role
    institutions: frozenset[InstitutionId] | None = None
    place: Place = Place.ABROAD
    session: str = ""
    correlation_id: str = ""
    user_id: UUID | None = None

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

    `is_granted` says whether the actor holds an object grant (referral, share) on the study;
    it matters only for roles that see nothing without one.
    """

    tenant_id: TenantId
    category: DataCategory
    study_id: StudyId | None = None
    institution_id: InstitutionId | None = None
    patient_pseudonym: UUID | None = None
    is_granted: bool = False
    is_erased: bool = False
    is_quarantined: bool = False
    is_embargoed: bool = False
    has_legal_hold: bool = False
    #: A result that this reader may not see yet (unreviewed) or any more (rejected).
    is_withheld: bool = False
    detail: dict[str, str] = field(default_factory=dict)
