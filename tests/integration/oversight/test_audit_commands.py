"""`gantry audit export | who-saw | coverage | feed` as an operator types them."""

from __future__ import annotations

import json
import zipfile
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from analysed import Loaded, load_study
from gantry.audit.verify import verify
from gantry.cli.main import app
from gantry.identity.models import User
from gantry.kernel.clock import SYSTEM_CLOCK
from gantry.kernel.vocabulary import Role
from ledger import sequence_all
from sequencing import sequencing
from site_client import by_token
from world import World, make_world

pytestmark = pytest.mark.usefixtures("database")


def gantry(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


@pytest.fixture(scope="module")
def loaded(database: None) -> Loaded:
    loaded = load_study(make_world(), 2)
    answer = by_token(loaded.world, Role.SURGEON).get(f"/api/v1/studies/{loaded.study_id}")
    assert answer.status_code == 200
    sequence_all()
    return loaded


def asked(world: World, role: Role = Role.COMPLIANCE) -> list[str]:
    now = SYSTEM_CLOCK.now()
    email = User.objects.get(pk=world.users[role]).email
    time = ["--since", f"{now - timedelta(days=1):%Y-%m-%d}", "--until", f"{now + timedelta(days=2):%Y-%m-%d}"]
    return ["--tenant", world.slug, "--as", email, *time]


def test_export_is_written_and_verifies(loaded: Loaded, tmp_path: Path) -> None:
    out = tmp_path / "bundle.zip"
    with sequencing():
        done = gantry("audit", "export", *asked(loaded.world), "--out", str(out), "--format", "csv", "--here")
    assert done.exit_code == 0, done.output
    assert verify(out, pin="", kept=None, witnesses=[], jobs=1).failed == []
    assert set(zipfile.ZipFile(out).namelist()) >= {"csv/events.csv", "events/events.jsonl", "README.txt"}
    assert not list(tmp_path.glob("*.part"))
    again = gantry("audit", "export", *asked(loaded.world), "--out", str(out))
    assert (again.exit_code, "exists already" in again.output) == (2, True)


def test_who_saw_names_people(loaded: Loaded) -> None:
    number = str(loaded.datasets[0].PatientID)
    done = gantry("audit", "who-saw", *asked(loaded.world), "--patient", number, "--json")
    assert done.exit_code == 0, done.output
    assert "surgeon" in [one["role"] for one in json.loads(done.stdout)]
    nobody = gantry("audit", "who-saw", *asked(loaded.world), "--patient", "nobody")
    assert nobody.exit_code == 2


def test_other_roles_are_refused(loaded: Loaded, tmp_path: Path) -> None:
    who = asked(loaded.world, Role.RADIOLOGIST)
    for words in (("who-saw", *who, "--patient", "x"), ("export", *who, "--out", str(tmp_path / "x.zip"))):
        done = gantry("audit", *words)
        assert (done.exit_code, "radiologist" in done.output) == (2, True)


def test_coverage_lists_every_way_in() -> None:
    rows = json.loads(gantry("audit", "coverage", "--json").stdout)
    assert len(rows) > 60
    assert all(bool(row["events"]) != bool(row["none"]) for row in rows)
    assert "GET /t/{tenant}/fhir/AuditEvent" in [row["way"] for row in rows]


def test_feed_is_shown(loaded: Loaded) -> None:
    who = asked(loaded.world)[:4]
    assert "There is no feed" in gantry("audit", "feed", *who).output
