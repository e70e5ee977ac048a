"""The process table of the embedded stack: each part, what it waits for, how it starts and is found ready."""

from __future__ import annotations

import http.client
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gantry.embedded import redis
from gantry.embedded.environment import child_environment, hidden_parts
from gantry.embedded.ports import LOOPBACK, first_free_ports, is_port_free
from gantry.embedded.postgres import PORT, Cluster
from gantry.embedded.process import as_account
from gantry.embedded.state import REPOSITORY, EmbeddedError, StateFolder, make_own_folder, write_private
from gantry_inference import triton_server

DATABASE = "gantry"
FIRST_WEB_PORT = 8000
_FIRST_TRITON_PORT = 8100
MODEL_REPOSITORY = REPOSITORY / "inference" / "model_repository"
WEB_DIST = REPOSITORY / "platform" / "web" / "dist"
RENDER_MEMORY_BYTES = 1 << 30
"""What the render service may keep decoded; the whole stack should fit a laptop."""


@dataclass
class Stack:
    """What the parts of one running stack know of each other."""

    state: StateFolder
    commands: frozenset[str]
    """Subcommands of `gantry` that exist."""
    first_web_port: int = FIRST_WEB_PORT
    web_port: int = 0
    triton_ports: list[int] = field(default_factory=list)
    triton: triton_server.TritonInstallation | triton_server.Unavailable = field(init=False)
    cluster: Cluster = field(init=False)
    ready: set[str] = field(default_factory=set)
    fallbacks: dict[str, str] = field(default_factory=dict)
    """Part that could not run → why, and what is used instead."""

    def __post_init__(self) -> None:
        self.secrets = self.state.load_secrets()
        self.triton = locate_triton()
        self.cluster = Cluster(
            self.state.postgres,
            self.state.runtime / "pg",
            superuser_password=self.secrets.superuser_password,
            role_passwords=self.secrets.role_passwords,
        )

    @property
    def url(self) -> str:
        """Where the browser goes."""
        return f"http://{LOOPBACK}:{self.web_port}"

    def choose_web_port(self) -> None:
        """Take the first free port, and let commands of the user know."""
        self.web_port = first_free_ports(self.first_web_port)[0]
        self.write_settings()

    def settings(self) -> dict[str, str]:
        """Return the settings of the control plane's processes."""
        # The sequencer's password and key are in no environment but its own.
        passwords = [pair for pair in self.secrets.role_passwords.items() if pair[0] != "sequencer"]
        doorbell = redis.socket_path(self.state.runtime / "redis")
        return {
            "GANTRY_ENVIRONMENT": "embedded",
            "GANTRY_STATE_DIR": str(self.state.root),
            "GANTRY_SECRET_KEY": self.secrets.secret_key,
            "GANTRY_CONTEXT_KEY": self.secrets.context_key,
            "GANTRY_JOB_KEY": self.secrets.job_key,
            "GANTRY_DATABASE__HOST": str(self.cluster.socket_folder),
            "GANTRY_DATABASE__PORT": str(PORT),
            "GANTRY_DATABASE__NAME": DATABASE,
            **{f"GANTRY_DATABASE__{role.upper()}_PASSWORD": password for role, password in passwords},
            "GANTRY_REDIS__URL": "" if "Redis" in self.fallbacks else f"unix://{doorbell}",
            "GANTRY_INFERENCE__RUNTIME": "triton" if "triton" in self.ready else "onnxruntime",
            "GANTRY_INFERENCE__TRITON_URL": f"{LOOPBACK}:{self.triton_ports[0] if self.triton_ports else 0}",
            "GANTRY_INFERENCE__REPOSITORY": str(MODEL_REPOSITORY),
            "GANTRY_OBJECTS__KIND": "directory",
            "GANTRY_OBJECTS__DIRECTORY": str(self.state.objects),
            "GANTRY_KEYS__KIND": "directory",
            "GANTRY_KEYS__DIRECTORY": str(self.state.keys),
            "GANTRY_WEB__HOST": LOOPBACK,
            "GANTRY_WEB__PORT": str(self.web_port),
            "GANTRY_WEB__ORIGIN": self.url,
            "GANTRY_WEB__DIST": str(WEB_DIST),
            "GANTRY_RENDER__URL": "" if "Rendering" in self.fallbacks else f"unix:{self.render_socket}",
            "GANTRY_RENDER__POD_KEY": self.secrets.render_pod_key,
            "GANTRY_RENDER__TICKET_KEY": self.secrets.render_ticket_key,
            "GANTRY_INGEST__QUIET_S": "5",
            "GANTRY_TELEMETRY__EXPORTER": "none",
        }

    @property
    def render_socket(self) -> Path:
        """Where the render service listens; its folder is ours alone."""
        return self.state.runtime / "render" / "render.sock"

    def render_settings(self) -> dict[str, str]:
        """Return the settings of the render service: no database, no keys but its own."""
        key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(self.secrets.render_ticket_key))
        return {
            "GANTRY_RENDER__SOCKET": str(self.render_socket),
            "GANTRY_RENDER__CONTROL_URL": self.url,
            "GANTRY_RENDER__POD_KEY": self.secrets.render_pod_key,
            "GANTRY_RENDER__TICKET_PUBLIC_KEY": key.public_key().public_bytes_raw().hex(),
            "GANTRY_RENDER__ORIGINS": f"{self.url},http://localhost:{self.web_port}",
            "GANTRY_RENDER__MEMORY_BYTES": str(RENDER_MEMORY_BYTES),
            "GANTRY_OBJECTS__KIND": "directory",
            "GANTRY_OBJECTS__DIRECTORY": str(self.state.objects),
        }

    def sequencer_settings(self) -> dict[str, str]:
        """Return the settings of the sequencer: a database role and a signing key of its own."""
        return sequencer_settings(self.state)

    def write_settings(self) -> None:
        """Let commands of the user find this stack."""
        lines = [f"{key}={value}\n" for key, value in self.settings().items()]
        write_private(self.state.environment_file, "".join(lines))


def sequencer_settings(state: StateFolder) -> dict[str, str]:
    """Return the settings of the sequencer of a state folder."""
    secrets = state.load_secrets()
    return {
        "GANTRY_DATABASE__HOST": str(state.runtime / "pg"),
        "GANTRY_DATABASE__PORT": str(PORT),
        "GANTRY_DATABASE__NAME": DATABASE,
        "GANTRY_DATABASE__SEQUENCER_PASSWORD": secrets.role_passwords["sequencer"],
        "GANTRY_AUDIT__INSTALLATION": secrets.audit_installation,
        "GANTRY_AUDIT__CHECKPOINT_KEY": secrets.audit_checkpoint_key,
        "GANTRY_AUDIT__CHECKPOINTS": str(state.checkpoints),
    }


def locate_triton() -> triton_server.TritonInstallation | triton_server.Unavailable:
    """Find Triton, as if without libpython where that is hidden."""
    if "libpython" in hidden_parts():
        return triton_server.Unavailable("libpython is hidden by GANTRY_HIDE.")
    return triton_server.locate()


def _nothing(_stack: Stack) -> None:
    """Prepare or settle a part that needs neither."""


def _always(_stack: Stack) -> str:
    """Start a part whatever the machine."""
    return ""


Launch = tuple[list[str], Mapping[str, str] | None]
"""Command line, and the whole environment where it is not the control plane's."""


@dataclass(frozen=True)
class Part:
    """One process of the stack, or one step that has to succeed (``is_ready`` is None)."""

    name: str
    title: str
    launch: Callable[[Stack], Launch]
    after: tuple[str, ...] = ()
    is_ready: Callable[[Stack], bool] | None = None
    absent: Callable[[Stack], str] = _always
    """Why it is not started here; empty to start it."""
    prepare: Callable[[Stack], None] = _nothing
    """Before each start; may block."""
    settle: Callable[[Stack], None] = _nothing
    """After it was first ready; may block."""
    fallback: str = ""
    """What does its work where it cannot start; empty: the stack cannot do without it."""
    timeout_s: float = 60.0
    stop_signal: signal.Signals = signal.SIGTERM
    kill_signal: signal.Signals = signal.SIGKILL
    grace_s: float = 8.0


def _gantry(*words: str) -> Callable[[Stack], Launch]:
    def launch(stack: Stack) -> Launch:
        command = [sys.executable, "-m", "gantry.cli.main", *words]
        return as_account(command, None, parent_death="TERM"), child_environment(stack.settings())

    return launch


def _unless_there(*words: str) -> Callable[[Stack], str]:
    def absent(stack: Stack) -> str:
        return "" if words[0] in stack.commands else f"`gantry {' '.join(words)}` is not part of this version."

    return absent


def _prepare_postgres(stack: Stack) -> None:
    stack.cluster.clear_leftovers()
    stack.cluster.ensure_initialised()


def _prepare_triton(stack: Stack) -> None:
    if "triton" not in stack.ready:
        stack.triton_ports = first_free_ports(_FIRST_TRITON_PORT, 3)


def _launch_triton(stack: Stack) -> Launch:
    assert isinstance(stack.triton, triton_server.TritonInstallation)
    grpc_port, http_port, metrics_port = stack.triton_ports
    command, environment = triton_server.build_command(
        stack.triton,
        repository=MODEL_REPOSITORY,
        http_port=http_port,
        grpc_port=grpc_port,
        metrics_port=metrics_port,
        run_dir=stack.state.runtime / "triton",
    )
    return as_account(command, None, parent_death="TERM"), environment


def _is_answering(port: int, path: str, below: int) -> bool:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=5)
    try:
        connection.request("GET", path, headers={"User-Agent": "gantry-up"})
        return connection.getresponse().status < below
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _prepare_web(stack: Stack) -> None:
    # Chosen when the stack starts; somebody may have taken it since.
    if "web" not in stack.ready and not is_port_free(stack.web_port):
        stack.choose_web_port()
    stack.write_settings()


def _launch_web(stack: Stack) -> Launch:
    options = {
        "--host": LOOPBACK,
        "--port": str(stack.web_port),
        "--log-level": "warning",
        "--timeout-graceful-shutdown": "4",
        "--lifespan": "auto",
        # Pictures of the render stream are compressed already, and what a browser says is short.
        "--ws-per-message-deflate": "false",
        "--ws-max-size": str(128 * 1024),
    }
    words = [word for pair in options.items() for word in pair]
    command = [sys.executable, "-m", "uvicorn", "gantry.config.asgi:application", *words, "--no-access-log"]
    return as_account(command, None, parent_death="TERM"), child_environment(stack.settings())


def _prepare_render(stack: Stack) -> None:
    make_own_folder(stack.render_socket.parent, 0o700)
    stack.render_socket.unlink(missing_ok=True)


def _launch_render(stack: Stack) -> Launch:
    command = [sys.executable, "-m", "gantry_render.server"]
    return as_account(command, None, parent_death="TERM"), child_environment(stack.render_settings())


def _is_render_there(_stack: Stack) -> str:
    if "render" in hidden_parts():
        return "it is hidden by GANTRY_HIDE."
    found = (REPOSITORY / "rendering" / "gantry_render" / "server" / "__main__.py").is_file()
    return "" if found else "the render service is not part of this version."


def ask_render(socket_path: Path, path: str = "/readyz") -> bytes | None:
    """Return what the render service answers with status 200, or None."""
    connection = _UnixConnection(str(socket_path))
    try:
        connection.request("GET", path, headers={"User-Agent": "gantry-up"})
        answer = connection.getresponse()
        return answer.read(65536) if answer.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=2.0)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _launch_sequencer(stack: Stack) -> Launch:
    command = [sys.executable, "-m", "gantry.cli.main", "sequencer"]
    return as_account(command, None, parent_death="TERM"), child_environment(stack.sequencer_settings())


def _is_sequencer_there(stack: Stack) -> str:
    return "" if "sequencer" in stack.commands else "`gantry sequencer` is not part of this version."


def _has_sequencer_beaten(stack: Stack) -> bool:
    """Say whether the sequencer reported within the last seconds."""
    recent = "SELECT 1 FROM audit_sequencer WHERE beat_at > now() - interval '20 seconds'"
    try:
        with stack.cluster.connect(database=DATABASE) as connection:
            return connection.execute(recent).fetchone() is not None
    except psycopg.Error:
        return False


def _is_web_there(_stack: Stack) -> str:
    found = (Path(__file__).parents[1] / "config" / "asgi.py").is_file()
    return "" if found else "the web application is not part of this version."


def _has_worker_beaten(stack: Stack) -> bool:
    """Say whether a worker announced itself to the queue within the last seconds."""
    recent = "SELECT 1 FROM procrastinate_workers WHERE last_heartbeat > now() - interval '20 seconds'"
    try:
        with stack.cluster.connect(database=DATABASE) as connection:
            return connection.execute(recent).fetchone() is not None
    except psycopg.Error:
        return False


PARTS: tuple[Part, ...] = (
    Part(
        name="postgres",
        title="PostgreSQL",
        prepare=_prepare_postgres,
        launch=lambda stack: (stack.cluster.command(), None),
        is_ready=lambda stack: stack.cluster.is_ready(),
        settle=lambda stack: stack.cluster.ensure_roles_and_database(DATABASE),
        stop_signal=signal.SIGINT,
        kill_signal=signal.SIGQUIT,
        grace_s=20.0,
    ),
    Part(
        name="redis",
        title="Redis",
        prepare=lambda stack: make_own_folder(stack.state.runtime / "redis", 0o700),
        launch=lambda stack: (redis.command(stack.state.runtime / "redis"), None),
        is_ready=lambda stack: redis.is_ready(stack.state.runtime / "redis"),
        fallback="live news arrives within 3 seconds, from the database",
        timeout_s=15.0,
    ),
    Part(
        name="triton",
        title="Triton",
        absent=lambda stack: stack.triton.reason if isinstance(stack.triton, triton_server.Unavailable) else "",
        prepare=_prepare_triton,
        launch=_launch_triton,
        is_ready=lambda stack: _is_answering(stack.triton_ports[1], "/v2/health/ready", below=400),
        settle=lambda stack: stack.ready.add("triton"),
        fallback="ONNX Runtime inside the worker",
        timeout_s=90.0,
    ),
    Part(
        name="render",
        title="Rendering",
        # It lets in pages of the site's own address alone, and that is settled only when the site has its port.
        after=("web",),
        absent=_is_render_there,
        prepare=_prepare_render,
        launch=_launch_render,
        is_ready=lambda stack: ask_render(stack.render_socket) is not None,
        fallback="pictures by request, no MPR and 3D",
        timeout_s=90.0,
    ),
    Part(
        name="migrate",
        title="Migrations",
        after=("postgres",),
        absent=_unless_there("migrate"),
        launch=_gantry("migrate"),
        timeout_s=300.0,
    ),
    Part(
        name="demo",
        title="Demo tenants",
        after=("migrate",),
        absent=_unless_there("demo", "load"),
        launch=_gantry("demo", "load"),
        timeout_s=600.0,
    ),
    Part(
        name="sequencer",
        title="Sequencer",
        after=("migrate",),
        absent=_is_sequencer_there,
        launch=_launch_sequencer,
        is_ready=_has_sequencer_beaten,
    ),
    Part(
        name="worker",
        title="Worker",
        after=("migrate", "triton", "redis"),
        absent=_unless_there("worker"),
        launch=_gantry("worker"),
        is_ready=_has_worker_beaten,
    ),
    Part(
        name="web",
        title="Web",
        after=("migrate", "triton", "redis"),
        absent=_is_web_there,
        prepare=_prepare_web,
        launch=_launch_web,
        is_ready=lambda stack: _is_answering(stack.web_port, "/readyz", below=400),
        grace_s=10.0,
    ),
)


def choose_parts(names: Sequence[str]) -> tuple[Part, ...]:
    """Return the whole table, or the parts named.

    Raises
    ------
    EmbeddedError
        There is no part of that name.
    """
    known = {part.name: part for part in PARTS}
    if unknown := [name for name in names if name not in known]:
        raise EmbeddedError(f"There is no part {unknown[0]!r}; there are {', '.join(known)}.")
    return tuple(part for part in PARTS if not names or part.name in names)
