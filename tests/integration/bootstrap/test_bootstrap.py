from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from embedded_stack import EmbeddedStack

ROOT = Path(__file__).resolve().parents[3]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PYPROJECT = """
[project]
name = "gantry"
version = "0"
[project.scripts]
gantry = "gantry.hello:main"
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[tool.setuptools.packages.find]
where = ["platform"]
namespaces = false
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout that needs one package, in a folder with spaces, prepared once."""
    root = tmp_path_factory.mktemp("a checkout with spaces") / "gantry"
    shutil.copytree(ROOT / "scripts", root / "scripts")
    package = root / "platform" / "gantry"
    shutil.copytree(ROOT / "platform" / "gantry" / "embedded", package / "embedded")
    (package / "__init__.py").touch()
    (package / "hello.py").write_text("def main():\n    print('hello from', __file__)\n")
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / "requirements").mkdir()
    for name in ("run.txt", "dev.txt"):
        locked = (ROOT / "requirements" / name).read_text()
        only = re.search(r"^setuptools==[^\n]*\n(?: +--hash[^\n]*\n)+", locked, flags=re.MULTILINE)
        assert only is not None
        (root / "requirements" / name).write_text(f"# {name}\n{only[0]}\n")
    assert "Gantry itself" in bootstrap(root)
    return root


def bootstrap(root: Path) -> str:
    environment = {**EmbeddedStack.environment(), "GANTRY_HIDE": "egl,libpython,pango,chromium"}
    command = [sys.executable, str(root / "scripts" / "bootstrap"), "run"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_command_runs_from_the_checkout_when_prepared(checkout: Path) -> None:
    said = subprocess.run([checkout / ".venv" / "bin" / "gantry"], capture_output=True, text=True, check=True).stdout
    assert said.strip() == f"hello from {checkout / 'platform' / 'gantry' / 'hello.py'}"


def test_nothing_is_done_when_nothing_changed(checkout: Path) -> None:
    bootstrap(checkout)
    assert bootstrap(checkout) == ""


def test_packages_are_installed_again_when_the_lock_changed(checkout: Path) -> None:
    bootstrap(checkout)
    lock = checkout / "requirements" / "run.txt"
    lock.write_text(lock.read_text() + "# changed\n")
    said = bootstrap(checkout)
    assert "Python packages" in said
    assert "Environment" not in said
    assert bootstrap(checkout) == ""


def test_the_environment_is_made_anew_when_an_installation_was_cut_off(checkout: Path) -> None:
    (checkout / ".venv" / "gantry-unfinished").touch()
    (checkout / ".venv" / "half-unpacked").touch()
    said = bootstrap(checkout)
    assert "Environment .venv" in said
    assert "Python packages" in said
    assert not (checkout / ".venv" / "half-unpacked").exists()
    assert bootstrap(checkout) == ""


def test_a_package_is_refused_when_its_hash_differs(checkout: Path) -> None:
    lock = checkout / "requirements" / "run.txt"
    kept = lock.read_text()
    environment = {**EmbeddedStack.environment(), "GANTRY_HIDE": "egl,libpython,pango,chromium"}
    command = [sys.executable, str(checkout / "scripts" / "bootstrap"), "run"]
    try:
        other = re.sub(r"setuptools==\S+", "wheel==0.45.1", kept)
        lock.write_text(re.sub(r"sha256:[0-9a-f]{64}", "sha256:" + "0" * 64, other))
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    finally:
        lock.write_text(kept)
    assert done.returncode == 1
    assert "DO NOT MATCH THE HASHES" in done.stdout
    bootstrap(checkout)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_a_lock_names_no_host_and_hashes_everything_when_read(lock: Path) -> None:
    text = lock.read_text()
    assert re.search(r"https?:|file:|^-|/(home|root|work|opt)/", text, flags=re.MULTILINE) is None
    pinned = re.findall(r"^[a-z0-9].*?==[^\n]*\\\n(.*)$", text, flags=re.MULTILINE)
    assert len(pinned) == len(re.findall(r"^[a-z0-9]", text, flags=re.MULTILINE)) > 0
    assert all(line.strip().startswith("--hash=sha256:") for line in pinned)
