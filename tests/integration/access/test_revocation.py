"""What is open closes when the ground it stands on goes, whatever that ground was; the rows say so, not a message."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from analysed import Loaded, load_study
from colleagues import Colleague, make_colleague, make_hospital, make_person
from gantry.agreements.public import Step, advance_agreement
from gantry.foundation.scope import tenant_scope
from gantry.identity.public import end_all_sessions
from gantry.kernel.ids import AgreementId
from gantry.kernel.vocabulary import Role
from gantry.studies.public import EmergencyReason, Sought, break_glass, end_emergency, share_study, withdraw_grant
from gantry.tenancy.public import end_support, open_support, update_member
from site_client import Socket, sign_in
from world import World, make_world

pytestmark = pytest.mark.usefixtures("database")
R = Role
SIGNED_OUT, REFUSED, ABSENT = 4401, 4403, 4404

Opened = tuple[Socket, Callable[[], object], int]


@pytest.fixture(scope="module")
def world(database: None) -> World:
    return make_world()


@pytest.fixture(scope="module")
def loaded(world: World) -> Loaded:
    return load_study(world, 1)


def _listen(world: World, session: str, *streams: str) -> Socket:
    socket = Socket(world.slug, session)
    assert socket.is_accepted()
    for stream in streams:
        assert socket.subscribe(stream)["type"] == "subscribed"
    return socket


def _confined(world: World) -> Colleague:
    return make_colleague(world, R.SURGEON, institutions=[make_hospital(world)])


def _change(world: World, colleague: Colleague, change: dict[str, Any]) -> None:
    with tenant_scope(world.system):
        update_member(actor=world.system, membership_id=colleague.membership_id, **change)


def _open_all(world: World, loaded: Loaded) -> Iterator[Opened]:
    """Open a socket for every way to lose it, each with what takes it away and the code that it must close with."""
    stream = f"study:{loaded.study_id}"
    changes: list[tuple[dict[str, Any], int]] = [
        ({"is_active": False}, SIGNED_OUT),  # a member of nothing else is signed out as well
        ({"role": R.REFERRER}, ABSENT),
        ({"institution_ids": [make_hospital(world)]}, ABSENT),
    ]
    for change, code in changes:
        colleague = make_colleague(world, R.SURGEON)
        socket = _listen(world, colleague.session, "worklist", stream)
        yield socket, functools.partial(_change, world, colleague, change), code

    leaver = make_colleague(world, R.SURGEON)
    yield _listen(world, leaver.session, stream), lambda: end_all_sessions(user_id=leaver.user_id), SIGNED_OUT

    shared = _confined(world)
    with world.acting(R.RADIOLOGIST) as actor:
        card = share_study(actor=actor, study_id=loaded.study_id, user_id=shared.user_id, reason="second_opinion")
    yield _listen(world, shared.session, stream), lambda: _withdraw(world, loaded, card.id), REFUSED

    hurried = _confined(world)
    with hurried.acting() as actor:
        emergency = break_glass(
            actor=actor,
            sought=Sought(study_id=loaded.study_id),
            reason_code=EmergencyReason.URGENT_TREATMENT,
            reason="Needed in the theatre now.",
        )
    yield _listen(world, hurried.session, stream), lambda: _end(hurried, emergency.id), REFUSED

    operator = make_person("operator")
    with tenant_scope(world.system):
        session = open_support(
            actor=world.system,
            operator_id=operator,
            operator_name="Olli Operator",
            reason="The router does not connect any more.",
            lifetime=timedelta(hours=1),
        )
    yield _listen(world, sign_in(operator)), lambda: _end_support(world, session.id), ABSENT


def _withdraw(world: World, loaded: Loaded, grant_id: UUID) -> None:
    with world.acting(R.RADIOLOGIST) as actor:
        withdraw_grant(actor=actor, study_id=loaded.study_id, grant_id=grant_id)


def _end(colleague: Colleague, emergency_id: UUID) -> None:
    with colleague.acting() as actor:
        end_emergency(actor=actor, emergency_id=emergency_id)


def _end_support(world: World, session_id: UUID) -> None:
    with tenant_scope(world.system):
        end_support(actor=world.system, session_id=session_id)


def _close_code(socket: Socket) -> int:
    while (message := socket.receive())["type"] != "closed":
        pass
    return int(message["code"])


def test_sockets_close_when_what_they_stand_on_ends(world: World, loaded: Loaded) -> None:
    opened = list(_open_all(world, loaded))
    stays = _listen(world, make_colleague(world, R.SURGEON).session, "worklist", f"study:{loaded.study_id}")
    for _, revoke, _ in opened:
        revoke()
    assert [_close_code(socket) for socket, _, _ in opened] == [code for _, _, code in opened]
    stays.send(type="ping")
    while stays.receive()["type"] != "pong":
        pass
    stays.close()


def test_sockets_close_when_the_agreement_is_suspended(database: None) -> None:
    world = make_world()
    loaded = load_study(world, 1)
    sockets = [_listen(world, make_colleague(world, R.SURGEON).session, "worklist", f"study:{loaded.study_id}")]
    with tenant_scope(world.system):
        assert world.agreement_id is not None
        advance_agreement(actor=world.system, agreement_id=AgreementId(world.agreement_id), step=Step.SUSPEND)
    assert [_close_code(socket) for socket in sockets] == [REFUSED]
