"""Data processing agreements as data, and the pure decision that joins them with role and subject."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from gantry.access.domain import NEEDS_GRANT, may
from gantry.kernel.actor import Actor, Subject
from gantry.kernel.decision import Decision
from gantry.kernel.vocabulary import Activity, DataCategory, Place, ProcessingBoundary, Purpose, Role


class Status(StrEnum):
    DRAFT = "draft"
    IN_FORCE = "in_force"
    SUSPENDED = "suspended"
    TERMINATED = "terminated"


class Step(StrEnum):
    SIGN = "sign"
    SUSPEND = "suspend"
    RESUME = "resume"
    TERMINATE = "terminate"


NEXT: dict[tuple[Status, Step], Status] = {
    (Status.DRAFT, Step.SIGN): Status.IN_FORCE,
    (Status.IN_FORCE, Step.SUSPEND): Status.SUSPENDED,
    (Status.SUSPENDED, Step.RESUME): Status.IN_FORCE,
    (Status.IN_FORCE, Step.TERMINATE): Status.TERMINATED,
    (Status.SUSPENDED, Step.TERMINATE): Status.TERMINATED,
}


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

    def is_in_force(self, at: datetime) -> bool:
        """Tell whether the agreement binds at a moment."""
        return (
            self.status is Status.IN_FORCE
            and self.valid_from is not None
            and self.valid_from <= at
            and (self.valid_until is None or at < self.valid_until)
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


#: Server-side work on pixels, which a `session` boundary forbids.
_SERVER_WORK = frozenset({Activity.STORE, Activity.INFER, Activity.RENDER, Activity.DERIVE, Activity.TRANSFER})
_LOOKS = frozenset({Activity.VIEW, Activity.RENDER, Activity.EXPORT})


def judge(
    terms: Terms | None, *, at: datetime, actor: Actor, activity: Activity, subject: Subject, purpose: Purpose
) -> Decision:
    """Decide whether an act may happen, citing the clause. Pure; the first objection wins.

    Hidden answers come before informative ones, so that a refusal never tells an actor of
    something that they may not know of.
    """

    def no(code: str, reason: str, *, hidden: bool = False, clause: str = "") -> Decision:
        version = terms.version if terms else ""
        return Decision(False, code, reason, activity, purpose, clause, version, is_hidden=hidden)

    if subject.tenant_id != actor.tenant_id:
        return no("subject.foreign", "This belongs to another tenant.", hidden=True)
    if terms is None or not terms.is_in_force(at):
        return no(
            "agreement.not_in_force",
            "No data processing agreement is in force for this organisation, so patient data may not be "
            "stored, processed or shown. Ask your compliance officer to have the agreement signed.",
        )
    if subject.institution_id is not None and actor.is_confined_from(subject.institution_id):
        return no("institution.outside", "This belongs to another institution.", hidden=True)
    if actor.role in NEEDS_GRANT and subject.study_id is not None and not subject.is_granted:
        return no("grant.missing", "This study was not referred to you.", hidden=True)
    if subject.is_erased or subject.is_withheld:
        return no("subject.withheld", "This is not, or no longer, available.", hidden=True)
    if not may(actor.role, activity):
        return no("role.not_permitted", f"The role {actor.role} does not include {_words(activity)} patient data.")
    if subject.is_quarantined and activity is not Activity.REVIEW:
        return no("subject.quarantined", "This is in quarantine and must be released first.")
    if subject.is_embargoed:
        return no("subject.embargoed", "This is embargoed.")
    if subject.has_legal_hold and activity is Activity.ERASE:
        return no("subject.legal_hold", "A legal hold forbids erasing this.")
    if (
        terms.boundary is ProcessingBoundary.SESSION
        and subject.category is DataCategory.PIXEL_DATA
        and activity in _SERVER_WORK
    ):
        return no(
            "agreement.session_only",
            "The agreement keeps pixel data in the browser's session; the server may not hold or process it.",
            clause=terms.boundary_clause,
        )
    clause = _find_clause(terms, activity, subject.category, purpose, actor.role)
    if clause is None:
        return no(
            "agreement.not_permitted",
            f"The agreement does not permit {_words(activity)} {_words(subject.category)} here.",
        )
    if activity in _LOOKS and actor.place not in terms.viewing_places:
        abroad = _find_clause(terms, Activity.VIEW_ABROAD, subject.category, purpose, actor.role)
        if abroad is None:
            return no(
                "agreement.view_abroad",
                "The agreement does not allow patient data to be shown at the place you are connecting from.",
                clause=terms.viewing_clause,
            )
        clause = abroad
    return Decision(True, "allowed", "Permitted by the agreement.", activity, purpose, clause, terms.version)


def _find_clause(terms: Terms, activity: Activity, category: DataCategory, purpose: Purpose, role: Role) -> str | None:
    return next((p.clause for p in terms.permissions if p.covers(activity, category, purpose, role)), None)


_GERUNDS = {
    Activity.STORE: "storing", Activity.FIND: "finding", Activity.VIEW: "viewing", Activity.RENDER: "rendering",
    Activity.VIEW_ABROAD: "viewing from abroad", Activity.INFER: "analysing", Activity.DERIVE: "deriving results from",
    Activity.REVIEW: "reviewing results on", Activity.ANNOTATE: "annotating", Activity.SHARE: "sharing",
    Activity.EXPORT: "exporting", Activity.TRANSFER: "transferring", Activity.LEARN: "learning from",
    Activity.ERASE: "erasing",
}  # fmt: skip


def _words(word: Activity | DataCategory) -> str:
    return _GERUNDS[word] if isinstance(word, Activity) else word.value.replace("_", " ")
