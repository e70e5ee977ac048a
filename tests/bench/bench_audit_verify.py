"""How fast the stand-alone verifier checks the export of a log of ten million events, and in how much memory."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from uuid import UUID, uuid4

sys.path.append(str(Path(__file__).resolve().parents[1] / "support"))

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench_result import write_result
from gantry.audit import verify
from gantry.audit.checkpoints import manifest_text
from gantry.audit.domain import Kind, Outcome
from gantry.audit.line import LedgerEvent, PatientCount, format_line, format_time, parse_line
from gantry.audit.merkle import Frontier
from gantry.audit.notes import Checkpoint, Signer, fingerprint, log_origin
from gantry.kernel.clock import SYSTEM_CLOCK

EVENTS, PATIENTS = int(float(os.environ.get("EVENTS", "10e6"))), 500_000
JOBS, RATE_BAR, SECONDS_BAR, MEMORY_BAR_MB = 2, 100_000.0, 180.0, 512.0


def template(log: UUID) -> tuple[bytes, ...]:
    """Return the line of a usual event, cut where index, ids, counter and times go."""
    now = SYSTEM_CLOCK.now()
    marks = {"index": 10**12 + 7, "counter": 10**12 + 9, "id": UUID(int=1), "patient": UUID(int=2)}
    event = LedgerEvent(
        log=log,
        index=marks["index"],  # type: ignore[arg-type]  # the table holds numbers and ids
        id=marks["id"],  # type: ignore[arg-type]  # as above
        occurred_at=now,
        recorded_at=now,
        kind=Kind.ACCESSED,
        action="study.opened",
        outcome=Outcome.SUCCESS,
        actor_kind="person",
        actor_id=uuid4(),
        role="radiologist",
        place="site",
        session=uuid4().hex,
        correlation_id=str(uuid4()),
        address="192.0.2.17",
        activity="view",
        purpose="TREAT",
        code="allowed",
        clause="Annex 1 3",
        agreement_version="v1",
        data_category="pixel_data",
        study_id=uuid4(),
        institution_id=uuid4(),
        patients=(PatientCount(marks["patient"], marks["counter"]),),  # type: ignore[arg-type]  # as above
    )
    line = format_line(event).replace(b"%", b"%%")
    for mark in (format_time(now), *marks.values()):
        line = line.replace(str(mark).encode(), b"%b")
    assert line.count(b"%b") == 6, "at, recorded, id, index, patient, counter"
    return (line,)


def build(folder: Path, signer: Signer, log: UUID) -> None:
    """Write a whole export: as many lines as were asked for, checkpoint, manifest, keys."""
    (pattern,) = template(log)
    frontier, digest, size = Frontier(), hashlib.sha256(), 0
    origin, started = log_origin("gantry.bench", log), SYSTEM_CLOCK.now().timestamp()
    counters = [0] * PATIENTS
    patients = [str(uuid4()).encode() for _ in range(PATIENTS)]
    sha256 = hashlib.sha256
    (folder / "events").mkdir()
    (folder / "proofs").mkdir()
    moment = b""
    with (folder / "events" / "events.jsonl").open("wb", buffering=1 << 20) as file:
        for index in range(EVENTS):
            if index % 1000 == 0:
                moment = _moment(started + index / 100)
            patient = (index * 7919) % PATIENTS
            counters[patient] += 1
            line = pattern % (
                moment, b"%08x-0000-4000-8000-%012x" % (index >> 32, index), b"%d" % index, patients[patient],
                b"%d" % counters[patient], moment,
            )  # fmt: skip
            frontier.append(sha256(b"\x00" + line).digest())
            line += b"\n"
            digest.update(line)
            size += len(line)
            file.write(line)
            if index == 0:
                parse_line(line)
    key = base64.b64encode(signer.public_key).decode()
    checkpoint = signer.sign(Checkpoint(origin, EVENTS, frontier.root()).text(), name=origin)
    files = {
        "checkpoint": checkpoint.encode(),
        "keys.json": json.dumps({"v": 1, "keys": [{"public_key": key}]}).encode(),
        "proofs/gaps.bin": b"",
        "proofs/consistency.json": b"[]",
    }
    for name, raw in files.items():
        (folder / name).write_bytes(raw)
    listed = [{"name": name, "bytes": len(raw), "sha256": sha256(raw).hexdigest()} for name, raw in files.items()]
    listed.append({"name": "events/events.jsonl", "bytes": size, "sha256": digest.hexdigest()})
    manifest = json.dumps(
        {
            "v": 1,
            "log": str(log),
            "mode": "range",
            "range": {"first": 0, "after": EVENTS, "tree_size": EVENTS},
            "counts": {"events": EVENTS},
            "files": listed,
        }
    ).encode()
    (folder / "manifest.json").write_bytes(manifest)
    text = manifest_text(log, sha256(manifest).hexdigest())
    (folder / "manifest.sig").write_text(signer.sign(text, name=origin), encoding="utf-8")


def _moment(seconds: float) -> bytes:
    return format_time(type(SYSTEM_CLOCK.now()).fromtimestamp(seconds, SYSTEM_CLOCK.now().tzinfo)).encode()


def resident_mb(pid: int) -> float:
    """Return what a process and its children hold in memory, pages they share counted once for each."""
    family, total = [pid], 0
    while family:
        one = family.pop()
        try:
            status = Path(f"/proc/{one}/status").read_text(encoding="utf-8")
            family += map(int, Path(f"/proc/{one}/task/{one}/children").read_text(encoding="utf-8").split())
        except OSError:
            continue
        total += next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")), 0)
    return total / 1024


def main() -> None:
    """Run it."""
    load_before = os.getloadavg()[0]
    signer = Signer(Ed25519PrivateKey.generate())
    with tempfile.TemporaryDirectory(prefix="gantry-bench-", dir="/tmp") as name:
        build(Path(name), signer, uuid4())
        measure(Path(name), fingerprint(signer.public_key), load_before)


def measure(folder: Path, pin: str, load_before: float) -> None:
    """Have an export verified, by the file alone, and write down what it took."""
    events = folder / "events" / "events.jsonl"
    command = [sys.executable, "-I", verify.__file__, str(folder), "--key", pin, "--jobs", str(JOBS), "--json"]
    begun, most_mb = time.perf_counter(), 0.0
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        while process.poll() is None:
            most_mb = max(most_mb, resident_mb(process.pid))
            time.sleep(0.1)
        took_s = time.perf_counter() - begun
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert process.stdout is not None
        found = json.load(process.stdout)
    assert found["verdict"] == "intact", found
    begun = time.perf_counter()
    subprocess.run(["sha256sum", events], check=True, stdout=subprocess.DEVNULL)
    plain_s = time.perf_counter() - begun
    details = {
        "events": EVENTS,
        "patients": PATIENTS,
        "megabytes": round(events.stat().st_size / 1e6),
        "jobs": JOBS,
        "processor_s": round(used.ru_utime + used.ru_stime, 1),
    }
    write_result(
        "audit_verify_rate",
        unit="events/s",
        better="higher",
        ours=EVENTS / took_s,
        peer=EVENTS / plain_s,
        peer_name="sha256sum of the same lines, which checks nothing",
        bar=RATE_BAR,
        load_before=load_before,
        details=details,
    )
    write_result(
        "audit_verify_time",
        unit="s",
        better="lower",
        ours=took_s,
        peer=plain_s,
        peer_name="sha256sum of the same lines, which checks nothing",
        bar=SECONDS_BAR,
        load_before=load_before,
        details=details,
    )
    write_result(
        "audit_verify_memory",
        unit="MB",
        better="lower",
        ours=most_mb,
        bar=MEMORY_BAR_MB,
        load_before=load_before,
        details={**details, "measured": "resident memory of all processes, shared pages counted for each"},
    )


if __name__ == "__main__":
    main()
