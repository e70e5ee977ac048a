"""The state folder: what the embedded stack keeps between starts, and who holds it now."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ROLES = ("owner", "app", "identity", "sequencer", "auditor")
REPOSITORY = Path(__file__).resolve().parents[3]
DEFAULT_STATE = REPOSITORY / ".gantry"


class EmbeddedError(Exception):
    """The embedded stack cannot go on; the message tells the user what to do about it."""


class AlreadyRunningError(EmbeddedError):
    """Another supervisor holds the state folder."""


@dataclass(frozen=True)
class Secrets:
    """Random once, then kept: passwords of the database roles and the keys of the control plane."""

    superuser_password: str
    role_passwords: Mapping[str, str]
    secret_key: str
    context_key: str
    job_key: str
    render_pod_key: str
    """What the render pod shows when it asks the control plane."""
    render_ticket_key: str
    """Ed25519 private key that tickets are signed with, in hexadecimal."""
    audit_checkpoint_key: str
    """Ed25519 private key that the sequencer signs checkpoints with, in hexadecimal."""
    audit_installation: str
    """First part of the name of every audit log: no secret, but it goes where the key goes."""

    @classmethod
    def draw(cls) -> Secrets:
        """Draw new ones."""
        return cls(
            superuser_password=secrets.token_urlsafe(24),
            role_passwords={role: secrets.token_urlsafe(24) for role in ROLES},
            secret_key=secrets.token_urlsafe(48),
            context_key=secrets.token_hex(32),
            job_key=secrets.token_hex(32),
            render_pod_key=secrets.token_hex(32),
            render_ticket_key=secrets.token_hex(32),
            audit_checkpoint_key=secrets.token_hex(32),
            audit_installation="gantry.embedded",
        )


@dataclass(frozen=True)
class StateFolder:
    """Where everything lies under one state folder.

    Sockets lie elsewhere: their paths are limited to 107 bytes and the state folder's is not.
    """

    root: Path

    @property
    def postgres(self) -> Path:
        """Home of the database cluster."""
        return self.root / "postgres"

    @property
    def logs(self) -> Path:
        """One log per process."""
        return self.root / "logs"

    def log_of(self, name: str) -> str:
        """Return where a process writes, as short as it can be said from here."""
        path = self.logs / f"{name}.log"
        here = Path.cwd()
        return str(path.relative_to(here) if path.is_relative_to(here) and here != Path("/") else path)

    @property
    def objects(self) -> Path:
        """The directory object store."""
        return self.root / "objects"

    @property
    def keys(self) -> Path:
        """The key directory."""
        return self.root / "keys"

    @property
    def checkpoints(self) -> Path:
        """Where the sequencer copies its checkpoints to."""
        return self.root / "checkpoints"

    @property
    def environment_file(self) -> Path:
        """What a command of the user needs to reach the running stack."""
        return self.root / "embedded.env"

    @property
    def record_file(self) -> Path:
        """Who runs here: see :class:`gantry.embedded.record.StackRecord`."""
        return self.root / "stack.json"

    @property
    def runtime(self) -> Path:
        """A short folder for sockets, the same at every start."""
        name = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:12]
        return Path("/tmp") / f"gantry-{os.getuid()}-{name}"

    def prepare(self) -> None:
        """Create the folders, readable by their owner alone.

        Raises
        ------
        EmbeddedError
            The folder belongs to somebody else.
        """
        # PostgreSQL refuses to run as root; the account that runs it instead has to pass through.
        passage = 0o711 if os.getuid() == 0 else 0o700
        for folder, mode in (
            (self.root, passage),
            (self.logs, 0o700),
            (self.objects, 0o700),
            (self.keys, 0o700),
            (self.checkpoints, 0o700),
            (self.runtime, passage),
        ):
            make_own_folder(folder, mode)

    def load_secrets(self) -> Secrets:
        """Return the kept secrets, drawing what there is none of yet: all at the first start, later what is new."""
        path = self.root / "secrets.json"
        kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        found = {**vars(Secrets.draw()), **kept}
        if found != kept:
            write_private(path, json.dumps(found, indent=2) + "\n")
        return Secrets(**found)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the folder for one supervisor; the kernel lets go when the process ends, however it ends.

        Raises
        ------
        AlreadyRunningError
            Somebody holds it.
        """
        descriptor = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise AlreadyRunningError(f"Gantry is already running from {self.root}.") from error
        try:
            yield
        finally:
            os.close(descriptor)

    def is_held(self) -> bool:
        """Say whether a supervisor runs here."""
        try:
            with self.hold():
                return False
        except AlreadyRunningError:
            return True
        except FileNotFoundError:
            return False


def make_own_folder(path: Path, mode: int) -> None:
    """Create ``path`` with ``mode``, or take it over if it is already ours.

    A folder under a world-writable parent may have been laid there by somebody else, as itself or as a link.

    Raises
    ------
    EmbeddedError
        It is a link, no folder, or not ours.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise EmbeddedError(f"{path} is not a folder. Remove it, then start again.")
    if found.st_uid != os.getuid() and os.getuid() != 0:
        raise EmbeddedError(f"{path} belongs to another user. Start Gantry as that user, or remove the folder first.")
    if os.getuid() == 0 and found.st_uid != 0 and path.parent == Path("/tmp"):
        raise EmbeddedError(f"{path} was laid there by another user. Remove it, then start again.")
    if stat.S_IMODE(found.st_mode) != mode:
        path.chmod(mode)


def write_private(path: Path, text: str) -> None:
    """Replace ``path`` whole, readable by its owner alone."""
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
