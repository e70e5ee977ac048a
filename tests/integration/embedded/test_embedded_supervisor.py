from __future__ import annotations

import json
import os
import pwd
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from embedded_stack import EmbeddedStack, are_gone, wait_until
from gantry.embedded.environment import read_environment_file
from gantry.embedded.process import started_ticks
from gantry.embedded.redis import is_ready


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[EmbeddedStack]:
    running = EmbeddedStack(tmp_path / "a state folder with spaces" / ".gantry")
    yield running
    running.close()


def sign_in(stack: EmbeddedStack) -> str:
    """Connect as a command of the user would, by what the stack wrote down."""
    settings = read_environment_file(stack.state.environment_file)
    connection = psycopg.connect(
        host=settings["GANTRY_DATABASE__HOST"],
        port=settings["GANTRY_DATABASE__PORT"],
        dbname=settings["GANTRY_DATABASE__NAME"],
        user="gantry_app",
        password=settings["GANTRY_DATABASE__APP_PASSWORD"],
    )
    with connection:
        row = connection.execute("SELECT current_user").fetchone()
    return str(row[0]) if row else ""


def test_the_environment_leads_to_the_stack_and_is_private_when_it_is_up(stack: EmbeddedStack) -> None:
    stack.start()
    assert sign_in(stack) == "gantry_app"
    assert is_ready(stack.state.runtime / "redis")
    for private in (stack.state.environment_file, stack.state.root / "secrets.json", stack.state.record_file):
        assert private.stat().st_mode & 0o777 == 0o600
    assert len(os.fsencode(stack.state.runtime / "pg" / ".s.PGSQL.5432")) < 107


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_process_ends_and_the_exit_is_clean_when_asked_to_stop(
    stack: EmbeddedStack, number: signal.Signals
) -> None:
    stack.start()
    children = stack.processes()
    assert set(children) == {"postgres", "redis"}
    stack.signal(number)
    assert "Stopping" in stack.output()
    assert stack.process is not None
    assert stack.process.returncode == 0
    assert are_gone(children)
    assert stack.record is None
    assert not (stack.state.postgres / "18" / "postmaster.pid").exists()


def test_every_process_ends_when_the_terminal_hangs_up_and_nobody_passes_it_on(stack: EmbeddedStack) -> None:
    terminal = stack.start_on_terminal()
    children = stack.processes()
    os.close(terminal)
    wait_until(lambda: are_gone(children) and not stack.state.is_held(), "the stack ends with its terminal")


def test_no_process_is_left_when_interrupted_during_the_first_start(stack: EmbeddedStack) -> None:
    stack.start(is_up=False)
    wait_until(lambda: bool(stack.processes()), "the first process")
    children = stack.processes()
    stack.signal(signal.SIGINT)
    stack.output()
    assert are_gone(children)
    assert not stack.state.is_held()
    stack.start()
    assert sign_in(stack) == "gantry_app"


def test_no_orphan_stays_and_data_is_kept_when_the_supervisor_is_killed(stack: EmbeddedStack) -> None:
    stack.start()
    children = stack.processes()
    secrets = (stack.state.root / "secrets.json").read_text()
    stack.signal(signal.SIGKILL)
    wait_until(lambda: are_gone(children), "the children follow their supervisor", timeout_s=15)
    stack.output()
    stack.start()
    assert sign_in(stack) == "gantry_app"
    assert (stack.state.root / "secrets.json").read_text() == secrets


@pytest.mark.parametrize("name", ["redis", "postgres"])
def test_a_process_is_started_again_and_that_is_said_when_it_is_killed(stack: EmbeddedStack, name: str) -> None:
    stack.start()
    pid, ticks = stack.processes()[name]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: stack.processes()[name] != (pid, ticks), f"{name} is started again")

    def answers() -> bool:
        try:
            return sign_in(stack) == "gantry_app" and is_ready(stack.state.runtime / "redis")
        except psycopg.OperationalError:
            return False

    wait_until(answers, f"{name} answers again")
    stack.signal(signal.SIGINT)
    assert "ended (signal 9); starting it again" in stack.output()


def test_a_second_start_says_where_it_runs_when_one_is_up(stack: EmbeddedStack) -> None:
    stack.start()
    record = stack.record
    assert record is not None
    second = stack.run("up", "--only", "redis")
    assert second.returncode == 0
    assert "already running" in second.stdout
    assert record.url in second.stdout
    assert stack.processes() == record.processes


def test_the_next_port_is_taken_and_said_when_the_first_is_busy(stack: EmbeddedStack) -> None:
    with socket.socket() as neighbour:
        neighbour.bind(("127.0.0.1", 0))
        neighbour.listen()
        busy = neighbour.getsockname()[1]
        stack.start("--port", str(busy))
        record = stack.record
        assert record is not None
        port = int(record.url.rsplit(":", 1)[1])
        assert port > busy
        stack.signal(signal.SIGINT)
        assert f"Port {busy} is taken" in stack.output()


def test_status_and_down_find_the_stack_when_it_was_detached(stack: EmbeddedStack) -> None:
    before = stack.run("status", "--json")
    assert before.returncode == 3
    assert json.loads(before.stdout)["running"] is False
    started = stack.run("up", "--only", "postgres", "--detach")
    assert started.returncode == 0, started.stdout + started.stderr
    children = stack.processes()
    status = json.loads(stack.run("status", "--json").stdout)
    assert (status["up"], status["processes"]["postgres"]["is_running"]) == (True, True)
    assert "Stopped" in stack.run("down").stdout
    assert are_gone(children)


def test_it_runs_for_a_normal_user_when_we_are_root(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    if os.getuid() == 0:
        os.chown(home, pwd.getpwnam("nobody").pw_uid, -1)
    stack = EmbeddedStack(home / ".gantry", is_normal_user=True)
    try:
        stack.start()
        pid, ticks = stack.processes()["postgres"]
        assert started_ticks(pid) == ticks
        assert Path(f"/proc/{pid}").stat().st_uid == home.stat().st_uid != 0
        assert stack.state.root.stat().st_mode & 0o777 == 0o700
    finally:
        stack.close()


def test_starting_is_refused_with_a_sentence_when_the_part_is_unknown(stack: EmbeddedStack) -> None:
    answer = stack.run("up", "--only", "mainframe")
    assert answer.returncode == 1
    assert "There is no part 'mainframe'" in answer.stdout
