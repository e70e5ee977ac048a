"""The worker process: jobs from the queue, and the clocks that must not depend on the queue."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog
from django.db import connections
from procrastinate import App
from procrastinate.contrib.django import app as queue
from procrastinate.contrib.django.django_connector import DjangoConnector

from gantry.agreements.public import turn_agreements
from gantry.analyses.public import list_open_analyses, requeue_analysis, sweep_orphans
from gantry.foundation.scope import tenant_scope
from gantry.identity.public import end_idle_sessions
from gantry.kernel.actor import system_actor
from gantry.oversight.public import destroy_exports, list_object_ids, remind_of_duties, send_feeds
from gantry.studies.public import (
    complete_due_studies,
    end_due_emergencies,
    request_missing_packs,
    resume_erasures,
    run_due_retention,
    write_missing_terms,
)
from gantry.tenancy.public import list_tenant_ids
from gantry.vault.public import get_vault
from gantry.viewing.public import forget_render_sessions

log = structlog.get_logger(__name__)

#: Analyses fill both cores, so one runs at a time; short jobs do not wait for it, nor does who wants to look.
_QUEUES = {"default": 2, "packs": 1, "analyses": 1, "exports": 1}
_QUIET_TICK_S, _REAPER_TICK_S, _STALLED_TICK_S, _PACKS_TICK_S = 0.5, 5.0, 10.0, 60.0
_ERASURE_TICK_S, _RETENTION_TICK_S = 10.0, 6 * 3600.0
_STALLED_AFTER_S = 25.0
_SESSIONS_TICK_S = 30.0
_FEEDS_TICK_S = 5.0
_AGREEMENTS_TICK_S = 30.0
_DUTIES_TICK_S = 600.0
#: Access ends by the grant's own date; this writes down that it did.
_EMERGENCY_TICK_S = 5.0
#: No request or analysis lasts this long, so what nobody refers to by then was left by a crash.
ORPHAN_AGE_S, _SWEEP_TICK_S = 6 * 3600, 3600.0


def _complete_quiet_studies() -> None:
    complete_due_studies()


def _end_emergencies() -> None:
    end_due_emergencies()


def _turn_agreements() -> None:
    turn_agreements()


def _remind_of_duties() -> None:
    for tenant_id in list_tenant_ids():
        with tenant_scope(system_actor(tenant_id)):
            remind_of_duties(actor=system_actor(tenant_id))


def _send_feeds() -> None:
    send_feeds()


def _requeue_orphans() -> None:
    for tenant_id, analysis_id in list_open_analyses():
        with tenant_scope(system_actor(tenant_id)):
            requeue_analysis(analysis_id=analysis_id)


def _request_packs() -> None:
    """Find what was stored before there were packs and terms, and packs whose job was lost."""
    for tenant_id in list_tenant_ids():
        with tenant_scope(system_actor(tenant_id)):
            request_missing_packs()
            write_missing_terms()


def _sweep_objects() -> None:
    get_vault().objects.sweep_partials(timedelta(seconds=ORPHAN_AGE_S))
    for tenant_id in list_tenant_ids():
        with tenant_scope(system_actor(tenant_id)):
            destroy_exports()
            sweep_orphans(older_than_s=ORPHAN_AGE_S, also_used=list_object_ids)
            forget_render_sessions(older_than=timedelta(days=1))


def _resume_erasures() -> None:
    """Take up erasures that broke off; they do not wait in the queue, for nothing may lose them."""
    resume_erasures()


def _run_due_retention() -> None:
    """Destroy what no agreement keeps any longer, in each tenant whose time it is."""
    run_due_retention()


async def _retry_stalled_jobs(manager: object) -> None:
    """Give back jobs whose worker died; every job may run again."""
    from procrastinate.manager import JobManager

    if not isinstance(manager, JobManager):
        raise TypeError("a job manager is needed")
    await manager.prune_stalled_workers(_STALLED_AFTER_S)
    for stalled in await manager.get_stalled_jobs(seconds_since_heartbeat=_STALLED_AFTER_S):
        log.warning("job.stalled", task=stalled.task_name)
        await manager.retry_job(stalled)


def _in_thread(function: Callable[[], None]) -> Callable[[], Awaitable[None]]:
    def call() -> None:
        try:
            function()
        finally:
            connections.close_all()

    return lambda: asyncio.to_thread(call)


async def _every(interval_s: float, name: str, action: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await action()
        except Exception as error:  # noqa: BLE001 - the database may be away for a while; the clock goes on
            log.warning("clock.failed", clock=name, error=type(error).__name__)
        await asyncio.sleep(interval_s)


async def run_worker() -> None:
    """Run until SIGINT or SIGTERM; a job in hand is given a few seconds, then another worker takes it over."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    assert isinstance(queue.connector, DjangoConnector)
    # An app of its own: what a job defers must still go through Django's connection, in the job's transaction.
    app = App(connector=queue.connector.get_worker_connector())
    app.tasks = queue.tasks
    async with app.open_async():
        tasks = [
            asyncio.create_task(
                app.run_worker_async(
                    queues=[name],
                    concurrency=concurrency,
                    install_signal_handlers=False,
                    shutdown_graceful_timeout=3,
                    delete_jobs="successful",
                    update_heartbeat_interval=5,
                    fetch_job_polling_interval=2,
                )
            )
            for name, concurrency in _QUEUES.items()
        ]
        tasks += [
            asyncio.create_task(_every(_QUIET_TICK_S, "quiet", _in_thread(_complete_quiet_studies))),
            asyncio.create_task(_every(_EMERGENCY_TICK_S, "emergencies", _in_thread(_end_emergencies))),
            asyncio.create_task(_every(_REAPER_TICK_S, "reaper", _in_thread(_requeue_orphans))),
            asyncio.create_task(_every(_PACKS_TICK_S, "packs", _in_thread(_request_packs))),
            asyncio.create_task(_every(_FEEDS_TICK_S, "feeds", _in_thread(_send_feeds))),
            asyncio.create_task(_every(_SESSIONS_TICK_S, "sessions", _in_thread(end_idle_sessions))),
            asyncio.create_task(_every(_AGREEMENTS_TICK_S, "agreements", _in_thread(_turn_agreements))),
            asyncio.create_task(_every(_DUTIES_TICK_S, "duties", _in_thread(_remind_of_duties))),
            asyncio.create_task(_every(_SWEEP_TICK_S, "sweep", _in_thread(_sweep_objects))),
            asyncio.create_task(_every(_ERASURE_TICK_S, "erasures", _in_thread(_resume_erasures))),
            asyncio.create_task(_every(_RETENTION_TICK_S, "retention", _in_thread(_run_due_retention))),
            asyncio.create_task(_every(_STALLED_TICK_S, "stalled", lambda: _retry_stalled_jobs(app.job_manager))),
        ]
        waiting = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if waiting not in done:
            raise SystemExit("gantry: the worker's queue connection ended; it is started again.")
