from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gantry.embedded.environment import child_environment, read_environment_file
from gantry.embedded.logs import LogPump
from gantry.embedded.parts import Stack
from gantry.embedded.ports import first_free_ports, is_port_free
from gantry.embedded.record import StackRecord
from gantry.embedded.state import (
    AlreadyRunningError,
    EmbeddedError,
    StateFolder,
    make_own_folder,
    write_private,
)


def test_secrets_are_kept_and_private_when_loaded_again(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    first = state.load_secrets()
    assert state.load_secrets() == first
    assert len(bytes.fromhex(first.context_key)) == len(bytes.fromhex(first.job_key)) == 32
    assert len(set(first.role_passwords.values())) == 5
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_secrets_of_an_older_version_are_kept_and_what_is_new_is_drawn(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    kept = vars(state.load_secrets())
    new = {"render_pod_key", "render_ticket_key", "audit_checkpoint_key"}
    write_private(tmp_path / "secrets.json", json.dumps({key: value for key, value in kept.items() if key not in new}))
    found = vars(state.load_secrets())
    assert {key: value for key, value in found.items() if key not in new} == {
        key: value for key, value in kept.items() if key not in new
    }
    assert all(len(bytes.fromhex(found[key])) == 32 and found[key] != kept[key] for key in new)
    assert vars(state.load_secrets()) == found
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_sequencer_shares_no_secret_with_web_and_worker(tmp_path: Path) -> None:
    stack = Stack(state=StateFolder(tmp_path), commands=frozenset())
    own, ours = stack.sequencer_settings(), stack.settings()
    secrets = vars(stack.secrets)
    for secret in (secrets["audit_checkpoint_key"], secrets["role_passwords"]["sequencer"]):
        assert secret in own.values()
        assert secret not in ours.values()
    shared = {value for value in own.values() if value in ours.values()}
    assert shared == {own["GANTRY_DATABASE__HOST"], own["GANTRY_DATABASE__PORT"], own["GANTRY_DATABASE__NAME"]}
    assert stack.state.checkpoints not in {stack.state.keys, stack.state.objects}


def test_render_service_is_given_no_key_of_the_control_plane(tmp_path: Path) -> None:
    stack = Stack(state=StateFolder(tmp_path), commands=frozenset())
    stack.web_port = 8000
    theirs, ours = stack.render_settings(), stack.settings()
    secrets = stack.secrets
    hidden = {secrets.secret_key, secrets.context_key, secrets.job_key, secrets.render_ticket_key}
    assert not (hidden | set(secrets.role_passwords.values())) & set(theirs.values())
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(ours["GANTRY_RENDER__TICKET_KEY"]))
    assert theirs["GANTRY_RENDER__TICKET_PUBLIC_KEY"] == key.public_key().public_bytes_raw().hex()
    assert ours["GANTRY_RENDER__URL"] == f"unix:{theirs['GANTRY_RENDER__SOCKET']}"
    assert len(theirs["GANTRY_RENDER__SOCKET"]) < 100
    stack.fallbacks["Rendering"] = "It did not start."
    assert stack.settings()["GANTRY_RENDER__URL"] == ""


def test_the_folder_is_held_once_when_two_want_it(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    with state.hold():
        assert state.is_held()
        with pytest.raises(AlreadyRunningError), state.hold():
            pass
    assert not state.is_held()


def test_sockets_lie_in_a_short_folder_of_their_own_when_the_path_is_long(tmp_path: Path) -> None:
    long, other = StateFolder(tmp_path / ("x" * 200)), StateFolder(tmp_path / ("y" * 200))
    assert len(os.fsencode(long.runtime)) < 60
    assert long.runtime != other.runtime
    assert long.runtime == StateFolder(long.root).runtime


def test_a_folder_is_refused_when_it_is_a_link_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    (tmp_path / "file").touch()
    for planted in ("link", "file"):
        with pytest.raises(EmbeddedError, match="not a folder"):
            make_own_folder(tmp_path / planted, 0o700)
    make_own_folder(tmp_path / "own", 0o700)
    assert (tmp_path / "own").stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make a folder for somebody else")
def test_a_socket_folder_is_refused_when_somebody_else_laid_it_there(tmp_path: Path) -> None:
    planted = StateFolder(tmp_path).runtime
    planted.mkdir(mode=0o700)
    try:
        os.chown(planted, 65534, 65534)
        with pytest.raises(EmbeddedError, match="another user"):
            StateFolder(tmp_path).prepare()
    finally:
        planted.rmdir()


def test_a_draft_left_by_a_crash_does_not_open_the_file_when_written_again(tmp_path: Path) -> None:
    target = tmp_path / "secret"
    draft = tmp_path / "secret.new"
    draft.touch(mode=0o644)
    draft.chmod(0o644)
    write_private(target, "text")
    assert target.read_text() == "text"
    assert target.stat().st_mode & 0o777 == 0o600
    assert not draft.exists()


def test_the_users_database_and_settings_stay_behind_when_a_child_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PGHOST", "elsewhere")
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "elsewhere")
    monkeypatch.setenv("GANTRY_INGEST__QUIET_S", "1")
    monkeypatch.setenv("GANTRY_SECRET_KEY", "the user's")
    child = child_environment({"GANTRY_SECRET_KEY": "the stack's", "GANTRY_INGEST__QUIET_S": "5"})
    assert "PGHOST" not in child
    assert "DJANGO_SETTINGS_MODULE" not in child
    assert child["GANTRY_SECRET_KEY"] == "the stack's"
    assert child["GANTRY_INGEST__QUIET_S"] == "1"


def test_values_keep_their_equals_signs_when_read_back(tmp_path: Path) -> None:
    file = tmp_path / "embedded.env"
    file.write_text("A=b=c\nEMPTY=\n# a comment=1\n")
    assert read_environment_file(file) == {"A": "b=c", "EMPTY": ""}
    assert read_environment_file(tmp_path / "absent") == {}


def test_a_record_is_the_same_when_read_back(tmp_path: Path) -> None:
    record = StackRecord(tmp_path / "stack.json", url="http://127.0.0.1:8001", fallbacks={"Triton": "why"})
    record.note("redis", os.getpid())
    assert StackRecord.read(record.path) == record
    (tmp_path / "stack.json").write_text("{")
    assert StackRecord.read(record.path) is None


def test_nothing_is_ended_when_the_recorded_pid_belongs_to_another_process_now(tmp_path: Path) -> None:
    record = StackRecord(tmp_path / "stack.json", processes={"web": (os.getpid(), 1)})
    assert record.end_leftovers() == []


def test_free_ports_are_distinct_when_several_are_wanted() -> None:
    ports = first_free_ports(20000, 3)
    assert len(set(ports)) == 3
    assert all(is_port_free(port) for port in ports)


def test_lines_are_dated_and_the_file_is_bounded_when_a_process_talks_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gantry.embedded.logs.LIMIT_BYTES", 2000)
    reading, writing = os.pipe()
    pump = LogPump(tmp_path / "web.log", os.fdopen(reading, "rb"))
    with os.fdopen(writing, "wb") as output:
        output.writelines(f"line {number}\n".encode() for number in range(500))
    assert pump.tail()[-1] == "line 499"
    assert " web | line 499" in (tmp_path / "web.log").read_text() + (tmp_path / "web.log.1").read_text()
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 5000
