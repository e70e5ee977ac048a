"""Suspending an agreement stops what is under way: bodies, downloads, queued and running analyses.

Sockets and render sessions are in tests/integration/viewing (test_live_events, test_render_sessions), on the same
gate. None of these runs has a Redis: what is asked again is asked of the database.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest

from analysed import claim, complete, deploy, load_study, select
from ct_files import make_ct, to_files
from gantry.agreements.public import Step, SubProcessor, advance_agreement, amend_agreement, edit_agreement
from gantry.agreements.public import content_from_json as read_content
from gantry.analyses.domain import Stage
from gantry.analyses.models import Analysis
from gantry.analyses.services import claim_analysis, report_progress, start_analysis
from gantry.dicomweb import watching
from gantry.foundation.scope import tenant_scope
from gantry.kernel.decision import Refused
from gantry.kernel.ids import AgreementId
from gantry.kernel.vocabulary import Activity, DataCategory, Role
from site_client import CONTENT_TYPE, application, by_token, multipart, run
from world import World, content_with, everything_permitted, make_world, put_in_force

if TYPE_CHECKING:
    from audit_trail import Trail

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def world(database: None) -> World:
    return make_world()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask again at every chance instead of every few seconds; the pace itself is a constant, held below."""
    monkeypatch.setattr(watching, "ASK_EVERY_S", 0.01)


def test_pace_of_asking_is_within_five_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    from gantry.viewing.realtime import RECHECK_EVERY_S
    from gantry_render.protocol import LEASE_ENDS_S

    assert max(watching.ASK_EVERY_S, RECHECK_EVERY_S, LEASE_ENDS_S) < 5


def _suspend(world: World) -> None:
    from django.db import connections

    try:
        with world.acting(Role.COMPLIANCE) as officer:
            advance_agreement(actor=officer, agreement_id=_key(world), step=Step.SUSPEND)
    finally:
        connections.close_all()


def _key(world: World) -> AgreementId:
    return AgreementId(UUID(str(world.agreement_id)))


def test_body_on_its_way_in_is_cut_off(world: World, trail_of: Callable[[World], Trail]) -> None:
    """The sender stops in the middle and never goes on: only our own asking can end this request."""
    whole, trail = multipart(to_files(make_ct(4))), trail_of(world)

    async def body() -> AsyncIterator[bytes]:
        yield whole[: len(whole) // 2]
        await asyncio.to_thread(_suspend, world)
        await asyncio.Event().wait()

    answer = by_token(world, Role.INTEGRATOR).post(
        "/dicomweb/studies", content=body(), headers={"Content-Type": CONTENT_TYPE}
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "agreement.not_in_force")
    assert trail.actions() == ["agreement.suspend", "store.refused"]


def test_download_on_its_way_out_is_cut_off(world: World, trail_of: Callable[[World], Trail]) -> None:
    loaded = load_study(world, 6)
    trail = trail_of(world)
    answered, sent, error = _download(world, f"studies/{loaded.study_uid}", lambda: _suspend(world))
    assert answered == 200
    assert sent.count(b"DICM") < 6
    assert not sent.rstrip().endswith(b"--"), "no end: whoever receives it knows that something is missing"
    assert isinstance(error, watching.CutOffError)
    assert trail.actions() == ["transfer.begun", "agreement.suspend", "export.refused", "transfer.broken"]


def test_download_goes_on_when_nothing_changes(world: World) -> None:
    loaded = load_study(world, 6)
    answered, sent, error = _download(world, f"studies/{loaded.study_uid}", lambda: None)
    assert (answered, sent.count(b"DICM"), error) == (200, 6, None)


def _download(world: World, path: str, meanwhile: Callable[[], None]) -> tuple[int, bytes, Exception | None]:
    """Take an answer as a slow receiver does: after its first bytes something happens, then it goes on taking."""
    token = world.tokens[Role.INTEGRATOR]
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": f"/t/{world.slug}/dicomweb/{path}", "raw_path": b"", "query_string": b"", "root_path": "",
        "headers": [(b"host", b"127.0.0.1:8000"), (b"authorization", f"Bearer {token}".encode())],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8000), "state": {},
    }  # fmt: skip
    messages: list[dict[str, Any]] = []
    asked = False

    async def receive() -> dict[str, Any]:
        nonlocal asked
        if not asked:
            asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        messages.append(message)
        if sum(1 for one in messages if one.get("body")) == 1 and message.get("body"):
            await asyncio.to_thread(meanwhile)
        elif message.get("body"):
            await asyncio.sleep(watching.ASK_EVERY_S)

    async def call() -> Exception | None:
        try:
            await application()(scope, receive, send)
        except Exception as raised:  # noqa: BLE001 - which one it is, is what is asked
            return _innermost(raised)
        return None

    error = run(call())
    return messages[0]["status"], b"".join(one.get("body", b"") for one in messages[1:]), error


def _innermost(error: Exception) -> Exception:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def _queued(world: World) -> UUID:
    deploy(world)
    loaded = load_study(world, 12)
    complete(loaded)
    (analysis_id,) = select(loaded)
    return analysis_id


def test_queued_analysis_is_not_begun(world: World) -> None:
    analysis_id = _queued(world)
    _suspend(world)
    with tenant_scope(world.system):
        assert claim_analysis(actor=world.system, analysis_id=analysis_id) is None
    with world.reading():
        assert Analysis.objects.get(pk=analysis_id).code == "agreement.not_in_force"


def test_running_analysis_stops_at_its_next_sign_of_life(world: World) -> None:
    work = claim(world, _queued(world))

    def report() -> None:
        with tenant_scope(world.system):
            report_progress(analysis_id=work.analysis.pk, claim=work.claim, stage=Stage.INFER, progress=0.5)

    report()
    _suspend(world)
    with pytest.raises(Refused) as refused:
        report()
    assert refused.value.code == "agreement.not_in_force"


# A model's vendor is a sub-processor: whom the agreement does not list does not take part


def _without_vendors() -> World:
    world = make_world(in_force=False)
    content = content_with(everything_permitted(), sub_processors=())
    with world.acting(Role.COMPLIANCE) as officer:
        edit_agreement(actor=officer, agreement_id=_key(world), revision=1, content=content)
        put_in_force(officer, _key(world))
    return world


def test_model_runs_for_nobody_when_its_vendor_is_not_listed() -> None:
    world = _without_vendors()
    deploy(world)
    loaded = load_study(world, 12)
    complete(loaded)
    assert select(loaded) == []
    with world.reading():
        assert list(Analysis.objects.values_list("state", "code")) == [("not_analysed", "agreement.sub_processor")]
    with world.acting(Role.RADIOLOGIST) as actor, pytest.raises(Refused) as refused:
        start_analysis(actor=actor, model="bone_ct", study_instance_uid=loaded.study_uid, request_key="k")
    assert (refused.value.code, refused.value.decision.clause) == ("agreement.sub_processor", "§7")
    answer = by_token(world, Role.RADIOLOGIST).post(
        "/api/v1/inference",
        json={"study_instance_uid": loaded.study_uid, "model": "bone_ct"},
        headers={"Idempotency-Key": str(uuid4())},
    )
    assert (answer.status_code, answer.json()["code"], answer.json()["clause"]) == (
        403,
        "agreement.sub_processor",
        "§7",
    )


def test_vendor_takes_part_once_a_version_that_lists_it_is_signed() -> None:
    world = _without_vendors()
    deploy(world)
    loaded = load_study(world, 12)
    vendor = SubProcessor(
        name="gantry  PROJECT",  # as people write it: compared without case and blanks
        clause="§7.1",
        task="Models",
        activities=frozenset({Activity.INFER}),
        categories=frozenset({DataCategory.PIXEL_DATA}),
        regions=frozenset({"local"}),
    )
    with world.acting(Role.COMPLIANCE) as officer:
        row = amend_agreement(actor=officer, agreement_id=_key(world), version="v2")
        content = read_content(row.content)
        listed = content_with(everything_permitted(), sub_processors=(vendor,)).terms
        edit_agreement(
            actor=officer,
            agreement_id=AgreementId(row.pk),
            revision=1,
            content=type(content)(**{**_fields(content), "terms": listed}),
        )
        put_in_force(officer, row.pk)
    with world.acting(Role.RADIOLOGIST) as actor:
        analysis = start_analysis(actor=actor, model="bone_ct", study_instance_uid=loaded.study_uid, request_key="k")
    assert analysis.state == "queued"


def _fields(content: Any) -> dict[str, Any]:
    import dataclasses

    return {field.name: getattr(content, field.name) for field in dataclasses.fields(content)}
