"""The page in plain words that lies in every bundle."""

from __future__ import annotations

from gantry.audit.public import Ledger
from gantry.oversight.exports.domain import FILES, Format
from gantry.oversight.exports.order import Order

_ABOUT = {
    Format.FHIR: "the same events as FHIR R4 AuditEvents (IHE BALP), one a line; a query that named several patients\n"
    "                             is one event a patient",
    Format.DICOM: "the same events as DICOM audit messages (PS3.15 A.5)",
    Format.CSV: "the same events as a table, one a row; no cell can become a formula",
    Format.PDF: "counts and a picture of activity",
}


def write_readme(order: Order, ledger: Ledger, statement: str, fingerprint: str, events: int) -> bytes:
    """Return the bundle's README."""
    files = "\n".join(f"  {FILES[one]:<27}{_ABOUT[one]}" for one in Format if one in order.formats)
    query = "\n".join(
        f"  {name.replace('_', ' ')}: {', '.join(value) if isinstance(value, list) else value}"
        for name, value in order.query.to_json().items()
    )
    return f"""AUDIT TRAIL OF {order.organisation.upper()}

This bundle holds {events:,} events of the audit trail that Gantry keeps for {order.organisation}.
It was asked for by {order.requester} ({order.role}) and made on {order.made_at:%Y-%m-%d} at {order.made_at:%H:%M:%S} UTC.

WHAT WAS ASKED FOR
{query}

WHAT IT PROVES
  {statement}
  Names of people and patients were joined when it was made. They are not part of what is proven: the lines of the
  log hold pseudonyms, so that the log outlives an erasure. Who was erased shows as a pseudonym.

HOW TO CHECK IT, without us and without a network
  1. Unpack it.
  2. python3 verify.py . --key {fingerprint or "FINGERPRINT"}
     Compare that fingerprint with the one that you were given when the contract began, not with this file.
     Without it the verifier can say that the bundle agrees with itself, but not who made it.
  3. If you kept a checkpoint from before, add --checkpoint FILE: then it also proves that nothing
     of what you saw then was changed or taken away since.

WHAT IS IN IT
  events/events.jsonl        the events themselves, exactly as they were hashed; one a line
{files}
  manifest.json, .sig        what this is, with the SHA-256 of every file; signed
  checkpoint                 the log's size and root hash, signed ({ledger.size:,} events)
  proofs/                    hashes that join the events to the checkpoint, and it to earlier ones
  keys.json                  public keys of the log
  verify.py                  the verifier: one file, Python 3.11 or newer, nothing to install

This bundle names people. Keep it as you keep a patient's file, and delete it when you need it no more.
""".encode()
