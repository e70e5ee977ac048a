"""The gate's answer, computed from terms, role and subject alone. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from gantry.access.domain import EMERGENCY_ACTIVITIES, NEEDS_GRANT, is_in_scopes, may
from gantry.agreements.states import CURRENT, ENDED, NEXT, Disposition, Side, Status, Step
from gantry.agreements.terms import (
    BreachRule,
    EndRule,
    Permission,
    RetentionRule,
    RetentionStart,
    SubProcessor,
    Terms,
    TransferBasis,
    TransferKind,
    permissions_from_json,
    permissions_to_json,
    terms_from_json,
    terms_to_json,
)
from gantry.kernel.actor import Actor, Subject
from gantry.kernel.decision import Decision
from gantry.kernel.vocabulary import Activity, DataCategory, GrantKind, ProcessingBoundary, Purpose, Role

__all__ = [
    "CURRENT",
    "ENDED",
    "NEXT",
    "BreachRule",
    "Disposition",
    "EndRule",
    "Permission",
    "RetentionRule",
    "RetentionStart",
    "Side",
    "Status",
    "Step",
    "SubProcessor",
    "Terms",
    "TransferBasis",
    "TransferKind",
    "find_clause",
    "judge",
    "list_objections",
    "permissions_from_json",
    "permissions_to_json",
    "terms_from_json",
    "terms_to_json",
]

#: Server-side work on pixels, which a `session` boundary forbids.
_SERVER_WORK = frozenset(
    {Activity.STORE, Activity.INFER, Activity.RENDER, Activity.DERIVE, Activity.TRANSFER, Activity.LEARN}
)
_LOOKS = frozenset({Activity.VIEW, Activity.RENDER, Activity.EXPORT})


def judge(
    terms: Terms | None,
    *,
    at: datetime,
    actor: Actor,
    activity: Activity,
    subject: Subject,
    purpose: Purpose,
    region: str,
) -> Decision:
    """Decide whether an act may happen, citing the clause. Pure; the first objection wins.

    Hidden answers come before informative ones, so that a refusal never tells an actor of
    something that they may not know of.

    Parameters
    ----------
    region
        Where the platform holds and processes the data: the region of this cell.
    """
    act = _Act(terms, at, actor, activity, subject, purpose, region)
    return next(act.objections(), None) or act.consent()


def list_objections(
    terms: Terms | None,
    *,
    at: datetime,
    actor: Actor,
    activity: Activity,
    subject: Subject,
    purpose: Purpose,
    region: str,
) -> list[Decision]:
    """Return everything that stands against an act, in the order in which `judge` finds it."""
    return list(_Act(terms, at, actor, activity, subject, purpose, region).objections())


class _Act:
    """One act before the gate."""

    def __init__(
        self,
        terms: Terms | None,
        at: datetime,
        actor: Actor,
        activity: Activity,
        subject: Subject,
        purpose: Purpose,
        region: str,
    ) -> None:
        self.terms = terms
        self.at = at
        self.actor = actor
        self.activity = activity
        self.subject = subject
        # Whoever came in by breaking the glass, or for support, acts for that purpose, whatever they say.
        if subject.granted_by is GrantKind.BREAK_GLASS:
            self.purpose = Purpose.EMERGENCY
        elif actor.role is Role.SUPPORT:
            self.purpose = Purpose.SYSTEM_ADMINISTRATION
        else:
            self.purpose = purpose
        self.region = region

    def objections(self) -> Iterator[Decision]:
        """Yield what stands against it: what hides the subject first, then what may be told."""
        actor, subject = self.actor, self.subject
        if subject.tenant_id != actor.tenant_id:
            yield self._no("subject.foreign", "This belongs to another tenant.", hidden=True)
        if self.terms is None or not (self.terms.is_in_force(self.at) or self._is_owed(self.terms)):
            yield self._no(
                "agreement.not_in_force",
                "No data processing agreement is in force for this organisation, so patient data may not be "
                "stored, processed or shown. Ask your compliance officer to have the agreement signed.",
            )
        yield from self._about_the_subject()
        yield from self._about_the_role()
        yield from self._about_the_state()
        if self.terms is not None:
            yield from self._about_the_terms(self.terms)

    def consent(self) -> Decision:
        """Return the yes, with the clauses that it rests on."""
        assert self.terms is not None
        clauses = [self._clause(self.terms)]
        if self._is_abroad(self.terms):
            clauses = [
                find_clause(self.terms, Activity.VIEW_ABROAD, self.subject.category, self.purpose, self.actor.role)
            ]
        if self.subject.processor:
            processor = self.terms.find_sub_processor(self.subject.processor)
            clauses.append(processor.clause if processor else None)
        return Decision(
            True,
            "allowed",
            "Permitted by the agreement.",
            self.activity,
            self.purpose,
            "; ".join(dict.fromkeys(clause for clause in clauses if clause)),
            self.terms.version,
        )

    def _no(self, code: str, reason: str, *, hidden: bool = False, clause: str = "") -> Decision:
        version = self.terms.version if self.terms else ""
        return Decision(False, code, reason, self.activity, self.purpose, clause, version, is_hidden=hidden)

    def _is_owed(self, terms: Terms) -> bool:
        """Tell whether an agreement that does not bind any more, or not now, still asks for this.

        What must be erased is erased in the end, and while it is suspended, too; what is to be returned is
        exported by the platform's own worker.
        """
        is_over = terms.status in ENDED or (terms.valid_until is not None and terms.valid_until <= self.at)
        if self.activity is Activity.ERASE:
            return is_over or terms.status is Status.SUSPENDED
        is_return = terms.disposition is Disposition.RETURN and self.actor.role is Role.SYSTEM
        return is_over and is_return and self.activity is Activity.EXPORT

    def _about_the_subject(self) -> Iterator[Decision]:
        actor, subject = self.actor, self.subject
        # A grant reaches across the institutions of the tenant: that is what it is for.
        is_granted = subject.granted_by is not None
        if subject.institution_id is not None and actor.is_confined_from(subject.institution_id) and not is_granted:
            yield self._no("institution.outside", "This belongs to another institution.", hidden=True)
        if actor.role in NEEDS_GRANT and subject.study_id is not None and not is_granted:
            yield self._no("grant.missing", "This study was not referred to you.", hidden=True)
        if subject.is_erased or subject.is_withheld:
            yield self._no("subject.withheld", "This is not, or no longer, available.", hidden=True)

    def _about_the_role(self) -> Iterator[Decision]:
        actor, category = self.actor, self.subject.category
        if not may(actor.role, self.activity, category):
            yield self._no(
                "role.not_permitted", f"The role {actor.role} does not include {_words(self.activity)} patient data."
            )
        if not is_in_scopes(actor.scopes, self.activity):
            yield self._no("scope.missing", f"This token is not for {_words(self.activity)} patient data.")
        if self.purpose is Purpose.EMERGENCY and self.activity not in EMERGENCY_ACTIVITIES:
            yield self._no("role.not_permitted", f"An emergency is for seeing, not for {_words(self.activity)}.")
        if actor.role is Role.SUPPORT and category not in (actor.consents or frozenset()):
            yield self._no("support.no_consent", "The organisation did not agree that support is shown this.")

    def _about_the_state(self) -> Iterator[Decision]:
        subject = self.subject
        if subject.is_quarantined and self.activity is not Activity.REVIEW:
            yield self._no("subject.quarantined", "This is in quarantine and must be released first.")
        if subject.is_embargoed:
            yield self._no("subject.embargoed", "This is embargoed.")
        if subject.is_restricted and not self._is_open_under_restriction():
            yield self._no(
                "subject.restricted",
                "Processing of this patient's data is restricted at their request; it may only be kept.",
            )
        if subject.has_legal_hold and self.activity is Activity.ERASE:
            yield self._no("subject.legal_hold", "A legal hold forbids erasing this.")

    def _is_open_under_restriction(self) -> bool:
        """Tell whether an act goes on while a patient has processing restricted (GDPR art. 18(2))."""
        if self.activity is Activity.EXPORT:
            return self.purpose in {Purpose.PATIENT_REQUEST, Purpose.EMERGENCY}
        return self.activity in {Activity.STORE, Activity.ERASE} or self.purpose is Purpose.EMERGENCY

    def _about_the_terms(self, terms: Terms) -> Iterator[Decision]:
        category = self.subject.category
        # Data in a place where nobody agreed to it may be erased from there, nothing else.
        if self.region not in terms.regions and self.activity is not Activity.ERASE:
            yield self._no(
                "agreement.region",
                f"The agreement does not let patient data be held or processed in the region {self.region}.",
                clause=terms.regions_clause,
            )
        is_session = terms.boundary is ProcessingBoundary.SESSION
        if is_session and category is DataCategory.PIXEL_DATA and self.activity in _SERVER_WORK:
            yield self._no(
                "agreement.session_only",
                "The agreement keeps pixel data in the browser's session; the server may not hold or process it.",
                clause=terms.boundary_clause,
            )
        if self._clause(terms) is None:
            yield self._no(
                "agreement.not_permitted",
                f"The agreement does not permit {_words(self.activity)} {_words(category)} here.",
            )
        if self.subject.processor:
            yield from self._about_the_processor(terms, self.subject.processor)
        abroad = find_clause(terms, Activity.VIEW_ABROAD, category, self.purpose, self.actor.role)
        if self._is_abroad(terms) and abroad is None:
            yield self._no(
                "agreement.view_abroad",
                "The agreement does not allow patient data to be shown at the place you are connecting from.",
                clause=terms.viewing_clause,
            )

    def _about_the_processor(self, terms: Terms, name: str) -> Iterator[Decision]:
        listed = terms.find_sub_processor(name)
        if listed is None:
            yield self._no(
                "agreement.sub_processor",
                f"The agreement does not list {name} among the sub-processors; a new version that does must be signed "
                "first.",
                clause=terms.sub_processors_clause,
            )
            return
        if not listed.covers(self.activity, self.subject.category):
            yield self._no(
                "agreement.sub_processor",
                f"The agreement lists {listed.name}, but not for {_words(self.activity)} "
                f"{_words(self.subject.category)}.",
                clause=listed.clause,
            )
        if regions := terms.regions_without_basis(listed):
            yield self._no(
                "agreement.transfer_basis",
                f"Nothing in the agreement carries a transfer of data to {listed.name} in {', '.join(sorted(regions))}.",
                clause=listed.clause,
            )

    def _is_abroad(self, terms: Terms) -> bool:
        return self.activity in _LOOKS and self.actor.place not in terms.viewing_places

    def _clause(self, terms: Terms) -> str | None:
        found = find_clause(terms, self.activity, self.subject.category, self.purpose, self.actor.role)
        if found is None and self._is_owed(terms):
            return terms.end.clause or None
        return found


def find_clause(terms: Terms, activity: Activity, category: DataCategory, purpose: Purpose, role: Role) -> str | None:
    """Return the clause that permits an act, or `None`."""
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
