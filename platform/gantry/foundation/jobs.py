"""Jobs: rows of the queue that commit with the data that caused them, bound to tenant by an HMAC."""

from __future__ import annotations

import hashlib
import hmac
import inspect
import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import procrastinate
import structlog
from django.conf import settings
from django.db import connections
from procrastinate.contrib.django import app as queue

from gantry.foundation.boundary import record_refusal
from gantry.foundation.scope import current_scope, tenant_scope
from gantry.foundation.tracing import continue_trace, current_trace
from gantry.kernel.actor import system_actor
from gantry.kernel.decision import Refused
from gantry.kernel.ids import TenantId

log = structlog.get_logger(__name__)


#: Every job is idempotent, so one that raised is simply run again, later and later.
_RETRY = procrastinate.RetryStrategy(max_attempts=6, exponential_wait=3)


class ForgedJobError(RuntimeError):
    """A job whose arguments were not written by us; it is dropped and reported."""


def on_app_ready(app: procrastinate.App) -> None:
    """Hook of procrastinate's Django integration; tasks register themselves where they are defined."""


def _mac(task: str, tenant_id: UUID, arguments: dict[str, str]) -> str:
    message = json.dumps([task, str(tenant_id), arguments], sort_keys=True).encode()
    return hmac.new(settings.JOB_KEY, message, hashlib.sha256).hexdigest()


class Job:
    """A task that runs inside a tenant's scope. Its arguments are ids, never patient data."""

    def __init__(self, name: str, function: Callable[..., None], *, queue_name: str) -> None:
        self.name = name
        self.function = function
        self.parameters = frozenset(inspect.signature(function).parameters)
        self.task = queue.task(name=name, queue=queue_name, retry=_RETRY)(self._run)

    def defer(self, **arguments: UUID) -> None:
        """Add the job in the transaction in progress."""
        tenant_id = current_scope().tenant_id
        texts = {key: str(value) for key, value in arguments.items()}
        self.task.defer(
            tenant_id=str(tenant_id), arguments=texts, mac=_mac(self.name, tenant_id, texts), trace=current_trace()
        )

    def _run(self, *, tenant_id: str, arguments: dict[str, str], mac: str, trace: str = "") -> None:
        expected = _mac(self.name, UUID(tenant_id), arguments)
        if not hmac.compare_digest(expected, mac):
            log.error("job.forged", task=self.name)
            raise ForgedJobError("The job's arguments do not carry our signature.")
        try:
            with continue_trace(trace, self.name), tenant_scope(system_actor(TenantId(UUID(tenant_id)))):
                self.function(**{key: UUID(value) for key, value in arguments.items()})
        except Refused as refused:
            record_refusal(refused)  # to run it again would only be refused again
        finally:
            connections.close_all()


def job(name: str, *, queue_name: str = "default") -> Callable[[Callable[..., Any]], Job]:
    """Make a function a job; its name is stable, because rows in the queue carry it."""
    return lambda function: Job(name, function, queue_name=queue_name)
