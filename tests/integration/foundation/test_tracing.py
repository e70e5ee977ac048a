"""One trace from the request through the queue to the job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from gantry.foundation.jobs import Job
from gantry.foundation.scope import tenant_scope, unit_of_work
from gantry.foundation.web.tracing import traced
from world import make_world

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture(scope="module")
def exporter() -> InMemorySpanExporter:
    found = InMemorySpanExporter()
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        provider = TracerProvider()
        trace.set_tracer_provider(provider)
    provider.add_span_processor(SimpleSpanProcessor(found))
    return found


def test_job_continues_the_trace_of_the_request(exporter: InMemorySpanExporter, connect: Callable[[str], Any]) -> None:
    world, seen = make_world(), []
    name = f"test.{uuid4().hex}"

    def work(study_id: UUID) -> None:
        seen.append(trace.get_current_span().get_span_context().trace_id)

    job = Job(name, work, queue_name="tests")
    study_id = uuid4()
    span = trace.get_tracer("tests").start_as_current_span("HTTP POST")
    with span as request, tenant_scope(world.system), unit_of_work():
        job.defer(study_id=study_id)
    with connect("app") as connection:
        (arguments,) = connection.execute("select args from procrastinate_jobs where task_name = %s", [name]).fetchone()
        connection.execute("delete from procrastinate_jobs where task_name = %s", [name])
    job._run(**arguments)  # what the queue calls
    assert seen == [request.get_span_context().trace_id]
    assert name in {span.name for span in exporter.get_finished_spans()}


async def test_request_span_names_method_and_status_and_no_address(exporter: InMemorySpanExporter) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def ignore(message: Any = None) -> Any:
        return None

    scope = {"type": "http", "method": "PROPFIND", "path": "/t/x/dicomweb/studies/1.2.3", "headers": []}
    await traced(app)(scope, ignore, ignore)
    (span,) = [one for one in exporter.get_finished_spans() if one.name == "HTTP PROPFIND"]
    assert dict(span.attributes or {}) == {"http.response.status_code": 204}
    assert "1.2.3" not in span.to_json()
