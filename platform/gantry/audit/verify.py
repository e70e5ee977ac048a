"""Checks an export of Gantry's audit trail, offline and without trusting whoever made it.

    python3 verify.py EXPORT --key FINGERPRINT --checkpoint LAST-CHECKPOINT

EXPORT is the ZIP file or the folder that it was unpacked to. FINGERPRINT is the SHA-256 of the public key that you
were given when the agreement was signed, not the one that lies in the export. LAST-CHECKPOINT is the file
`checkpoint` of an earlier export, which you kept. Without the two, the export is checked against itself alone.

Exit status: 0 intact; 1 not intact; 2 it cannot be read; 3 intact in itself, but its origin is not proven.

This file needs Python 3.9 or newer and nothing else; where the package `cryptography` is installed, signatures are
checked by that. Formats: RFC 6962 (Merkle tree), C2SP signed-note, tlog-checkpoint and tlog-cosignature. `docs/audit.md`
of Gantry describes the export file by file, so that anybody can write another verifier.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import collections
import concurrent.futures
import contextlib
import gc
import hashlib
import io
import itertools
import json
import os
import re
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

MANIFEST_TEXT = "gantry-audit-export-manifest/v1"
PATIENT_TEXT = "gantry-audit-patient-count/v1"
EVENTS, GAPS, CONSISTENCY, PATIENT = (
    "events/events.jsonl",
    "proofs/gaps.bin",
    "proofs/consistency.json",
    "proofs/patient",
)
_MAX_SMALL_BYTES = 16 << 20
_MAX_LINE_BYTES = 8 << 20
_CHUNK_BYTES = 4 << 20
_MAX_PATIENTS = 3_000_000
_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_ORIGIN = re.compile(rf"[!-~]+/audit/({_UUID})(?:/([1-9][0-9]*))?")
_DASH = "— "
_UTC = timezone.utc  # noqa: UP017 - `datetime.UTC` is younger than this file may be


class UnreadableError(Exception):
    """There is no export to check: exit status 2."""


class Broken(Exception):  # noqa: N818 - what the export is
    """A check failed so that those behind it have nothing to stand on."""


# --- what was found -------------------------------------------------------------------------------------------------


class Report:
    """What was checked, in sentences: what holds, what does not, what cannot be said."""

    def __init__(self) -> None:
        self.held: list[str] = []
        self.failed: list[str] = []
        self.unknown: list[str] = []
        self.is_origin_proven = False
        self.facts: dict[str, Any] = {}

    @property
    def verdict(self) -> str:
        """`intact`, `not intact` or `origin not proven`."""
        if self.failed:
            return "not intact"
        return "intact" if self.is_origin_proven else "origin not proven"

    @property
    def status(self) -> int:
        """The exit status."""
        return {"intact": 0, "not intact": 1, "origin not proven": 3}[self.verdict]

    def check(self, holds: bool, sentence: str, otherwise: str) -> bool:
        """Note a check's outcome and return it."""
        (self.held if holds else self.failed).append(sentence if holds else otherwise)
        return holds

    def text(self) -> str:
        """Return the whole as a person reads it."""
        words = {
            "intact": "INTACT. Everything that could be checked holds, and it comes from the key you trust.",
            "not intact": "NOT INTACT. Do not rely on this export; ask for the reasons below to be explained.",
            "origin not proven": "ORIGIN NOT PROVEN. The export agrees with itself; who made it, it cannot prove.",
        }
        parts = [words[self.verdict]]
        for title, sentences in (
            ("Does not hold:", self.failed),
            ("Holds:", self.held),
            ("Cannot be said from this export:", self.unknown),
        ):
            if sentences:
                parts.append("\n".join([title, *(f"  - {sentence}" for sentence in sentences)]))
        return "\n\n".join(parts) + "\n"

    def json(self) -> str:
        """Return the whole as a program reads it."""
        content = {
            "verdict": self.verdict,
            "failed": self.failed,
            "held": self.held,
            "unknown": self.unknown,
            "facts": self.facts,
        }
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


# --- the files of an export -----------------------------------------------------------------------------------------


class Export:
    """The files of an export by name, wherever they lie."""

    def names(self) -> list[str]:
        raise NotImplementedError

    def open(self, name: str) -> IO[bytes]:
        raise NotImplementedError

    def path(self, name: str) -> Path | None:
        """Return where a file lies, if it lies there as it is."""
        return None

    def read(self, name: str) -> bytes:
        """Return a small file whole."""
        try:
            with self.open(name) as file:
                content = file.read(_MAX_SMALL_BYTES + 1)
        except (OSError, KeyError, zipfile.BadZipFile, EOFError) as error:
            raise Broken(f"The file {name} is missing or cannot be read ({type(error).__name__}).") from None
        if len(content) > _MAX_SMALL_BYTES:
            raise Broken(f"The file {name} is larger than any such file is.")
        return content


class FolderExport(Export):
    """An export unpacked to a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def names(self) -> list[str]:
        found = []
        for folder, folders, files in os.walk(self.root):
            folders[:] = [name for name in folders if name != "__pycache__"]
            found += [Path(folder, name).relative_to(self.root).as_posix() for name in files]
        return found

    def open(self, name: str) -> IO[bytes]:
        return (self.root / name).open("rb")

    def path(self, name: str) -> Path | None:
        return self.root / name


class ZipExport(Export):
    """An export as it was downloaded."""

    def __init__(self, path: Path) -> None:
        self.zip = zipfile.ZipFile(path)

    def names(self) -> list[str]:
        return [entry.filename for entry in self.zip.infolist() if not entry.is_dir()]

    def open(self, name: str) -> IO[bytes]:
        return self.zip.open(name)


class MemoryExport(Export):
    """An export in memory."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = files

    def names(self) -> list[str]:
        return list(self.files)

    def open(self, name: str) -> IO[bytes]:
        return io.BytesIO(self.files[name])


def open_export(path: Path) -> Export:
    """Open a ZIP file or a folder."""
    if path.is_dir():
        return FolderExport(path)
    try:
        return ZipExport(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise UnreadableError(f"{path} is neither a folder nor a ZIP file ({error}).") from None


# --- Ed25519 (RFC 8032), for where nothing checks it for us ----------------------------------------------------------

_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P
_ROOT_OF_MINUS_ONE = pow(2, (_P - 1) // 4, _P)
_Point = tuple[int, int, int, int]


def _add(a: _Point, b: _Point) -> _Point:
    e = (a[1] - a[0]) * (b[1] - b[0]) % _P
    f = (a[1] + a[0]) * (b[1] + b[0]) % _P
    g, h = 2 * a[3] * b[3] * _D % _P, 2 * a[2] * b[2] % _P
    q, r, s, t = f - e, h - g, h + g, f + e
    return q * r % _P, s * t % _P, r * s % _P, q * t % _P


def _multiply(scalar: int, point: _Point) -> _Point:
    product: _Point = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            product = _add(product, point)
        point, scalar = _add(point, point), scalar >> 1
    return product


def _decode_point(encoded: bytes) -> _Point | None:
    y = int.from_bytes(encoded, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    if y >= _P:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, _P - 2, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _ROOT_OF_MINUS_ONE % _P
    if (x * x - square) % _P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = _P - x
    return x, y, 1, x * y % _P


_BASE = _decode_point(bytes.fromhex("58" + "66" * 31))


def verify_in_python(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Say whether an Ed25519 signature holds, by arithmetic alone."""
    point = _decode_point(public_key) if len(public_key) == 32 and len(signature) == 64 else None
    scalar = int.from_bytes(signature[32:], "little")
    if point is None or scalar >= _L or _BASE is None:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + public_key + message).digest(), "little") % _L
    minus: _Point = (_P - point[0], point[1], 1, _P - point[3])
    x, y, z, _ = _add(_multiply(scalar, _BASE), _multiply(k, minus))
    inverse = pow(z, _P - 2, _P)
    x, y = x * inverse % _P, y * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little") == signature[:32]


def is_signed(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Say whether an Ed25519 signature holds."""
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        return verify_in_python(public_key, signature, message)
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


# --- signed notes and checkpoints -----------------------------------------------------------------------------------


def _unbase64(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
    return raw if base64.b64encode(raw).decode() == text else b""  # one writing of each value


def _key_id(name: str, public_key: bytes, kind: int) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public_key).digest()[:4]


class Note:
    """A signed note: its text, and signature lines."""

    def __init__(self, raw: bytes, what: str) -> None:
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            raise Broken(f"{what} is not text.") from None
        body, separator, signatures = text.rpartition("\n\n")
        if not separator or not signatures.endswith("\n"):
            raise Broken(f"{what} is no signed note.")
        self.body = body + "\n"
        self.lines = [line for line in signatures.splitlines() if line.startswith(_DASH)]

    def marks(self, name: str, key_id: bytes) -> Iterator[bytes]:
        """Yield what the signature lines of a key hold behind its id."""
        for line in self.lines:
            signer, _, encoded = line[len(_DASH) :].rpartition(" ")
            mark = _unbase64(encoded)
            if signer == name and mark[:4] == key_id:
                yield mark[4:]

    def is_signed_by(self, name: str, public_key: bytes) -> bool:
        """Say whether a key of kind 0x01 signed the text."""
        return any(
            is_signed(public_key, mark, self.body.encode()) for mark in self.marks(name, _key_id(name, public_key, 1))
        )

    def cosigned_at(self, name: str, public_key: bytes) -> int | None:
        """Return when a witness cosigned it (cosignature/v1), in seconds of POSIX."""
        for mark in self.marks(name, _key_id(name, public_key, 4)):
            moment = int.from_bytes(mark[:8], "big")
            message = f"cosignature/v1\ntime {moment}\n{self.body}".encode()
            if len(mark) == 72 and is_signed(public_key, mark[8:], message):
                return moment
        return None


class Checkpoint(Note):
    """A signed note that says how large a log is and what its root hash is."""

    def __init__(self, raw: bytes, what: str) -> None:
        super().__init__(raw, what)
        lines = self.body.split("\n")
        origin = _ORIGIN.fullmatch(lines[0])
        if len(lines) != 4 or origin is None or not re.fullmatch(r"0|[1-9][0-9]{0,17}", lines[1], re.ASCII):
            raise Broken(f"{what} is no checkpoint of an audit log.")
        self.origin, self.log, self.size, self.root = lines[0], origin[1], int(lines[1]), _unbase64(lines[2])
        if len(self.root) != 32:
            raise Broken(f"{what} is no checkpoint of an audit log.")


# --- the Merkle tree ------------------------------------------------------------------------------------------------

_sha256 = hashlib.sha256
_Node = tuple[int, int, bytes]
"""Level, index among its level, hash: the complete subtree over leaves [index << level, (index + 1) << level)."""


def decompose(first: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the fewest complete subtrees that cover the leaves [first, end), in order."""
    while first < end:
        level = (end - first).bit_length() - 1
        if first:
            level = min(level, (first & -first).bit_length() - 1)
        yield level, first >> level
        first += 1 << level


def collapse(first: int, hashes: list[bytes]) -> list[_Node]:
    """Return consecutive leaves as the fewest complete subtrees."""
    left: list[_Node] = []
    right: list[_Node] = []
    level = 0
    while hashes:
        if first & 1:
            left.append((level, first, hashes[0]))
            hashes, first = hashes[1:], first + 1
        if len(hashes) & 1:
            right.append((level, first + len(hashes) - 1, hashes[-1]))
            hashes = hashes[:-1]
        pairs = iter(hashes)
        hashes = [_sha256(b"\x01" + a + b).digest() for a, b in zip(pairs, pairs)]  # noqa: B905 - of equal length; `strict` is younger than this file may be
        first, level = first >> 1, level + 1
    return left + right[::-1]


class Growing:
    """A tree put together from the left: nodes of the lines, and between them the hashes of what was left out."""

    def __init__(self, gaps: IO[bytes], wanted: int | None) -> None:
        self.position = 0
        self.gap_hashes = 0
        self._stack: list[_Node] = []
        self._gaps = gaps
        self._wanted = wanted
        self.root_at_wanted: bytes | None = None

    def push(self, node: _Node) -> None:
        level, index, digest = node
        self.position = (index + 1) << level
        while index & 1 and self._stack and self._stack[-1][:2] == (level, index - 1):
            digest = _sha256(b"\x01" + self._stack.pop()[2] + digest).digest()
            level, index = level + 1, index >> 1
        self._stack.append((level, index, digest))
        if self.position == self._wanted:
            self.root_at_wanted = self.root()

    def skip_to(self, index: int) -> None:
        """Fill the stretch up to a leaf with the hashes that the export gives for it."""
        for level, at in decompose(self.position, index):
            digest = self._gaps.read(32)
            if len(digest) != 32:
                raise Broken("The proofs end before they cover everything that was left out.")
            self.gap_hashes += 1
            self.push((level, at, digest))

    def root(self) -> bytes:
        if not self._stack:
            return _sha256(b"").digest()
        digest = self._stack[-1][2]
        for _, _, left in reversed(self._stack[:-1]):
            digest = _sha256(b"\x01" + left + digest).digest()
        return digest


def is_consistent(old: int, size: int, old_root: bytes, root: bytes, path: Sequence[bytes]) -> bool:
    """Say whether a proof shows that the tree of `old` leaves is a prefix of that of `size` (RFC 9162, 2.1.4.2)."""
    if old in {0, size}:
        return not path and (old_root == root if old else old_root == _sha256(b"").digest())
    steps = [old_root, *path] if old & (old - 1) == 0 else list(path)
    at, last = old - 1, size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    if not steps or old > size:
        return False
    old_found = found = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            old_found = _sha256(b"\x01" + step + old_found).digest()
            found = _sha256(b"\x01" + step + found).digest()
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = _sha256(b"\x01" + found + step).digest()
        at, last = at >> 1, last >> 1
    return last == 0 and old_found == old_root and found == root


# --- the lines ------------------------------------------------------------------------------------------------------


class Chunk:
    """What a run of lines comes to; made in a process of its own."""

    def __init__(self) -> None:
        self.lines = 0
        self.first = self.last = -1
        self.stretches = 0
        self.nodes: list[_Node] = []
        self.patients: dict[bytes, tuple[int, int]] = {}
        self.earliest = self.latest = ""
        self.oldest_at = self.newest_at = ""
        self.is_backwards = False
        self.claims_off = 0
        self.wrong = ""


def read_chunk(raw: bytes, log: str, split: int | None, skew_s: float, mode: str, patient: str) -> Chunk:
    """Check consecutive lines, as bytes that end with a line end, and fold them into subtrees."""
    chunk = Chunk()
    lines = raw.split(b"\n")
    if lines.pop():
        chunk.wrong = "The last line has no end."
        return chunk
    try:
        events = json.loads(b"[" + b",".join(lines) + b"]")
        if len(events) != len(lines):
            raise ValueError("not one event a line")
        _read_lines(chunk, lines, events, log, split, skew_s, mode, patient)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        chunk.wrong = f"Behind event {chunk.last} a line is no event of the ledger ({type(error).__name__})."
    return chunk


def _read_lines(  # noqa: PLR0917 - the arguments of `read_chunk`, and what it made of the bytes
    chunk: Chunk,
    lines: Sequence[bytes],
    events: Sequence[Mapping[str, Any]],
    log: str,
    split: int | None,
    skew_s: float,
    mode: str,
    patient: str,
) -> None:
    run: list[bytes] = []
    start, previous, latest = -1, -1, ""
    is_filtered, one = mode == "filtered", patient if mode == "patient" else ""
    for line, event in zip(lines, events):  # noqa: B905 - see above
        index, at, recorded = event["index"], event["at"], event["recorded"]
        if event["log"] != log or event["v"] != 1 or type(index) is not int or len(at) != 27 or len(recorded) != 27:
            chunk.wrong = f"Behind event {previous} comes a line of another log or version."
            return
        if not run or index != previous + 1 or index == split:
            if index <= previous:
                chunk.wrong = f"Event {index} comes behind event {previous}."
                return
            if run:
                chunk.nodes += collapse(start, run)
            if not run or index != previous + 1:
                chunk.stretches += 1
            start, run = index, []
        run.append(_sha256(b"\x00" + line).digest())
        previous = index
        if recorded >= latest:
            latest = recorded
        elif _seconds(latest) - _seconds(recorded) > skew_s:
            chunk.is_backwards = True
        if at[:16] != recorded[:16] and abs(_seconds(recorded) - _seconds(at)) > skew_s:
            chunk.claims_off += 1
        if "patients" in event or one:
            chunk.wrong = _count_patients(chunk.patients, event, is_filtered, one)
            if chunk.wrong:
                return
        chunk.last = index
    if run:
        chunk.nodes += collapse(start, run)
    chunk.lines, chunk.first, chunk.latest = len(lines), events[0]["index"], latest
    chunk.earliest = min(event["recorded"] for event in events)
    times = [event["at"] for event in events]
    chunk.oldest_at, chunk.newest_at = min(times), max(times)


def _count_patients(
    patients: dict[bytes, tuple[int, int]], event: Mapping[str, Any], is_filtered: bool, one: str
) -> str:
    """Take down an event's patients, first and last count of each; return what is wrong with them."""
    is_found = False
    for pseudonym, counter in event.get("patients", ()):
        if one and pseudonym != one:
            continue
        is_found = True
        key = bytes.fromhex(pseudonym.replace("-", ""))
        seen = patients.get(key)
        if seen is None:
            patients[key] = (counter, counter)
        elif counter == seen[1] + 1 or (counter > seen[1] and is_filtered):
            patients[key] = (seen[0], counter)
        else:
            return f"At event {event['index']} a patient's count goes from {seen[1]} to {counter}."
    return f"Event {event['index']} does not concern the patient of this export." if one and not is_found else ""


def _seconds(text: str) -> float:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=_UTC).timestamp()


_Piece = tuple[int, int, bytes]
"""Where some whole lines begin and how many bytes they have; and those bytes, where nobody else can read them."""


class _Hashed:
    """A file cut into pieces of whole lines, its hash taken on the way."""

    def __init__(self, file: IO[bytes]) -> None:
        self.sha256 = hashlib.sha256()
        self.size = 0
        self._file = file

    def pieces(self, *, with_bytes: bool) -> Iterator[_Piece]:
        start, rest = 0, b""
        while block := self._file.read(_CHUNK_BYTES):
            self.sha256.update(block)
            end = self.size + block.rfind(b"\n") + 1
            if end > self.size:
                cut = end - self.size
                yield start, end - start, rest + block[:cut] if with_bytes else b""
                start, rest = end, block[cut:]
            else:
                rest += block
            self.size += len(block)
            if self.size - start > _MAX_LINE_BYTES:
                raise Broken("A line is longer than any event is.")
        if self.size > start:
            yield start, self.size - start, rest


def read_piece(path: Path | None, piece: _Piece, *arguments: Any) -> Chunk:
    """Check a piece of a file."""
    start, length, raw = piece
    if path is not None and not raw:
        with path.open("rb") as file:
            file.seek(start)
            raw = file.read(length)
    return read_chunk(raw, *arguments)


def _in_order(path: Path | None, pieces: Iterator[_Piece], jobs: int, *arguments: Any) -> Iterator[Chunk]:
    """Read pieces in `jobs` processes; a few are under way at any time, and results come in order."""
    first = list(itertools.islice(pieces, 2))
    if jobs < 2 or len(first) < 2:
        for piece in itertools.chain(first, pieces):
            yield read_piece(path, piece, *arguments)
        return
    # What JSON is read into has no cycles: looking for some takes a fifth of the time.
    with concurrent.futures.ProcessPoolExecutor(jobs, initializer=gc.disable) as pool:
        waiting: collections.deque[concurrent.futures.Future[Chunk]] = collections.deque()
        for piece in itertools.chain(first, pieces):
            waiting.append(pool.submit(read_piece, path, piece, *arguments))
            if len(waiting) > jobs + 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


# --- the whole ------------------------------------------------------------------------------------------------------


class Verification:
    """One export being checked."""

    def __init__(self, export: Export, *, pin: str, kept: bytes | None, jobs: int, skew_s: float) -> None:
        self.export = export
        self.pin = pin.lower().removeprefix("sha256:").strip() if pin else ""
        self.kept_raw = kept
        self.jobs = jobs
        self.skew_s = skew_s
        self.report = Report()

    def run(self, witnesses: Sequence[str] = ()) -> Report:
        try:
            self._check(witnesses)
        except Broken as broken:
            self.report.failed.append(str(broken))
        return self.report

    def _check(self, witnesses: Sequence[str]) -> None:
        raw_manifest = self.export.read("manifest.json")
        self.manifest = _json(raw_manifest, "manifest.json")
        self.checkpoint = Checkpoint(self.export.read("checkpoint"), "The file checkpoint")
        self.log = self.checkpoint.log
        self.report.facts = {"origin": self.checkpoint.origin, "size": self.checkpoint.size}
        self.public_key = self._choose_key()
        self._check_checkpoint()
        self._check_manifest(raw_manifest)
        self._check_witnesses(witnesses)
        kept = self._read_kept()
        hashed = self._check_events(kept)
        self._check_files(hashed)
        if kept is not None:
            self._check_continues(kept)
        self._say_what_remains(kept)

    def _choose_key(self) -> bytes:
        """Return the key that everything must be signed with: the pinned one, else the one that signed."""
        content = _json(self.export.read("keys.json"), "keys.json")
        listed = content.get("keys") if isinstance(content, dict) else None
        keys = []
        for entry in listed if isinstance(listed, list) else ():
            key = _unbase64(str(entry.get("public_key", ""))) if isinstance(entry, dict) else b""
            if len(key) == 32:
                keys.append(key)
        if self.pin:
            for key in keys:
                if hashlib.sha256(key).hexdigest() == self.pin:
                    return key
            raise Broken("No key of this export has the fingerprint that you trust.")
        for key in keys:
            if self.checkpoint.is_signed_by(self.checkpoint.origin, key):
                return key
        raise Broken("No key of this export has signed its checkpoint.")

    def _check_checkpoint(self) -> None:
        signed = self.checkpoint.is_signed_by(self.checkpoint.origin, self.public_key)
        fingerprint = hashlib.sha256(self.public_key).hexdigest()
        self.report.facts["fingerprint"] = fingerprint
        if not signed:
            whose = "the key that you trust" if self.pin else "the key in this export"
            raise Broken(f"The checkpoint is not signed by {whose}.")
        if self.pin:
            self.report.is_origin_proven = True
            self.report.held.append(
                f"The checkpoint over {self.checkpoint.size} events of {self.checkpoint.origin} is signed by the key "
                f"that you trust, {fingerprint[:16]}…"
            )
        else:
            self.report.held.append(
                f"The checkpoint over {self.checkpoint.size} events of {self.checkpoint.origin} is signed by the key "
                f"that lies in the export itself, {fingerprint}."
            )

    def _check_manifest(self, raw: bytes) -> None:
        manifest, report = self.manifest, self.report
        note = Note(self.export.read("manifest.sig"), "The file manifest.sig")
        digest = hashlib.sha256(raw).hexdigest()
        report.check(
            note.body == f"{MANIFEST_TEXT}\n{self.log}\n{digest}\n"
            and note.is_signed_by(self.checkpoint.origin, self.public_key),
            "The manifest (what was asked for, how much was found, which files) is signed by the same key.",
            "The manifest is not the one that was signed.",
        )
        stretch = manifest.get("range")
        counts = manifest.get("counts")
        try:
            self.mode = str(manifest["mode"])
            self.first, self.after = int(stretch["first"]), int(stretch["after"])
            self.events = int(counts["events"])
            is_right = (
                manifest["v"] == 1
                and manifest["log"] == self.log
                and int(stretch["tree_size"]) == self.checkpoint.size
                and 0 <= self.first <= self.after <= self.checkpoint.size
                and self.mode in {"range", "patient", "filtered"}
            )
            patients = counts.get("patients") or {}
            self.patient = str(manifest.get("patient") or next(iter(patients), "")) if self.mode == "patient" else ""
            self.is_dated = bool((manifest.get("time") or {}).get("from") or (manifest.get("time") or {}).get("to"))
        except (KeyError, TypeError, ValueError, AttributeError):
            raise Broken("The manifest lacks what every manifest says.") from None
        if not is_right:
            raise Broken("The manifest is of another log, version or tree than the checkpoint.")

    def _check_witnesses(self, witnesses: Sequence[str]) -> None:
        for text in witnesses:
            name, _, rest = text.strip().partition("+")
            key = _unbase64(rest.partition("+")[2])
            if len(key) != 33 or key[0] != 4:
                raise UnreadableError(f"{text!r} is no verifier key of a witness (name+id+base64, type 0x04).")
            moment = self.checkpoint.cosigned_at(name, key[1:])
            when = datetime.fromtimestamp(moment or 0, _UTC).isoformat()
            self.report.check(
                moment is not None,
                f"The witness {name} saw this very checkpoint, as a continuation of all it saw before, on {when}.",
                f"The witness {name} has not cosigned this checkpoint.",
            )

    def _read_kept(self) -> Checkpoint | None:
        if self.kept_raw is None:
            return None
        kept = Checkpoint(self.kept_raw, "The checkpoint that you kept")
        if kept.log != self.log:
            raise Broken("The checkpoint that you kept is of another log.")
        if kept.origin != self.checkpoint.origin:
            raise Broken(
                f"The checkpoint that you kept is of {kept.origin}, the export of {self.checkpoint.origin}: the log "
                "was opened anew, as after the restore of a backup that lacked events. Ask for the reason."
            )
        if not kept.is_signed_by(kept.origin, self.public_key):
            raise Broken("The checkpoint that you kept was signed by another key than this export.")
        if not self.pin:
            self.report.is_origin_proven = True
            self.report.held.append("The export is signed by the same key as the checkpoint that you kept.")
        return kept

    def _check_events(self, kept: Checkpoint | None) -> _Hashed:
        report, size = self.report, self.checkpoint.size
        split = kept.size if kept is not None else None
        seen = _Seen(self)
        with contextlib.ExitStack() as files:
            try:
                hashed = _Hashed(files.enter_context(self.export.open(EVENTS)))
                gaps = files.enter_context(self.export.open(GAPS))
                tree = Growing(gaps, split)
                arguments = (self.log, split, self.skew_s, self.mode, self.patient)
                path = self.export.path(EVENTS)
                pieces = hashed.pieces(with_bytes=path is None)
                for chunk in _in_order(path, pieces, self.jobs, *arguments):
                    seen.add(chunk, tree)
                tree.skip_to(size)
                is_spent = not gaps.read(1)
            except (OSError, KeyError, zipfile.BadZipFile, EOFError) as error:
                raise Broken(f"The events or their proofs cannot be read ({type(error).__name__}).") from None
        self.root_at_kept = tree.root_at_wanted
        report.facts.update(events=seen.lines, first=seen.first, last=seen.last, mode=self.mode)
        proofs = f", with the {tree.gap_hashes} hashes given for what was left out," if tree.gap_hashes else ""
        report.check(
            tree.root() == self.checkpoint.root and is_spent,
            f"The {seen.lines} lines{proofs} lead to the root hash of the checkpoint: each line is in the log at its "
            "place, as it was when the checkpoint was signed.",
            "The lines do not lead to the root hash of the checkpoint: something was changed, added, removed or moved.",
        )
        report.check(
            seen.lines == self.events,
            f"There are as many lines as the signed manifest says: {self.events}.",
            f"There are {seen.lines} lines; the signed manifest says {self.events}.",
        )
        self._check_completeness(seen)
        self._check_times(seen)
        return hashed

    def _check_completeness(self, seen: _Seen) -> None:
        report = self.report
        if self.mode == "range":
            is_all = seen.lines == self.after - self.first and seen.stretches <= 1
            is_all = is_all and (not seen.lines or (seen.first, seen.last) == (self.first, self.after - 1))
            report.check(
                is_all,
                f"Nothing is left out between event {self.first} and event {self.after - 1} of the log: its indices "
                "have no gap."
                if seen.lines
                else "The range that was asked for is empty.",
                f"The range [{self.first}, {self.after}) is not there whole.",
            )
            if seen.patients is None:
                report.unknown.append("Whether each patient's count has no gap: there are too many patients to check.")
            elif self.first == 0:
                wrong = sum(1 for start, _ in seen.patients.values() if start != 1)
                report.check(
                    wrong == 0,
                    f"Every patient's events ({len(seen.patients)} patients) are counted from 1 without a gap.",
                    f"{wrong} patients' counts do not begin with 1.",
                )
        elif self.mode == "patient":
            self._check_patient(seen)
        else:
            report.unknown.append(
                "Whether the filter found all events that it should have: each line is proven to be in the log, and "
                f"that there are {self.events} is the signed word of the platform."
            )

    def _check_patient(self, seen: _Seen) -> None:
        report = self.report
        key = bytes.fromhex(self.patient.replace("-", "")) if re.fullmatch(_UUID, self.patient) else b""
        start, end = (seen.patients or {}).get(key, (1, 0))
        counted = self._signed_count()
        if counted == end and start == 1:
            report.held.append(
                f"These are all {end} events of the patient among the first {self.checkpoint.size} of the log: they are "
                "counted from 1 without a gap, and the signed count is the same."
            )
        elif self.is_dated and (counted is None or end <= counted):
            report.held.append(
                f"The patient's events number {start} to {end} are all there, without a gap."
                if seen.lines
                else "No event of the patient was found in the time asked for."
            )
            report.unknown.append(
                "Whether the patient's events just before the first and just after the last lie outside the time that "
                "was asked for: that they do is the signed word of the platform."
            )
        elif counted is None and start == 1:
            report.held.append(f"The patient's events number 1 to {end} are all there, without a gap.")
            report.unknown.append("Whether the patient has later events: the export does not say how many there are.")
        else:
            of = "" if counted is None else f" of {counted}"
            report.failed.append(f"The patient's events are not all there: the export has number {start} to {end}{of}.")

    def _signed_count(self) -> int | None:
        """Return how many events the patient has, as the sequencer counted; None where the export does not say."""
        if PATIENT not in self.export.names():
            return None
        note = Note(self.export.read(PATIENT), f"The file {PATIENT}")
        head, _, count = note.body.rstrip("\n").rpartition("\n")
        is_ours = head == f"{PATIENT_TEXT}\n{self.log}\n{self.checkpoint.size}\n{self.patient}"
        if not is_ours or not count.isdigit() or not note.is_signed_by(self.checkpoint.origin, self.public_key):
            raise Broken("The count of the patient's events is not the one that was signed.")
        return int(count)

    def _check_times(self, seen: _Seen) -> None:
        report = self.report
        report.check(
            not seen.is_backwards,
            f"The times at which events were recorded never run backwards by more than {self.skew_s:.0f} s "
            "(events are numbered when their transaction commits)."
            if seen.lines
            else "There are no times to check.",
            f"The times at which events were recorded run backwards by more than {self.skew_s:.0f} s.",
        )
        if seen.lines:
            report.facts.update(since=seen.oldest_at, until=seen.newest_at)
        if seen.claims_off:
            report.unknown.append(
                f"Why {seen.claims_off} events say that they happened more than {self.skew_s:.0f} s before or after the "
                "database recorded them."
            )

    def _check_files(self, hashed: _Hashed) -> None:
        report, listed = self.report, {}
        try:
            for entry in self.manifest["files"]:
                listed[str(entry["name"])] = (int(entry["bytes"]), str(entry["sha256"]))
        except (KeyError, TypeError, ValueError):
            raise Broken("The manifest's list of files cannot be read.") from None
        names = [name for name in self.export.names() if name not in {"manifest.json", "manifest.sig"}]
        wrong = sorted(set(names) ^ set(listed)) + [name for name in set(names) if names.count(name) > 1]
        for name in sorted(set(names) & set(listed)):
            found = (hashed.size, hashed.sha256.hexdigest()) if name == EVENTS else self._digest(name)
            if found != listed[name]:
                wrong.append(name)
        if missing := {EVENTS, GAPS, "checkpoint", "keys.json"} - set(listed):
            wrong += sorted(missing)
        report.check(
            not wrong,
            f"The {len(listed)} files are those of the signed manifest, byte for byte.",
            f"These files are missing, were added or were changed: {', '.join(name[:80] for name in wrong[:10])}.",
        )

    def _digest(self, name: str) -> tuple[int, str]:
        digest, size = hashlib.sha256(), 0
        try:
            with self.export.open(name) as file:
                while block := file.read(1 << 20):
                    digest.update(block)
                    size += len(block)
        except (OSError, KeyError, zipfile.BadZipFile, EOFError):
            return -1, ""
        return size, digest.hexdigest()

    def _check_continues(self, kept: Checkpoint) -> None:
        report, size = self.report, self.checkpoint.size
        if kept.size > size:
            report.failed.append(
                f"The export ends at {size} events, but you hold a checkpoint over {kept.size}: it is older than what "
                "you have seen, or events were cut off."
            )
            return
        known = self.root_at_kept if kept.size < size else self.checkpoint.root
        holds = known == kept.root if known is not None else self._is_proven(kept)
        if holds is None:
            report.unknown.append(
                f"Whether the log still begins with the {kept.size} events of the checkpoint that you kept: the export "
                "holds no proof from that size. Ask for an export with this checkpoint named."
            )
            return
        report.check(
            holds,
            f"The log still begins with the {kept.size} events of the checkpoint that you kept: none of them was "
            "changed or removed since.",
            f"The log does not begin with the {kept.size} events of the checkpoint that you kept: the past was changed.",
        )

    def _is_proven(self, kept: Checkpoint) -> bool | None:
        proofs = _json(self.export.read(CONSISTENCY), CONSISTENCY)
        for proof in proofs if isinstance(proofs, list) else ():
            if isinstance(proof, dict) and proof.get("size") == kept.size:
                path = [_unbase64(str(step)) for step in proof.get("proof", ())]
                return is_consistent(kept.size, self.checkpoint.size, kept.root, self.checkpoint.root, path)
        return None

    def _say_what_remains(self, kept: Checkpoint | None) -> None:
        unknown = self.report.unknown
        if not self.pin and kept is None:
            unknown.append(
                "Who made this export: anybody can make one that agrees with itself. Compare the fingerprint above with "
                "the one that you were given (--key)."
            )
        if kept is None:
            unknown.append(
                "Whether the log was rewritten since an earlier export: keep the file `checkpoint`, and name it next "
                "time (--checkpoint)."
            )
        unknown.append(
            "Whether everything that happened was recorded, and whether what was recorded is true: this shows that "
            "what was recorded has not been changed since it was signed."
        )
        names = {name.split("/")[0] for name in self.export.names()} & {"fhir", "dicom", "csv"}
        if names or "summary.pdf" in self.export.names():
            unknown.append(
                "Whether the other formats say what the lines say: they are vouched for by the signed manifest alone."
            )


class _Seen:
    """What the chunks come to together."""

    def __init__(self, verification: Verification) -> None:
        self._of = verification
        self.lines = self.claims_off = self.stretches = 0
        self.first = self.last = -1
        self.latest = self.oldest_at = self.newest_at = ""
        self.is_backwards = False
        self.patients: dict[bytes, tuple[int, int]] | None = {}

    def add(self, chunk: Chunk, tree: Growing) -> None:
        if chunk.wrong:
            raise Broken(chunk.wrong)
        if not chunk.lines:
            return
        if chunk.first <= self.last:
            raise Broken(f"Event {chunk.first} comes behind event {self.last}.")
        if chunk.last >= self._of.checkpoint.size:
            raise Broken(f"Event {chunk.last} lies beyond the checkpoint.")
        # A chunk's first line begins a stretch for itself, and continues one where the last chunk ended.
        self.stretches += chunk.stretches - (1 if self.lines and chunk.first == self.last + 1 else 0)
        if not self.lines:
            self.first, self.oldest_at, self.newest_at = chunk.first, chunk.oldest_at, chunk.newest_at
        for level, index, digest in chunk.nodes:
            tree.skip_to(index << level)
            tree.push((level, index, digest))
        self.lines, self.last = self.lines + chunk.lines, chunk.last
        self.claims_off += chunk.claims_off
        skew_s = self._of.skew_s
        if chunk.is_backwards or (self.latest and _seconds(self.latest) - _seconds(chunk.earliest) > skew_s):
            self.is_backwards = True
        self.latest = max(self.latest, chunk.latest)
        self.oldest_at, self.newest_at = min(self.oldest_at, chunk.oldest_at), max(self.newest_at, chunk.newest_at)
        self._add_patients(chunk)

    def _add_patients(self, chunk: Chunk) -> None:
        patients, must_follow = self.patients, self._of.mode != "filtered"
        if patients is None:
            return
        for key, (start, end) in chunk.patients.items():
            seen = patients.get(key)
            if seen is None:
                patients[key] = (start, end)
            elif start == seen[1] + 1 or (start > seen[1] and not must_follow):
                patients[key] = (seen[0], end)
            else:
                raise Broken(f"Before event {chunk.last} a patient's count goes from {seen[1]} to {start}.")
        if len(patients) > _MAX_PATIENTS:
            self.patients = None


def _json(raw: bytes, what: str) -> Any:
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError):
        raise Broken(f"{what} is no JSON.") from None
    if what != CONSISTENCY and not isinstance(content, dict):
        raise Broken(f"{what} is no JSON object.")
    return content


def verify(
    export: Export | Path,
    *,
    pin: str = "",
    kept: bytes | None = None,
    witnesses: Sequence[str] = (),
    jobs: int = 1,
    max_skew_s: float = 900.0,
) -> Report:
    """Check an export and say in sentences what holds, what does not, and what cannot be said.

    Parameters
    ----------
    pin
        Fingerprint of the key that you trust: SHA-256 of its 32 bytes, in hexadecimal.
    kept
        The checkpoint of an earlier export.
    witnesses
        Verifier keys of witnesses whose cosignature is asked for.
    max_skew_s
        How far recorded times may run backwards along the log: a transaction is numbered when it commits.
    """
    opened = open_export(export) if isinstance(export, Path) else export
    return Verification(opened, pin=pin, kept=kept, jobs=jobs, skew_s=max_skew_s).run(witnesses)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it."""
    parser = argparse.ArgumentParser(
        description="Check an export of Gantry's audit trail, offline.",
        epilog="Exit status: 0 intact, 1 not intact, 2 cannot be read, 3 intact in itself but origin not proven.",
    )
    here = Path(__file__).resolve().parent
    parser.add_argument("export", nargs="?", type=Path, default=here, help="ZIP file or folder; by default where I lie")
    parser.add_argument("--key", default="", metavar="FINGERPRINT", help="SHA-256 of the key that you trust")
    parser.add_argument("--checkpoint", type=Path, metavar="FILE", help="checkpoint of an earlier export, kept by you")
    parser.add_argument("--witness", action="append", default=[], metavar="KEY", help="witness that must have cosigned")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes to use")
    parser.add_argument("--max-skew-s", type=float, default=900.0, metavar="S", help="how far times may run backwards")
    parser.add_argument("--json", action="store_true", help="for programs")
    given = parser.parse_args(arguments)
    try:
        kept = given.checkpoint.read_bytes() if given.checkpoint else None
        report = verify(
            given.export,
            pin=given.key,
            kept=kept,
            witnesses=given.witness,
            jobs=given.jobs,
            max_skew_s=given.max_skew_s,
        )
    except (UnreadableError, OSError) as error:
        sys.stderr.write(f"verify: {error}\n")
        return 2
    sys.stdout.write(report.json() if given.json else report.text())
    return report.status


if __name__ == "__main__":
    sys.exit(main())
