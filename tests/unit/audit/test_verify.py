"""The stand-alone verifier: what it accepts, what it cannot say, and eight ways of tampering that it finds."""

from __future__ import annotations

import ast
import base64
import json
import random
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exports import MadeLog
from gantry.audit import verify as verifier
from gantry.audit.line import PatientCount, format_line
from gantry.audit.merkle import Frontier
from gantry.audit.notes import COSIGNATURE, Checkpoint, Signer, cosigned_message, format_verifier_key, key_id
from gantry.audit.verify import MemoryExport, Report, verify, verify_in_python

SOURCE = Path(verifier.__file__)
EVENTS = "events/events.jsonl"
Files = dict[str, bytes]
SIZE = 40


@cache
def made(seed: int = 1, size: int = SIZE) -> MadeLog:
    return MadeLog(seed, size)


def check(files: Files, log: MadeLog | None = None, *, kept: int | None = None, **given: Any) -> Report:
    log = log or made()
    note = log.checkpoint(kept).encode() if kept is not None else None
    return verify(MemoryExport(files), pin=log.pin, kept=note, **given)


MODES: list[dict[str, Any]] = [
    {"mode": "range"},
    {"mode": "range", "first": 5, "after": 33},
    {"mode": "range", "first": 9, "after": 9},
    {"mode": "patient"},
    {"mode": "filtered"},
    {"mode": "filtered", "every": 13},
]


def export(log: MadeLog, *, mode: str, **given: Any) -> Files:
    patient = log.patients[1] if mode == "patient" else None
    return log.export(mode, patient=patient, consistent_from=[17], **given)


@pytest.mark.parametrize("given", MODES, ids=str)
@pytest.mark.parametrize("size", [1, 2, 40, 300])
def test_export_is_intact(given: dict[str, Any], size: int) -> None:
    log = made(2, size)
    wanted = {**given, **({"first": 0, "after": size} if "first" in given and size < 40 else {})}
    files = log.export(wanted.pop("mode"), patient=log.patients[1] if given["mode"] == "patient" else None, **wanted)
    report = check(files, log, kept=size)
    assert report.verdict == "intact", report.text()


@pytest.mark.parametrize("given", MODES, ids=str)
def test_export_continues_the_kept_checkpoint(given: dict[str, Any]) -> None:
    report = check(export(made(), **given), kept=17)
    assert report.verdict == "intact", report.text()
    assert any("still begins with the 17 events" in sentence for sentence in report.held)


def test_it_says_what_it_cannot_prove() -> None:
    log = made()
    alone = verify(MemoryExport(export(log, mode="range")))
    assert (alone.verdict, alone.status, alone.failed) == ("origin not proven", 3, [])
    by_checkpoint = verify(MemoryExport(export(log, mode="range")), kept=log.checkpoint(17).encode())
    assert by_checkpoint.verdict == "intact"
    filtered = check(export(log, mode="filtered", every=13), kept=20)
    assert filtered.verdict == "intact"
    assert any("holds no proof from that size" in sentence for sentence in filtered.unknown)
    assert any("signed word of the platform" in sentence for sentence in filtered.unknown)


def test_patient_without_a_count_is_complete_as_far_as_it_can_be_said() -> None:
    log = made()
    files = export(log, mode="patient")
    del files["proofs/patient"]
    chosen = [event for event in log.events if log.patients[1] in {p.pseudonym for p in event.patients}]
    rest = {name: raw for name, raw in files.items() if not name.startswith("manifest")}
    files = log.sign(rest, "patient", first=0, after=SIZE, events=len(chosen), patient=log.patients[1])
    report = check(files)
    assert report.verdict == "intact"
    assert any("later events" in sentence for sentence in report.unknown)


def test_fully_signed_but_incomplete_patient_is_noticed() -> None:
    """Whoever holds the platform may have any manifest signed; the count of a patient is the sequencer's own."""
    log = made()
    patient = log.patients[1]
    chosen = [event.index for event in log.events if patient in {p.pseudonym for p in event.patients}]
    for missing in (chosen[1:], chosen[:-1], chosen[:3] + chosen[4:]):
        report = check(log.pack("patient", missing, first=0, after=SIZE, patient=patient))
        assert report.status == 1, report.text()


def test_log_that_counts_wrongly_is_noticed() -> None:
    for change in (
        lambda event: {"patients": tuple(PatientCount(p.pseudonym, p.counter + 1) for p in event.patients)},
        lambda event: {"recorded_at": event.recorded_at - timedelta(hours=9)},
        lambda event: {"log": uuid4()},
    ):
        log = MadeLog(3, SIZE)
        at = next(index for index in range(20, SIZE) if log.events[index].patients)
        rebuild(log, at, replace(log.events[at], **change(log.events[at])))
        assert check(log.export(), log).status == 1


def rebuild(log: MadeLog, at: int, event: Any) -> None:
    """Let the log itself have another event, with a tree and signatures that agree."""
    from gantry.audit.line import leaf_hash

    log.events[at], log.lines[at] = event, format_line(event)
    frontier = Frontier()
    for index, line in enumerate(log.lines):
        log.nodes[0, index] = leaf_hash(line)
        log.nodes.update({(level, node): digest for level, node, digest in frontier.append(log.nodes[0, index])})


def test_event_that_claims_another_time_is_mentioned() -> None:
    log = MadeLog(4, SIZE)
    rebuild(log, 7, replace(log.events[7], occurred_at=log.events[7].occurred_at - timedelta(days=40)))
    report = check(log.export(), log)
    assert report.verdict == "intact"
    assert any("1 events say that they happened" in sentence for sentence in report.unknown)


def test_witness_is_asked_for() -> None:
    log, witness = made(), Ed25519PrivateKey.generate()
    key, name = witness.public_key().public_bytes_raw(), "witness.example/w1"
    note = log.checkpoint()
    message = cosigned_message(note.split("\n\n")[0] + "\n", 1_800_000_000)
    mark = key_id(name, key, COSIGNATURE) + (1_800_000_000).to_bytes(8, "big") + witness.sign(message)
    line = f"\u2014 {name} {base64.b64encode(mark).decode()}\n"
    files = log.export()
    files["checkpoint"] += line.encode()
    rest = {name: raw for name, raw in files.items() if not name.startswith("manifest")}
    files = log.sign(rest, "range", first=0, after=SIZE, events=SIZE)
    wanted = format_verifier_key(name, key, COSIGNATURE)
    assert check(files, witnesses=[wanted]).verdict == "intact"
    assert check(log.export(), witnesses=[wanted]).status == 1


def test_line_ends_names_and_files_are_exact() -> None:
    log = made()
    files = log.export()
    for change in (
        {EVENTS: files[EVENTS][:-1]},
        {EVENTS: files[EVENTS] + b"\n"},
        {EVENTS: files[EVENTS].replace(b"\n", b"\r\n")},
        {EVENTS: b""},
        {"more.txt": b"x"},
        {"README.txt": b"other\n"},
        {"proofs/gaps.bin": b"\x00" * 32},
        {"keys.json": b"{}"},
        {"keys.json": b"[1"},
        {"checkpoint": b"\xff"},
        {"checkpoint": b""},
        {"manifest.json": b"{}"},
        {"manifest.sig": b"x\n\n"},
    ):
        assert check({**files, **change}).status == 1, change
    for name in files:
        assert check({other: raw for other, raw in files.items() if other != name}).status == 1, name


# --- tampering ------------------------------------------------------------------------------------------------------


def lines_of(files: Files) -> list[bytes]:
    return files[EVENTS].splitlines(keepends=True)


def with_lines(files: Files, lines: list[bytes]) -> Files:
    return {**files, EVENTS: b"".join(lines)}


def renumbered(line: bytes, index: int) -> bytes:
    return re.sub(rb'"index":\d+', b'"index":%d' % index, line, count=1)


def flip(files: Files, log: MadeLog, chance: random.Random) -> Files:
    name = chance.choice([EVENTS, EVENTS, EVENTS, "checkpoint", "proofs/gaps.bin", "manifest.json", "manifest.sig"])
    raw = bytearray(files[name] or files[EVENTS])
    if not files[name]:
        name = EVENTS
    raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
    return {**files, name: bytes(raw)}


def delete(files: Files, log: MadeLog, chance: random.Random) -> Files:
    lines = lines_of(files)
    at = chance.randrange(len(lines))
    count = chance.choice([1, 1, 2, 5])
    left = lines[:at] + lines[at + count :]
    if chance.random() < 0.5:
        first = json.loads(lines[0])["index"]
        left = [renumbered(line, first + number) for number, line in enumerate(left)]
    return with_lines(files, left)


def insert(files: Files, log: MadeLog, chance: random.Random) -> Files:
    lines = lines_of(files)
    at = chance.randrange(len(lines) + 1)
    source = chance.choice(lines)
    index = json.loads(lines[min(at, len(lines) - 1)])["index"]
    new = chance.choice([source, renumbered(source, index), b"{}\n", b"\n", renumbered(source, len(log.lines))])
    after = lines[at:]
    if chance.random() < 0.5:
        after = [renumbered(line, json.loads(line)["index"] + 1) for line in after]
    return with_lines(files, [*lines[:at], new, *after])


def reorder(files: Files, log: MadeLog, chance: random.Random) -> Files:
    lines = lines_of(files)
    a, b = sorted(chance.sample(range(len(lines)), 2))
    indices = [json.loads(line)["index"] for line in lines]
    if chance.random() < 0.3:
        lines[a:b] = lines[a:b][::-1]
        if b - a < 2:
            lines[a], lines[b] = lines[b], lines[a]
    else:
        lines[a], lines[b] = lines[b], lines[a]
    if chance.random() < 0.5:
        lines = [renumbered(line, index) for line, index in zip(lines, indices, strict=True)]
    return with_lines(files, lines)


def truncate(files: Files, log: MadeLog, chance: random.Random) -> Files:
    size = chance.randrange(1, SIZE)
    how = chance.randrange(4)
    if how == 0:
        return with_lines(files, lines_of(files)[: chance.randrange(len(lines_of(files)))])
    if how == 1:
        raw = files[EVENTS]
        return {**files, EVENTS: raw[: chance.randrange(len(raw))]}
    # An honest export of the log as it once was, or one that only has that checkpoint.
    older = MadeLog(log.seed, size, signer=log.signer)
    return older.export() if how == 2 else {**files, "checkpoint": older.checkpoint().encode()}


def splice(files: Files, log: MadeLog, chance: random.Random) -> Files:
    other = made(chance.randrange(50, 60))
    how = chance.randrange(5)
    lines = lines_of(files)
    at = chance.randrange(len(lines))
    foreign = other.lines[json.loads(lines[at])["index"]] + b"\n"
    if how == 0:
        lines[at] = foreign
    elif how == 1:
        lines[at] = foreign.replace(str(other.log).encode(), str(log.log).encode())
    elif how == 2:
        return {**files, EVENTS: other.export()[EVENTS]}
    elif how == 3:
        return {**files, "checkpoint": other.checkpoint().encode()}
    else:
        signed_by_us = MadeLog(other.seed, SIZE, signer=log.signer)
        return signed_by_us.export()
    return with_lines(files, lines)


def back_date(files: Files, log: MadeLog, chance: random.Random) -> Files:
    lines = lines_of(files)
    at = chance.randrange(len(lines))
    field = chance.choice([b"at", b"recorded"])
    day = b"%02d" % chance.randrange(10, 29)
    lines[at] = re.sub(rb'"' + field + rb'":"2026-11-01', b'"' + field + b'":"2026-10-' + day, lines[at])
    if chance.random() < 0.3:
        moved = lines.pop(at)
        lines = [renumbered(line, number) for number, line in enumerate([moved, *lines])]
    return with_lines(files, lines)


def re_sign(files: Files, log: MadeLog, chance: random.Random) -> Files:
    forger = Signer(Ed25519PrivateKey.from_private_bytes(chance.randbytes(32)))
    forged = MadeLog(log.seed, SIZE, signer=forger)
    if chance.random() < 0.7:
        at = chance.randrange(SIZE)
        rebuild(forged, at, replace(forged.events[at], role="surgeon"))
    new = forged.export()
    how = chance.randrange(4)
    if how == 1:  # with the true key listed, too
        keys = [json.loads(raw)["keys"][0] for raw in (new["keys.json"], files["keys.json"])]
        chance.shuffle(keys)
        rest = {name: raw for name, raw in new.items() if not name.startswith("manifest")}
        rest["keys.json"] = json.dumps({"v": 1, "keys": keys}).encode()
        return forged.sign(rest, "range", first=0, after=SIZE, events=SIZE)
    if how == 2:  # the true checkpoint, the forger's manifest
        rest = {name: raw for name, raw in new.items() if not name.startswith("manifest")}
        rest.update({name: files[name] for name in ("checkpoint", "keys.json")})
        return forged.sign(rest, "range", first=0, after=SIZE, events=SIZE)
    if how == 3:  # the forger's checkpoint, under the true key's name and id
        text = Checkpoint.parse(forged.checkpoint()).text()
        mark = key_id(log.origin, log.signer.public_key) + forger.key.sign(text.encode())
        return {**files, "checkpoint": f"{text}\n\u2014 {log.origin} {base64.b64encode(mark).decode()}\n".encode()}
    return new


TAMPERINGS: list[Callable[[Files, MadeLog, random.Random], Files]] = [
    flip, delete, insert, reorder, truncate, splice, back_date, re_sign,
]  # fmt: skip


def agreeing(files: Files, log: MadeLog, chance: random.Random) -> Files:
    """Make everything agree that the tamperer can make agree; with luck, the manifest is even signed truly.

    Whoever holds the web application can have any manifest signed, but no checkpoint.
    """
    how = chance.randrange(3)
    if how == 0 or not {"manifest.json", EVENTS} <= set(files):
        return files
    try:
        manifest = json.loads(files["manifest.json"])
        rest = {name: raw for name, raw in files.items() if not name.startswith("manifest")}
        events, stretch = files[EVENTS].count(b"\n"), manifest["range"]
        signed = log.sign(rest, "range", first=int(stretch["first"]), after=int(stretch["after"]), events=events)
    except (ValueError, KeyError, TypeError):
        return files
    return signed if how == 1 else {**signed, "manifest.sig": files["manifest.sig"]}


@pytest.mark.parametrize("tamper", TAMPERINGS, ids=lambda function: function.__name__)
def test_tampering_is_found_in_each_of_a_thousand_cases(tamper: Callable[..., Files]) -> None:
    log, chance = made(), random.Random(tamper.__name__)
    whole = log.export()
    part = log.export(first=11, after=31)
    note = log.checkpoint().encode()
    found = 0
    while found < 1000:
        files = chance.choice([whole, whole, part])
        changed = tamper(files, log, chance)
        if changed != files and tamper not in {truncate, splice, re_sign}:
            changed = agreeing(changed, log, chance)
        if changed == files:
            continue
        report = verify(MemoryExport(changed), pin=log.pin, kept=note)
        assert report.status == 1, (found, report.text())
        found += 1


def test_untouched_export_passes_where_tampering_is_found() -> None:
    log = made()
    for files in (log.export(), log.export(first=11, after=31)):
        assert verify(MemoryExport(files), pin=log.pin, kept=log.checkpoint().encode()).verdict == "intact"


# --- by itself ------------------------------------------------------------------------------------------------------


def offline() -> list[str]:
    """Return how to start a program without any network, where this machine lets us."""
    prefix = ["unshare", "-rn"]
    try:
        done = subprocess.run([*prefix, "true"], capture_output=True, check=False)
    except OSError:
        return []
    return prefix if done.returncode == 0 else []


def write(folder: Path, files: Files) -> Path:
    for name, raw in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(raw)
    return folder


def run_alone(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the file as its readers do: without network, without site-packages, without this checkout."""
    command = [*offline(), sys.executable, "-I", "-S", str(SOURCE), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", timeout=60)


def test_file_works_alone_on_folder_and_zip(tmp_path: Path) -> None:
    log = made()
    files = {**log.export(), "verify.py": SOURCE.read_bytes()}
    rest = {name: raw for name, raw in files.items() if not name.startswith("manifest")}
    files = log.sign(rest, "range", first=0, after=SIZE, events=SIZE)
    folder = write(tmp_path / "an export", files)
    with zipfile.ZipFile(tmp_path / "export.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, raw in files.items():
            archive.writestr(name, raw)
    kept = tmp_path / "kept"
    kept.write_text(log.checkpoint(17), encoding="utf-8")
    for place in (folder, tmp_path / "export.zip"):
        done = run_alone(place, "--key", f"SHA256:{log.pin.upper()}", "--checkpoint", kept)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
        assert done.stdout.startswith("INTACT.")
    assert run_alone(folder).returncode == 3
    assert run_alone(tmp_path / "nothing").returncode == 2
    assert run_alone(folder, "--key", "0" * 64).returncode == 1
    found = json.loads(run_alone(folder, "--json", "--key", log.pin).stdout)
    assert (found["verdict"], found["facts"]["events"]) == ("intact", SIZE)


@pytest.mark.parametrize("tamper", TAMPERINGS, ids=lambda function: function.__name__)
def test_file_alone_finds_tampering(tmp_path: Path, tamper: Callable[..., Files]) -> None:
    log, chance = made(), random.Random(tamper.__name__)
    files = log.export()
    changed = tamper(files, log, chance)
    while changed == files:
        changed = tamper(files, log, chance)
    kept = tmp_path / "kept"
    kept.write_text(log.checkpoint(), encoding="utf-8")
    done = run_alone(write(tmp_path / "export", changed), "--key", log.pin, "--checkpoint", kept)
    assert (done.returncode, done.stderr) == (1, ""), done.stdout
    assert done.stdout.startswith("NOT INTACT.")


def test_many_processes_find_the_same(tmp_path: Path) -> None:
    log = MadeLog(6, 12_000)
    folder = write(tmp_path / "export", log.export(first=100))
    alone, many = (verify(folder, pin=log.pin, kept=log.checkpoint(7001).encode(), jobs=jobs) for jobs in (1, 2))
    assert alone.verdict == many.verdict == "intact"
    assert (alone.held, alone.facts) == (many.held, many.facts)
    lines = (folder / EVENTS).read_bytes().splitlines(keepends=True)
    lines[9000] = lines[9000].replace(b"radiologist", b"radiologizt")
    (folder / EVENTS).write_bytes(b"".join(lines))
    assert verify(folder, pin=log.pin, jobs=2).status == 1


def test_file_needs_no_young_python_and_nothing_beside_it() -> None:
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"), feature_version=(3, 9))
    modules = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules.add((node.module or "").split(".")[0])
    assert modules - {"cryptography"} <= set(sys.stdlib_module_names)


@pytest.mark.parametrize("number", range(12))
def test_plain_python_agrees_with_cryptography(number: int) -> None:
    chance = random.Random(number)
    key = Ed25519PrivateKey.from_private_bytes(chance.randbytes(32))
    public_key, message = key.public_key().public_bytes_raw(), chance.randbytes(number * 7)
    signature = key.sign(message)
    assert verify_in_python(public_key, signature, message)
    assert not verify_in_python(public_key, signature, message + b"x")
    spoiled = bytearray(signature)
    spoiled[chance.randrange(64)] ^= 1 << chance.randrange(8)
    assert not verify_in_python(public_key, bytes(spoiled), message)
    assert not verify_in_python(chance.randbytes(32), signature, message)


def test_plain_python_knows_the_vectors_of_rfc_8032() -> None:
    for public_key, message, signature in (
        (
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
    ):
        key, text, mark = map(bytes.fromhex, (public_key, message, signature))
        assert verify_in_python(key, mark, text)
        # s + L is the same number modulo L, and must not pass for a second signature.
        scalar = int.from_bytes(mark[32:], "little") + 2**252 + 27742317777372353535851937790883648493
        assert not verify_in_python(key, mark[:32] + scalar.to_bytes(32, "little"), text)
