"""Records of processing and the skeleton of an impact assessment, written from what the platform is set to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from gantry.access.public import require_permission
from gantry.agreements.public import ACTIVITIES, CATEGORIES, PLACES, PURPOSES, Terms, load_terms
from gantry.audit.public import Entry, Kind, record
from gantry.catalog.public import list_deployed_cards
from gantry.foundation.documents import Block, Heading, Paragraph, Table
from gantry.foundation.scope import atomic_service
from gantry.kernel.actor import Actor
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.kernel.vocabulary import AdminPermission, DataCategory, Purpose, Role
from gantry.tenancy.public import get_tenant, list_institutions

#: What only the controller can say. A document that hides what is missing would pass for complete.
TO_COMPLETE: Final = "▢ to be completed by the controller"

_WHOSE: Final = {
    DataCategory.PIXEL_DATA: "patients",
    DataCategory.IDENTIFYING_METADATA: "patients, referring physicians",
    DataCategory.DERIVED_GEOMETRY: "patients",
    DataCategory.REPORTS: "patients, reviewing physicians",
    DataCategory.USAGE: "members of staff",
}

#: GDPR art. 32, as this platform does it; each line is held by tests that docs/architecture.md names.
MEASURES: Final = (
    ("Encryption", "AES-256-GCM for every object; a key for each patient, kept outside every backup of the database"),
    ("Isolation", "Row-level security with a signed context in the database; composite keys; one gate for every act"),
    ("Access", "Roles, institutions and object grants with an end; emergency access with reason, alert and review"),
    ("Accountability", "An append-only audit trail in a signed Merkle tree, verifiable without the platform"),
    ("Erasure", "Destruction of the patient's keys; replayed after a restore, before the system opens"),
    ("Resilience", "Backups with continuous write-ahead log; jobs and events that survive a crash"),
)


@dataclass(frozen=True, slots=True)
class Setting:
    """What the platform is set to do for one tenant."""

    controller: str
    institutions: tuple[str, ...]
    terms: Terms | None
    models: tuple[tuple[str, str, str, str], ...]
    """Name, version, vendor and phase of each model in use."""
    at: datetime


@atomic_service
def open_records(*, actor: Actor, clock: Clock = SYSTEM_CLOCK) -> list[Block]:
    """Return the tenant's records of processing activities as they stand now."""
    return write_records(_setting(actor, "records_of_processing.made", clock))


@atomic_service
def open_assessment(*, actor: Actor, clock: Clock = SYSTEM_CLOCK) -> list[Block]:
    """Return the skeleton of a data protection impact assessment, filled as far as the configuration knows."""
    return write_assessment(_setting(actor, "impact_assessment.made", clock))


def write_records(setting: Setting) -> list[Block]:
    """Return records of processing: the controller's (GDPR art. 30(1)) and the processor's (art. 30(2)). Pure."""
    terms = setting.terms
    blocks: list[Block] = [Heading(1, "Records of processing activities"), *_head(setting)]
    if terms is None:
        return [*blocks, Paragraph("No agreement is in force or suspended, so no patient data are processed.")]
    blocks += [
        Heading(2, "1 The controller's record (GDPR art. 30(1))"),
        Table(
            ("Matter", "Stated"),
            (
                ("(a) Controller", setting.controller),
                ("(a) Contact of the data protection officer", terms.breach.controller_contact or TO_COMPLETE),
                ("(b) Purposes", _list(PURPOSES[word] for word in Purpose if word in _purposes(terms))),
                ("(d) Recipients", _list(_recipients(terms)) or "none"),
                ("(g) Security", "see 3"),
            ),
        ),
        Table(
            ("(c) Data", "Of whom", "What is done", "Legal basis", "(f) Kept"),
            tuple(_category_rows(terms)),
        ),
        Heading(2, "2 The processor's record (GDPR art. 30(2))"),
        Table(
            ("Matter", "Stated"),
            (
                ("(a) Processor", "The operator of this installation"),
                ("(a) On behalf of", setting.controller),
                ("(a) Contact of the processor", terms.breach.processor_contact or TO_COMPLETE),
                (
                    "(b) Categories of processing",
                    _list(ACTIVITIES[one] for one in ACTIVITIES if one in _activities(terms)),
                ),
                ("Places of processing", _list(sorted(terms.regions)) or "none agreed"),
            ),
        ),
        _sub_processors(terms),
        _transfers(terms),
        Heading(2, "3 Security (GDPR art. 32)"),
        Table(("Measure", "How"), MEASURES),
        Heading(2, "4 Models in use"),
        _models(setting),
    ]
    return blocks


def write_assessment(setting: Setting) -> list[Block]:
    """Return an impact assessment in the order of GDPR art. 35(7). Pure."""
    terms = setting.terms
    blocks: list[Block] = [
        Heading(1, "Data protection impact assessment (skeleton)"),
        *_head(setting),
        Paragraph(
            "What the configuration says is filled in. What only the controller can judge is marked, and this document is "
            "no assessment before those places are written."
        ),
    ]
    if terms is None:
        return [*blocks, Paragraph("No agreement is in force or suspended, so no patient data are processed.")]
    automated = "; ".join(f"{name} {version} ({phase})" for name, version, _, phase in setting.models) or "none"
    return [
        *blocks,
        Heading(2, "1 Description of the processing (art. 35(7)(a))"),
        Table(
            ("Matter", "Stated"),
            (
                (
                    "Nature",
                    "Receiving, storing, rendering and showing medical images; analysis by AI, reviewed by physicians",
                ),
                ("Special categories", "Data concerning health (art. 9)"),
                ("Purposes", _list(PURPOSES[word] for word in Purpose if word in _purposes(terms))),
                ("Hospitals", _list(setting.institutions)),
                ("People concerned", TO_COMPLETE + ": how many patients a year, children among them"),
                ("New technology", f"AI models in use: {automated}"),
                ("Automated decisions (art. 22)", "none: a result of AI is shown as such and reviewed by a person"),
                ("Places of viewing", _list(PLACES[place] for place in PLACES if place in terms.viewing_places)),
                ("Who may see", _list(sorted(_roles(terms)))),
            ),
        ),
        Table(("Data", "Of whom", "What is done", "Legal basis", "Kept"), tuple(_category_rows(terms))),
        Heading(2, "2 Necessity and proportionality (art. 35(7)(b))"),
        Table(
            ("Question", "Answer"),
            (
                ("Legal basis", TO_COMPLETE + " (art. 6 and art. 9(2))"),
                (
                    "Data minimisation",
                    "Pseudonyms in the audit trail; pixel data leave the server as pictures, not as files",
                ),
                ("Storage limitation", "see 1: each category is erased when its time is over"),
                (
                    "Rights of the people concerned",
                    "Access, erasure, portability, restriction: handled with their clocks",
                ),
                ("Processor", f"Agreement version {terms.version}, {terms.status.value.replace('_', ' ')}"),
                ("Consultation of those concerned (art. 35(9))", TO_COMPLETE),
            ),
        ),
        _sub_processors(terms),
        _transfers(terms),
        Heading(2, "3 Risks (art. 35(7)(c))"),
        Table(
            ("Risk", "Where it could come from", "Likelihood", "Severity"),
            tuple((risk, source, TO_COMPLETE, TO_COMPLETE) for risk, source in _RISKS),
        ),
        Heading(2, "4 Measures (art. 35(7)(d))"),
        Table(("Measure", "How"), MEASURES),
        Heading(2, "5 Outcome"),
        Table(
            ("Matter", "Stated"),
            (
                ("Residual risk", TO_COMPLETE),
                ("Opinion of the data protection officer (art. 35(2))", TO_COMPLETE),
                ("Prior consultation needed (art. 36)", TO_COMPLETE),
                ("Next review", TO_COMPLETE),
            ),
        ),
    ]


_RISKS: Final = (
    ("A person sees images that are not theirs to see", "wrong grant, left workstation, emergency access without need"),
    ("A wrong or missing result of AI is believed", "model outside its intended use, result not reviewed"),
    ("Images are not there when they are needed", "loss of a component, wrong erasure"),
    ("Data reach somebody outside", "sub-processor, viewing from abroad, theft of a device or a key"),
    ("A person is recognised in what was meant to be anonymous", "burnt-in text, faces in head CT"),
    ("Data are kept too long", "retention not set for a category, a hold that nobody lifts"),
)


def _setting(actor: Actor, action: str, clock: Clock) -> Setting:
    require_permission(actor, AdminPermission.PRIVACY_MANAGE)
    record(actor=actor, entry=Entry(Kind.CONFIGURATION, action), clock=clock)
    return Setting(
        controller=get_tenant().name,
        institutions=tuple(one.name for one in list_institutions(actor=actor)),
        terms=load_terms(clock=clock),
        models=tuple(
            (card.name, card.version, card.manufacturer, deployment.phase) for deployment, card in list_deployed_cards()
        ),
        at=clock.now(),
    )


def _head(setting: Setting) -> list[Block]:
    terms = setting.terms
    version = f"agreement version {terms.version}" if terms else "no agreement"
    return [Paragraph(f"{setting.controller} · as of {setting.at:%Y-%m-%d %H:%M} UTC · {version}")]


def _category_rows(terms: Terms) -> Iterable[tuple[str, ...]]:
    for category in DataCategory:
        done = [
            ACTIVITIES[one]
            for one in ACTIVITIES
            if any(category in p.categories and p.activity is one for p in terms.permissions)
        ]
        rule = terms.retention.get(category)
        if rule is None:
            kept = TO_COMPLETE if done else "not held"
        else:
            kept = (
                f"{rule.keep_days} days ({rule.clause})"
                if rule.keep_days
                else f"until the agreement ends ({rule.clause})"
            )
        yield CATEGORIES[category], _WHOSE[category], _list(done) or "nothing", TO_COMPLETE if done else "", kept


def _sub_processors(terms: Terms) -> Block:
    if not terms.sub_processors:
        return Paragraph("Sub-processors: none.")
    return Table(
        ("Sub-processor", "Task", "Data", "Regions", "Address", "Clause"),
        tuple(
            (
                one.name,
                one.task,
                _list(CATEGORIES[word] for word in DataCategory if word in one.categories),
                _list(sorted(one.regions)),
                one.address or TO_COMPLETE,
                one.clause,
            )
            for one in terms.sub_processors
        ),
    )


def _transfers(terms: Terms) -> Block:
    if not terms.transfers:
        return Paragraph("Transfers to third countries: none.")
    return Table(
        ("Transfer to", "Region", "Basis", "Reference", "Clause"),
        tuple(
            (one.recipient, one.region, one.kind.value.replace("_", " "), one.reference, one.clause)
            for one in terms.transfers
        ),
    )


def _models(setting: Setting) -> Block:
    if not setting.models:
        return Paragraph("None.")
    return Table(("Model", "Version", "Vendor", "Phase"), setting.models)


def _recipients(terms: Terms) -> list[str]:
    return [*sorted(_roles(terms)), *(one.name for one in terms.sub_processors)]


def _roles(terms: Terms) -> set[str]:
    return {role.value for one in terms.permissions for role in one.roles if role is not Role.SYSTEM}


def _purposes(terms: Terms) -> set[Purpose]:
    return {purpose for one in terms.permissions for purpose in one.purposes}


def _activities(terms: Terms) -> set[object]:
    return {one.activity for one in terms.permissions}


def _list(words: Iterable[str]) -> str:
    return ", ".join(words)
