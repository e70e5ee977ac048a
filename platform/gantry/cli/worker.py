"""`gantry worker`."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(worker)


def worker() -> None:
    """Run jobs: ingest timers, analyses, housekeeping. Any number may run."""
    import asyncio

    import django

    from gantry.config.env import use_settings

    use_settings()
    django.setup()
    from gantry.config.worker import run_worker

    asyncio.run(run_worker())
