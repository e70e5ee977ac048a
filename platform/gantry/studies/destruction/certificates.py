"""The certificate of an erasure: what was destroyed, by whose word, signed so that a stranger can check it."""

from __future__ import annotations

from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

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
