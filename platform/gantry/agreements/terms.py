"""What an agreement states, as data that the gate obeys and the document is written from. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from gantry.agreements.states import Disposition, Status
from gantry.kernel.vocabulary import Activity, DataCategory, Place, ProcessingBoundary, Purpose, Role


@dataclass(frozen=True, slots=True)
class Permission:
    """One clause: these roles may do this with data of these categories, for these purposes."""

    clause: str
    activity: Activity
    categories: frozenset[DataCategory]
    purposes: frozenset[Purpose]
    roles: frozenset[Role]

    def covers(self, activity: Activity, category: DataCategory, purpose: Purpose, role: Role) -> bool:
        """Tell whether this clause speaks of such an act."""
        return (
            activity is self.activity
            and category in self.categories
            and purpose in self.purposes
            and role in self.roles
        )


class RetentionStart(StrEnum):
    """The day that keeping is counted from."""

    RECEIVED = "received"
    STUDY_DATE = "study_date"
    LAST_OPENED = "last_opened"


@dataclass(frozen=True, slots=True)
class RetentionRule:
    """How long data of one category is kept.

    Parameters
    ----------
    keep_days
        Days after which it is erased; `None` is for as long as the agreement is in force.
    by_institution
        Other periods, by the code of the institution that the data is of.
    """

    clause: str
    keep_days: int | None
    starts: RetentionStart = RetentionStart.RECEIVED
    by_institution: Mapping[str, int] = field(default_factory=dict)

    def days_for(self, institution_code: str) -> int | None:
        """Return the days that an institution's data of this category is kept; `None` is until the end."""
        return self.by_institution.get(institution_code, self.keep_days)


@dataclass(frozen=True, slots=True)
class SubProcessor:
    """Somebody besides the platform who works on the data: the vendor of a model, an external service.

    Parameters
    ----------
    name
        As the model's card or the service's configuration writes it; compared without regard to case.
    regions
        Where they process; a region that the agreement itself does not list needs a transfer basis.
    """

    name: str
    clause: str
    task: str
    activities: frozenset[Activity]
    categories: frozenset[DataCategory]
    regions: frozenset[str]
    address: str = ""

    def is_named(self, name: str) -> bool:
        """Tell whether this is the one that goes by a name."""
        return fold(self.name) == fold(name)

    def covers(self, activity: Activity, category: DataCategory) -> bool:
        """Tell whether this one may take part in such an act."""
        return activity in self.activities and category in self.categories


class TransferKind(StrEnum):
    """What an international transfer rests on."""

    ADEQUACY = "adequacy"
    SCC = "scc"
    KVKK_STANDARD_CONTRACT = "kvkk_standard_contract"


@dataclass(frozen=True, slots=True)
class TransferBasis:
    """What lets data go to a recipient in a region outside those agreed (GDPR ch. V, KVKK art. 9)."""

    clause: str
    kind: TransferKind
    recipient: str
    region: str
    #: Which text: SCC module, or the Authority's contract and its number.
    reference: str = ""

    def carries(self, recipient: str, region: str) -> bool:
        """Tell whether it covers this recipient there."""
        return fold(self.recipient) == fold(recipient) and self.region == region


@dataclass(frozen=True, slots=True)
class BreachRule:
    """Whom to tell of a breach, and by when."""

    clause: str = ""
    #: Hours in which the processor tells the controller, from when it knew.
    processor_within_h: int = 24
    #: Hours in which the controller tells the authority.
    authority_within_h: int = 72
    authority: str = ""
    controller_contact: str = ""
    processor_contact: str = ""


@dataclass(frozen=True, slots=True)
class EndRule:
    """What happens when the agreement ends."""

    clause: str = ""
    return_within_days: int = 30
    delete_within_days: int = 60


def _no_retention() -> Mapping[DataCategory, RetentionRule]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Terms:
    """What an agreement permits. What it does not mention is not permitted."""

    version: str
    status: Status
    valid_from: datetime | None
    valid_until: datetime | None
    boundary: ProcessingBoundary
    boundary_clause: str
    viewing_places: frozenset[Place]
    viewing_clause: str
    permissions: tuple[Permission, ...]
    #: Regions of cells that may hold and process the data.
    regions: frozenset[str] = frozenset()
    regions_clause: str = ""
    sub_processors: tuple[SubProcessor, ...] = ()
    sub_processors_clause: str = ""
    retention: Mapping[DataCategory, RetentionRule] = field(default_factory=_no_retention)
    transfers: tuple[TransferBasis, ...] = ()
    breach: BreachRule = BreachRule()
    end: EndRule = EndRule()
    ended_at: datetime | None = None
    disposition: Disposition | None = None

    def is_in_force(self, at: datetime) -> bool:
        """Tell whether the agreement binds at a moment."""
        return self.status is Status.IN_FORCE and self.is_within(at)

    def is_within(self, at: datetime) -> bool:
        """Tell whether a moment lies in the agreement's time, whatever became of it."""
        return (
            self.valid_from is not None
            and self.valid_from <= at
            and (self.valid_until is None or at < self.valid_until)
        )

    def find_sub_processor(self, name: str) -> SubProcessor | None:
        """Return the sub-processor of a name, if the agreement lists it."""
        return next((one for one in self.sub_processors if one.is_named(name)), None)

    def regions_without_basis(self, sub_processor: SubProcessor) -> frozenset[str]:
        """Return where a sub-processor works that is neither agreed nor carried by a transfer basis."""
        return frozenset(
            region
            for region in sub_processor.regions - self.regions
            if not any(basis.carries(sub_processor.name, region) for basis in self.transfers)
        )


def fold(name: str) -> str:
    """Return a name as names are compared: without case, each run of blanks as one."""
    return " ".join(name.split()).casefold()


def terms_to_json(terms: Terms) -> dict[str, Any]:
    """Return what an agreement states as JSON-ready data in a stable order; not its status or dates."""
    return {
        "boundary": {"value": terms.boundary.value, "clause": terms.boundary_clause},
        "viewing": {"places": sorted(terms.viewing_places), "clause": terms.viewing_clause},
        "regions": {"names": sorted(terms.regions), "clause": terms.regions_clause},
        "permissions": permissions_to_json(terms.permissions),
        "sub_processors": {
            "clause": terms.sub_processors_clause,
            "list": [sub_processor_to_json(one) for one in terms.sub_processors],
        },
        "retention": {
            category.value: {
                "clause": rule.clause,
                "keep_days": rule.keep_days,
                "starts": rule.starts.value,
                "by_institution": dict(sorted(rule.by_institution.items())),
            }
            for category, rule in sorted(terms.retention.items())
        },
        "transfers": [
            {
                "clause": one.clause,
                "kind": one.kind.value,
                "recipient": one.recipient,
                "region": one.region,
                "reference": one.reference,
            }
            for one in terms.transfers
        ],
        "breach": {
            "clause": terms.breach.clause,
            "processor_within_h": terms.breach.processor_within_h,
            "authority_within_h": terms.breach.authority_within_h,
            "authority": terms.breach.authority,
            "controller_contact": terms.breach.controller_contact,
            "processor_contact": terms.breach.processor_contact,
        },
        "end": {
            "clause": terms.end.clause,
            "return_within_days": terms.end.return_within_days,
            "delete_within_days": terms.end.delete_within_days,
        },
    }


def sub_processor_to_json(processor: SubProcessor) -> dict[str, Any]:
    """Return a sub-processor as JSON-ready data, in a stable order."""
    return {
        "name": processor.name,
        "clause": processor.clause,
        "task": processor.task,
        "activities": sorted(processor.activities),
        "categories": sorted(processor.categories),
        "regions": sorted(processor.regions),
        "address": processor.address,
    }


def terms_from_json(
    data: Mapping[str, Any],
    *,
    version: str = "",
    status: Status = Status.DRAFT,
    valid_from: datetime | None = None,
    valid_until: datetime | None = None,
    ended_at: datetime | None = None,
    disposition: Disposition | None = None,
) -> Terms:
    """Read terms back; unknown words raise `ValueError`, what is missing `KeyError`."""
    return Terms(
        version=version,
        status=status,
        valid_from=valid_from,
        valid_until=valid_until,
        boundary=ProcessingBoundary(data["boundary"]["value"]),
        boundary_clause=data["boundary"]["clause"],
        viewing_places=frozenset(map(Place, data["viewing"]["places"])),
        viewing_clause=data["viewing"]["clause"],
        permissions=permissions_from_json(data["permissions"]),
        regions=frozenset(data["regions"]["names"]),
        regions_clause=data["regions"]["clause"],
        sub_processors=sub_processors_from_json(data["sub_processors"]["list"]),
        sub_processors_clause=data["sub_processors"]["clause"],
        retention=MappingProxyType(
            {
                DataCategory(category): RetentionRule(
                    clause=rule["clause"],
                    keep_days=rule["keep_days"],
                    starts=RetentionStart(rule["starts"]),
                    by_institution=MappingProxyType(dict(rule.get("by_institution", {}))),
                )
                for category, rule in data["retention"].items()
            }
        ),
        transfers=tuple(
            TransferBasis(
                clause=one["clause"],
                kind=TransferKind(one["kind"]),
                recipient=one["recipient"],
                region=one["region"],
                reference=one.get("reference", ""),
            )
            for one in data["transfers"]
        ),
        breach=BreachRule(**data["breach"]),
        end=EndRule(**data["end"]),
        ended_at=ended_at,
        disposition=disposition,
    )


def sub_processors_from_json(items: list[dict[str, Any]]) -> tuple[SubProcessor, ...]:
    """Read sub-processors back; unknown words raise `ValueError`."""
    return tuple(
        SubProcessor(
            name=one["name"],
            clause=one["clause"],
            task=one["task"],
            activities=frozenset(map(Activity, one["activities"])),
            categories=frozenset(map(DataCategory, one["categories"])),
            regions=frozenset(one["regions"]),
            address=one.get("address", ""),
        )
        for one in items
    )


def permissions_to_json(permissions: tuple[Permission, ...]) -> list[dict[str, Any]]:
    """Return clauses as JSON-ready data, in a stable order."""
    return [
        {
            "clause": permission.clause,
            "activity": permission.activity.value,
            "categories": sorted(permission.categories),
            "purposes": sorted(permission.purposes),
            "roles": sorted(permission.roles),
        }
        for permission in permissions
    ]


def permissions_from_json(items: list[dict[str, Any]]) -> tuple[Permission, ...]:
    """Read clauses back; unknown words raise `ValueError`."""
    return tuple(
        Permission(
            clause=item["clause"],
            activity=Activity(item["activity"]),
            categories=frozenset(map(DataCategory, item["categories"])),
            purposes=frozenset(map(Purpose, item["purposes"])),
            roles=frozenset(map(Role, item["roles"])),
        )
        for item in items
    )
