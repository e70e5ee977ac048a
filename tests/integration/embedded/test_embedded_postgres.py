from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from gantry.embedded.postgres import Cluster, binaries, throw_away_cluster
from gantry.embedded.process import processes_working_in
from gantry.embedded.state import ROLES, EmbeddedError

PASSWORDS = {role: f"password-of-{role}" for role in ROLES}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with throw_away_cluster() as running:
        running.ensure_roles_and_database("gantry")
        yield running


@pytest.fixture
def sockets() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gantry-test-", dir="/tmp") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder) / "pg"


def make_cluster(home: Path, sockets: Path) -> Cluster:
    return Cluster(home, sockets, superuser_password="super", role_passwords=PASSWORDS, is_durable=False)


def test_every_role_signs_in_without_privileges_when_the_password_is_right(cluster: Cluster) -> None:
    for role in ROLES:
        with cluster.connect(role, "gantry") as connection:
            row = connection.execute(
                "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication, rolname = %s"
                " FROM pg_roles WHERE rolname = current_user",
                [f"gantry_{role}"],
            ).fetchone()
        assert row == (False, False, False, False, False, True)


def test_sign_in_is_refused_when_the_password_is_wrong(cluster: Cluster) -> None:
    for role in ("", "owner", "app"):
        wrong = {**cluster.connection(role), "password": "wrong"}
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(**wrong)
        without = {**cluster.connection(role), "password": ""}
        with pytest.raises(psycopg.OperationalError, match="no password supplied"):
            psycopg.connect(**without)


def test_only_the_owner_may_create_when_connected_to_the_database(cluster: Cluster) -> None:
    with cluster.connect("owner", "gantry") as connection:
        connection.execute("CREATE TABLE owned (n int)")
        connection.execute("DROP TABLE owned")
    for role in ("app", "identity", "sequencer", "auditor"):
        with (
            cluster.connect(role, "gantry") as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute("CREATE TABLE foreign_to_it (n int)")


def test_nothing_listens_on_tcp_when_the_server_runs(cluster: Cluster) -> None:
    with cluster.connect() as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
        methods = connection.execute("SELECT DISTINCT type, auth_method FROM pg_hba_file_rules").fetchall()
    assert methods == [("local", "scram-sha-256")]
    assert cluster.data.stat().st_mode & 0o777 == 0o700


def test_statements_and_values_stay_out_of_the_log_when_they_fail(cluster: Cluster) -> None:
    with cluster.connect("owner", "gantry") as connection:
        connection.execute("CREATE TABLE keyed (name text PRIMARY KEY)")
        connection.execute("INSERT INTO keyed VALUES ('Doe^Jane')")
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("INSERT INTO keyed VALUES ('Doe^Jane')")
        connection.execute("DROP TABLE keyed")
    log = (cluster.home.parent / "postgres.log").read_text()
    assert "duplicate key" in log
    assert "Doe^Jane" not in log


def test_data_and_passwords_are_kept_when_started_again(tmp_path: Path, sockets: Path) -> None:
    first = make_cluster(tmp_path / "pg", sockets)
    assert first.ensure_initialised()
    first.start()
    first.ensure_roles_and_database("gantry")
    with first.connect("owner", "gantry") as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS n")
    first.stop()
    again = make_cluster(tmp_path / "pg", sockets)
    assert not again.ensure_initialised()
    again.start()
    try:
        again.ensure_roles_and_database("gantry")
        with again.connect("owner", "gantry") as connection:
            assert connection.execute("SELECT n FROM kept").fetchone() == (42,)
    finally:
        again.stop()


def test_it_starts_when_the_path_is_long_and_holds_spaces(tmp_path: Path, sockets: Path) -> None:
    deep = tmp_path / ("a folder with spaces and 'quotes' " * 3) / ("x" * 120) / "pg"
    assert len(str(deep)) > 250
    cluster = make_cluster(deep, sockets)
    cluster.ensure_initialised()
    cluster.start()
    try:
        with cluster.connect() as connection:
            assert connection.execute("SHOW data_directory").fetchone() == (str(cluster.data),)
    finally:
        cluster.stop()


def test_an_interrupted_initialisation_is_thrown_away_when_started_again(tmp_path: Path, sockets: Path) -> None:
    cluster = make_cluster(tmp_path / "pg", sockets)
    draft = tmp_path / "pg" / "18.draft"
    draft.mkdir(parents=True)
    (draft / "PG_VERSION").write_text("18\n")
    assert cluster.ensure_initialised()
    assert not draft.exists()
    assert not (tmp_path / "pg" / "password").exists()


def test_two_clusters_run_when_started_side_by_side(cluster: Cluster) -> None:
    with throw_away_cluster() as other:
        other.ensure_roles_and_database("gantry")
        with other.connect("app", "gantry") as one, cluster.connect("app", "gantry") as two:
            identifiers = {
                connection.execute("SELECT system_identifier FROM pg_control_system()").fetchone()
                for connection in (one, two)
            }
        assert len(identifiers) == 2
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(**{**cluster.connection("app", "gantry"), "host": str(other.socket_folder)})


def test_it_recovers_when_the_server_was_killed_and_its_pid_taken(tmp_path: Path, sockets: Path) -> None:
    cluster = make_cluster(tmp_path / "pg", sockets)
    cluster.ensure_initialised()
    cluster.start()
    lock = cluster.data / "postmaster.pid"
    os.kill(int(lock.read_text().split("\n", 1)[0]), signal.SIGKILL)
    cluster.stop()
    assert lock.exists()
    # A process that lives for ever has the old pid now.
    lines = lock.read_text().split("\n")
    lock.write_text("\n".join(["1", *lines[1:]]))
    cluster.clear_leftovers()
    assert list(processes_working_in(cluster.data)) == []
    cluster.start()
    cluster.stop()


def test_a_server_left_over_is_ended_when_the_next_start_finds_it(tmp_path: Path, sockets: Path) -> None:
    left = make_cluster(tmp_path / "pg", sockets)
    left.ensure_initialised()
    left.start()
    following = make_cluster(tmp_path / "pg", sockets)
    assert following.clear_leftovers()
    assert not left.is_ready()
    following.start()
    following.stop()
    left.stop()


def test_a_sentence_says_what_to_do_when_the_secrets_were_lost(tmp_path: Path, sockets: Path) -> None:
    cluster = make_cluster(tmp_path / "pg", sockets)
    cluster.ensure_initialised()
    cluster.start()
    try:
        stranger = Cluster(tmp_path / "pg", sockets, superuser_password="other", role_passwords=PASSWORDS)
        with pytest.raises(EmbeddedError, match=r"secrets\.json"):
            stranger.is_ready()
    finally:
        cluster.stop()


@pytest.mark.skipif(os.getuid() != 0, reason="only root has to give the server to another account")
def test_it_runs_as_nobody_with_one_capability_when_root_starts_it_in_a_closed_folder(
    tmp_path: Path, sockets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As in a checkout under /root: neither the data nor the server itself can be reached by others.
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    wheel = binaries().parents[1]
    for part in (f"{wheel.name}/{binaries().parent.name}", f"{wheel.name}.libs"):
        shutil.copytree(wheel.parent / part, closed / part)
    there = closed / binaries().relative_to(wheel.parent)
    monkeypatch.setattr("gantry.embedded.postgres.binaries", lambda: there)
    cluster = make_cluster(closed / "pg", sockets)
    cluster.ensure_initialised()
    cluster.start()
    try:
        assert cluster.account is not None
        assert cluster.account.needs_override
        postmaster = int((cluster.data / "postmaster.pid").read_text().split("\n", 1)[0])
        status = dict(
            line.split(":\t", 1)
            for line in Path(f"/proc/{postmaster}/status").read_text().splitlines()
            if ":\t" in line
        )
        assert status["Uid"].split()[0] == str(cluster.account.uid)
        assert int(status["CapEff"], 16) == 1 << 1  # CAP_DAC_OVERRIDE and nothing else
        assert cluster.data.stat().st_uid == cluster.account.uid
    finally:
        cluster.stop()
