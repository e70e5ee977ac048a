"""Where content comes from: our templates, and what people send. Both are checked before they become a draft."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from gantry.agreements.content import Content, Party, content_from_json
from gantry.agreements.states import Status
from gantry.agreements.terms import SubProcessor, Terms, TransferKind, sub_processor_to_json
from gantry.kernel.errors import InvalidInputError
from gantry.kernel.vocabulary import DataCategory

_HERE = Path(__file__).parent
TEMPLATES = ("gdpr-28", "kvkk", "hipaa-baa")
CLINICAL = tuple(sorted(frozenset(DataCategory) - {DataCategory.USAGE}))


def content_from_template(
    template: str,
    *,
    controller: Party,
    processor: Party,
    regions: frozenset[str],
    sub_processors: tuple[SubProcessor, ...] = (),
) -> Content:
    """Return a first draft in our words, for these parties.

    Raises
    ------
    InvalidInputError
        There is no such template.
    """
    if template not in TEMPLATES:
        raise InvalidInputError(f"There is no template {template[:32]!r}; there are {', '.join(TEMPLATES)}.")
    source = _read(template)
    names = {"controller": controller.name, "processor": processor.name}
    data = {
        "title": source["title"],
        "template": template,
        "controller": {"name": controller.name, "address": controller.address, "contact": controller.contact},
        "processor": {"name": processor.name, "address": processor.address, "contact": processor.contact},
        "sections": [
            {
                **one,
                "text": one["text"]
                .replace("{controller}", names["controller"])
                .replace("{processor}", names["processor"]),
            }
            for one in source["sections"]
        ],
        "terms": _template_terms(source, controller, processor, regions, sub_processors),
        "effective_from": None,
        "duration_days": source["duration_days"],
    }
    return content_from_json(data)


def template_titles() -> dict[str, tuple[str, str]]:
    """Return title and law of each template."""
    return {name: (_read(name)["title"], _read(name)["law"]) for name in TEMPLATES}


def law_of(template: str) -> str:
    """Return which law a template is made for; empty for what somebody wrote from nothing."""
    law: str = _read(template)["law"] if template in TEMPLATES else ""
    return law


@functools.cache
def _read(name: str) -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load((_HERE / "drafts" / f"{name}.yaml").read_text(encoding="utf-8"))
    return data


@functools.cache
def _care() -> list[dict[str, Any]]:
    rows = yaml.safe_load((_HERE / "drafts" / "care.yaml").read_text(encoding="utf-8"))
    return [
        {
            "clause": row["clause"],
            "activity": activity,
            "categories": list(CLINICAL) if row["categories"] == "clinical" else row["categories"],
            "purposes": row["purposes"],
            "roles": row["roles"],
        }
        for row in rows
        for activity in row["activities"]
    ]


def _template_terms(
    source: dict[str, Any],
    controller: Party,
    processor: Party,
    regions: frozenset[str],
    sub_processors: tuple[SubProcessor, ...],
) -> dict[str, Any]:
    contacts = {"controller_contact": controller.contact, "processor_contact": processor.contact}
    listed = [sub_processor_to_json(one) for one in sub_processors]
    return {
        "boundary": source["boundary"],
        "viewing": source["viewing"],
        "regions": {"names": sorted(regions), "clause": source["regions_clause"]},
        "permissions": _care() if source["permissions"] == "care" else source["permissions"],
        "sub_processors": {"clause": source["sub_processors_clause"], "list": listed},
        "retention": {
            category: {"starts": "received", "by_institution": {}, **rule}
            for category, rule in source["retention"].items()
        },
        "transfers": [],
        "breach": {**contacts, **source["breach"]},
        "end": source["end"],
    }


@functools.cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(json.loads((_HERE / "content.schema.json").read_text(encoding="utf-8")))


def parse_content(data: Mapping[str, Any]) -> Content:
    """Read content that somebody sent.

    Raises
    ------
    InvalidInputError
        It has not the form of an agreement; the sentence says where.
    """
    for error in sorted(_validator().iter_errors(data), key=lambda one: list(map(str, one.absolute_path))):
        where = ".".join(map(str, error.absolute_path)) or "the content"
        raise InvalidInputError(f"{where[:100]}: {_plain(error.validator, error.validator_value, error.message)}")
    try:
        content = content_from_json(data)
    except (ValueError, KeyError) as error:
        raise InvalidInputError(f"An unknown word: {str(error)[:100]}.") from None
    if content.effective_from is not None and content.effective_from.tzinfo is None:
        raise InvalidInputError("effective_from: give the time zone, too.")
    return content


def _plain(rule: str, value: Any, message: str) -> str:
    if rule == "pattern":
        return "it holds a character that may not stand there, or has another form."
    if rule in {"maxLength", "maxItems", "maxProperties"}:
        return f"it is too long; at most {value}."
    return f"{message[:200]}."


def list_faults(content: Content) -> list[str]:
    """Return what keeps a draft from being signed: what it leaves open, and where it contradicts itself."""
    terms = content.terms
    faults = []
    for name, party in (("controller", content.controller), ("processor", content.processor)):
        if not party.name.strip():
            faults.append(f"The {name} has no name.")
    if not terms.regions:
        faults.append("No region is named where data may be held and processed.")
    if not terms.permissions:
        faults.append("Nothing is permitted.")
    for permission in terms.permissions:
        if not permission.clause:
            faults.append(f"A permission to {permission.activity} has no clause.")
        if not (permission.categories and permission.purposes and permission.roles):
            faults.append(f"{permission.clause} names no category, no purpose or no role.")
    missing = [category.value for category in DataCategory if category not in terms.retention]
    if missing:
        faults.append(f"It is not said how long these are kept: {', '.join(missing)}.")
    names = [" ".join(one.name.split()).casefold() for one in terms.sub_processors]
    if len(names) != len(set(names)):
        faults.append("A sub-processor is listed twice.")
    for processor in terms.sub_processors:
        if regions := terms.regions_without_basis(processor):
            faults.append(
                f"Nothing carries the transfer to {processor.name} in {', '.join(sorted(regions))} (Annex D)."
            )
        if not (processor.activities and processor.categories and processor.regions):
            faults.append(f"It is not said what {processor.name} does, with which data, or where.")
    faults += [
        f"The standard contract with {basis.recipient} has no reference."
        for basis in terms.transfers
        if basis.kind is TransferKind.KVKK_STANDARD_CONTRACT and not basis.reference
    ]
    if content.duration_days is None and not terms.end.clause:
        faults.append("It never ends, and no clause says what happens at the end.")
    return faults


def supposed_terms(content: Content, version: str, at: datetime) -> Terms:
    """Return terms as if they were in force at a moment: what would be, if this were signed."""
    return dataclasses.replace(content.terms, version=version, status=Status.IN_FORCE, valid_from=at, valid_until=None)
