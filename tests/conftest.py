"""A real PostgreSQL for the whole run, and real data where it lies beside the checkout.

Tests do not clean up after one another: each makes a tenant of its own, and tenants cannot see each
other. That is the property under test, used as the fixture.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"

_state = tempfile.TemporaryDirectory(prefix="gantry-test-", dir="/tmp")
_stack = contextlib.ExitStack()
_clusters: list[Any] = []
atexit.register(_stack.close)


def _configure_environment() -> None:
    """Start the cluster and point the settings at it, before Django reads them."""
    from gantry.embedded.postgres import throw_away_cluster

    cluster = _stack.enter_context(throw_away_cluster())
    _clusters.append(cluster)
    cluster.ensure_roles_and_database("gantry")
    connection = cluster.connection("app", "gantry")
    for key in [
        key for key in os.environ if key.startswith("GANTRY_") and key not in {"GANTRY_HIDE", "GANTRY_TESTDATA"}
    ]:
        del os.environ[key]
    os.environ.update(
        {
            "DJANGO_SETTINGS_MODULE": "gantry.config.settings",
            "GANTRY_STATE_DIR": _state.name,
            "GANTRY_SECRET_KEY": secrets.token_urlsafe(50),
            "GANTRY_CONTEXT_KEY": secrets.token_hex(32),
            "GANTRY_JOB_KEY": secrets.token_hex(32),
            "GANTRY_DATABASE__HOST": str(connection["host"]),
            "GANTRY_DATABASE__PORT": str(connection["port"]),
            "GANTRY_DATABASE__NAME": "gantry",
            "GANTRY_INGEST__QUIET_S": "1",
            # The matrix of routes breaks the glass more often than any person may; the limit has a test of its own.
            "GANTRY_ACCESS__EMERGENCIES_PER_HOUR": "10000",
            # Nobody listens there unless a test does (`tests/support/render_door.py`).
            "GANTRY_RENDER__URL": f"unix:{_state.name}/render.sock",
            "GANTRY_RENDER__POD_KEY": secrets.token_hex(32),
            "GANTRY_RENDER__TICKET_KEY": secrets.token_hex(32),
            **{
                f"GANTRY_DATABASE__{role.upper()}_PASSWORD": str(cluster.connection(role)["password"])
                for role in ("owner", "app", "identity", "sequencer", "auditor")
            },
        }
    )
    script = "import django; django.setup(); from gantry.foundation.provision import migrate; migrate(verbosity=0)"
    path = os.pathsep.join(str(ROOT / folder) for folder in ("platform", "inference", "rendering"))
    environment = {**os.environ, "GANTRY_DATABASE__ROLE": "owner", "PYTHONPATH": path}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True)
    import django

    django.setup()
    from gantry.audit.vocabulary import be_strict

    be_strict()


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput") or config.option.collectonly or config.option.help:
        return
    from django.conf import settings

    if settings.configured:
        raise pytest.UsageError(
            "Django's settings were read already (DJANGO_SETTINGS_MODULE or --ds): tests would write to that database."
        )
    _configure_environment()


@pytest.fixture(scope="session")
def database(django_db_blocker: Any) -> Iterator[None]:
    """Let the tests of a run use the database, with real commits."""
    with django_db_blocker.unblock():
        yield


@pytest.fixture(scope="session")
def connect(database: None) -> Callable[[str], Any]:
    """Return a function that opens a raw connection as one of the database roles."""
    import psycopg

    def open_connection(role: str) -> psycopg.Connection[Any]:
        return psycopg.connect(
            host=os.environ["GANTRY_DATABASE__HOST"],
            port=int(os.environ["GANTRY_DATABASE__PORT"]),
            dbname="gantry",
            user=f"gantry_{role}",
            password=os.environ[f"GANTRY_DATABASE__{role.upper()}_PASSWORD"],
        )

    return open_connection


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """Return a function that unpacks a set of real DICOM and gives its folder."""
    unpack = SHARED_DATA / "unpack.py"
    if not unpack.is_file():
        message = "Real test data is missing: the folder shared/data does not lie beside this checkout."
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)

    def open_set(name: str) -> Path:
        done = subprocess.run([sys.executable, str(unpack), name], check=True, capture_output=True, text=True)
        return Path(done.stdout.strip().splitlines()[-1])

    return open_set


@pytest.fixture(scope="session")
def cluster(database: None) -> Any:
    """Return the run's own PostgreSQL."""
    return _clusters[0]
