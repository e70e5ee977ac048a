"""The database's part of a backup: a base backup taken online, and the write-ahead log as it grows."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, cast

import psycopg

from gantry.embedded.environment import child_environment
from gantry.embedded.postgres import MAJOR, Cluster, binaries
from gantry.recovery.errors import RecoveryError
from gantry.recovery.sealing import Piece, PieceStore

SLOT: Final = "gantry_backup"
APPLICATION: Final = "gantry-backup"
SEGMENT_BYTES: Final = 16 * 1024 * 1024
_CHUNK_BYTES: Final = 1024 * 1024
#: Where compressed bytes are as good as it gets without slowing the disk down.
_LEVEL: Final = 1

Say = Callable[[str, int], None]
"""Told what is being done, and how many bytes of it are."""


def _client_environment(connection: Mapping[str, Any]) -> dict[str, str]:
    # The password is in the child's environment, which its owner alone can read, and in no argument.
    return child_environment(
        {
            "PGHOST": str(connection["host"]),
            "PGPORT": str(connection["port"]),
            "PGUSER": str(connection["user"]),
            "PGPASSWORD": str(connection["password"]),
            "PGAPPNAME": APPLICATION,
            "LC_ALL": "C",
        }
    )


def identify(connection: Mapping[str, Any]) -> tuple[str, str]:
    """Return the cluster's system identifier and the segment of the log it writes now.

    Raises
    ------
    RecoveryError
        The database does not answer.
    """
    try:
        with psycopg.connect(**connection, autocommit=True, connect_timeout=5) as link:
            row = link.execute(
                "select (select system_identifier::text from pg_control_system()), pg_walfile_name(pg_current_wal_lsn())"
            ).fetchone()
    except psycopg.OperationalError:
        raise RecoveryError("The database does not answer. Start the stack (`gantry up`), then back it up.") from None
    assert row is not None
    return str(row[0]), str(row[1])


def take_base_backup(connection: Mapping[str, Any], store: PieceStore, say: Say) -> Piece:
    """Copy the running cluster into one sealed piece, with the log that makes it whole.

    It streams: neither a file nor more than a few MiB of memory is needed, however large the database is.

    Raises
    ------
    RecoveryError
        PostgreSQL did not give the whole backup; nothing of it is kept.
    """
    command = [
        str(binaries() / "pg_basebackup"), "--pgdata=-", "--format=tar", "--wal-method=fetch", "--checkpoint=fast",
        "--no-password", "--label=gantry",
    ]  # fmt: skip
    with (
        store.writer() as writer,
        subprocess.Popen(
            command, env=_client_environment(connection), stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/"
        ) as process,
    ):
        errors = _drain(process)
        assert process.stdout is not None
        squeeze = zlib.compressobj(_LEVEL, zlib.DEFLATED, 31)
        done = 0
        while chunk := process.stdout.read(_CHUNK_BYTES):
            writer.write(squeeze.compress(chunk))
            done += len(chunk)
            say("database", done)
        if process.wait():
            raise RecoveryError(f"PostgreSQL did not give a base backup: {_last_line(errors())}")
        writer.write(squeeze.flush())
        return store.commit(writer)


def _drain(process: subprocess.Popen[bytes]) -> Callable[[], bytes]:
    """Read a process's errors beside its output, so that neither waits for the other."""
    assert process.stderr is not None
    stream, kept = process.stderr, io.BytesIO()
    thread = threading.Thread(target=lambda: kept.write(stream.read()), daemon=True)
    thread.start()

    def errors() -> bytes:
        thread.join()
        return kept.getvalue()

    return errors


def _last_line(errors: bytes) -> str:
    lines = errors.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


class WalReceiver:
    """`pg_receivewal`: the write-ahead log, written to a private folder as PostgreSQL writes it."""

    def __init__(self, connection: Mapping[str, Any], spool: Path) -> None:
        self._connection = connection
        self.spool = spool
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin, at the slot's place; the slot keeps what was not taken yet."""
        self.spool.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.spool.chmod(0o700)
        base = [str(binaries() / "pg_receivewal"), f"--directory={self.spool}", f"--slot={SLOT}", "--no-password"]
        environment = _client_environment(self._connection)
        made = subprocess.run(
            [*base, "--create-slot", "--if-not-exists"], env=environment, capture_output=True, check=False, cwd="/"
        )
        if made.returncode:
            raise RecoveryError(f"The log of the database cannot be followed: {_last_line(made.stderr)}")
        log = (self.spool / ".receiver.log").open("wb")
        with log:
            self._process = subprocess.Popen(
                [*base, "--synchronous", "--status-interval=5", "--no-loop"],
                env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
            )  # fmt: skip

    @property
    def is_running(self) -> bool:
        """Tell whether it still receives."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """End it; what it received stays in the spool."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def complete_segments(self) -> list[Path]:
        """Return the segments that are written to their end, oldest first, and timeline histories."""
        names = [path for path in self.spool.iterdir() if not path.name.startswith(".")]
        return sorted(path for path in names if path.suffix in {"", ".history"})

    def partial_segment(self) -> Path | None:
        """Return the segment that is being written."""
        return max(self.spool.glob("*.partial"), default=None)


def seal_segment(path: Path, store: PieceStore) -> Piece:
    """Seal one segment of the log, compressed: what PostgreSQL has not written of it yet is zeros."""
    squeeze = zlib.compressobj(_LEVEL, zlib.DEFLATED, 31)
    with store.writer() as writer, path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            writer.write(squeeze.compress(chunk))
        writer.write(squeeze.flush())
        return store.commit(writer)


class _Unsealed(io.RawIOBase):
    """The plain bytes of a compressed piece, as a stream."""

    def __init__(self, chunks: Iterator[bytes], what: str) -> None:
        super().__init__()
        self._chunks = chunks
        self._what = what
        self._inflate = zlib.decompressobj(31)
        self._held = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # of what io hands over
        while not self._held:
            if self._inflate.unconsumed_tail:
                data = self._inflate.unconsumed_tail
            else:
                chunk = next(self._chunks, None)
                if chunk is None:
                    if not self._inflate.eof:
                        raise RecoveryError(f"{self._what} ends before its end; this backup cannot be used.")
                    return 0
                data = chunk
            self._held = self._inflate.decompress(data, _CHUNK_BYTES)
        taken = self._held[: len(buffer)]
        self._held = self._held[len(taken) :]
        buffer[: len(taken)] = taken
        return len(taken)


@contextmanager
def _plain(store: PieceStore, piece: Piece, what: str) -> Iterator[IO[bytes]]:
    raw = _Unsealed(store.chunks(piece, what), what)
    yield cast("IO[bytes]", io.BufferedReader(raw, _CHUNK_BYTES))
    while raw.read(_CHUNK_BYTES):
        pass  # to the end, where the digest of the whole is compared


def unpack_base(store: PieceStore, piece: Piece, cluster: Cluster, say: Say) -> None:
    """Lay a base backup out as a cluster's data folder.

    Raises
    ------
    RecoveryError
        It is damaged. What was laid out is for the caller to remove.
    """
    data = cluster.data
    data.mkdir(mode=0o700, parents=True)
    done = 0
    try:
        with _plain(store, piece, "The base backup") as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                if member.name.startswith("pg_tblspc/") or not (member.isreg() or member.isdir()):
                    raise RecoveryError("The base backup holds a link or a tablespace; we make none.")
                archive.extract(member, data, set_attrs=False, filter="data")
                done += member.size
                say("database", done)
    except (tarfile.TarError, zlib.error, EOFError):
        raise RecoveryError("The base backup is damaged; this backup cannot be used.") from None
    if not (data / "PG_VERSION").is_file() or (data / "PG_VERSION").read_text().strip() != str(MAJOR):
        raise RecoveryError(f"The base backup is not of PostgreSQL {MAJOR}.")


def unpack_segments(
    store: PieceStore, segments: Iterator[tuple[str, Piece]], cluster: Cluster, say: Say
) -> tuple[int, str]:
    """Lay the log out for recovery; returns how many segments there were, and the last one's name."""
    count, last = 0, ""
    folder = cluster.data / "pg_wal"
    for name, piece in segments:
        path = folder / name.removesuffix(".partial")
        if name.endswith(".partial") and path.exists():
            continue  # it was completed since
        with _plain(store, piece, f"The log segment {name}") as stream, path.open("wb") as file:
            while chunk := stream.read(_CHUNK_BYTES):
                file.write(chunk)
        count, last = count + 1, name
        say("log", count * SEGMENT_BYTES)
    return count, last


def prepare_recovery(cluster: Cluster, until: str = "") -> None:
    """Tell the cluster to read the log laid out for it to its end, or to a moment, and then to open for writing."""
    lines = ["restore_command = 'false'", "recovery_target_timeline = 'latest'"]
    if until:
        lines += [f"recovery_target_time = '{until}'", "recovery_target_action = 'promote'"]
    with (cluster.data / "postgresql.auto.conf").open("a", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    (cluster.data / "recovery.signal").touch(mode=0o600)
    for path in (cluster.data, *cluster.data.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
        if cluster.account is not None:
            os.chown(path, cluster.account.uid, cluster.account.gid)
