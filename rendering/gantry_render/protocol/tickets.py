"""Tickets: the control plane signs, a pod checks, the control plane redeems once."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from uuid import UUID

from gantry_render.protocol.messages import VERSION, ProtocolError


@dataclass(frozen=True, slots=True)
class TicketClaims:
    """What a ticket says; `expires_at` is in seconds since 1970, `trace` the W3C traceparent of whoever asked for it."""

    ticket_id: UUID
    session_id: UUID
    tenant_id: UUID
    series_id: UUID
    expires_at: int
    trace: str = ""


def write_claims(claims: TicketClaims) -> bytes:
    """Return the bytes that are signed."""
    return json.dumps(
        {
            "v": VERSION,
            "jti": str(claims.ticket_id),
            "sid": str(claims.session_id),
            "tenant": str(claims.tenant_id),
            "series": str(claims.series_id),
            "exp": claims.expires_at,
            **({"trace": claims.trace} if claims.trace else {}),
        },
        separators=(",", ":"),
    ).encode()


def join_ticket(claims: bytes, signature: bytes) -> str:
    """Return a ticket as text: claims and Ed25519 signature, both base64url, joined by a dot."""
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (claims, signature))


def split_ticket(ticket: str) -> tuple[bytes, bytes]:
    """Return the signed bytes and the signature, nothing checked yet.

    Raises
    ------
    ProtocolError
        `ticket.malformed`.
    """
    try:
        claims, signature = (base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in ticket.split("."))
    except ValueError:
        raise ProtocolError("ticket.malformed", "This is no ticket.") from None
    return claims, signature


def read_claims(claims: bytes) -> TicketClaims:
    """Read signed bytes whose signature was checked.

    Raises
    ------
    ProtocolError
        `ticket.malformed`.
    """
    try:
        raw = json.loads(claims)
        if raw["v"] != VERSION:
            raise ValueError
        return TicketClaims(
            UUID(raw["jti"]),
            UUID(raw["sid"]),
            UUID(raw["tenant"]),
            UUID(raw["series"]),
            int(raw["exp"]),
            str(raw.get("trace", "")),
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ProtocolError("ticket.malformed", "This is no ticket.") from None
