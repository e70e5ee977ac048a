"""Sealed pieces of a backup: a database holds patients' names, so nothing of it lies in a target in the clear.

A piece is a sealed object (`gantry_storage.sealed`) with a data key of its own, wrapped under the backup key. Lists of
pieces are authenticated with a key derived from it, so that a piece cannot be left out or taken from another backup.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gantry.recovery.errors import RecoveryError
from gantry.vault.public import ObjectName, ObjectStore, SealedReader, SealedWriter, Secret, VaultError

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
#: Names the objects of backups, which belong to no tenant.
_OWNER: Final = UUID("00000000-0000-4000-8000-00000000ba0c")


@dataclass(frozen=True, slots=True)
class Piece:
    """One sealed object of a backup."""

    object_id: UUID
    wrapped_key: str
    size_bytes: int
    sha256: str

    def to_json(self) -> dict[str, Any]:
        return {
            "object": str(self.object_id),
            "key": self.wrapped_key,
            "bytes": self.size_bytes,
            "sha256": self.sha256,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Piece:
        return cls(UUID(data["object"]), data["key"], int(data["bytes"]), data["sha256"])


class BackupKey:
    """The key that opens a target's backups; it lies in the state folder and in the custody, never in a target."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise RecoveryError("The backup key is not 32 bytes in hexadecimal; it is not one of ours, or is damaged.")
        self._key = key
        self._cipher = AESGCM(key)

    @classmethod
    def read(cls, path: Path) -> BackupKey:
        """Read a key file.

        Raises
        ------
        RecoveryError
            There is none, or it holds something else.
        """
        try:
            return cls(bytes.fromhex(path.read_text(encoding="ascii").strip()))
        except FileNotFoundError:
            raise RecoveryError(
                f"There is no backup key at {path}. It lies in the custody folder as backup.key."
            ) from None
        except (ValueError, UnicodeDecodeError):
            raise RecoveryError(f"{path} does not hold a backup key.") from None

    @classmethod
    def ensure(cls, path: Path) -> BackupKey:
        """Read the key file, drawing a key where there is none."""
        if not path.exists():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(secrets.token_hex(KEY_BYTES) + "\n")
                file.flush()
                os.fsync(file.fileno())
        return cls.read(path)

    @property
    def fingerprint(self) -> str:
        """What tells this key from another; says nothing of it."""
        return hashlib.sha256(b"gantry backup key\x00" + self._key).hexdigest()[:16]

    def wrap(self, data_key: Secret, object_id: UUID) -> str:
        nonce = os.urandom(_NONCE_BYTES)
        return (nonce + self._cipher.encrypt(nonce, data_key.reveal(), object_id.bytes)).hex()

    def unwrap(self, wrapped: str, object_id: UUID) -> Secret:
        raw = bytes.fromhex(wrapped)
        try:
            return Secret(self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], object_id.bytes))
        except InvalidTag:
            raise RecoveryError("A piece of the backup does not open with this backup key.") from None

    def sign(self, body: dict[str, Any]) -> str:
        """Return a document with the proof that whoever wrote it held this key."""
        text = json.dumps(body, sort_keys=True)
        document = {"body": body, "key": self.fingerprint, "hmac": self._mac(text)}
        return json.dumps(document, indent=1) + "\n"

    def verify(self, text: str, what: str) -> dict[str, Any]:
        """Return a document's body.

        Raises
        ------
        RecoveryError
            It was written with another key, or changed since.
        """
        try:
            document = json.loads(text)
            body, fingerprint, mac = document["body"], document["key"], document["hmac"]
        except (ValueError, KeyError, TypeError):
            raise RecoveryError(f"{what} is cut short or damaged; this backup cannot be used.") from None
        if fingerprint != self.fingerprint:
            raise RecoveryError(
                f"{what} was written with another backup key. Give the custody folder that belongs to it."
            )
        if not hmac.compare_digest(mac, self._mac(json.dumps(body, sort_keys=True))):
            raise RecoveryError(f"{what} was changed since it was written; this backup cannot be used.")
        return dict(body)

    def _mac(self, text: str) -> str:
        key = hashlib.sha256(b"gantry backup list\x00" + self._key).digest()
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


class PieceStore:
    """Sealed pieces in an object store."""

    def __init__(self, store: ObjectStore, key: BackupKey) -> None:
        self._store = store
        self._key = key

    def writer(self) -> SealedWriter:
        """Begin a piece."""
        return SealedWriter(self._store, _OWNER, uuid4())

    def commit(self, writer: SealedWriter) -> Piece:
        """Make a piece durable, and return what a list keeps of it."""
        sealed = writer.commit()
        wrapped = self._key.wrap(sealed.data_key, sealed.object_id)
        return Piece(sealed.object_id, wrapped, sealed.size_bytes, sealed.sha256)

    def put(self, data: bytes) -> Piece:
        """Write a small piece whole."""
        with self.writer() as writer:
            writer.write(data)
            return self.commit(writer)

    def chunks(self, piece: Piece, what: str) -> Iterator[bytes]:
        """Yield a piece's bytes, each chunk verified before it is yielded, and the whole by its digest at the end.

        Raises
        ------
        RecoveryError
            It is not there, cut short, or was changed.
        """
        digest = hashlib.sha256()
        try:
            data_key = self._key.unwrap(piece.wrapped_key, piece.object_id)
            with SealedReader(self._store, ObjectName(_OWNER, piece.object_id), data_key, piece.size_bytes) as reader:
                for chunk in reader.iter_chunks():
                    digest.update(chunk)
                    yield chunk
        except VaultError:
            raise RecoveryError(f"{what} is missing, cut short or was changed; this backup cannot be used.") from None
        if digest.hexdigest() != piece.sha256:
            raise RecoveryError(f"{what} is not what its list says; this backup cannot be used.")

    def read(self, piece: Piece, what: str) -> bytes:
        """Return a small piece whole."""
        return b"".join(self.chunks(piece, what))

    def discard(self, piece: Piece) -> None:
        """Delete a piece."""
        self._store.delete(ObjectName(_OWNER, piece.object_id))
