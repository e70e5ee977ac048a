"""Spans of a session's opening and of some of its frames, in the trace of the request that the ticket came from.

They hold kinds, tiers, sizes and times; neither ids nor anything of the patient. Without an exporter nothing records,
and a frame costs one comparison.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, StatusCode

from gantry_render.protocol import Frame
from gantry_render.server.errors import SessionError
from gantry_render.server.session import Work

FRAME_EVERY_S: Final = 1.0
"""One frame in so much time has spans: drawing at 60 a second, all of them would drown the rest of the trace."""
_NANOSECONDS: Final = 1000

tracer = trace.get_tracer(__name__)


class SessionTrace:
    """The trace of one session. On the loop's thread."""

    def __init__(self) -> None:
        self._context = Context()
        self._is_recording = False
        self._next_at = 0.0

    @contextmanager
    def opening(self, traceparent: str) -> Iterator[None]:
        """Run a block, from a good ticket to the welcome, in a span of the trace that the ticket names."""
        parent = propagate.extract({"traceparent": traceparent} if traceparent else {})
        # Messages of errors are not recorded: a span shows their kind alone.
        with tracer.start_as_current_span(
            "render.open", context=parent, kind=SpanKind.SERVER, record_exception=False, set_status_on_exception=False
        ) as span:
            self._context = trace.set_span_in_context(span, Context())
            self._is_recording = span.is_recording()
            try:
                yield
            except BaseException as error:
                span.set_status(StatusCode.ERROR)
                span.set_attribute(
                    "error.type", error.code if isinstance(error, SessionError) else type(error).__name__
                )
                raise

    def is_due(self, now: float) -> bool:
        """Whether a frame that is sent now has spans."""
        return self._is_recording and now >= self._next_at

    def add_frame(self, work: Work, frame: Frame, queued_us: int, now: float, now_ns: int) -> None:
        """Write down how a frame that was just sent came about.

        Parameters
        ----------
        now, now_ns
            The loop's clock, and nanoseconds since 1970, both at the time of sending.
        """
        self._next_at = now + FRAME_EVERY_S
        stages = ("queued", queued_us), ("render", frame.render_us), ("encode", frame.encode_us)
        at = now_ns - sum(took for _, took in stages) * _NANOSECONDS
        whole = tracer.start_span(
            "render.frame",
            context=self._context,
            start_time=at,
            attributes={
                "render.kind": work.state.kind,
                "render.tier": int(frame.tier),
                "render.urgency": work.urgency.name.lower(),
                "render.media_type": frame.media_type.mime,
                "render.size_bytes": len(frame.payload),
                "render.width": frame.width,
                "render.height": frame.height,
            },
        )
        within = trace.set_span_in_context(whole, Context())
        for name, took in stages:
            span = tracer.start_span(f"render.frame.{name}", context=within, start_time=at)
            at += took * _NANOSECONDS
            span.end(at)
        whole.end(now_ns)


def current_headers() -> dict[str, str]:
    """Return the headers that let whoever is asked continue the trace in progress."""
    headers: dict[str, str] = {}
    propagate.inject(headers)
    return headers


def configure_tracing(exporter: str, endpoint: str) -> None:
    """Send spans to `console` (standard error) or by `otlp`; with `none` nothing is loaded for it.

    Parameters
    ----------
    endpoint
        Of OTLP over HTTP; empty for the exporter's own default.
    """
    if exporter == "none":
        return
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter

    out: SpanExporter
    if exporter == "console":
        out = ConsoleSpanExporter(out=sys.stderr)
    else:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        out = OTLPSpanExporter(endpoint=endpoint or None)
    provider = TracerProvider(resource=Resource.create({"service.name": "gantry-render"}))
    # In a thread of its own, so that no frame waits for it.
    provider.add_span_processor(BatchSpanProcessor(out))
    trace.set_tracer_provider(provider)
