"""Who may open a session, by ticket; allow and deny from one arrangement."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gantry_render.protocol import CloseCode, TicketClaims, join_ticket, split_ticket
from gantry_render.server.errors import SessionError
from gantry_render.server.tickets import check_ticket, sign_ticket

NOW_S = 1_700_000_000
SERIES = uuid4()
RAW = serialization.Encoding.Raw


def new_key() -> tuple[bytes, bytes]:
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(RAW, serialization.PrivateFormat.Raw, serialization.NoEncryption())
    return private, key.public_key().public_bytes(RAW, serialization.PublicFormat.Raw)


PRIVATE, PUBLIC = new_key()


def ticket(expires_at: int = NOW_S + 30, series: UUID = SERIES, private: bytes = PRIVATE) -> str:
    return sign_ticket(TicketClaims(uuid4(), uuid4(), uuid4(), series, expires_at), private)


def with_other_claims(text: str) -> str:
    claims, _ = split_ticket(ticket(NOW_S + 59))
    return join_ticket(claims, split_ticket(text)[1])


def test_claims_are_returned_when_ticket_is_ours() -> None:
    assert check_ticket(ticket(), PUBLIC, str(SERIES), NOW_S).series_id == SERIES


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (ticket(private=new_key()[0]), "ticket.forged"),
        (with_other_claims(ticket()), "ticket.forged"),
        (ticket()[:-4], "ticket.forged"),
        ("", "ticket.forged"),
        ("a.b.c", "ticket.forged"),
        ("ü.ü", "ticket.forged"),
        (ticket(NOW_S - 10), "ticket.expired"),
        (ticket(NOW_S + 3600), "ticket.expired"),
        (ticket(series=uuid4()), "ticket.other_series"),
    ],
)
def test_ticket_is_refused_when_it_is_not_for_now_and_here(text: str, code: str) -> None:
    with pytest.raises(SessionError) as refused:
        check_ticket(text, PUBLIC, str(SERIES), NOW_S)
    assert refused.value.code == code
    assert refused.value.close is CloseCode.TICKET_REFUSED
