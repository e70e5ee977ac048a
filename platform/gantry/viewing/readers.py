"""Who opened a render session, as they are now, and whether they may have a series drawn."""

from __future__ import annotations

from uuid import UUID

from gantry.agreements.public import require
from gantry.identity.public import is_session_alive
from gantry.kernel.actor import Actor, Subject
from gantry.kernel.clock import Clock
from gantry.kernel.decision import Decision
from gantry.kernel.errors import NotFoundError
from gantry.kernel.vocabulary import Activity, ActorKind, DataCategory, Role
from gantry.studies.public import Series, Study, require_study, result_condition, visible_studies
from gantry.tenancy.public import SignIn, is_token_alive, recall_actor
from gantry.viewing.models import RenderSession

GONE = "This series is not, or no longer, yours to see."
SIGNED_OUT = "The sign-in that opened this has ended. Sign in and open it again."


def sign_in_of(session: RenderSession) -> SignIn:
    return SignIn(
        kind=ActorKind(session.actor_kind),
        actor_id=session.actor_id,
        user_id=session.user_id,
        role=Role(session.role),
        address=session.address,
        session=session.login,
    )


def recall_reader(kept: SignIn, clock: Clock) -> tuple[Actor | None, str]:
    """Return who opened a session as they are now, or `None` and the code of what they are no longer."""
    if not is_session_alive(kept.session, clock=clock) and not is_token_alive(kept.session, clock=clock):
        return None, "session.signed_out"
    actor = recall_actor(kept, clock=clock)
    return actor, "" if actor else "session.absent"


def require_study_drawn(actor: Actor, study_id: UUID, clock: Clock) -> tuple[Study, Subject, Decision]:
    """Return a study that an actor may look at and have drawn by the server."""
    study, subject, decision = require_study(
        actor,
        visible_studies(actor).filter(pk=study_id),
        activity=Activity.VIEW,
        category=DataCategory.PIXEL_DATA,
        clock=clock,
    )
    # Looking is one thing, the server's working on pixels another: an agreement may keep those in the browser.
    require(actor=actor, activity=Activity.RENDER, subject=subject, clock=clock)
    return study, subject, decision


def require_series_drawn(
    actor: Actor, study_id: UUID, series_id: UUID, clock: Clock
) -> tuple[Series, Subject, Decision]:
    study, subject, decision = require_study_drawn(actor, study_id, clock)
    series = Series.objects.filter(pk=series_id, study=study).filter(result_condition(actor)).first()
    if series is None:
        raise NotFoundError
    return series, subject, decision
