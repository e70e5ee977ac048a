"""The document that people read and sign: one structure, written as canonical text, as HTML and as PDF.

The hash that is signed is over the canonical text, which says everything that the content says: a PDF's bytes depend on
fonts and libraries, the text on nothing but the version.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from gantry.agreements.content import Content, Party, content_to_json, digest_of
from gantry.agreements.states import Side
from gantry.agreements.terms import RetentionRule, RetentionStart, Terms, TransferKind
from gantry.foundation.documents import Block, Heading, Paragraph, Table, to_html, to_text
from gantry.kernel.vocabulary import Activity, DataCategory, Place, ProcessingBoundary, Purpose, Role


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature as the document shows it."""

    side: str
    name: str
    function: str
    method: str
    signed_at: datetime


ACTIVITIES = {
    Activity.STORE: "storing", Activity.FIND: "finding", Activity.VIEW: "viewing", Activity.RENDER: "rendering on the server",
    Activity.VIEW_ABROAD: "viewing from abroad", Activity.INFER: "analysis by AI", Activity.DERIVE: "deriving results",
    Activity.REVIEW: "reviewing results", Activity.ANNOTATE: "annotating", Activity.SHARE: "sharing",
    Activity.EXPORT: "export", Activity.TRANSFER: "transfer to others", Activity.LEARN: "learning from feedback",
    Activity.ERASE: "erasing",
}  # fmt: skip
CATEGORIES = {
    DataCategory.PIXEL_DATA: "pixel data", DataCategory.IDENTIFYING_METADATA: "identifying metadata",
    DataCategory.DERIVED_GEOMETRY: "derived geometry", DataCategory.REPORTS: "measurements and reports",
    DataCategory.USAGE: "usage",
}  # fmt: skip
PURPOSES = {
    Purpose.TREATMENT: "treatment", Purpose.OPERATIONS: "healthcare operations", Purpose.QUALITY: "quality improvement",
    Purpose.PATIENT_REQUEST: "the patient's request", Purpose.EMERGENCY: "emergency",
    Purpose.SYSTEM_ADMINISTRATION: "support",
}  # fmt: skip
PLACES = {Place.SITE: "the organisation's sites", Place.COUNTRY: "its country", Place.ABROAD: "abroad"}
_TRANSFERS = {
    TransferKind.ADEQUACY: "adequacy decision",
    TransferKind.SCC: "standard contractual clauses",
    TransferKind.KVKK_STANDARD_CONTRACT: "KVKK standard contract",
}
_STARTS = {
    RetentionStart.RECEIVED: "from receipt",
    RetentionStart.STUDY_DATE: "from the date of the study",
    RetentionStart.LAST_OPENED: "from the last time it was opened",
}
_BOUNDARIES = {
    ProcessingBoundary.SERVER: "The server may hold and process pixel data.",
    ProcessingBoundary.SESSION: "Pixel data stay in the browser's session; the server may neither hold nor process them.",
}


def write_document(content: Content, *, version: str, law: str = "") -> list[Block]:
    """Return the whole document of a version, without signatures."""
    terms = content.terms
    blocks: list[Block] = [
        Heading(1, content.title),
        Paragraph(f"Version {version}" + (f" · {law}" if law else "")),
        Table(("", "Name", "Address", "Contact"), tuple(_party_rows(content))),
        Paragraph(_time_of(content)),
    ]
    for section in content.sections:
        blocks += [Heading(2, f"{section.number} {section.heading}"), Paragraph(section.text)]
    blocks += [
        Heading(2, "Annex A: What is permitted"),
        Table(
            ("Clause", "Limit", "Stated"),
            (
                (terms.boundary_clause, "Processing boundary", _BOUNDARIES[terms.boundary]),
                (terms.regions_clause, "Regions", _list(sorted(terms.regions))),
                (terms.viewing_clause, "Places of viewing", _list(PLACES[one] for one in Place if one in terms.viewing_places)),
            ),
        ),
        Table(("Clause", "Activity", "Data", "Purposes", "Roles"), tuple(_permission_rows(terms))),
        Paragraph("What stands nowhere in this table is not permitted."),
        Heading(2, "Annex B: Sub-processors"),
        Paragraph(f"{terms.sub_processors_clause}: nobody else works on the data but these."),
        Table(
            ("Clause", "Name", "Task", "Activities", "Data", "Regions", "Address"),
            tuple(
                (
                    one.clause, one.name, one.task, _list(ACTIVITIES[word] for word in Activity if word in one.activities),
                    _list(CATEGORIES[word] for word in DataCategory if word in one.categories), _list(sorted(one.regions)),
                    one.address,
                )
                for one in terms.sub_processors
            ),
        ) if terms.sub_processors else Paragraph("There are none."),
        Heading(2, "Annex C: How long data are kept"),
        Table(("Clause", "Data", "Kept", "Otherwise"), tuple(_retention_rows(terms))),
        Heading(2, "Annex D: International transfers"),
        Table(
            ("Clause", "Recipient", "Region", "Basis", "Reference"),
            tuple((one.clause, one.recipient, one.region, _TRANSFERS[one.kind], one.reference) for one in terms.transfers),
        ) if terms.transfers else Paragraph("There are none."),
        Heading(2, "Annex E: Breaches and the end"),
        Table(("Clause", "Matter", "Stated"), tuple(_clock_rows(terms))),
    ]  # fmt: skip
    return blocks


def canonical_text(content: Content, *, version: str, law: str = "") -> str:
    """Return the text that is hashed and signed: Unicode NFC, one line feed after each line, nothing else.

    Its last line is the hash of the machine's own reading, so that text and data cannot part.
    """
    words = to_text(write_document(content, version=version, law=law))
    return unicodedata.normalize("NFC", f"{words}\nData: SHA-256 {digest_of(content_to_json(content))}\n")


def hash_document(content: Content, *, version: str, law: str = "") -> str:
    """Return the SHA-256 of the canonical text, in hexadecimal."""
    return hashlib.sha256(canonical_text(content, version=version, law=law).encode()).hexdigest()


def write_html(
    content: Content,
    *,
    version: str,
    law: str = "",
    status: str = "draft",
    digest: str = "",
    signed: Sequence[Signed] = (),
) -> str:
    """Return the document as one HTML page that needs nothing from outside."""
    rows = tuple(
        (one.side, one.name, one.function, f"{one.signed_at:%Y-%m-%d %H:%M} UTC", _METHODS.get(one.method, one.method))
        for one in signed
    )
    there = {one.side for one in signed}
    missing = tuple((side.value, "", "", "", "") for side in Side if side not in there)
    signatures = Table(("Side", "Name", "Function", "Signed", "How"), (*rows, *missing))
    blocks = [*write_document(content, version=version, law=law), Heading(2, "Signatures"), signatures]
    return to_html(
        blocks,
        title=f"{content.title} ({version})",
        state=status.replace("_", " "),
        mark="" if digest else "draft",
        foot=f"SHA-256 of the canonical text: {digest}" if digest else "A draft: nobody has signed this.",
    )


_METHODS = {"accepted": "accepted on the platform, authenticated again", "wet": "on paper, uploaded"}


def _party_rows(content: Content) -> Iterable[tuple[str, ...]]:
    def row(side: str, party: Party) -> tuple[str, ...]:
        return (side, party.name, party.address, party.contact)

    return (row("Controller", content.controller), row("Processor", content.processor))


def _time_of(content: Content) -> str:
    begin = (
        "once both sides have signed"
        if content.effective_from is None
        else f"on {content.effective_from:%Y-%m-%d %H:%M %Z}"
    )
    end = "until it is ended" if content.duration_days is None else f"for {content.duration_days} days"
    return f"It enters into force {begin} and lasts {end}."


def _permission_rows(terms: Terms) -> Iterable[tuple[str, ...]]:
    return (
        (
            one.clause,
            ACTIVITIES[one.activity],
            _list(CATEGORIES[word] for word in DataCategory if word in one.categories),
            _list(PURPOSES[word] for word in Purpose if word in one.purposes),
            _list(word.value for word in Role if word in one.roles),
        )
        for one in terms.permissions
    )


def _retention_rows(terms: Terms) -> Iterable[tuple[str, ...]]:
    for category in DataCategory:
        rule = terms.retention.get(category)
        if rule is not None:
            others = _list(f"{code}: {days} days" for code, days in sorted(rule.by_institution.items()))
            yield (rule.clause, CATEGORIES[category], _kept(rule), others)


def _kept(rule: RetentionRule) -> str:
    return (
        "as long as this agreement lasts" if rule.keep_days is None else f"{rule.keep_days} days {_STARTS[rule.starts]}"
    )


def _clock_rows(terms: Terms) -> Iterable[tuple[str, ...]]:
    breach, end = terms.breach, terms.end
    return (
        (breach.clause, "The processor tells the controller of a breach within", f"{breach.processor_within_h} hours"),
        (breach.clause, "The controller tells the authority within", f"{breach.authority_within_h} hours"),
        (breach.clause, "Authority", breach.authority),
        (breach.clause, "Contact of the controller", breach.controller_contact),
        (breach.clause, "Contact of the processor", breach.processor_contact),
        (end.clause, "Data are returned, where that is chosen, within", f"{end.return_within_days} days of the end"),
        (end.clause, "Data are erased within", f"{end.delete_within_days} days of the end"),
    )


def _list(words: Iterable[str]) -> str:
    return ", ".join(words)
