"""Packages of the operating system: found missing, installed where we may, else named in one line."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

from console import StepFailedError, run_visibly, say
from gantry.embedded import detect
from gantry.embedded.environment import hidden_parts

_ASK_AGAIN_S = 24 * 3600.0


@dataclass(frozen=True)
class Missing:
    """A part of the system that is not there."""

    packages: tuple[str, ...]
    without_it: str
    """What happens without it; empty where nothing works without it."""


def find_missing(*, with_tests: bool) -> list[Missing]:
    """Look for what the project needs of the system; hidden parts are not asked for."""
    minor = sys.version_info.minor
    missing: list[Missing] = []
    if find_spec("ensurepip") is None or find_spec("venv") is None:
        missing.append(Missing((f"python3.{minor}-venv",), ""))
    wanted = triton_minor()
    hidden = hidden_parts()
    if detect.is_triton_platform() and "libpython" not in hidden and not detect.find_libpython(wanted):
        missing.append(Missing((f"libpython3.{wanted}",), "models run on ONNX Runtime inside the worker"))
    if "egl" not in hidden and not detect.find_egl() and not detect.find_osmesa():
        missing.append(Missing(("libegl1", "libgl1-mesa-dri"), "pictures are computed by numpy instead of VTK"))
    if "pango" not in hidden and not detect.find_pango():
        packages = ("libpango-1.0-0", "libpangoft2-1.0-0", "libharfbuzz-subset0", "fonts-dejavu-core")
        missing.append(Missing(packages, "agreements are written as HTML and text, not as PDF"))
    has_browser = detect.find_chromium() and detect.find_chromedriver()
    if with_tests and "chromium" not in hidden and not has_browser:
        missing.append(Missing(("chromium", "chromium-driver"), "browser tests are left out"))
    return missing


def triton_minor() -> int:
    """Return the Python 3 minor that the Triton environment is made with."""
    own = sys.version_info.minor
    if own in detect.TRITON_MINORS:
        return own
    there = [minor for minor in detect.TRITON_MINORS if detect.find_program(f"python3.{minor}")]
    return there[0] if there else detect.TRITON_MINORS[0]


def processor_model() -> str:
    """Return a name for the kind of processor: a hash of its model and features, or what Python knows of it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "CPU part", "flags"))]
    return sha256("\n".join(sorted(set(names))).encode()).hexdigest()[:16] if names else platform.machine()


def ensure_system_packages(*, with_tests: bool, log: Path) -> None:
    """Install what is missing where we may; otherwise say the line that does, and what happens without.

    Raises
    ------
    StepFailedError
        Something is missing that nothing works without.
    """
    missing = find_missing(with_tests=with_tests)
    if not missing:
        return
    packages = sorted({package for part in missing for package in part.packages})
    refused = log.with_name("packages-refused")
    if not _was_refused(refused, packages) and _install(packages, log):
        detect.forget_libraries()
        missing = find_missing(with_tests=with_tests)
        if not missing:
            refused.unlink(missing_ok=True)
            return
        packages = sorted({package for part in missing for package in part.packages})
    refused.write_text("\n".join(packages), encoding="utf-8")
    line = f"sudo apt-get install {' '.join(packages)}"
    if any(not part.without_it for part in missing):
        raise StepFailedError(f"Python cannot make virtual environments here. Install it, then try again:\n    {line}")
    say(f"! Some packages of the system are missing. To install them:\n    {line}")
    for part in missing:
        say(f"  Without {', '.join(part.packages)}: {part.without_it}.")


def _was_refused(record: Path, packages: list[str]) -> bool:
    if not record.is_file() or time.time() - record.stat().st_mtime > _ASK_AGAIN_S:
        return False
    return record.read_text(encoding="utf-8").split() == packages


def _install(packages: list[str], log: Path) -> bool:
    apt, sudo = detect.find_program("apt-get"), detect.find_program("sudo")
    if apt is None:
        return False
    rise: list[str | Path] = []
    if os.getuid() != 0:
        if sudo is None or subprocess.run([sudo, "-n", "true"], capture_output=True, check=False).returncode:
            return False
        rise = [sudo, "-n"]
    # Through env, since sudo drops the variable; a package that asks a question would wait for ever.
    apt_get = [*rise, "env", "DEBIAN_FRONTEND=noninteractive", apt, "-o", "DPkg::Lock::Timeout=120"]
    install = [*apt_get, "install", "--yes", "--no-install-recommends", *packages]
    title = f"System packages: {', '.join(packages)}"
    here = Path("/")
    try:
        run_visibly(title, install, log=log, cwd=here)
    except StepFailedError:
        # The lists of a fresh machine are empty or old.
        try:
            run_visibly("System package lists", [*apt_get, "update"], log=log, cwd=here)
            run_visibly(title, install, log=log, cwd=here)
        except StepFailedError as error:
            say(str(error))
            return False
    return True
