"""The first thing that is looked at: whether our control plane signed this, for this series, and not long ago."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gantry_render.protocol import (
    TICKET_LIVES_S,
    CloseCode,
    ProtocolError,
    TicketClaims,
    join_ticket,
    read_claims,
    split_ticket,
    write_claims,
)
from gantry_render.server.errors import SessionError

# Clocks of a site's machines differ by this much at most.
_CLOCK_SKEW_S = 5


def check_ticket(ticket: str, public_key: bytes, series_id: str, now_s: float) -> TicketClaims:
    """Return what a ticket says, its signature, time and series checked; nothing of it is believed before.

    Parameters
    ----------
    series_id
        The series of the socket's address.
    now_s
        Seconds since 1970.

    Raises
    ------
    SessionError
        `ticket.forged`, `ticket.expired`, `ticket.other_series`.
    """
    try:
        signed, signature = split_ticket(ticket)
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, signed)
        claims = read_claims(signed)
    except (ProtocolError, InvalidSignature, ValueError):
        raise SessionError(CloseCode.TICKET_REFUSED, "ticket.forged", "This ticket is not one of ours.") from None
    if not now_s - _CLOCK_SKEW_S <= claims.expires_at <= now_s + TICKET_LIVES_S + _CLOCK_SKEW_S:
        raise SessionError(CloseCode.TICKET_REFUSED, "ticket.expired", "This ticket has expired.", 0)
    if str(claims.series_id) != series_id:
        raise SessionError(CloseCode.TICKET_REFUSED, "ticket.other_series", "This ticket is for another series.")
    return claims


def sign_ticket(claims: TicketClaims, private_key: bytes) -> str:
    """Return a ticket as the control plane writes it; `private_key` is Ed25519, 32 bytes."""
    signed = write_claims(claims)
    return join_ticket(signed, Ed25519PrivateKey.from_private_bytes(private_key).sign(signed))
