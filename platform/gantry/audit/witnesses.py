"""Witnesses: others who see that a log only grows, and say so with a time (C2SP tlog-witness, cosignature/v1)."""

from __future__ import annotations

import base64
import ipaddress
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from gantry.audit.checkpoints import Connection, LogName, open_tree
from gantry.audit.notes import COSIGNATURE, Checkpoint, NoteError, cosigned_at, parse_verifier_key, split_note

_TIMEOUT_S: Final = 10.0
_MAX_ANSWER_BYTES: Final = 16 * 1024


class WitnessError(RuntimeError):
    """The witness did not cosign."""


class _StaleError(WitnessError):
    """The witness knows another size; `size` is that."""

    def __init__(self, size: int) -> None:
        super().__init__(f"it knows {size} events")
        self.size = size


@dataclass(frozen=True, slots=True)
class Witness:
    """Somebody who cosigns.

    Parameters
    ----------
    url
        Submission prefix, `https://…` (or `http://` on this machine); or `exec:/path`, a program that is given the
        body of `add-checkpoint` and prints the signature lines.
    """

    name: str
    public_key: bytes
    url: str

    @classmethod
    def parse(cls, text: str) -> Witness:
        """Read `VERIFIER-KEY URL`."""
        key, _, url = text.strip().partition(" ")
        name, kind, public_key = parse_verifier_key(key)
        if kind != COSIGNATURE:
            raise NoteError("the key of a witness is of type 0x04 (cosignature/v1)")
        parts = urlsplit(url.strip())
        is_local = parts.scheme == "http" and _is_loopback(parts.hostname or "")
        if not (parts.scheme == "https" or is_local or (parts.scheme == "exec" and parts.path.startswith("/"))):
            raise NoteError("a witness is asked at https://…, or exec:/… for a program")
        return cls(name=name, public_key=public_key, url=url.strip().rstrip("/"))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def ask_witness(connection: Connection, witness: Witness, name: LogName, note: str) -> None:
    """Have a checkpoint cosigned, and keep the cosignature beside it.

    Raises
    ------
    WitnessError
        It does not answer, or what it answers is no cosignature of its own over this checkpoint.
    """
    checkpoint, body = Checkpoint.parse(note), split_note(note)[0]
    row = connection.execute(
        "select size from audit_cosignature where log_id = %s and witness = %s order by size desc limit 1",
        [name.log, witness.name],
    ).fetchone()
    old = row[0] if row else 0
    tree = open_tree(connection, name.log, checkpoint.size)
    try:
        answer = _ask(witness, old, tree.prove_consistency(old, checkpoint.size), note)
    except _StaleError as stale:
        if stale.size > checkpoint.size:
            raise
        answer = _ask(witness, stale.size, tree.prove_consistency(stale.size, checkpoint.size), note)
    for line in answer.splitlines(keepends=True):
        if cosigned_at(body, line, name=witness.name, public_key=witness.public_key) is not None:
            connection.execute(
                "insert into audit_cosignature (log_id, size, witness, line) values (%s, %s, %s, %s) "
                "on conflict do nothing",
                [name.log, checkpoint.size, witness.name, line if line.endswith("\n") else line + "\n"],
            )
            return
    raise WitnessError("its answer holds no cosignature of its own over this checkpoint")


def _ask(witness: Witness, old: int, proof: Sequence[bytes], note: str) -> str:
    lines = [f"old {old}", *(base64.b64encode(step).decode() for step in proof), "", note]
    body = "\n".join(lines).encode()
    if witness.url.startswith("exec:"):
        return _run(witness.url.removeprefix("exec:"), body)
    import httpx  # only where there are witnesses

    try:
        with (
            httpx.Client(timeout=_TIMEOUT_S, follow_redirects=False, trust_env=False) as client,
            client.stream("POST", f"{witness.url}/add-checkpoint", content=body) as response,
        ):
            text = b""
            for chunk in response.iter_bytes():
                text += chunk
                if len(text) > _MAX_ANSWER_BYTES:
                    raise WitnessError("its answer is too long")
    except httpx.HTTPError as error:
        raise WitnessError(f"it does not answer ({type(error).__name__})") from error
    words = text.decode("utf-8", "replace")
    if response.status_code == httpx.codes.CONFLICT and words.strip().isascii() and words.strip().isdigit():
        raise _StaleError(int(words.strip()[:19]))
    if response.status_code != httpx.codes.OK:
        raise WitnessError(f"it answers {response.status_code}")
    return words


def _run(program: str, body: bytes) -> str:
    try:
        done = subprocess.run([program], input=body, capture_output=True, timeout=_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise WitnessError(f"its program does not run ({type(error).__name__})") from error
    if done.returncode != 0 or len(done.stdout) > _MAX_ANSWER_BYTES:
        raise WitnessError(f"its program ended with status {done.returncode}")
    return done.stdout.decode("utf-8", "replace")
