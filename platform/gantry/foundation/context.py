"""The signed tenant context (ADR 0003): who this transaction acts for, proven to the database."""

from __future__ import annotations

import hashlib
import hmac
import time
from uuid import UUID

import psycopg
from django.db.backends.base.base import BaseDatabaseWrapper

#: Seconds between signing and the start of the transaction that a context is good for.
CONTEXT_LIFETIME_S = 30

_BLOCK = 64


def hmac_pads(key: bytes) -> tuple[bytes, bytes]:
    """Return the inner and outer padded key of HMAC-SHA-256 (RFC 2104), 64 bytes each."""
    if len(key) > _BLOCK:
        key = hashlib.sha256(key).digest()
    padded = key.ljust(_BLOCK, b"\0")
    return bytes(byte ^ 0x36 for byte in padded), bytes(byte ^ 0x5C for byte in padded)


def sign_context(key: bytes, *, tenant_id: UUID, actor_id: UUID, backend_pid: int, expires_at: int) -> str:
    """Return the context text `tenant|actor|pid|expiry|mac` that `gantry.current_tenant()` accepts."""
    message = f"{tenant_id}|{actor_id}|{backend_pid}|{expires_at}"
    mac = hmac.new(key, message.encode(), hashlib.sha256).hexdigest()
    return f"{message}|{mac}"


def enter_context(connection: BaseDatabaseWrapper, key: bytes, *, tenant_id: UUID, actor_id: UUID) -> None:
    """Set the signed context for the transaction in progress on `connection`.

    The context travels as a bound parameter of the extended protocol, so it appears in no
    statement text, log or `pg_stat_activity`.
    """
    raw = connection.connection
    text = sign_context(
        key,
        tenant_id=tenant_id,
        actor_id=actor_id,
        backend_pid=raw.info.backend_pid,
        expires_at=int(time.time()) + CONTEXT_LIFETIME_S,
    )
    with connection.wrap_database_errors, psycopg.Cursor(raw) as cursor:
        cursor.execute("select set_config('gantry.context', %s, true)", [text], prepare=True)
