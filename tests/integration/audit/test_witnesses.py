"""A witness on this machine: it sees that the log only grows, and its cosignature lies beside the checkpoint."""

from __future__ import annotations

import base64
import stat
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gantry.audit.merkle import TreeError, check_consistency
from gantry.audit.notes import (
    COSIGNATURE,
    Checkpoint,
    NoteError,
    cosigned_at,
    cosigned_message,
    format_verifier_key,
    key_id,
    require_signature,
    split_note,
)
from gantry.audit.public import open_ledger
from gantry.audit.sequencer import Sequencer
from gantry.audit.witnesses import Witness
from ledger import config, connect, insert_event, sequence_all
from world import World, make_world

pytestmark = pytest.mark.usefixtures("database")

NAME = "witness.example/w1"


@dataclass
class Watcher:
    """What a witness does (C2SP tlog-witness): it knows one size and root of each log."""

    log_key: bytes
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    known: dict[str, Checkpoint] = field(default_factory=dict)
    answers: list[int] = field(default_factory=list)

    @property
    def public_key(self) -> bytes:
        return self.key.public_key().public_bytes_raw()

    def answer(self, body: str) -> tuple[int, str]:
        head, _, note = body.partition("\n\n")
        old_line, *proof = head.split("\n")
        checkpoint = Checkpoint.parse(note)
        last = self.known.get(checkpoint.origin)
        text = require_signature(note, name=checkpoint.origin, public_key=self.log_key)
        size = last.size if last else 0
        if old_line != f"old {size}":
            return 409, f"{size}\n"
        if last:
            try:
                steps = [base64.b64decode(step) for step in proof]
                check_consistency(size, checkpoint.size, last.root, checkpoint.root, steps)
            except TreeError:
                return 422, ""
        self.known[checkpoint.origin] = checkpoint
        mark = (1_790_000_000).to_bytes(8, "big") + self.key.sign(cosigned_message(text, 1_790_000_000))
        signed = key_id(NAME, self.public_key, COSIGNATURE) + mark
        return 200, f"\u2014 other.example AAAA\n\u2014 {NAME} {base64.b64encode(signed).decode()}\n"


@pytest.fixture
def watcher() -> Iterator[tuple[Watcher, Witness]]:
    watcher = Watcher(config().signer.public_key)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/add-checkpoint"
            status, text = watcher.answer(self.rfile.read(int(self.headers["Content-Length"])).decode())
            watcher.answers.append(status)
            self.send_response(status)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    key = format_verifier_key(NAME, watcher.public_key, COSIGNATURE)
    try:
        yield watcher, Witness.parse(f"{key} http://127.0.0.1:{server.server_port}/")
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


@pytest.fixture
def world() -> World:
    world = make_world()
    sequence_all()
    return world


def grow(tenant_id: UUID, witness: Witness) -> str:
    """Add an event, have it signed and witnessed, and return the checkpoint."""
    with connect("app") as app, app.transaction():
        insert_event(app, tenant_id)
    with connect() as connection:
        Sequencer(connection, replace(config(), witnesses=(witness,))).drain()
    return open_ledger(tenant_id, actor_id=uuid4()).checkpoint.note


def _cosigned(note: str, witness: Witness) -> int | None:
    body, lines = split_note(note)
    return cosigned_at(body, lines, name=witness.name, public_key=witness.public_key)


def test_witness_cosigns_each_checkpoint(world: World, watcher: tuple[Watcher, Witness]) -> None:
    seen, witness = watcher
    for _ in range(3):
        assert _cosigned(grow(world.tenant_id, witness), witness) == 1_790_000_000
    assert seen.answers[-3:] == [200, 200, 200]


def test_witness_that_knows_more_than_we_remember_is_asked_again(
    world: World, watcher: tuple[Watcher, Witness]
) -> None:
    seen, witness = watcher
    grow(world.tenant_id, witness)
    forgotten = replace(witness, name=witness.name)
    with connect("owner") as owner, owner.transaction():
        owner.execute("alter table audit_cosignature no force row level security")
        owner.execute("delete from audit_cosignature where log_id = %s", [world.tenant_id])
        owner.execute("alter table audit_cosignature force row level security")
    assert _cosigned(grow(world.tenant_id, forgotten), witness) is not None
    assert seen.answers[-2:] == [409, 200]


def test_witness_that_is_away_or_lies_holds_nothing_up(world: World, watcher: tuple[Watcher, Witness]) -> None:
    seen, witness = watcher
    size = open_ledger(world.tenant_id, actor_id=uuid4()).size
    away = replace(witness, url="http://127.0.0.1:9")
    assert _cosigned(grow(world.tenant_id, away), witness) is None
    seen.key = Ed25519PrivateKey.generate()
    assert _cosigned(grow(world.tenant_id, witness), witness) is None
    assert open_ledger(world.tenant_id, actor_id=uuid4()).size == size + 2


def test_witness_may_be_a_program(world: World, tmp_path: Path) -> None:
    watcher = Watcher(config().signer.public_key)
    program = tmp_path / "witness"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path[:0] = {sys.path!r}\n"
        "from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey\n"
        "import base64\nfrom gantry.audit.notes import *\nfrom gantry.audit.notes import cosigned_message, key_id\n"
        f"key = Ed25519PrivateKey.from_private_bytes({watcher.key.private_bytes_raw()!r})\n"
        "body = split_note(sys.stdin.read().partition('\\n\\n')[2])[0]\n"
        f"mark = key_id({NAME!r}, key.public_key().public_bytes_raw(), 4)\n"
        "mark += (5).to_bytes(8, 'big') + key.sign(cosigned_message(body, 5))\n"
        f"print('\\u2014 {NAME} ' + base64.b64encode(mark).decode())\n",
        encoding="utf-8",
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    key = format_verifier_key(NAME, watcher.public_key, COSIGNATURE)
    witness = Witness.parse(f"{key} exec:{program}")
    assert _cosigned(grow(world.tenant_id, witness), witness) == 5


def test_witness_elsewhere_is_asked_by_https_alone() -> None:
    key = format_verifier_key(NAME, bytes(32), COSIGNATURE)
    assert Witness.parse(f"{key} https://witness.example/").url == "https://witness.example"
    for url in ("http://witness.example", "file:///etc/passwd", "ftp://x", "exec:relative", ""):
        with pytest.raises(NoteError):
            Witness.parse(f"{key} {url}")
    with pytest.raises(NoteError):
        Witness.parse(f"{format_verifier_key(NAME, bytes(32))} https://witness.example")
