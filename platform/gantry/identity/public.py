"""What other parts may use of identity."""

from gantry.identity.addresses import client_address, peer_address
from gantry.identity.confirmation import confirm_identity
from gantry.identity.errors import NotConfirmedError, SignInLockedError
from gantry.identity.models import User
from gantry.identity.services import (
    create_person,
    end_all_sessions,
    find_or_invite,
    find_person,
    give_password,
    set_password,
)
from gantry.identity.sessions import SessionInfo, end_idle_sessions, is_session_alive, resolve_session, session_digest

__all__ = [
    "NotConfirmedError",
    "SessionInfo",
    "SignInLockedError",
    "User",
    "client_address",
    "confirm_identity",
    "create_person",
    "end_all_sessions",
    "end_idle_sessions",
    "find_or_invite",
    "find_person",
    "give_password",
    "is_session_alive",
    "peer_address",
    "resolve_session",
    "session_digest",
    "set_password",
]
