from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from embedded_stack import EmbeddedStack


def examine(state_dir: Path, hidden: str) -> dict[str, dict[str, str]]:
    command = [sys.executable, "-m", "gantry.cli.main", "--state-dir", str(state_dir), "doctor", "--json"]
    environment = {**EmbeddedStack.environment(), "GANTRY_HIDE": hidden}
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert answer.returncode in {0, 1}, answer.stderr
    return {finding["part"]: finding for finding in json.loads(answer.stdout)}


def test_doctor_names_the_fallback_and_the_reason_when_parts_are_hidden(tmp_path: Path) -> None:
    found = examine(tmp_path / ".gantry", "egl,libpython,chromium")
    assert found["rendering"]["verdict"] == "ok"
    assert "ray caster" in found["rendering"]["using"]
    assert "hidden" in found["rendering"]["why"]
    assert found["triton"]["verdict"] == "fallback"
    assert "ONNX Runtime" in found["triton"]["using"]
    assert "libpython" in found["triton"]["why"]
    assert found["chromium"]["verdict"] == "fallback"
    assert all(found[part]["why"] for part in ("rendering", "triton", "chromium"))


def test_doctor_names_what_is_left_when_there_is_no_render_service(tmp_path: Path) -> None:
    found = examine(tmp_path / ".gantry", "render")["rendering"]
    assert found["verdict"] == "fallback"
    assert found["using"] == "pictures by request, no MPR and 3D"


def test_doctor_finds_the_servers_and_decoders_when_the_environment_is_complete(tmp_path: Path) -> None:
    found = examine(tmp_path / ".gantry", "")
    assert found["postgres"]["verdict"] == "ok"
    assert "18." in found["postgres"]["using"]
    assert found["redis"]["verdict"] == "ok"
    assert found["decoders"]["verdict"] == "ok"
    assert not (tmp_path / ".gantry").exists()  # looking changes nothing


def test_doctor_tells_when_keys_lie_open_to_others(tmp_path: Path) -> None:
    keys = tmp_path / ".gantry" / "keys"
    keys.mkdir(parents=True)
    keys.chmod(0o755)
    found = examine(tmp_path / ".gantry", "")["keys"]
    assert found["verdict"] == "missing"
    assert found["next_step"] == f"chmod 700 {keys}"
    keys.chmod(0o700)
    assert examine(tmp_path / ".gantry", "")["keys"]["verdict"] == "ok"


def test_doctor_says_that_nothing_is_backed_up(tmp_path: Path) -> None:
    found = examine(tmp_path / ".gantry", "")["backups"]
    assert found["verdict"] == "fallback"
    assert "backup run" in found["next_step"]


def test_doctor_says_how_far_behind_a_backup_is(tmp_path: Path) -> None:
    state, target = tmp_path / ".gantry", tmp_path / "target"
    state.mkdir()
    (target / "backups").mkdir(parents=True)
    (target / "backups" / "20260101T000000Z.json").write_text("{}")
    (state / "backup.json").write_text(json.dumps({"target": str(target), "custody": str(tmp_path)}))
    assert examine(state, "")["backups"]["verdict"] == "ok"
    old = (target / "backups" / "20260101T000000Z.json").stat().st_mtime - 3600
    os.utime(target / "backups" / "20260101T000000Z.json", (old, old))
    assert "five minutes" in examine(state, "")["backups"]["why"]
