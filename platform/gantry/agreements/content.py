"""What one version of an agreement says: its parties, its words, its terms and its time. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gantry.agreements.terms import Terms, terms_from_json, terms_to_json


@dataclass(frozen=True, slots=True)
class Party:
    """One side, as the document names it."""

    name: str
    address: str = ""
    contact: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """One numbered section of the document's words."""

    number: str
    heading: str
    text: str


@dataclass(frozen=True, slots=True)
class Content:
    """What was agreed.

    Parameters
    ----------
    effective_from
        When it enters into force; `None` is as soon as both sides have signed.
    duration_days
        How long it lasts from then; `None` is until it is ended.
    """

    title: str
    template: str
    controller: Party
    processor: Party
    sections: tuple[Section, ...]
    terms: Terms
    effective_from: datetime | None = None
    duration_days: int | None = 365


def content_to_json(content: Content) -> dict[str, Any]:
    """Return the content as JSON-ready data in a stable order."""
    return {
        "title": content.title,
        "template": content.template,
        "controller": _party_to_json(content.controller),
        "processor": _party_to_json(content.processor),
        "sections": [{"number": one.number, "heading": one.heading, "text": one.text} for one in content.sections],
        "terms": terms_to_json(content.terms),
        "effective_from": content.effective_from.isoformat() if content.effective_from else None,
        "duration_days": content.duration_days,
    }


def content_from_json(data: Mapping[str, Any], **envelope: Any) -> Content:
    """Read content back; `envelope` is what `terms_from_json` takes of a version's state."""
    effective_from = data["effective_from"]
    return Content(
        title=data["title"],
        template=data["template"],
        controller=Party(**data["controller"]),
        processor=Party(**data["processor"]),
        sections=tuple(Section(**one) for one in data["sections"]),
        terms=terms_from_json(data["terms"], **envelope),
        effective_from=datetime.fromisoformat(effective_from) if effective_from else None,
        duration_days=data["duration_days"],
    )


def canonical_json(data: Mapping[str, Any]) -> bytes:
    """Return data in the one form that is hashed: sorted keys, no blanks, UTF-8."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest_of(data: Mapping[str, Any]) -> str:
    """Return the SHA-256 of data's canonical form, in hexadecimal."""
    return hashlib.sha256(canonical_json(data)).hexdigest()


def _party_to_json(party: Party) -> dict[str, str]:
    return {"name": party.name, "address": party.address, "contact": party.contact}
