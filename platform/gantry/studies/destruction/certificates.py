"""The certificate of an erasure: what was destroyed, by whose word, signed so that a stranger can check it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gantry.foundation.documents import Block, Heading, Paragraph, Table, to_html, to_pdf
from gantry.studies.destruction.domain import canonical
from gantry.studies.models import Erasure
from gantry.tenancy.public import get_tenant
from gantry.vault.public import get_vault

TYPE: Final = "gantry-erasure-certificate/v1"
#: Before the bytes that are signed, so that the signature is good for nothing else.
_CONTEXT: Final = TYPE.encode() + b"\n"


def certify(erasure: Erasure) -> None:
    """Write the certificate into the erasure's row (to be saved by the caller) and sign it."""
    tenant = get_tenant()
    keys = erasure.work.get("keys", [])
    certificate: dict[str, Any] = {
        "type": TYPE,
        "erasure_id": str(erasure.pk),
        "tenant": {"id": str(erasure.tenant_id), "name": tenant.name},
        "target": erasure.target,
        "cause": erasure.cause,
        "reference": erasure.reference,
        "agreement": {"version": erasure.agreement_version, "clause": erasure.clause},
        "planned": _when(erasure.planned_at, erasure.planned_by),
        "confirmed": _when(erasure.confirmed_at, erasure.confirmed_by),
        "started_at": _when(erasure.started_at, None)["at"],
        "finished_at": _when(erasure.finished_at, None)["at"],
        "plan_sha256": erasure.plan_hash,
        "destroyed": erasure.plan["categories"],
        "keys_destroyed": "every key of the tenant" if erasure.target == "tenant" else keys,
        "statement": (
            "The rows and objects listed were deleted and every key that ever wrapped them was destroyed. Copies in backups "
            "cannot be decrypted; rows in a backup of the database are deleted before a restored system opens. The audit "
            "trail keeps pseudonyms whose mapping to the person was destroyed."
        ),
    }
    erasure.certificate = certificate
    erasure.signature, erasure.public_key = get_vault().keys.sign(_CONTEXT + canonical(certificate))


def is_genuine(certificate: dict[str, Any], signature: bytes, public_key: bytes) -> bool:
    """Tell whether a certificate is, to the byte, what the holder of the key signed."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, _CONTEXT + canonical(certificate))
    except (InvalidSignature, ValueError):
        return False
    return certificate.get("type") == TYPE


def _when(at: Any, by: Any) -> dict[str, str]:
    return {"at": at.isoformat() if at else "", **({"by": str(by)} if by else {})}


def certificate_json(erasure: Erasure) -> bytes:
    """Return the signed certificate as a file: the statement, the signature and the key that made it."""
    document = {
        "certificate": erasure.certificate,
        "signature": bytes(erasure.signature or b"").hex(),
        "public_key": bytes(erasure.public_key or b"").hex(),
        "fingerprint": fingerprint(bytes(erasure.public_key or b"")),
        "algorithm": "Ed25519 over the type, a line feed, and the certificate as canonical JSON",
    }
    return json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"


def certificate_pdf(erasure: Erasure) -> bytes:
    """Return the certificate as a PDF for people; what proves it is the signed JSON.

    Raises
    ------
    NoPdfError
        This machine cannot make PDF.
    """
    certificate = erasure.certificate or {}
    facts = (
        ("Organisation", certificate["tenant"]["name"]),
        ("What was erased", _WHAT.get(certificate["target"], certificate["target"])),
        ("Cause", certificate["cause"].replace("_", " ")),
        ("Reference", certificate["reference"] or "none"),
        ("Agreement", f"{certificate['agreement']['version']}, {certificate['agreement']['clause']}"),
        ("Planned", certificate["planned"]["at"]),
        ("Confirmed", certificate["confirmed"]["at"]),
        ("Begun and finished", f"{certificate['started_at']} to {certificate['finished_at']}"),
        ("Number", certificate["erasure_id"]),
    )
    destroyed = tuple(
        (share["category"], str(share["rows"]), str(share["objects"]), f"{share['bytes']:,}")
        for share in certificate["destroyed"]
    )
    keys = certificate["keys_destroyed"]
    blocks: list[Block] = [
        Heading(1, "Certificate of erasure"),
        Table(("", ""), facts),
        Heading(2, "Destroyed"),
        Table(("Category", "Rows", "Objects", "Bytes"), destroyed),
        Heading(2, "Keys destroyed"),
        Paragraph(keys if isinstance(keys, str) else "\n".join(keys)),
        Paragraph(certificate["statement"]),
        Heading(2, "Signature"),
        Paragraph(
            f"Ed25519 {bytes(erasure.signature or b'').hex()}\nby the key {fingerprint(bytes(erasure.public_key or b''))}. "
            "The certificate as JSON is what the signature is over; this document repeats it."
        ),
    ]
    return to_pdf(to_html(blocks, title="Certificate of erasure", foot=f"Erasure {certificate['erasure_id']}"))


_WHAT: Final = {"patient": "a patient", "study": "studies of a patient", "tenant": "all data of the organisation"}


def fingerprint(public_key: bytes) -> str:
    """Return the SHA-256 of a public key, in hexadecimal."""
    return hashlib.sha256(public_key).hexdigest()


@dataclass(frozen=True, slots=True)
class CertificateVerdict:
    """What can be said of a certificate."""

    is_genuine: bool
    is_origin_proven: bool
    sentence: str


def check_certificate(data: bytes, *, trusted: str = "") -> CertificateVerdict:
    """Check a certificate's file; its origin is proven where it names the key that the reader trusts."""
    try:
        document = json.loads(data)
        certificate, key = document["certificate"], bytes.fromhex(document["public_key"])
        genuine = is_genuine(certificate, bytes.fromhex(document["signature"]), key)
    except (ValueError, KeyError, TypeError):
        return CertificateVerdict(False, False, "This is not a certificate of ours, or it is damaged.")
    if not genuine:
        return CertificateVerdict(False, False, "The certificate is not what was signed: a word of it was changed.")
    actual = hashlib.sha256(key).hexdigest()
    if not trusted:
        return CertificateVerdict(
            True,
            False,
            f"The certificate is intact. Its origin is not proven: compare its key {actual} with the one you were given.",
        )
    if trusted.lower() != actual:
        return CertificateVerdict(False, False, f"The certificate was signed by another key, {actual}.")
    return CertificateVerdict(True, True, "The certificate is intact and was signed by the key that you trust.")
