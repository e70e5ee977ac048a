"""Verbatim content beside an event: encrypted under a tenant's audit key of the month, vouched for by a salted hash.

What a person typed into a search is patient data and may not stand in the ledger. Its hash alone would give it
away to whoever guesses names, so the hash is taken over a random salt that lies encrypted with the content. The
keys are the vault's; with a month's key destroyed, that month's content is gone and the ledger still verifies.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID, uuid5

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gantry.vault.public import KeyStore, Secret, VaultCorruptError

MAX_SEALED_BYTES: Final = 64 * 1024
_MAGIC: Final = b"\x01"
_KEY_BYTES, _NONCE_BYTES, _SALT_BYTES = 32, 12, 32
_made: set[tuple[UUID, UUID]] = set()


@dataclass(frozen=True, slots=True)
class Sealed:
    """What an event's row keeps of its verbatim content."""

    box: bytes
    sha256: str
    key_id: UUID


def audit_key_id(tenant_id: UUID, moment: datetime) -> UUID:
    """Return the id of the key that seals a tenant's verbatim content in a month."""
    return uuid5(tenant_id, f"audit:{moment:%Y-%m}")


def seal(keys: KeyStore, content: bytes, *, tenant_id: UUID, event_id: UUID, moment: datetime) -> Sealed:
    """Encrypt content for one event; makes the month's key at first use."""
    if len(content) > MAX_SEALED_BYTES:
        content = content[:MAX_SEALED_BYTES]
    key_id = audit_key_id(tenant_id, moment)
    if (tenant_id, key_id) not in _made:
        keys.create_key(tenant_id, key_id)
        _made.add((tenant_id, key_id))
    data_key, nonce = os.urandom(_KEY_BYTES), os.urandom(_NONCE_BYTES)
    salted = os.urandom(_SALT_BYTES) + content
    wrapped = keys.wrap(tenant_id, key_id, Secret(data_key), object_id=event_id)
    head = _MAGIC + len(wrapped).to_bytes(2, "big")
    box = head + wrapped + nonce + AESGCM(data_key).encrypt(nonce, salted, _bound_to(tenant_id, event_id))
    return Sealed(box=box, sha256=hashlib.sha256(salted).hexdigest(), key_id=key_id)


def unseal(keys: KeyStore, box: bytes, *, tenant_id: UUID, event_id: UUID, key_id: UUID, sha256: str) -> bytes:
    """Return the content.

    Raises
    ------
    KeyDestroyedError
        Its month's key is gone.
    VaultCorruptError
        It is not this event's, or not what the ledger vouches for.
    """
    if box[:1] != _MAGIC:
        raise VaultCorruptError("Sealed content has not the form of it.")
    start = 3 + int.from_bytes(box[1:3], "big")
    data_key = keys.unwrap(tenant_id, key_id, box[3:start], object_id=event_id)
    nonce, sealed = box[start : start + _NONCE_BYTES], box[start + _NONCE_BYTES :]
    try:
        salted = AESGCM(data_key.reveal()).decrypt(nonce, sealed, _bound_to(tenant_id, event_id))
    except (InvalidTag, ValueError):
        raise VaultCorruptError("Sealed content does not open for this event.") from None
    if hashlib.sha256(salted).hexdigest() != sha256:
        raise VaultCorruptError("Sealed content is not what the ledger vouches for.")
    return salted[_SALT_BYTES:]


def _bound_to(tenant_id: UUID, event_id: UUID) -> bytes:
    return b"gantry audit\x00" + tenant_id.bytes + event_id.bytes
