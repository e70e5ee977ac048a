"""What must not stand in any file, and what a newcomer counts on finding."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Character classes keep the expressions from matching themselves.
REGISTRY = re.compile(
    r"https?://[^/\s]*(?:[p]ypi|[p]ythonhosted|[n]pmjs|[r]egistry|[a]rtifactory|[n]exus|[d]evpi|[g]oproxy)"
)
MACHINE = re.compile(r"(?<![\w.~$}/-])/(?:[h]ome|[r]oot|[U]sers|[w]ork|[w]orkspace)/\w")


def _tracked() -> list[Path]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [path for name in done.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def _texts() -> list[tuple[str, str]]:
    found = []
    for path in _tracked():
        data = path.read_bytes()
        if b"\0" not in data[:8192]:
            found.append((str(path.relative_to(ROOT)), data.decode("utf-8", "replace")))
    return found


def _places(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{name}:{text.count(chr(10), 0, hit.start()) + 1}: {hit.group()}"
        for name, text in _texts()
        for hit in pattern.finditer(text)
    ]


@pytest.mark.parametrize(
    ("pattern", "example"),
    [
        (REGISTRY, "https://files." + "python" + "hosted.org/packages"),
        (REGISTRY, "http://mirror.example/api/".replace("mirror", "npm-" + "registry")),
        (MACHINE, 'path = "/' + 'home/someone/checkout"'),
        (MACHINE, "(/" + "work/main)"),
    ],
)
def test_expression_finds_what_it_is_for(pattern: re.Pattern[str], example: str) -> None:
    assert pattern.search(example)


def test_no_file_names_a_package_registry() -> None:
    assert _places(REGISTRY) == []


def test_no_file_names_a_place_on_one_machine() -> None:
    assert _places(MACHINE) == []


def test_no_test_mocks() -> None:
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            assert not [name for name in names if name.startswith(("unittest.mock", "mock.", "pytest_mock"))], path


def test_no_folder_hides_the_standard_library() -> None:
    folders = {path.parent for path in _tracked()}
    assert [folder for folder in folders if "platform" in folder.relative_to(ROOT).parts[1:]] == []
    assert not (ROOT / "platform" / "__init__.py").exists()
    assert [path for path in _tracked() if path.name == "__init__.py" and ROOT / "tests" in path.parents] == []


@pytest.mark.parametrize("target", ["run", "test", "check", "bench"])
def test_make_has_the_fixed_entry_points(target: str) -> None:
    rules = (ROOT / "Makefile").read_text()
    assert re.search(rf"^{target}:", rules, re.MULTILINE)


@pytest.mark.parametrize("command", ["ruff check", "ruff format --check", "mypy", "lint-imports", "npm run check"])
def test_make_check_runs_every_check(command: str) -> None:
    recipe = re.search(r"^check:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert recipe
    assert command in recipe.group(1)
