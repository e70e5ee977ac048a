"""Importing with a progress bar, then following what the models make of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from gantry.transfer.client import Destination, Failure, StowClient, TransferError
from gantry.transfer.sources import Skipped, Source, list_sources

BATCH_FILES, BATCH_BYTES = 20, 24 * 1024 * 1024
_LOOK_EVERY_S, _GIVE_UP_AFTER_S = 1.0, 900.0
_SHOWN_FAILURES = 20


def run_import(paths: Sequence[Path], destination: Destination, console: Console, *, follow: bool) -> bool:
    """Send everything below `paths`; return whether every DICOM file was stored and every analysis ended well.

    Raises
    ------
    TransferError
        The site refused the whole, or does not answer.
    """
    with console.status("Looking for DICOM files…"):
        found = list(list_sources(paths))
    sources = [one for one in found if isinstance(one, Source)]
    skipped = [one for one in found if isinstance(one, Skipped)]
    if not sources:
        reasons = Counter(one.reason for one in skipped)
        why = "; ".join(f"{count} × {reason}" for reason, count in reasons.items())
        raise TransferError(f"There is no DICOM file there{f' ({why})' if why else ''}.")
    with StowClient(destination) as client:
        studies, stored, failures = _send(client, sources, console)
        _say(console, stored, failures, skipped, len(studies))
        ended_well = _follow(client, studies, console) if follow and studies else True
    return not failures and ended_well


def _send(client: StowClient, sources: list[Source], console: Console) -> tuple[set[str], int, list[Failure]]:
    studies: set[str] = set()
    stored = 0
    failures: list[Failure] = []
    columns = (
        TextColumn("Storing"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn(),
        TextColumn("{task.fields[files]} files"),
    )  # fmt: skip
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=sum(one.size_bytes for one in sources), files=0)
        sent = 0
        for batch in _batches(sources):
            result = client.store(batch, lambda count: progress.advance(task, count))
            studies |= result.studies
            stored += result.stored
            failures += result.failures
            sent += len(batch)
            progress.update(task, files=sent)
    return studies, stored, failures


def _batches(sources: list[Source]) -> list[list[Source]]:
    batches: list[list[Source]] = [[]]
    size_bytes = 0
    for source in sources:
        if batches[-1] and (len(batches[-1]) >= BATCH_FILES or size_bytes + source.size_bytes > BATCH_BYTES):
            batches.append([])
            size_bytes = 0
        batches[-1].append(source)
        size_bytes += source.size_bytes
    return batches


def _say(console: Console, stored: int, failures: list[Failure], skipped: list[Skipped], studies: int) -> None:
    console.print(f"[green]✓[/green] {stored} instances of {studies} {'study' if studies == 1 else 'studies'} stored.")
    if skipped:
        reasons = Counter(one.reason for one in skipped)
        console.print("  Left out: " + escape("; ".join(f"{count} × {reason}" for reason, count in reasons.items())))
    for sentence, count in Counter(one.sentence for one in failures).most_common(_SHOWN_FAILURES):
        console.print(f"[yellow]![/yellow] {count} × in quarantine: {escape(sentence)}")


def _follow(client: StowClient, studies: set[str], console: Console) -> bool:
    """Wait until every study's analysis has ended; tell how. A model that was not made for a study is no failure."""
    waiting, well = set(studies), True
    deadline = time.monotonic() + _GIVE_UP_AFTER_S
    with console.status("Waiting for the analysis…") as status:
        while waiting and time.monotonic() < deadline:
            for row in _rows(client, waiting):
                analysis = row["analysis"]
                state = analysis["state"]
                if state in {"queued", "running", "waiting"}:
                    status.update(f"{state.capitalize()} {analysis['progress']:.0%} {escape(analysis['sentence'])}")
                elif state != "none" and not row["newer_instances"]:
                    waiting.discard(row["study_instance_uid"])
                    well = well and state != "failed"
                    console.print(_ending(row))
            time.sleep(_LOOK_EVERY_S)
    if waiting:
        console.print(f"[yellow]![/yellow] {len(waiting)} analyses have not ended yet; the worklist shows them.")
    return well


def _rows(client: StowClient, wanted: set[str]) -> list[dict[str, Any]]:
    answer = client.post("/api/v1/worklist/search", {"page_size": 100, "sort": "received"})
    return [row for row in answer["results"] if row["study_instance_uid"] in wanted]


def _ending(row: dict[str, Any]) -> str:
    analysis = row["analysis"]
    if analysis["state"] == "done":
        return f"[green]✓[/green] Analysed by {analysis['model']} {analysis['model_version']}; not reviewed yet."
    if analysis["state"] == "not_analysed":
        return f"[blue]i[/blue] Not analysed: {escape(analysis['sentence'])}"
    return f"[red]✗[/red] The analysis failed: {escape(analysis['sentence'])}"
