"""`gantry migrate`."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(migrate)


def migrate() -> None:
    """Bring the database schema up to date (runs as the owner role)."""
    import django

    from gantry.config.env import use_settings

    use_settings(role="owner")
    django.setup()
    from django.db import connection

    from gantry.audit.public import adopt_cluster
    from gantry.foundation.provision import migrate as run

    run()
    connection.ensure_connection()
    if adopt_cluster(connection.connection):
        typer.echo("The audit trail came from another cluster: its events are given their places here.")
