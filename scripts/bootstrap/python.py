"""The Python environments: `.venv` for Gantry, `.venv-triton` for Triton's stub, from hash-locked files."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from console import StepFailedError, run_visibly, say
from gantry.embedded import detect
from gantry.embedded.environment import hidden_parts
from system import processor_model, triton_minor

_STAMP = "gantry-installed"
_KERNELS = "gantry-kernels"
_UNFINISHED = "gantry-unfinished"
"""Lies in an environment while pip writes to it. Where pip was cut off cannot be told: all is made anew."""


def ensure_environment(root: Path, *, with_tests: bool, log: Path) -> None:
    """Make `.venv` and install the locked packages and Gantry itself, if they changed."""
    environment = root / ".venv"
    _ensure_venv(environment, Path(sys.executable), log)
    wanted = root / "requirements" / ("dev.txt" if with_tests else "run.txt")
    # The tests' lock holds the other's packages at the same versions.
    enough = {_fingerprint(root / "requirements" / name) for name in ("dev.txt", wanted.name)}
    if not enough & _installed(environment):
        title = "Python packages" + (" with those of the tests" if with_tests else "")
        install_locked(environment, wanted, title, log)
        _write_stamp(environment, {_fingerprint(wanted)})
    project = _project_fingerprint(root)
    if project not in _installed(environment):
        options = ["--no-deps", "--no-build-isolation", "--editable"]
        run_visibly("Gantry itself", [*_pip_install(environment), *options, root], log=log, cwd=root)
        _write_stamp(environment, _installed(environment) & enough | {project})


def ensure_kernels(root: Path, *, log: Path) -> None:
    """Compile what draws volumes, if it changed; where that fails, say so: it is compiled when first needed."""
    environment = root / ".venv"
    package = root / "rendering" / "gantry_render"
    if not (package / "warm.py").is_file():
        return
    sources = sorted(package.rglob("*.py"))
    # Compiled code is for one kind of processor, and a checkout may lie on a disk that several machines share.
    wanted = f"{_fingerprint(*sources, root / 'requirements' / 'run.txt')} {processor_model()}"
    stamp = environment / _KERNELS
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return
    try:
        warm: list[str | Path] = [environment / "bin" / "python", "-m", "gantry_render.warm"]
        run_visibly("Kernels that draw volumes", warm, log=log, cwd=root)
    except StepFailedError as error:
        say(f"{error}\n  Going on: they are compiled when a volume is first drawn, which then takes longer.")
    # Once is enough: a step that failed would fail again, and hold up every start.
    stamp.write_text(wanted, encoding="utf-8")


def ensure_triton(root: Path, *, log: Path) -> None:
    """Make `.venv-triton` where Triton can run; where it does not install, say what is used instead."""
    minor = triton_minor()
    if not detect.is_triton_platform() or "libpython" in hidden_parts() or not detect.find_libpython(minor):
        return
    environment, wanted = root / ".venv-triton", root / "requirements" / "triton.txt"
    own = Path(sys.executable) if sys.version_info.minor == minor else detect.find_program(f"python3.{minor}")
    if own is None:
        return
    try:
        _ensure_venv(environment, own, log)
        if _fingerprint(wanted) not in _installed(environment):
            install_locked(environment, wanted, "Triton", log)
            _write_stamp(environment, {_fingerprint(wanted)})
    except StepFailedError as error:
        say(f"{error}\n  Going on without Triton: models run on ONNX Runtime inside the worker.")


def install_locked(environment: Path, requirements: Path, title: str, log: Path) -> None:
    """Install exactly what ``requirements`` lists, each file checked against its hash."""
    # The file names every package, so there is nothing to resolve; indexes are the machine's own affair.
    options = ["--require-hashes", "--no-deps", "--progress-bar=off", "--retries=5", "--requirement"]
    unfinished = environment / _UNFINISHED
    unfinished.touch()
    run_visibly(
        title,
        [*_pip_install(environment), *options, requirements],
        log=log,
        cwd=requirements.parent,
        describe=_describe_pip(requirements),
        attempts=3,
    )
    unfinished.unlink()


def _describe_pip(requirements: Path) -> Callable[[str], str]:
    total = len(re.findall(r"^[A-Za-z0-9]", requirements.read_text(encoding="utf-8"), flags=re.MULTILINE))
    seen: set[str] = set()

    def describe(line: str) -> str:
        if match := re.match(r"Collecting (\S+)", line):
            seen.add(match[1])
            return f"{len(seen)}/{total} {match[1].partition('=')[0]}"
        if match := re.search(r"(\S+) (\([\d.]+ [kM]B\))", line):
            return f"{len(seen)}/{total} {match[2]}"
        return f"unpacking {len(seen)} packages" if line.startswith("Installing") else ""

    return describe


def _ensure_venv(environment: Path, interpreter: Path, log: Path) -> None:
    """Make the environment, again if it is broken, half made, or from before the project was moved."""
    config = environment / "pyvenv.cfg"
    home = f"gantry-home = {environment}"
    is_ours = config.is_file() and home in config.read_text(encoding="utf-8")
    if is_ours and not (environment / _UNFINISHED).exists() and _works(environment):
        return
    venv = [str(interpreter), "-m", "venv", "--clear", str(environment)]
    run_visibly(f"Environment {environment.name}", venv, log=log, cwd=environment.parent)
    with config.open("a", encoding="utf-8") as file:
        file.write(f"{home}\n")


def _works(environment: Path) -> bool:
    has_pip = "import importlib.util as u, sys; sys.exit(not u.find_spec('pip'))"
    try:
        probe = [str(environment / "bin" / "python"), "-c", has_pip]
        return subprocess.run(probe, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _pip_install(environment: Path) -> list[str | Path]:
    return [environment / "bin" / "python", "-m", "pip", "install"]


def _fingerprint(*files: Path) -> str:
    content = b"\0".join(file.name.encode() + b"\0" + file.read_bytes() for file in files)
    return hashlib.sha256(content).hexdigest()


def _project_fingerprint(root: Path) -> str:
    packages = sorted(str(init.parent.relative_to(root)) for init in root.glob("*/gantry*/__init__.py"))
    return hashlib.sha256("\n".join([_fingerprint(root / "pyproject.toml"), *packages]).encode()).hexdigest()


def _installed(environment: Path) -> set[str]:
    stamp = environment / _STAMP
    return set(stamp.read_text(encoding="utf-8").split()) if stamp.is_file() else set()


def _write_stamp(environment: Path, fingerprints: set[str]) -> None:
    (environment / _STAMP).write_text("\n".join(sorted(fingerprints)), encoding="utf-8")
