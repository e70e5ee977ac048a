"""Writing one bundle: the ledger is read once, page by page, and every format is written as it goes by.

Memory does not grow with the log: each member is deflated into a sealed object of its own (one chunk in memory), names
are joined for a page at a time, and the archive is put together from those objects at the end.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final
from uuid import UUID

from gantry.audit.public import (
    Front,
    Gaps,
    Ledger,
    LedgerEvent,
    LedgerFilter,
    Names,
    Recorder,
    SignedCheckpoint,
    Tally,
    csv_header,
    render_summary,
    request_patient_count,
    request_signature,
    to_csv,
    to_messages,
    to_ndjson,
    verifier_source,
    wait_for_signature,
)
from gantry.oversight.exports.domain import FILES, GAPS, LINES, ExportQuery, Format, Mode, state_proof
from gantry.oversight.exports.errors import NotSignedError
from gantry.oversight.exports.naming import Joiner
from gantry.oversight.exports.order import Order
from gantry.oversight.exports.pdf import write_pdf
from gantry.oversight.exports.readme import write_readme
from gantry.oversight.exports.zipping import Deflated, Deflater, deflate, iter_archive
from gantry.vault.public import ObjectName, SealedObject, SealedReader, SealedWriter, Vault

_PAGE: Final = 1000
#: Consistency proofs from this many earlier checkpoints go with a bundle, the newest and then ever fewer.
_EARLIER: Final = 24
_SIGNATURE_S: Final = 90.0

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Bundle:
    """A finished bundle."""

    sealed: SealedObject
    sha256: str
    events: int
    tree_size: int
    counts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Which of the log goes into the bundle."""

    mode: Mode
    wanted: LedgerFilter
    first: int
    after: int
    #: All that there is of the patient, so that nothing depends on the time that was asked for.
    is_whole: bool = False

    def events(self, ledger: Ledger) -> Iterator[tuple[bytes, LedgerEvent]]:
        if self.first >= self.after:
            return iter(())
        return ledger.iter_events(self.wanted, first=self.first, end=self.after)


def choose_stretch(ledger: Ledger, query: ExportQuery) -> _Stretch:
    """Return the events that answer a query so that what can be proven of them is.

    A time alone is answered by every event of the stretch of the log in which it lies; a patient by every event of
    theirs between the first and the last that the time holds. Both may hold a few events beside the time.
    """
    mode = query.mode
    if mode is Mode.RANGE:
        first, after = ledger.range_of(query.since, query.until)
        return _Stretch(mode, LedgerFilter(), first, after)
    if mode is Mode.PATIENT:
        indices = [event.index for _, event in ledger.iter_events(query.to_filter())]
        if not indices:
            return _Stretch(mode, LedgerFilter(patient=query.patient), 0, 0)
        wanted = LedgerFilter(patient=query.patient)
        first, after = min(indices), max(indices) + 1
        of_all = ledger.count(wanted)
        is_whole = sum(1 for _ in ledger.iter_events(wanted, first=first, end=after)) == of_all
        return _Stretch(mode, wanted, first, after, is_whole)
    return _Stretch(mode, query.to_filter(), 0, ledger.size)


def count_events(ledger: Ledger, query: ExportQuery) -> int:
    """Return how many events a bundle will hold."""
    stretch = choose_stretch(ledger, query)
    if stretch.mode is Mode.RANGE:
        return stretch.after - stretch.first
    if stretch.mode is Mode.PATIENT:
        return sum(1 for _ in stretch.events(ledger))
    return ledger.count(stretch.wanted)


def write_bundle(vault: Vault, order: Order, ledger: Ledger, progress: Progress) -> Bundle:
    """Write a bundle into a sealed object and return it; nothing is left when it fails.

    Parameters
    ----------
    progress
        Called with the number of events done after every page, outside any transaction; what it raises ends the work.

    Raises
    ------
    NotSignedError
        The sequencer did not sign in time.
    """
    stretch = choose_stretch(ledger, order.query)
    with _Workbench(vault, order.tenant_id) as bench:
        tally = _write_events(bench, order, ledger, stretch, progress)
        return _finish(bench, order, ledger, stretch, tally)


@dataclass
class _Workbench:
    """The sealed objects that members are written into; all are thrown away at the end, the archive excepted."""

    vault: Vault
    tenant_id: UUID
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    open: dict[str, tuple[SealedWriter, Deflater]] = field(default_factory=dict)
    members: list[tuple[Deflated, Callable[[], Iterable[bytes]]]] = field(default_factory=list)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)

    def __enter__(self) -> _Workbench:
        self.stack.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.stack.__exit__(*error)

    def begin(self, name: str, *, level: int = 1) -> Deflater:
        """Start a member; `close` it before the archive is made."""
        writer = self.stack.enter_context(self.vault.begin(self.tenant_id))
        deflater = Deflater(name, writer, level=level)
        self.open[name] = (writer, deflater)
        return deflater

    def close(self, name: str) -> None:
        """End a member and put it into the archive's list."""
        writer, deflater = self.open.pop(name)
        member = deflater.close()
        sealed = writer.commit()
        self.stack.callback(self.vault.discard, sealed)
        self.members.append((member, lambda: self._read(sealed)))

    def put(self, name: str, data: bytes) -> None:
        """Add a small member."""
        self.members.append(deflate(name, data))

    def _read(self, sealed: SealedObject) -> Iterator[bytes]:
        name = ObjectName(sealed.tenant_id, sealed.object_id)
        with SealedReader(self.vault.objects, name, sealed.data_key, sealed.size_bytes) as reader:
            yield from reader.iter_chunks()


def _write_events(bench: _Workbench, order: Order, ledger: Ledger, stretch: _Stretch, progress: Progress) -> Tally:
    lines, gaps = bench.begin(LINES), bench.begin(GAPS)
    others = {one: bench.begin(FILES[one]) for one in sorted(order.formats - {Format.PDF})}
    if Format.CSV in others:
        others[Format.CSV].write(csv_header())
    if Format.DICOM in others:
        others[Format.DICOM].write(b'<?xml version="1.0" encoding="UTF-8"?>\n<AuditMessages>\n')
    tally, joiner, cover = Tally(order.query.since, order.query.until), Joiner(ledger), ledger.gaps()
    counts = {one: {"events": 0, "records": 0} for one in others}
    done, at = 0, 0
    stream = stretch.events(ledger)
    while page := list(islice(stream, _PAGE)):
        names = joiner.join([event for _, event in page])
        for line, event in page:
            _cover(gaps, cover, at, event.index)
            at = event.index + 1
            lines.write(line + b"\n")
            tally.add(event)
        for one, member in others.items():
            _project(one, member, page, order.recorder, names, counts[one])
        done += len(page)
        progress(done)
    _cover(gaps, cover, at, ledger.size)
    if Format.DICOM in others:
        others[Format.DICOM].write(b"</AuditMessages>\n")
    for name in list(bench.open):
        bench.close(name)
    bench.counts = {"lines": {"events": done, "records": done}, **{str(one): count for one, count in counts.items()}}
    return tally


def _cover(member: Deflater, gaps: Gaps, first: int, after: int) -> None:
    if first < after:
        member.write(gaps.cover(first, after))


def _project(
    one: Format,
    member: Deflater,
    page: list[tuple[bytes, LedgerEvent]],
    recorder: Recorder,
    names: Names,
    counts: dict[str, int],
) -> None:
    for _, event in page:
        counts["events"] += 1
        if one is Format.CSV:
            member.write(to_csv(event, names))
            counts["records"] += 1
            continue
        records = (
            to_ndjson(event, recorder, names)
            if one is Format.FHIR
            else (message + b"\n" for message in to_messages(event, recorder, names))
        )
        for record in records:
            member.write(record)
            counts["records"] += 1


def _finish(bench: _Workbench, order: Order, ledger: Ledger, stretch: _Stretch, tally: Tally) -> Bundle:
    statement = state_proof(
        stretch.mode,
        events=tally.events,
        first=stretch.first,
        after=stretch.after,
        size=ledger.size,
        is_whole=stretch.is_whole,
    )
    keys = json.loads(ledger.keys_json())
    fingerprint = keys["keys"][-1]["fingerprint"] if keys["keys"] else ""
    if Format.PDF in order.formats:
        bench.put(FILES[Format.PDF], _summary(order, tally, statement, fingerprint))
    if stretch.is_whole and order.query.patient is not None:
        request = request_patient_count(order.query.patient, size=ledger.size)
        bench.put("proofs/patient", _wait(request).encode())
    bench.put("proofs/consistency.json", _consistency(ledger))
    bench.put("checkpoint", ledger.checkpoint.note.encode())
    bench.put("keys.json", ledger.keys_json())
    bench.put("verify.py", verifier_source())
    bench.put("README.txt", write_readme(order, ledger, statement, fingerprint, tally.events))
    counts = _counts(bench, tally)
    manifest = _manifest(bench, order, ledger, stretch, tally, statement, counts)
    signature = _wait(request_signature(hashlib.sha256(manifest).hexdigest()))
    bench.put("manifest.json", manifest)
    bench.put("manifest.sig", signature.encode())
    # What people open first stands first.
    order_of = {
        "README.txt": 0,
        "summary.pdf": 1,
        "manifest.json": 2,
        "manifest.sig": 3,
        "checkpoint": 4,
        "verify.py": 5,
    }
    members = sorted(bench.members, key=lambda member: (order_of.get(member[0].name, 9), member[0].name))
    digest = hashlib.sha256()
    with bench.vault.begin(order.tenant_id) as writer:
        for piece in iter_archive(members):
            digest.update(piece)
            writer.write(piece)
        sealed = writer.commit()
    return Bundle(sealed, digest.hexdigest(), tally.events, ledger.size, counts)


def _wait(request_id: UUID) -> str:
    note = wait_for_signature(request_id, timeout_s=_SIGNATURE_S)
    if note is None:
        raise NotSignedError("The sequencer did not sign in time. It is tried again by itself.")
    return note


def _counts(bench: _Workbench, tally: Tally) -> dict[str, Any]:
    return {
        "events": tally.events,
        "by_kind": dict(sorted(tally.kinds.items())),
        "by_outcome": dict(sorted(tally.outcomes.items())),
        "by_format": bench.counts,
    }


def _manifest(
    bench: _Workbench,
    order: Order,
    ledger: Ledger,
    stretch: _Stretch,
    tally: Tally,
    statement: str,
    counts: dict[str, Any],
) -> bytes:
    content = {
        "v": 1,
        "id": str(order.export_id),
        "tenant": {"id": str(order.tenant_id), "slug": order.slug, "name": order.organisation},
        "log": str(ledger.log),
        "made_at": order.made_at.isoformat(),
        "made_by": {"actor": str(order.requested_by), "role": order.role},
        "query": order.query.to_json(),
        "mode": str(stretch.mode),
        "range": {"first": stretch.first, "after": stretch.after, "tree_size": ledger.size},
        # What was asked for; nothing where the answer does not depend on it.
        "time": {}
        if stretch.is_whole
        else {"from": order.query.since.isoformat(), "to": order.query.until.isoformat()},
        "occurred": {
            "first": tally.first.isoformat() if tally.first else None,
            "last": tally.last.isoformat() if tally.last else None,
        },
        "counts": {**counts, "patients": {str(order.query.patient): tally.events} if order.query.patient else {}},
        **({"patient": str(order.query.patient)} if stretch.mode is Mode.PATIENT else {}),
        "statement": statement,
        "files": [
            {"name": member.name, "bytes": member.size_bytes, "sha256": member.sha256} for member, _ in bench.members
        ],
    }
    return (json.dumps(content, sort_keys=True, ensure_ascii=False, indent=1) + "\n").encode()


def _consistency(ledger: Ledger) -> bytes:
    """Return proofs that earlier checkpoints are beginnings of this one: the newest, then ever further back."""
    earlier = ledger.earlier_checkpoints()
    chosen: list[SignedCheckpoint] = []
    step, at = 1, 0
    while at < len(earlier) and len(chosen) < _EARLIER:
        chosen.append(earlier[at])
        at += step
        if len(chosen) >= 8:
            step *= 2
    if earlier and earlier[-1] not in chosen:
        chosen.append(earlier[-1])
    proofs = [
        {
            "size": one.size,
            "root": base64.b64encode(one.root).decode(),
            "proof": [base64.b64encode(node).decode() for node in ledger.consistency(one.size)],
        }
        for one in chosen
    ]
    return (json.dumps(proofs, indent=1) + "\n").encode()


def _summary(order: Order, tally: Tally, statement: str, fingerprint: str) -> bytes:
    people = {UUID(one) for one in tally.people if len(one) == 36}
    front = Front(
        title="Audit trail: summary of an export",
        organisation=order.organisation,
        made_at=order.made_at,
        made_by=order.requester,
        query=[(name.replace("_", " "), str(value)) for name, value in order.query.to_json().items()],
        statement=statement,
        fingerprint=fingerprint,
    )
    return write_pdf(render_summary(front, tally, Joiner().people(people)))
