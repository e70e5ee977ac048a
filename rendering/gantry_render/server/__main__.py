"""`python -m gantry_render.server`: one pod."""

from __future__ import annotations

from gantry_render.server.config import read_config
from gantry_render.server.run import serve
from gantry_render.server.telemetry import configure_logging
from gantry_render.server.tracing import configure_tracing


def main() -> None:
    config = read_config()
    configure_logging(config.log_level)
    configure_tracing(config.telemetry_exporter, config.otlp_endpoint)
    serve(config)


if __name__ == "__main__":
    main()
