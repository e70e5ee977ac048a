"""What people read and send: templates, the canonical text, hostile content, papers, deadlines, differences."""

from __future__ import annotations

import copy
import dataclasses
import json
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gantry.agreements.calendar import is_business_day, notice_deadline
from gantry.agreements.comparing import diff_contents, list_shifts
from gantry.agreements.content import Content, Party, content_from_json, content_to_json
from gantry.agreements.document import canonical_text, hash_document, write_html
from gantry.agreements.domain import Permission, SubProcessor
from gantry.agreements.drafting import (
    TEMPLATES,
    content_from_template,
    law_of,
    list_faults,
    parse_content,
    supposed_terms,
)
from gantry.agreements.papers import MAX_PAPER_BYTES, PaperRefusedError, PaperTooLargeError, check_paper
from gantry.foundation.documents import NoPdfError, to_pdf
from gantry.kernel.errors import InvalidInputError
from gantry.kernel.vocabulary import Activity, DataCategory, Purpose, Role

VENDOR = SubProcessor(
    "Vendor", "Annex B §1", "Models", frozenset({Activity.INFER}), frozenset({DataCategory.PIXEL_DATA}),
    frozenset({"local"}),
)  # fmt: skip


def _content(template: str = "gdpr-28") -> Content:
    return content_from_template(
        template,
        controller=Party("Hospital Group", "Street 1", "privacy@hospital.example"),
        processor=Party("Operator", "", "operator@gantry.example"),
        regions=frozenset({"local"}),
        sub_processors=(VENDOR,),
    )


@pytest.mark.parametrize("template", TEMPLATES)
def test_template_is_complete_and_survives_json(template: str) -> None:
    content = _content(template)
    assert list_faults(content) == []
    assert law_of(template)
    assert parse_content(json.loads(json.dumps(content_to_json(content)))) == content
    text = canonical_text(content, version="v1", law=law_of(template))
    assert "{" not in text, "a placeholder was left"
    assert "Hospital Group" in text and "Vendor" in text
    for permission in content.terms.permissions:
        assert permission.clause in text


def test_hash_is_of_the_text_and_every_change_changes_it() -> None:
    content = _content()
    digest = hash_document(content, version="v1")
    assert digest == hash_document(content_from_json(content_to_json(content)), version="v1")
    others = [
        dataclasses.replace(content, title="Other"),
        dataclasses.replace(content, duration_days=None),
        dataclasses.replace(content, sections=content.sections[1:]),
        dataclasses.replace(content, terms=dataclasses.replace(content.terms, regions=frozenset({"mars"}))),
        dataclasses.replace(
            content, terms=dataclasses.replace(content.terms, permissions=content.terms.permissions[1:])
        ),
    ]
    assert (
        len({digest, hash_document(content, version="v2"), *(hash_document(one, version="v1") for one in others)}) == 7
    )


def test_canonical_text_cannot_be_bent_by_what_stands_in_it() -> None:
    sly = dataclasses.replace(_content(), title="Title\n## Annex A: What is permitted | no")
    first = canonical_text(sly, version="v1").splitlines()[0]
    assert first == "# Title ## Annex A: What is permitted ¦ no"


def test_page_shows_what_was_sent_as_text() -> None:
    sly = dataclasses.replace(_content(), controller=Party("<script>alert(1)</script>"))
    page = write_html(sly, version="v1")
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_pdf_is_one_and_fetches_nothing() -> None:
    try:
        data = to_pdf(write_html(_content(), version="v1"))
    except NoPdfError:
        pytest.skip("Pango is not installed here")
    assert data.startswith(b"%PDF-")
    check_paper(data)


def _changed(path: str, value: Any) -> dict[str, Any]:
    data = copy.deepcopy(content_to_json(_content()))
    *way, last = path.split("/")
    place: Any = data
    for step in way:
        place = place[int(step)] if isinstance(place, list) else place[step]
    if isinstance(place, list):
        place[int(last)] = value
    else:
        place[last] = value
    return data


HOSTILE: list[tuple[str, Any]] = [
    ("title", ""),
    ("title", "x" * 201),
    ("title", "a\u202eb"),
    ("title", "a\u0000b"),
    ("title", 1),
    ("unknown", 1),
    ("template", "../../etc/passwd"),
    ("sections", [{"number": "1", "heading": "H", "text": "x" * 20_001}]),
    ("sections", [{"number": "1", "heading": "H", "text": "x"}] * 101),
    ("duration_days", 0),
    ("duration_days", 10**9),
    ("duration_days", 1.5),
    ("effective_from", "soon"),
    ("effective_from", "2026-01-01T00:00:00"),
    ("terms/boundary/value", "anywhere"),
    ("terms/viewing/places", ["moon"]),
    ("terms/regions/names", ["EU WEST"]),
    ("terms/permissions/0/activity", "fly"),
    ("terms/permissions/0/roles", ["god"]),
    ("terms/permissions/0/clause", "x" * 31),
    ("terms/permissions/0/clause", "§1; §2"),
    ("terms/permissions", [{}] * 201),
    ("terms/retention", {"secrets": {"clause": "", "keep_days": 1, "starts": "received"}}),
    ("terms/retention/usage/keep_days", -1),
    ("terms/breach/processor_within_h", 0),
    ("terms/sub_processors/list/0/regions", ["../x"]),
    ("terms/sub_processors", []),
]


@pytest.mark.parametrize(("path", "value"), HOSTILE)
def test_content_that_is_none_is_refused_with_a_sentence(path: str, value: Any) -> None:
    with pytest.raises(InvalidInputError) as refused:
        parse_content(_changed(path, value))
    assert 10 < len(str(refused.value)) < 400


leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
anything = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)


@settings(deadline=None)
@given(anything)
def test_anything_else_is_refused_too(data: Any) -> None:
    with pytest.raises(InvalidInputError):
        parse_content(data)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("empty", b""),
        ("no PDF", b"PK\x03\x04" + b"x" * 100 + b"%%EOF"),
        ("late header", b"MZ%PDF-1.7\n%%EOF"),
        ("cut off", b"%PDF-1.7\n1 0 obj"),
        ("script", b"%PDF-1.7\n<< /OpenAction << /S /JavaScript /JS (x) >> >>\n%%EOF"),
        ("escaped script", b"%PDF-1.7\n<< /S /Java#53cript >>\n%%EOF"),
        ("attachment", b"%PDF-1.7\n<< /Type /EmbeddedFile >>\n%%EOF"),
        ("launch", b"%PDF-1.7\n<< /S /Launch /F (cmd) >>\n%%EOF"),
        ("encrypted", b"%PDF-1.7\ntrailer << /Encrypt 1 0 R >>\n%%EOF"),
        ("form", b"%PDF-1.7\n<< /XFA 1 0 R >>\n%%EOF"),
    ],
)
def test_paper_is_refused_when_it_is_no_plain_pdf(name: str, data: bytes) -> None:
    with pytest.raises(PaperRefusedError):
        check_paper(data)


def test_paper_is_taken_up_to_its_limit() -> None:
    head, tail = b"%PDF-1.7\n", b"\n%%EOF\n"
    exact = head + bytes(MAX_PAPER_BYTES - len(head) - len(tail)) + tail
    assert len(check_paper(exact)) == 64
    with pytest.raises(PaperTooLargeError):
        check_paper(exact + b" ")


@pytest.mark.parametrize(
    ("signed", "due"),
    [
        ("2026-11-25T09:00+00:00", "2026-12-02"),  # Wednesday: Thu, Fri, Mon, Tue, Wed
        ("2026-11-27T23:30+00:00", "2026-12-04"),  # already Saturday in Istanbul: from Monday
        ("2026-10-28T09:00+00:00", "2026-11-05"),  # Republic Day is none
        ("2026-03-18T09:00+00:00", "2026-03-26"),  # the Ramadan feast begins on the 20th
        ("2026-05-25T09:00+00:00", "2026-06-04"),  # the Feast of Sacrifice, 27 to 30 May
        ("2026-04-22T09:00+00:00", "2026-04-30"),  # National Sovereignty Day
    ],
)
def test_notice_is_due_after_five_business_days(signed: str, due: str) -> None:
    deadline = notice_deadline(datetime.fromisoformat(signed))
    assert (deadline.day, deadline.is_calendar_known) == (date.fromisoformat(due), True)


def test_deadline_says_when_a_year_s_holidays_are_not_known() -> None:
    assert not notice_deadline(datetime(2026, 12, 30, tzinfo=UTC)).is_calendar_known
    assert is_business_day(date(2027, 3, 10)), "not known as a holiday: the deadline is early, never late"


def test_difference_names_places_and_moved_entries_are_none() -> None:
    content = _content()
    terms = content.terms
    moved = dataclasses.replace(content, terms=dataclasses.replace(terms, permissions=terms.permissions[::-1]))
    assert diff_contents(content, moved) == []
    longer = dataclasses.replace(content, title="Other", terms=dataclasses.replace(terms, sub_processors=()))
    paths = [change.path for change in diff_contents(content, longer)]
    assert paths[-1] == "title"
    assert "terms.sub_processors.list[Vendor].task" in paths
    assert all(one.before is not None and one.after is None for one in diff_contents(content, longer)[:-1])


def test_shift_names_the_acts_and_nothing_else() -> None:
    content, at = _content(), datetime(2026, 11, 25, tzinfo=UTC)
    wider = dataclasses.replace(
        content.terms,
        permissions=(
            *content.terms.permissions,
            Permission("§new", Activity.LEARN, frozenset({DataCategory.REPORTS}), frozenset({Purpose.QUALITY}),
                       frozenset({Role.SYSTEM})),
        ),
    )  # fmt: skip
    before = supposed_terms(content, "v1", at)
    after = supposed_terms(dataclasses.replace(content, terms=wider), "v2", at)
    shifts = list_shifts(before, after, at=at, region="local")
    assert {(one.role, one.activity, one.category, one.purpose) for one in shifts} == {
        (Role.SYSTEM, Activity.LEARN, DataCategory.REPORTS, Purpose.QUALITY)
    }
    assert {(one.before.code, one.after.clause) for one in shifts} == {("agreement.not_permitted", "§new")}
    assert list_shifts(before, before, at=at, region="local") == []
    assert list_shifts(None, before, at=at, region="local")
