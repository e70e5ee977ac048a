"""The documents say what the code does: routes, failure reasons, settings, commands, links, the OpenAPI file."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from drf_spectacular.generators import SchemaGenerator

from gantry.cli.main import command_names
from gantry.config.env import _KEYS, _REPOSITORY_ROOT
from gantry.dicomweb import search, store
from gantry.dicomweb.app import ROUTES
from gantry.kernel.errors import HTTP_STATUS
from gantry.studies.parsing.rejections import SENTENCES
from gantry.studies.public import SERIES_PATTERNS, STUDY_PATTERNS
from gantry.viewing import realtime
from gantry_imaging.codecs import _DECODERS
from gantry_imaging.encode import MEDIA_TYPES
from gantry_render.protocol import CloseCode

ROOT = Path(__file__).resolve().parents[3]
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
CONFORMANCE = (ROOT / "docs" / "dicom-conformance.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
API = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
ADRS = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))


def _table_keys(text: str, pattern: str) -> list[str]:
    """Return what stands in the first cell of the table rows that match."""
    return re.findall(rf"^\| `({pattern})` \|", text, re.MULTILINE)


def _anchors(document: Path) -> set[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_resolve_when_followed_from_the_document(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (document.parent / path).resolve() if path else document
        assert there.exists(), f"{document.name} points to {target}"
        assert there.is_relative_to(ROOT), f"{document.name} points out of the repository: {target}"
        if anchor:
            assert anchor in _anchors(there), f"{document.name} points to {target}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_paths_exist_when_a_document_names_them(document: Path) -> None:
    tops = "platform|inference|rendering|tests|docs|scripts|requirements"
    for name in re.findall(rf"`((?:{tops})/[\w./-]+)`", document.read_text(encoding="utf-8")):
        assert (ROOT / name).exists(), f"{document.name} names {name}"


@pytest.mark.parametrize("adr", ADRS, ids=lambda path: path.stem)
def test_decision_names_what_enforces_it(adr: Path) -> None:
    text = adr.read_text(encoding="utf-8")
    for part in ("**Context.**", "**Decision.**", "**Rejected.**", "**Enforced by.**"):
        assert part in text, f"{adr.name} has no {part}"
    paths = re.findall(
        r"`((?:tests|platform|inference|rendering|scripts)/[\w./-]+|pyproject\.toml)`",
        text.split("**Enforced by.**")[1],
    )
    assert paths
    index = (adr.parent / "README.md").read_text(encoding="utf-8")
    assert f"({adr.name})" in index
    for path in paths:
        assert (ROOT / path).exists(), f"{adr.name} names {path}"


def test_every_route_of_the_door_is_in_the_conformance_statement() -> None:
    written = set(re.findall(r"^\| `(GET|POST) ([^`]+)` \|", CONFORMANCE, re.MULTILINE))
    assert written == {(method, path) for method, path, _ in ROUTES}


def test_every_reason_of_quarantine_has_its_failure_code_in_the_conformance_statement() -> None:
    assigned = re.findall(r'"(dicom\.\w+)"', (ROOT / "platform/gantry/studies/ingest.py").read_text(encoding="utf-8"))
    reasons = {*SENTENCES, *store._REASONS, *assigned}
    written = dict(re.findall(r"^\| `(dicom\.\w+)` \| `([0-9A-F]{4})` \|", CONFORMANCE, re.MULTILINE))
    assert written == {reason: f"{store._REASONS.get(reason, store._NOT_UNDERSTOOD):04X}" for reason in reasons}


def test_matching_keys_and_limits_are_those_of_the_code() -> None:
    for keyword in (
        *STUDY_PATTERNS,
        *SERIES_PATTERNS,
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "StudyDate",
        "SeriesNumber",
    ):
        assert f"`{keyword}`" in CONFORMANCE
    for number in (search.DEFAULT_LIMIT, search.MAX_LIMIT, store.MAX_FILES, store.CONCURRENT_BODIES):
        assert f"{number:,}".replace(",", " ") in CONFORMANCE
    for media_type in MEDIA_TYPES:
        assert f"`{media_type}`" in CONFORMANCE


def test_every_decodable_transfer_syntax_is_in_the_conformance_statement() -> None:
    written = set(_table_keys(CONFORMANCE, r"1\.2\.840\.10008\.1\.2[0-9.]*"))
    native = {f"1.2.840.10008.1.2{suffix}" for suffix in ("", ".1", ".1.99", ".2")}
    assert written == {str(uid) for uid in _DECODERS} | native


def test_every_setting_is_in_the_table_with_its_default() -> None:
    rows = re.findall(r"^\| `(GANTRY_\w+)` \| ([^|]+) \|", OPERATIONS, re.MULTILINE)
    assert len(rows) == len(dict(rows))
    expected = {}
    for key, default in _KEYS.items():
        if default is None:
            expected[key] = "required"
        elif default == "":
            expected[key] = "empty"
        else:
            path = Path(default)
            is_ours = path.is_absolute() and path.is_relative_to(_REPOSITORY_ROOT)
            expected[key] = f"`{path.relative_to(_REPOSITORY_ROOT) if is_ours else default}`"
    assert {key: value.strip() for key, value in rows} == expected


def test_every_command_is_described() -> None:
    written = {words.split()[0] for words in re.findall(r"^\| `gantry ([a-z]+[^`]*)` \|", OPERATIONS, re.MULTILINE)}
    assert written == command_names()


def test_statuses_and_close_codes_are_those_of_the_code() -> None:
    written = set(re.findall(r"^\| (\d{3}) \|", API, re.MULTILINE)) - {"200", "201", "202"}
    assert written == {str(status) for status in HTTP_STATUS.values()} | {"405", "500"}
    closes = set(re.findall(r"^\| (4\d{3}) \|", API, re.MULTILINE))
    of_events = {str(code) for code in (realtime.SIGNED_OUT, realtime.REFUSED, realtime.ABSENT)}
    assert closes == of_events | {str(code.value) for code in CloseCode}


def test_openapi_file_is_what_the_code_would_write() -> None:
    generator = SchemaGenerator(urlconf="gantry.config.schema_urls")  # type: ignore[no-untyped-call]  # untyped there
    schema = generator.get_schema(request=None, public=True)  # type: ignore[no-untyped-call]  # untyped there
    written = json.loads((ROOT / "docs" / "openapi.json").read_text(encoding="utf-8"))
    assert written == json.loads(json.dumps(schema, default=str)), "run `.venv/bin/python scripts/openapi.py`"
