"""Exports of made-up logs, laid out as the real ones, for tests of the verifier that need no database."""

from __future__ import annotations

import base64
import hashlib
import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gantry.audit.checkpoints import manifest_text, patient_count_text
from gantry.audit.domain import Kind, Outcome
from gantry.audit.line import LedgerEvent, PatientCount, format_line, leaf_hash
from gantry.audit.merkle import RUN, STRIDE, Frontier, Tree
from gantry.audit.notes import Checkpoint, Signer, fingerprint, log_origin

INSTALLATION = "gantry.test"
START = datetime(2026, 11, 1, 8, 0, tzinfo=UTC)


@dataclass
class MadeLog:
    """A log in memory, with the key that signs it."""

    seed: int
    size: int
    signer: Signer = field(default_factory=lambda: Signer(Ed25519PrivateKey.generate()))

    def __post_init__(self) -> None:
        chance = random.Random(self.seed)
        self.log = UUID(int=chance.getrandbits(128), version=4)
        self.patients = [UUID(int=chance.getrandbits(128), version=4) for _ in range(4)]
        counts = dict.fromkeys(self.patients, 0)
        self.events: list[LedgerEvent] = []
        self.lines: list[bytes] = []
        self.nodes: dict[tuple[int, int], bytes] = {}
        frontier = Frontier()
        for index in range(self.size):
            concerned = chance.sample(self.patients, chance.choice([0, 1, 1, 2]))
            for patient in concerned:
                counts[patient] += 1
            event = LedgerEvent(
                log=self.log,
                index=index,
                id=UUID(int=chance.getrandbits(128), version=4),
                occurred_at=START + timedelta(seconds=30 * index),
                recorded_at=START + timedelta(seconds=30 * index, milliseconds=3),
                kind=Kind.ACCESSED,
                action="study.opened",
                outcome=Outcome.SUCCESS,
                actor_kind="person",
                actor_id=UUID(int=chance.getrandbits(128), version=4),
                role="radiologist",
                place="site",
                patients=tuple(PatientCount(patient, counts[patient]) for patient in concerned),
                detail={"note": f"ä{index}"},
            )
            self.events.append(event)
            self.lines.append(format_line(event))
            self.nodes[0, index] = leaf_hash(self.lines[-1])
            self.nodes.update({(level, at): digest for level, at, digest in frontier.append(self.nodes[0, index])})
        assert RUN == 1 << STRIDE

    @property
    def origin(self) -> str:
        return log_origin(INSTALLATION, self.log)

    @property
    def pin(self) -> str:
        return fingerprint(self.signer.public_key)

    def tree(self, size: int | None = None) -> Tree:
        return Tree(
            self.size if size is None else size, lambda level, a, b: [self.nodes[level, at] for at in range(a, b)]
        )

    def checkpoint(self, size: int | None = None) -> str:
        size = self.size if size is None else size
        return self.signer.sign(Checkpoint(self.origin, size, self.tree().root(size)).text(), name=self.origin)

    def export(
        self,
        mode: str = "range",
        *,
        first: int = 0,
        after: int | None = None,
        patient: UUID | None = None,
        every: int = 3,
        consistent_from: Sequence[int] = (),
    ) -> dict[str, bytes]:
        """Return the files of an export: of a range, of one patient, or of each `every`-th event."""
        after = self.size if after is None else after
        if mode == "range":
            chosen = list(range(first, after))
        elif mode == "patient":
            chosen = [event.index for event in self.events if patient in {p.pseudonym for p in event.patients}]
        else:
            chosen = list(range(first, after, every))
        return self.pack(mode, chosen, first=first, after=after, patient=patient, consistent_from=consistent_from)

    def pack(
        self,
        mode: str,
        chosen: Iterable[int],
        *,
        first: int,
        after: int,
        patient: UUID | None = None,
        consistent_from: Sequence[int] = (),
    ) -> dict[str, bytes]:
        """Return the files of an export of just these events."""
        chosen, tree = list(chosen), self.tree()
        edges = [-1, *chosen, self.size]
        gaps = b"".join(b"".join(tree.cover(a + 1, b)) for a, b in pairwise(edges))
        proofs = [
            {
                "size": size,
                "root": base64.b64encode(tree.root(size)).decode(),
                "proof": [base64.b64encode(step).decode() for step in tree.prove_consistency(size, self.size)],
            }
            for size in consistent_from
        ]
        key = base64.b64encode(self.signer.public_key).decode()
        files = {
            "README.txt": b"read me\n",
            "checkpoint": self.checkpoint().encode(),
            "keys.json": json.dumps({"v": 1, "keys": [{"public_key": key}]}).encode(),
            "events/events.jsonl": b"".join(self.lines[at] + b"\n" for at in chosen),
            "proofs/gaps.bin": gaps,
            "proofs/consistency.json": json.dumps(proofs).encode(),
        }
        if patient is not None:
            count = sum(patient in {p.pseudonym for p in event.patients} for event in self.events)
            text = patient_count_text(self.log, self.size, patient, count)
            files["proofs/patient"] = self.signer.sign(text, name=self.origin).encode()
        return self.sign(files, mode, first=first, after=after, events=len(chosen), patient=patient)

    def sign(
        self,
        files: dict[str, bytes],
        mode: str,
        *,
        first: int,
        after: int,
        events: int,
        patient: UUID | None = None,
    ) -> dict[str, bytes]:
        """Add manifest and signature."""
        listed = [
            {"name": name, "bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()} for name, raw in files.items()
        ]
        manifest = {
            "v": 1,
            "log": str(self.log),
            "mode": mode,
            "range": {"first": first, "after": after, "tree_size": self.size},
            "counts": {"events": events, "patients": {str(patient): events} if patient else {}},
            "time": {"from": None, "to": None},
            "files": listed,
        }
        raw = json.dumps(manifest, sort_keys=True).encode()
        text = manifest_text(self.log, hashlib.sha256(raw).hexdigest())
        return {**files, "manifest.json": raw, "manifest.sig": self.signer.sign(text, name=self.origin).encode()}
