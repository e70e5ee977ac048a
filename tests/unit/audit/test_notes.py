"""Signed notes and checkpoints as C2SP writes them."""

from __future__ import annotations

import base64
import hashlib
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gantry.audit.notes import (
    COSIGNATURE,
    Checkpoint,
    NoteError,
    Signer,
    cosigned_at,
    cosigned_message,
    fingerprint,
    format_verifier_key,
    log_origin,
    parse_verifier_key,
    require_signature,
    split_note,
)

LOG = UUID("11111111-2222-4333-8444-555555555555")
SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
ORIGIN = log_origin("gantry.example.org", LOG)


def note(size: int = 20) -> str:
    return SIGNER.sign(Checkpoint(ORIGIN, size, bytes(range(32))).text(), name=ORIGIN)


def test_checkpoint_has_the_form_of_c2sp() -> None:
    lines = note().split("\n")
    assert lines[0] == "gantry.example.org/audit/11111111-2222-4333-8444-555555555555"
    assert lines[1:4] == ["20", base64.b64encode(bytes(range(32))).decode(), ""]
    dash, name, mark = lines[4].split(" ")
    assert (dash, name, lines[5:]) == ("\u2014", ORIGIN, [""])
    raw = base64.b64decode(mark)
    public_key = SIGNER.key.public_key().public_bytes_raw()
    assert raw[:4] == hashlib.sha256(ORIGIN.encode() + b"\n\x01" + public_key).digest()[:4]
    SIGNER.key.public_key().verify(raw[4:], "\n".join([*lines[:3], ""]).encode())


def test_same_tree_gives_the_same_bytes() -> None:
    assert note() == note()


def test_checkpoint_is_read_back() -> None:
    assert Checkpoint.parse(note()) == Checkpoint(ORIGIN, 20, bytes(range(32)))


@pytest.mark.parametrize(
    "body",
    [
        "",
        "x\n",
        f"{ORIGIN}\n020\nAAAA\n",
        f"{ORIGIN}\n-1\nAAAA\n",
        f"{ORIGIN}\n1\nAAAA\n",
        f"{ORIGIN}\n1\n???\n",
        "\n1\n\n",
    ],
)
def test_text_that_is_no_checkpoint_is_refused(body: str) -> None:
    with pytest.raises(NoteError):
        Checkpoint.parse(f"{body}\n\u2014 x AAAA\n")


def test_signature_holds_for_its_key_name_and_text_alone() -> None:
    text = note()
    assert require_signature(text, name=ORIGIN, public_key=SIGNER.public_key) == split_note(text)[0]
    other = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    for name, key, changed in (
        (ORIGIN, other, text),
        (ORIGIN + "x", SIGNER.public_key, text),
        (ORIGIN, SIGNER.public_key, text.replace("\n20\n", "\n21\n")),
        (ORIGIN, SIGNER.public_key, text.split("\n\n")[0] + "\n\n"),
    ):
        with pytest.raises(NoteError):
            require_signature(changed, name=name, public_key=key)


@pytest.mark.parametrize("text", ["no end", "bell\x07\n", "tab\t\n"])
def test_text_that_no_note_may_hold_is_not_signed(text: str) -> None:
    with pytest.raises(NoteError):
        SIGNER.sign(text, name=ORIGIN)


def test_cosignature_is_told_from_a_plain_signature() -> None:
    witness = Ed25519PrivateKey.generate()
    key, name = witness.public_key().public_bytes_raw(), "witness.example/w1"
    body = split_note(note())[0]
    key_id = hashlib.sha256(name.encode() + b"\n\x04" + key).digest()[:4]
    mark = key_id + (1_700_000_000).to_bytes(8, "big") + witness.sign(cosigned_message(body, 1_700_000_000))
    line = f"\u2014 {name} {base64.b64encode(mark).decode()}\n"
    assert cosigned_message(body, 5).startswith(b"cosignature/v1\ntime 5\n" + ORIGIN.encode())
    assert cosigned_at(body, line, name=name, public_key=key) == 1_700_000_000
    assert cosigned_at(body.replace("20", "21"), line, name=name, public_key=key) is None
    assert cosigned_at(body, line, name="witness.example/w2", public_key=key) is None


def test_verifier_key_is_read_back_and_checked() -> None:
    text = format_verifier_key("witness.example/w1", SIGNER.public_key, COSIGNATURE)
    assert parse_verifier_key(text) == ("witness.example/w1", COSIGNATURE, SIGNER.public_key)
    for spoiled in (text.replace("w1", "w2"), text[:-4], "nothing", ""):
        with pytest.raises(NoteError):
            parse_verifier_key(spoiled)


def test_fingerprint_is_of_the_bare_key() -> None:
    assert fingerprint(SIGNER.public_key) == hashlib.sha256(SIGNER.public_key).hexdigest()
