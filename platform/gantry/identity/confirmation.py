"""Making sure, once more, that somebody who is signed in is who they are: before an act that binds their organisation."""

from __future__ import annotations

from uuid import UUID

from gantry.identity.attempts import begin_attempt, fail_attempt, succeed_attempt
from gantry.identity.errors import NotConfirmedError
from gantry.identity.models import User
from gantry.identity.services import record_event
from gantry.kernel.clock import SYSTEM_CLOCK, Clock


def confirm_identity(*, user_id: UUID, password: str, address: str, clock: Clock = SYSTEM_CLOCK) -> None:
    """Check a signed-in person's password again, as a counted attempt; recorded either way.

    Raises
    ------
    NotConfirmedError
        It is not their password.
    SignInLockedError
        There were too many attempts.
    """
    person = User.objects.filter(pk=user_id).first()
    attempt = begin_attempt(
        email=person.email if person else str(user_id), address=address, step="sign_in", clock=clock
    )
    if person is None or not person.check_password(password):
        fail_attempt(attempt)
        raise NotConfirmedError
    succeed_attempt(attempt)
    record_event("identity.confirmed", user_id=person.pk, by="password")
