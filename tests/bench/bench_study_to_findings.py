"""From the last stored image to findings that a reader can see, and the memory that the whole stack takes meanwhile."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1] / "support"))

from bench_result import write_result
from phantom_files import PhantomStudy, make_study
from site_user import Listener, Site
from stack import WholeStack

SLICES, RUNS, QUIET_S = 200, 3, 5.0
BAR_S, BAR_MB = 60.0, 3072.0
STAGES = ("quiet", "queue", "read", "pre", "infer", "post", "write")


def descendants(pid: int) -> set[int]:
    """Return a process and everything below it."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(entry.name)] = int(entry.joinpath("stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def pss_mb(pid: int) -> float:
    """Return the proportional set size: shared pages counted once, divided among who shares them."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


class Memory(threading.Thread):
    """Samples the whole stack's memory, supervisor included, and keeps the peak."""

    def __init__(self, supervisor: int) -> None:
        super().__init__(daemon=True)
        self._supervisor = supervisor
        self.peak_mb = 0.0
        self.over = threading.Event()

    def run(self) -> None:
        """Sample twice a second."""
        while not self.over.wait(0.5):
            self.peak_mb = max(self.peak_mb, sum(map(pss_mb, descendants(self._supervisor))))


def run_once(stack: WholeStack, site: Site, study: PhantomStudy) -> dict[str, float]:
    """Send a study and follow it as a page does; return seconds by stage."""
    browser = stack.sign_in("radiologist")
    listener = Listener(browser, stack.url)
    listener.listen("worklist")
    begun = time.time()
    study_id = site.send(study)
    stored = time.time()
    while True:
        _, message = listener.next_event(300.0)
        if message["data"]["study_id"] == str(study_id) and message["data"].get("state") == "done":
            break
    (analysis,) = browser.get(f"/t/north/api/v1/studies/{study_id}/analyses").json()["analyses"]
    browser.get(analysis["findings"][0]["contours_url"]).raise_for_status()
    seen = time.time()
    listener.close()
    ((last, timings, finished),) = stack.query(
        "select extract(epoch from s.last_instance_at)::float8, a.timings_s, extract(epoch from a.finished_at)::float8"
        " from analyses_analysis a join studies_study s on s.id = a.study_id where s.id = %s",
        study_id,
    )
    stages = {stage: float(timings[stage]) for stage in STAGES}
    return {"total": seen - last, **stages, "show": seen - finished, "upload": stored - begun}


def run_peer(study: PhantomStudy, folder: Path) -> float:
    """Do the same without a platform: one process, files on disk, no encryption, database, audit or page."""
    for number, data in enumerate(study.files):
        folder.joinpath(f"{number:03}.dcm").write_bytes(data)
    script = Path(__file__).with_name("plain_script.py")
    begun = time.time()
    subprocess.run([sys.executable, str(script), str(folder)], check=True, env=dict(os.environ))
    return time.time() - begun


def main() -> None:
    """Run it."""
    load_before = os.getloadavg()[0]
    folder = Path(tempfile.mkdtemp(prefix="gantry-bench-", dir="/tmp"))
    folder.chmod(0o755)
    stack = WholeStack(folder / "state", quiet_s=QUIET_S, demo_slices=8)
    try:
        studies = [make_study(SLICES) for _ in range(RUNS)]
        stack.start()
        site = Site(stack)
        site.wait_for_no_jobs()
        record = stack.record
        assert record is not None
        memory = Memory(record.pid)
        idle_mb = sum(map(pss_mb, descendants(record.pid)))
        memory.start()
        runs = [run_once(stack, site, study) for study in studies]
        memory.over.set()
        ((runtime,),) = stack.query("select runtime from analyses_analysis order by finished_at desc limit 1")
        stack.close()
        peer_s = run_peer(studies[0], folder)
    finally:
        stack.close()
        shutil.rmtree(folder, ignore_errors=True)
    details: dict[str, Any] = {
        "slices": SLICES,
        "megabytes": round(studies[0].size_bytes / 1e6, 1),
        "runtime": runtime,
        "median_s_by_stage": {name: round(statistics.median(run[name] for run in runs), 2) for name in runs[0]},
        "totals_s": [round(run["total"], 2) for run in runs],
    }
    write_result(
        "study_to_findings",
        unit="s",
        better="lower",
        ours=statistics.median(run["total"] for run in runs),
        peer=peer_s,
        peer_name="one script with pydicom, onnxruntime and highdicom; no quiet time of 5 s",
        bar=BAR_S,
        load_before=load_before,
        details=details,
    )
    write_result(
        "stack_memory",
        unit="MB (peak of summed PSS)",
        better="lower",
        ours=memory.peak_mb,
        bar=BAR_MB,
        load_before=load_before,
        details={"idle_mb": round(idle_mb)},
    )


if __name__ == "__main__":
    main()
