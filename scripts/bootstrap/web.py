"""Node, and the web bundle built with it when its sources changed."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from console import StepFailedError, run_visibly, say
from gantry.embedded import detect
from python import install_locked

_NOT_SOURCES = frozenset({"node_modules", "dist", "tests", "test-results"})
_STAMP = ".gantry-stamp"


def ensure_node(root: Path, log: Path) -> tuple[list[str], Mapping[str, str]]:
    """Return the npm command and its environment: the system's Node, else the one from PyPI's wheel."""
    environment = dict(os.environ)
    if node := detect.find_system_node():
        npm = [str(detect.find_program("npm"))]
    else:
        node = detect.find_wheel_node(root)
        if node is None or not detect.node_version(node):
            install_locked(root / ".venv", root / "requirements" / "node.txt", "Node", log)
            node = detect.find_wheel_node(root)
        if node is None:
            raise StepFailedError(f"Node could not be installed. Install Node {detect.NODE_MINIMUM} yourself.")
        npm = [str(node), str(node.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]
    environment["PATH"] = f"{node.parent}{os.pathsep}{environment.get('PATH', os.defpath)}"
    return npm, environment


def ensure_bundle(root: Path, *, log: Path) -> None:
    """Build `platform/web/dist` unless it was built from these sources; keep an older one if that fails."""
    web = root / "platform" / "web"
    dist = web / "dist"
    if not (web / "package.json").is_file():
        return
    sources = _fingerprint(_sources(web))
    if _read(dist / _STAMP) == sources:
        return
    try:
        npm, environment = ensure_node(root, log)
        ensure_modules(web, npm, environment, log)
        run_visibly("Web bundle", [*npm, "run", "build"], log=log, cwd=web, environment=environment)
        (dist / _STAMP).write_text(sources, encoding="utf-8")
    except StepFailedError as error:
        if not dist.is_dir():
            raise
        say(f"{error}\n  Going on with the web bundle built before.")


def ensure_modules(web: Path, npm: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
    """Install the packages of the lock file, if it changed or the last installation was cut short."""
    modules = web / "node_modules"
    locked = _fingerprint([web / "package.json", web / "package-lock.json"])
    if _read(modules / _STAMP) == locked:
        return
    shutil.rmtree(modules, ignore_errors=True)
    install = [*npm, "ci", "--no-audit", "--no-fund"]
    run_visibly("Web packages", install, log=log, cwd=web, environment=environment, attempts=3)
    (modules / _STAMP).write_text(locked, encoding="utf-8")


def run_npm(root: Path, words: Sequence[str], *, log: Path) -> int:
    """Run npm in the web project with the Node that builds it, its output going straight to the user."""
    web = root / "platform" / "web"
    npm, environment = ensure_node(root, log)
    ensure_modules(web, npm, environment, log)
    return subprocess.run([*npm, *words], cwd=web, env=environment, check=False).returncode


def _sources(web: Path) -> Iterator[Path]:
    for entry in sorted(web.iterdir()):
        if entry.name in _NOT_SOURCES:
            continue
        if entry.is_file():
            yield entry
        else:
            yield from sorted(path for path in entry.rglob("*") if path.is_file())


def _fingerprint(files: Iterator[Path] | Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""
