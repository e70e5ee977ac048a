"""Which frames have spans, and what these say."""

from __future__ import annotations

from dataclasses import replace

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from gantry_render.protocol import CloseCode, Frame, FrameFlag, MediaType, StackState, Tier
from gantry_render.server import tracing
from gantry_render.server.errors import SessionError
from gantry_render.server.session import Urgency, Work
from gantry_render.server.tracing import FRAME_EVERY_S, SessionTrace

TRACE = "0af7651916cd43dd8448eb211c80319c"
SENT_NS = 1_700_000_000_000_000_000
WORK = Work(0, 7, StackState(3, (512, 512)), Tier.T1, Urgency.MOTION, 0.0, 3.0)
FRAME = Frame(
    MediaType.JPEG, Tier.T1, FrameFlag(0), 0, 1, 7, 512, 512, 3.0, (0, 0, 512, 512), 40, 400, 0, 2000, 500, b"picture"
)


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "tracer", provider.get_tracer("tests"))
    return exporter


def test_frames_are_in_the_trace_of_the_ticket_one_a_second(spans: InMemorySpanExporter) -> None:
    session = SessionTrace()
    with session.opening(f"00-{TRACE}-b7ad6b7169203331-01"):
        assert f"{TRACE}" in tracing.current_headers()["traceparent"]
    for n in range(30):
        now = 100 + n * FRAME_EVERY_S / 10
        if session.is_due(now):
            session.add_frame(WORK, replace(FRAME, seq=n), 1000, now, SENT_NS)
    found = spans.get_finished_spans()
    assert {format(span.context.trace_id, "032x") for span in found} == {TRACE}
    assert [span.name for span in found].count("render.frame") == 3
    opened, *_, encode, whole = found[:5]
    assert (opened.name, encode.name, whole.name) == ("render.open", "render.frame.encode", "render.frame")
    assert whole.parent is not None and whole.parent.span_id == opened.context.span_id
    assert (whole.start_time, whole.end_time) == (SENT_NS - 3_500_000, SENT_NS)
    assert (encode.start_time, encode.end_time) == (SENT_NS - 500_000, SENT_NS)
    assert dict(whole.attributes or {})["render.kind"] == "stack"


def test_nothing_is_written_when_the_trace_is_not_sampled(spans: InMemorySpanExporter) -> None:
    session = SessionTrace()
    with session.opening(f"00-{TRACE}-b7ad6b7169203331-00"):
        pass
    assert not session.is_due(100)
    assert spans.get_finished_spans() == ()


def test_span_of_an_opening_that_failed_shows_the_code_alone(spans: InMemorySpanExporter) -> None:
    with pytest.raises(SessionError), SessionTrace().opening(""):
        raise SessionError(CloseCode.REFUSED, "agreement.not_in_force", "A sentence.")
    (span,) = spans.get_finished_spans()
    assert dict(span.attributes or {}) == {"error.type": "agreement.not_in_force"}
    assert "A sentence" not in span.to_json()


def test_nothing_is_due_without_an_exporter(monkeypatch: pytest.MonkeyPatch) -> None:
    # As a process without an exporter has it; in the suite, another test may have set one up.
    monkeypatch.setattr(tracing, "tracer", trace.NoOpTracerProvider().get_tracer("tests"))
    session = SessionTrace()
    with session.opening(f"00-{TRACE}-b7ad6b7169203331-01"):
        pass
    assert not session.is_due(100)
