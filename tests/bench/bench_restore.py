"""How long a restore takes and how much it loses, on the demo data of `gantry up` (bars: 60 min and 5 min).

The peer is the plainest restore that there is: pg_dump and psql of the same database, and a copy of the folders of keys and
objects, without checks, without encryption, and without anything after the dump.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "support"))

from bench_result import write_result
from gantry.embedded.parts import DATABASE, Stack
from gantry.embedded.postgres import Cluster, binaries
from gantry.embedded.state import ROLES, StateFolder
from stack import WholeStack


def _seconds(begun: float) -> float:
    return time.perf_counter() - begun


def _gantry(stack: WholeStack, *words: str) -> str:
    done = stack.run(*words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _plain(state: StateFolder, folder: Path) -> float:
    """Dump, copy and load again without more ado; returns the seconds of the way back."""
    cluster = Stack(state=state, commands=frozenset()).cluster
    environment = {**os.environ, "PGPASSWORD": str(cluster.connection()["password"])}
    where = ["-h", str(cluster.socket_folder), "-U", "postgres"]
    dump = folder / "dump.sql"
    with dump.open("wb") as out:
        subprocess.run([str(binaries() / "pg_dump"), *where, DATABASE], env=environment, stdout=out, check=True)
    for name in ("keys", "objects"):
        shutil.copytree(state.root / name, folder / name)
    begun = time.perf_counter()
    again = Cluster(
        folder / "pg", folder / "sock", superuser_password="peer", role_passwords=dict.fromkeys(ROLES, "peer")
    )  # fmt: skip
    again.ensure_initialised()
    again.start(log=folder / "peer.log")
    try:
        again.ensure_roles_and_database(DATABASE)
        load = [
            str(binaries() / "psql"),
            "-q",
            "-h",
            str(again.socket_folder),
            "-U",
            "postgres",
            "-f",
            str(dump),
            DATABASE,
        ]
        subprocess.run(load, env={**os.environ, "PGPASSWORD": "peer"}, check=True, capture_output=True)
        for name in ("keys", "objects"):
            shutil.copytree(folder / name, folder / f"{name}-again")
        return _seconds(begun)
    finally:
        again.stop()


def main() -> None:
    """Take a backup of a demo stack, follow its log while a study is erased, restore, and say what that took."""
    load_before = os.getloadavg()[0]
    folder = Path(tempfile.mkdtemp(prefix="gantry-bench-restore-", dir="/tmp"))
    folder.chmod(0o711)
    stack = WholeStack(folder / "state", demo_slices=96)
    places = ["--target", str(folder / "backups"), "--custody", str(folder / "custody")]
    try:
        stack.start()
        begun = time.perf_counter()
        backup = json.loads(_gantry(stack, "backup", "run", *places, "--json"))
        backup_s = _seconds(begun)
        follower = subprocess.Popen(
            stack.gantry("backup", "follow", "--every", "5"), env=stack.environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        ((number,),) = stack.query("select patient_id from studies_patient order by patient_id limit 1")
        found = _gantry(stack, "erasure", "find", "--tenant", "north", "--number", str(number)).split()[0]
        plan = json.loads(_gantry(stack, "erasure", "plan", "--tenant", "north", "--patient", found, "--json"))
        begun = time.perf_counter()
        _gantry(stack, "erasure", "confirm", plan["id"], "--tenant", "north", "--hash", plan["plan_hash"])
        erasure_s = _seconds(begun)
        peer_s = _plain(stack.state, folder)
        # The disaster comes while work goes on; the follower is not told to finish.
        until = time.perf_counter() + 12
        while time.perf_counter() < until:
            _gantry(stack, "hold", "list", "--tenant", "north")
        ((killed_at,),) = stack.query("select clock_timestamp()")
        follower.kill()
        follower.wait()
        begun = time.perf_counter()
        restored = json.loads(_gantry(WholeStack(folder / "again"), "restore", *places, "--json"))
        restore_s = _seconds(begun)
        lost_s = (killed_at - killed_at.fromisoformat(restored["state"])).total_seconds()
    finally:
        stack.close()
        shutil.rmtree(folder, ignore_errors=True)
    write_result(
        "restore", unit="s", better="lower", ours=restore_s, peer=peer_s, peer_name="pg_dump, psql and cp, unchecked",
        bar=3600, load_before=load_before,
        details={
            "backup_s": round(backup_s, 1), "erasure_s": round(erasure_s, 1), "steps_s": restored["seconds"],
            "objects": restored["objects"], "object_mb": round(backup["counts"]["object_bytes"] / 1e6, 1),
            "base_mb": round(backup["base"]["bytes"] / 1e6, 1), "trees": len(restored["trees"]),
        },
    )  # fmt: skip
    write_result(
        "restore_point", unit="s", better="lower", ours=max(lost_s, 0.0), bar=300, load_before=load_before,
        details={"followed_every_s": 5},
    )  # fmt: skip


if __name__ == "__main__":
    main()
