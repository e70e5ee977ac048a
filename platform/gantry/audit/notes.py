"""Signed notes, checkpoints and cosignatures (C2SP signed-note, tlog-checkpoint, tlog-cosignature)."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ED25519: Final = 1
COSIGNATURE: Final = 4
_DASH: Final = "— "
_MAX_NOTE_BYTES: Final = 64 * 1024


class NoteError(ValueError):
    """A note has not the form of one, or its signature does not hold."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How large a log is and what its root hash is."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """Return the body that is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, note: str) -> Checkpoint:
        """Read the body of a note; no signature is checked."""
        lines = split_note(note)[0].split("\n")
        if len(lines) < 4 or not lines[0] or not lines[1].isascii() or not lines[1].isdigit():
            raise NoteError("the note is no checkpoint")
        root = _decode(lines[2])
        if len(root) != 32 or str(int(lines[1])) != lines[1]:
            raise NoteError("the note is no checkpoint")
        return cls(origin=lines[0], size=int(lines[1]), root=root)


def log_origin(installation: str, log: UUID) -> str:
    """Return the name of a log in an installation: its checkpoint's origin line, and the name of its key."""
    return f"{installation}/audit/{log}"


def key_id(name: str, public_key: bytes, kind: int = ED25519) -> bytes:
    """Return the four bytes by which a signature names its key."""
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public_key).digest()[:4]


def fingerprint(public_key: bytes) -> str:
    """Return what a reader pins: SHA-256 of the 32 bytes of the public key, in hexadecimal."""
    return hashlib.sha256(public_key).hexdigest()


def split_note(note: str) -> tuple[str, str]:
    """Return a note's body, with its last line end, and its signature lines."""
    if len(note) > _MAX_NOTE_BYTES:
        raise NoteError("the note is too long")
    body, separator, signatures = note.rpartition("\n\n")
    if not separator or not signatures.endswith("\n"):
        raise NoteError("the note has no signature")
    return body + "\n", signatures


@dataclass(frozen=True, slots=True)
class Signer:
    """The key that signs checkpoints; only the sequencer's process holds it."""

    key: Ed25519PrivateKey

    @property
    def public_key(self) -> bytes:
        """The 32 bytes of its public half."""
        return self.key.public_key().public_bytes_raw()

    def sign(self, text: str, *, name: str) -> str:
        """Return the note: the text, and its signature under a key name. The same text gives the same note."""
        if not text.endswith("\n") or any(ch < " " and ch != "\n" for ch in text):
            raise NoteError("the text of a note ends with a line end and holds no control characters")
        mark = key_id(name, self.public_key) + self.key.sign(text.encode())
        return f"{text}\n{_DASH}{name} {base64.b64encode(mark).decode()}\n"


def require_signature(note: str, *, name: str, public_key: bytes) -> str:
    """Return a note's body when the key signed it.

    Raises
    ------
    NoteError
        No line carries the key's valid signature.
    """
    body, signatures = split_note(note)
    for mark in _marks(signatures, name, key_id(name, public_key)):
        if len(mark) == 64 and _is_signed(public_key, mark, body.encode()):
            return body
    raise NoteError("the note does not carry a valid signature of this key")


def cosigned_at(note_body: str, signature_line: str, *, name: str, public_key: bytes) -> int | None:
    """Return when a witness cosigned a checkpoint, in seconds of POSIX, or None when it did not."""
    for mark in _marks(signature_line, name, key_id(name, public_key, COSIGNATURE)):
        if len(mark) != 72:
            continue
        moment = int.from_bytes(mark[:8], "big")
        if _is_signed(public_key, mark[8:], cosigned_message(note_body, moment)):
            return moment
    return None


def cosigned_message(note_body: str, moment: int) -> bytes:
    """Return what a witness signs (cosignature/v1)."""
    return f"cosignature/v1\ntime {moment}\n{note_body}".encode()


def parse_verifier_key(text: str) -> tuple[str, int, bytes]:
    """Read a verifier key `name+id+base64(kind, key)` (C2SP signed-note) and return name, kind and key."""
    name, _, rest = text.strip().partition("+")
    mark, _, encoded = rest.partition("+")
    raw = _decode(encoded)
    if not name or len(raw) != 33:
        raise NoteError("a verifier key is written name+id+base64")
    if key_id(name, raw[1:], raw[0]).hex() != mark:
        raise NoteError("a verifier key's id is not that of its key")
    return name, raw[0], raw[1:]


def format_verifier_key(name: str, public_key: bytes, kind: int = ED25519) -> str:
    """Return a public key as tools of the C2SP family read it."""
    return f"{name}+{key_id(name, public_key, kind).hex()}+{base64.b64encode(bytes([kind]) + public_key).decode()}"


def _marks(signatures: str, name: str, wanted: bytes) -> list[bytes]:
    marks = []
    for line in signatures.splitlines():
        if line.startswith(f"{_DASH}{name} "):
            raw = _decode(line[len(_DASH) + len(name) + 1 :])
            if raw[:4] == wanted:
                marks.append(raw[4:])
    return marks


def _is_signed(public_key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _decode(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if base64.b64encode(raw).decode() != text:
        raise NoteError("the note holds no base64 where it should")
    return raw
