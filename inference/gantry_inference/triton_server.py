"""Where Triton is on this machine, and how it is started. Starting and watching it is the caller's."""

import contextlib
import ctypes
import hashlib
import os
import platform
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

LOOPBACK = "127.0.0.1"
ENVIRONMENT_FOLDER = ".venv-triton"

_PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class TritonInstallation:
    """The pieces of the nvidia-pytriton wheel, in an environment of its own."""

    environment: Path
    server: Path
    backend: Path
    stub: Path
    libraries: Path
    version: str


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Why Triton cannot run here, as a sentence that tells what would change it."""

    reason: str


def locate(environment: Path = _PROJECT / ENVIRONMENT_FOLDER) -> TritonInstallation | Unavailable:
    """Find Triton in its environment and check that binary and stub can start here.

    Parameters
    ----------
    environment
        The virtual environment made from requirements/triton.txt.
    """
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return Unavailable(f"Triton's wheel is for Linux on x86-64, not {sys.platform} on {platform.machine()}.")
    python = environment / "bin" / "python3"
    if not python.exists():
        return Unavailable(f"{environment.name} does not exist. Make it from requirements/triton.txt.")
    packages = next(iter(sorted(environment.glob("lib/python3.*/site-packages"))), None)
    if packages is None or not (packages / "pytriton").is_dir():
        return Unavailable(f"{environment.name} does not hold nvidia-pytriton. Make it from requirements/triton.txt.")
    python_version = packages.parent.name.removeprefix("python")
    root = packages / "pytriton" / "tritonserver"
    installation = TritonInstallation(
        environment=environment,
        server=root / "bin" / "tritonserver",
        backend=root / "backends" / "python",
        stub=root / "python_backend_stubs" / python_version / "triton_python_backend_stub",
        libraries=packages / "nvidia_pytriton.libs",
        version=_wheel_version(packages),
    )
    return _problem(installation, python_version) or installation


def _problem(installation: TritonInstallation, python_version: str) -> Unavailable | None:
    if not installation.stub.is_file():
        return Unavailable(f"Triton's wheel has no stub for Python {python_version}.")
    if ":" in str(installation.libraries):
        return Unavailable("Triton cannot be started from a path with a colon in it. Move the project.")
    if not list(installation.libraries.parent.glob("numpy-1.*.dist-info")):
        # With NumPy 2 the stub starts, and answers with empty tensors.
        return Unavailable("Triton's stub needs NumPy 1. Make its environment from requirements/triton.txt.")
    library = f"libpython{python_version}.so.1.0"
    if not _is_loadable(library, installation.environment):
        return Unavailable(f"{library} is missing. Install the package libpython{python_version}.")
    return None


def _wheel_version(packages: Path) -> str:
    found = [re.fullmatch(r"nvidia_pytriton-(.+)\.dist-info", path.name) for path in packages.iterdir()]
    return next((match[1] for match in found if match), "unknown")


def _is_loadable(library: str, environment: Path) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return _python_library_folder(environment, library) is not None
    return True


def _python_library_folder(environment: Path, library: str) -> Path | None:
    """Find libpython beside an interpreter that brought its own (uv's and conda's do)."""
    home = (environment / "bin" / "python3").resolve().parent.parent
    folder = home / "lib"
    return folder if (folder / library).is_file() and home != Path("/usr") else None


def build_command(
    installation: TritonInstallation,
    *,
    repository: Path,
    http_port: int,
    grpc_port: int,
    metrics_port: int,
    run_dir: Path,
) -> tuple[list[str], dict[str, str]]:
    """Prepare `run_dir` and return the command line and the whole environment that start Triton.

    Everything listens on loopback. The environment is complete: pass it as `env=`, not merged into another.
    The command goes to `run_dir` by itself, because Triton hands paths to its stub through a shell without
    quoting them: only short relative names survive a space. It ends on SIGTERM within the exit timeout and
    takes its stubs with it.

    Parameters
    ----------
    repository
        Folder of models, readable; may be deep and may contain spaces.
    http_port, grpc_port, metrics_port
        Free ports. A port in use makes Triton exit with status 1 and a line that names it.
    run_dir
        Folder of this one server, made if absent; only one server may run in it. It also names the server's
        shared memory, so that two stacks on one machine do not meet. See end_leftovers.
    """
    end_leftovers(run_dir)
    _assemble(installation, repository, run_dir)
    argv = [
        "/usr/bin/env",
        f"--chdir={run_dir.resolve()}",
        str(installation.server),
        "--model-repository=models",
        "--backend-directory=backends",
        f"--backend-config=python,shm-region-prefix-name={_region_prefix(run_dir)}",
        # The default is 1 MiB growing by 1 MiB; a batch of eight slices in and out is 4 MiB.
        "--backend-config=python,shm-default-byte-size=16777216",
        "--backend-config=python,stub-timeout-seconds=60",
        "--model-control-mode=none",
        "--disable-auto-complete-config",
        "--strict-readiness=true",
        "--exit-on-error=true",
        "--exit-timeout-secs=5",
        "--log-info=false",
        "--log-verbose=0",
        f"--http-address={LOOPBACK}",
        f"--http-port={http_port}",
        "--http-thread-count=2",
        f"--grpc-address={LOOPBACK}",
        f"--grpc-port={grpc_port}",
        "--grpc-infer-allocation-pool-size=2",
        f"--metrics-address={LOOPBACK}",
        f"--metrics-port={metrics_port}",
        "--allow-gpu-metrics=false",
        "--pinned-memory-pool-byte-size=0",
    ]
    return argv, _environment(installation, run_dir)


def _environment(installation: TritonInstallation, run_dir: Path) -> dict[str, str]:
    python_version = installation.stub.parent.name
    folders = [
        installation.libraries,
        _python_library_folder(installation.environment, f"libpython{python_version}.so.1.0"),
    ]
    return {
        "HOME": str(run_dir.resolve()),
        "LANG": "C.UTF-8",
        # The stub embeds Python and finds its packages through the first python3 on PATH.
        "PATH": f"{installation.environment / 'bin'}:/usr/local/bin:/usr/bin:/bin",
        "VIRTUAL_ENV": str(installation.environment),
        "LD_LIBRARY_PATH": ":".join(str(folder) for folder in folders if folder),
        "OMP_NUM_THREADS": "1",
        # Without these glibc keeps an arena per thread, and Triton has dozens.
        "MALLOC_ARENA_MAX": "2",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _assemble(installation: TritonInstallation, repository: Path, run_dir: Path) -> None:
    """Link models and backends into `run_dir`, the stub of this Python version beside the Python backend."""
    folder = run_dir / "backends" / "python"
    folder.mkdir(parents=True, exist_ok=True)
    links = {folder / source.name: source for source in (*installation.backend.iterdir(), installation.stub)}
    links[run_dir / "models"] = repository
    for link, source in links.items():
        link.unlink(missing_ok=True)
        link.symlink_to(source.resolve())


def _region_prefix(run_dir: Path) -> str:
    return f"gantry_{hashlib.sha256(str(run_dir.resolve()).encode()).hexdigest()[:12]}_"


def end_leftovers(run_dir: Path) -> None:
    """End what a server of this folder left behind when it died: its stubs, and its shared memory.

    A stub whose server was killed often waits for ever, its watchdog for the lock that it holds. Call this
    whenever a server has ended; a server that still runs keeps its stubs. build_command calls it too.
    """
    prefix = _region_prefix(run_dir)
    processes = {pid: _command(pid) for pid in _process_ids()}
    commands = {pid: words for pid, words in processes.items() if any(prefix in word for word in words)}
    for pid, words in commands.items():
        if words[0].endswith("triton_python_backend_stub") and _parent(pid) not in commands:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
    if not any(words[0].endswith("tritonserver") for words in commands.values()):
        # Triton appends a UUID to the name and never reuses it.
        for path in Path("/dev/shm").glob(f"{prefix}*"):
            path.unlink(missing_ok=True)


def _process_ids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _command(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace").split("\0")
    except OSError:
        return []


def _parent(pid: int) -> int | None:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("PPid:")), None)


def has_dead_stub(pid: int) -> bool:
    """Say whether a model's process of this server has ended.

    Triton neither starts it again nor stops calling itself ready: its supervisor has to restart it.
    """
    return any(state.startswith("Z") for state, _ in _family(pid).values())


def read_resident_bytes(pid: int) -> Mapping[int, int]:
    """Return resident bytes by process id, for a server and its stubs; empty when it has ended."""
    return {member: size_bytes for member, (_, size_bytes) in _family(pid).items()}


def _family(pid: int) -> dict[int, tuple[str, int]]:
    """State and resident bytes of a process and its children."""
    command = ["ps", "-e", "-o", "pid=,ppid=,rss=,stat="]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listing.splitlines()]
    return {int(row[0]): (row[3], int(row[2]) * 1024) for row in rows if str(pid) in row[:2]}
