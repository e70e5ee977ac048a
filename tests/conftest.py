"""A real PostgreSQL for the whole run, and real data where it lies beside the checkout.

Tests do not clean up after one another: each makes a tenant of its own, and tenants cannot see each
other. That is the property under test, used as the fixture.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"

_clusters: list[Any] = []


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput") or config.option.collectonly or config.option.help:
        return
    from django.conf import settings

    if settings.configured:
        raise pytest.UsageError(
            "Django's settings were read already (DJANGO_SETTINGS_MODULE or --ds): tests would write to that database."
        )
    from own_database import start_database

    _clusters.append(start_database())


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
