"""Logs as structured lines, spans from the request to the model; neither ever holds patient data."""

from __future__ import annotations

import logging
import sys
import warnings

import structlog
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SimpleSpanProcessor

from gantry.config.env import environment


def _without_address(record: logging.LogRecord) -> bool:
    """Let a line of Django's pass without the address and the host that it quotes: people type identifiers there."""
    if record.name == "django.request" and isinstance(record.args, tuple) and len(record.args) > 1:
        record.msg, record.args = "%s", record.args[:1]
    elif record.name.startswith("django.security"):
        record.msg, record.args = "A request was refused.", ()
    return True


def configure_telemetry() -> None:
    """Set up structlog and, where the settings ask for it, a span exporter."""
    env = environment()
    level = getattr(logging, env.log_level)
    logging.basicConfig(level=level, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    for handler in logging.getLogger().handlers:
        handler.addFilter(_without_address)
    # Query strings of DICOMweb hold patient identifiers, so nobody logs request lines but us.
    logging.getLogger("uvicorn.access").disabled = True
    # The queue's own lines hold the arguments and signatures of jobs.
    logging.getLogger("procrastinate").setLevel(logging.WARNING)
    # It says which images it copies from, and those UIDs are a patient's.
    logging.getLogger("highdicom").setLevel(logging.WARNING)
    # These libraries quote offending values in their warnings, and values are patient data.
    warnings.filterwarnings("ignore", module=r"(highdicom|pydicom)(\.|$)")
    # WhiteNoise answers with files read synchronously, which is what is wanted for files.
    warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous iterators")
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    if env.telemetry_exporter == "none" or isinstance(trace.get_tracer_provider(), TracerProvider):
        return
    provider = TracerProvider(resource=Resource.create({"service.name": "gantry"}))
    if env.telemetry_exporter == "console":
        provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
    else:
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=env.otlp_endpoint or None)))
    trace.set_tracer_provider(provider)
