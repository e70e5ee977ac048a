"""Tickets: signed here, checked here again when a render pod redeems one. The wire form is the protocol's."""

from __future__ import annotations

import functools

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings

from gantry.viewing.errors import RenderUnavailableError, TicketRefusedError
from gantry_render.protocol import (
    ProtocolError,
    TicketClaims,
    join_ticket,
    read_claims,
    split_ticket,
    write_claims,
)


def sign_ticket(claims: TicketClaims) -> str:
    """Return a ticket for claims.

    Raises
    ------
    RenderUnavailableError
        No key is configured.
    """
    signed = write_claims(claims)
    return join_ticket(signed, _key(settings.RENDER_TICKET_KEY).sign(signed))


def open_ticket(ticket: str) -> TicketClaims:
    """Return what a ticket of ours says; whether it is spent or late is not asked here.

    Raises
    ------
    TicketRefusedError
        `ticket.malformed`, `ticket.forged`.
    RenderUnavailableError
        No key is configured.
    """
    key = _key(settings.RENDER_TICKET_KEY).public_key()
    try:
        signed, signature = split_ticket(ticket)
        key.verify(signature, signed)
        return read_claims(signed)
    except ProtocolError as error:
        raise TicketRefusedError(error.code, error.sentence) from None
    except InvalidSignature:
        raise TicketRefusedError("ticket.forged", "This ticket was not issued here.") from None


@functools.lru_cache(maxsize=4)
def _key(raw: bytes) -> Ed25519PrivateKey:
    if not raw:
        raise RenderUnavailableError
    return Ed25519PrivateKey.from_private_bytes(raw)
