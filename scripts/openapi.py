"""Write docs/openapi.json from the code: `.venv/bin/python scripts/openapi.py`. Needs no database."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs" / "openapi.json"


def main() -> None:
    """Describe the REST API as it is."""
    sys.path[:0] = [str(ROOT / folder) for folder in ("platform", "inference", "rendering")]
    with tempfile.TemporaryDirectory() as state:
        os.environ.update(
            DJANGO_SETTINGS_MODULE="gantry.config.settings",
            GANTRY_STATE_DIR=state,
            GANTRY_SECRET_KEY="of-no-use",
            GANTRY_CONTEXT_KEY="00" * 32,
            GANTRY_JOB_KEY="00" * 32,
            GANTRY_DATABASE__HOST="nowhere",
        )
        import django

        django.setup()
        from drf_spectacular.generators import SchemaGenerator
        from drf_spectacular.renderers import OpenApiJsonRenderer

        generator = SchemaGenerator(urlconf="gantry.config.schema_urls")  # type: ignore[no-untyped-call]  # untyped there
        schema = generator.get_schema(request=None, public=True)  # type: ignore[no-untyped-call]  # untyped there
        TARGET.write_bytes(OpenApiJsonRenderer().render(schema, renderer_context={}) + b"\n")


if __name__ == "__main__":
    main()
