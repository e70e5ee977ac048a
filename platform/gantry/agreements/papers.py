"""Signed papers that people upload: hostile bytes, looked at little, kept sealed, given back as a download only."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from gantry.kernel.errors import ErrorKind, GantryError
from gantry.vault.public import StoredRef, general_key_id, get_vault

MAX_PAPER_BYTES: Final = 20 * 1024 * 1024
#: What a paper that was scanned and signed has no use for, and what makes a file do things when it is opened.
_ACTIVE: Final = (
    b"JavaScript", b"JS", b"Launch", b"EmbeddedFile", b"EmbeddedFiles", b"OpenAction", b"AA", b"RichMedia", b"XFA",
    b"SubmitForm", b"ImportData", b"GoToR", b"GoToE",
)  # fmt: skip
_ACTIVE_NAME: Final = re.compile(rb"/(?:" + b"|".join(_ACTIVE) + rb")(?![A-Za-z0-9])")
#: PDF names may be written with hexadecimal escapes, which would hide them from the look above (ISO 32000 §7.3.5).
_ESCAPED_NAME: Final = re.compile(rb"/[^\s/<>\[\](){}%]*#[0-9A-Fa-f]{2}")


class PaperRefusedError(GantryError):
    """What was sent is not a plain PDF."""

    code = "agreement.paper_refused"
    kind = ErrorKind.UNSUPPORTED
    title = "This cannot be taken as a signed paper"


class PaperTooLargeError(GantryError):
    """The paper has more bytes than are taken."""

    code = "agreement.paper_too_large"
    kind = ErrorKind.TOO_LARGE
    title = "The paper is too large"


@dataclass(frozen=True, slots=True)
class Paper:
    """A paper that was looked at and lies sealed in the vault."""

    object_id: UUID
    wrapped_key: bytes
    size_bytes: int
    sha256: str


def check_paper(data: bytes) -> str:
    """Return the SHA-256 of a PDF that has nothing in it which acts by itself. It is not parsed.

    Raises
    ------
    PaperTooLargeError
        More than 20 MiB.
    PaperRefusedError
        Not a PDF from its first byte to its end, encrypted, or with scripts, attachments or actions.
    """
    if len(data) > MAX_PAPER_BYTES:
        raise PaperTooLargeError(f"A signed paper has at most {MAX_PAPER_BYTES // 1024 // 1024} MiB.")
    if not re.match(rb"%PDF-[12]\.\d[\r\n ]", data) or b"%%EOF" not in data[-1024:]:
        raise PaperRefusedError("Send the signed paper as one complete PDF file.")
    if re.search(rb"/Encrypt(?![A-Za-z0-9])", data):
        raise PaperRefusedError("The PDF is encrypted. Send it without a password.")
    if _ACTIVE_NAME.search(data) or _ESCAPED_NAME.search(data):
        raise PaperRefusedError(
            "The PDF holds scripts, attachments or actions. Print it to a plain PDF, or scan the paper."
        )
    return hashlib.sha256(data).hexdigest()


def seal_paper(tenant_id: UUID, data: bytes) -> Paper:
    """Keep a checked paper in the vault under the tenant's own key."""
    digest = check_paper(data)
    vault = get_vault()
    ref = vault.put(tenant_id, general_key_id(tenant_id), data)
    return Paper(ref.object_id, ref.wrapped_key, ref.size_bytes, digest)


def discard_paper(tenant_id: UUID, paper: Paper) -> None:
    """Remove a paper whose signature did not come about."""
    get_vault().discard(_ref(tenant_id, paper))


def read_paper(tenant_id: UUID, paper: Paper) -> bytes:
    """Return the bytes of a sealed paper."""
    with get_vault().open(_ref(tenant_id, paper)) as reader:
        return reader.read()


def _ref(tenant_id: UUID, paper: Paper) -> StoredRef:
    return StoredRef(
        tenant_id, paper.object_id, general_key_id(tenant_id), paper.wrapped_key, paper.size_bytes, paper.sha256
    )
