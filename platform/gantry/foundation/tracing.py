"""Traces across the queue: a job continues the trace of whoever deferred it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import propagate, trace
from opentelemetry.trace import Span, SpanKind

tracer = trace.get_tracer(__name__)


def current_trace() -> str:
    """Return the W3C `traceparent` of the span in progress, or an empty string."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier.get("traceparent", "")


@contextmanager
def continue_trace(traceparent: str, name: str, kind: SpanKind = SpanKind.CONSUMER) -> Iterator[Span]:
    """Run a block in a span that belongs to the trace of `traceparent`."""
    parent = propagate.extract({"traceparent": traceparent} if traceparent else {})
    with tracer.start_as_current_span(name, context=parent, kind=kind) as span:
        yield span
