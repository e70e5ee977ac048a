"""Running one analysis: read, prepare, infer, finish; and what becomes of it when something breaks."""

from __future__ import annotations

import functools
import gzip
import io
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid5

import numpy as np
import structlog
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connections
from numpy.typing import NDArray
from opentelemetry import propagate, trace
from pydicom import dcmread
from pydicom.dataset import Dataset

from gantry.analyses.domain import HEARTBEAT_S, Stage
from gantry.analyses.errors import FencedError
from gantry.analyses.selection import slice_headers
from gantry.analyses.services import (
    NewArtefact,
    NewFinding,
    Work,
    claim_analysis,
    fail_analysis,
    finish_analysis,
    postpone_analysis,
    renew_lease,
    report_progress,
)
from gantry.catalog.public import find_card, list_cards
from gantry.foundation.boundary import record_refusal
from gantry.foundation.scope import TenantScope, current_scope, tenant_scope, unit_of_work
from gantry.kernel.decision import Refused
from gantry.studies.public import Instance, MemFile, ParsedInstance, ParserPool, ResultObject, stored_ref
from gantry.vault.public import (
    KeyDestroyedError,
    SealedObject,
    StoreFullError,
    Vault,
    VaultCorruptError,
    VaultUnavailableError,
    get_vault,
)
from gantry_imaging.decode import decode_frames
from gantry_imaging.errors import ImagingError
from gantry_imaging.masks import CONTOUR_ENCODING, contours_to_json, trace_contours
from gantry_imaging.modality import to_modality_units
from gantry_imaging.part10 import read_header
from gantry_imaging.series import assemble_volume
from gantry_imaging.volume import Volume
from gantry_inference.cards import Card, CardError
from gantry_inference.meshes import build_mesh
from gantry_inference.onnx_local import OnnxLocalRuntime
from gantry_inference.outputs.findings import Finding as FoundRegion
from gantry_inference.outputs.findings import FindingGraph, build_findings
from gantry_inference.outputs.provenance import Provenance
from gantry_inference.outputs.seg import write_segmentation
from gantry_inference.outputs.sources import SourceMismatchError, order_sources
from gantry_inference.outputs.sr import write_measurement_report
from gantry_inference.outputs.stl import write_mesh
from gantry_inference.runtime import (
    InferenceFailedError,
    InferenceRuntime,
    OutputInvalidError,
    RuntimeUnavailableError,
)
from gantry_inference.segmentation import ModelOutputError, Spec, segment_volume
from gantry_inference.transforms import PostprocessSpec, PreprocessSpec
from gantry_inference.triton import TritonRuntime

log = structlog.get_logger(__name__)
tracer = trace.get_tracer(__name__)

#: Shares of the progress bar: reading, inference with its pre- and post-processing, writing.
_READ_SHARE, _INFER_SHARE = 0.15, 0.75
_PROGRESS_EVERY_S = 0.7
_RETRY_DELAY_S = 5.0
_MAX_RESULT_BYTES = 512 * 1024 * 1024


@functools.cache
def inference_runtime() -> InferenceRuntime:
    """Return the process's way to the models, as configured: Triton, or ONNX Runtime in this process."""
    if settings.INFERENCE_RUNTIME == "triton":
        return TritonRuntime(settings.TRITON_URL, list_cards())
    return OnnxLocalRuntime(settings.MODEL_REPOSITORY)


@functools.cache
def _result_parsers() -> ParserPool:
    return ParserPool(processes=1)


def run_analysis(*, analysis_id: UUID) -> None:
    """Work on an analysis if it is free; every way it can end is written down.

    What the model server or the database cannot do now is tried again later; what cannot succeed is
    failed with the reason.
    """
    scope = current_scope()
    work = claim_analysis(actor=scope.actor, analysis_id=analysis_id)
    if work is None:
        return
    with tracer.start_as_current_span("analysis.run") as span, _heartbeat(scope, work):
        span.set_attribute("gantry.analysis_id", str(analysis_id))
        try:
            with _unless_fenced(work):
                _Run(scope, work).execute()
        except RuntimeUnavailableError as error:
            sentence = "Waiting for the model server, which does not answer. This is tried again by itself."
            _postpone(scope, work, sentence, max(error.retry_after_s or 0.0, _RETRY_DELAY_S))
        except (StoreFullError, VaultUnavailableError) as error:
            log.warning("analysis.no_storage", analysis_id=str(analysis_id), error=error.code)
            _postpone(scope, work, "Waiting for storage, which is full or away. This is tried again by itself.")
        except Refused as refused:
            record_refusal(refused)
            _fail(scope, work, refused.code, str(refused))
        except DatabaseError:
            raise  # the queue runs it again
        except Exception as error:  # noqa: BLE001 - every error ends in a sentence; see _explain
            code, sentence = _explain(error)
            _fail(scope, work, code, sentence)


def _postpone(scope: TenantScope, work: Work, sentence: str, delay_s: float = _RETRY_DELAY_S) -> None:
    with _unless_fenced(work):
        postpone_analysis(
            actor=scope.actor, analysis_id=work.analysis.pk, claim=work.claim, sentence=sentence, delay_s=delay_s
        )


def _fail(scope: TenantScope, work: Work, code: str, sentence: str) -> None:
    with _unless_fenced(work):
        fail_analysis(actor=scope.actor, analysis_id=work.analysis.pk, claim=work.claim, code=code, sentence=sentence)


@contextmanager
def _unless_fenced(work: Work) -> Iterator[None]:
    try:
        yield
    except FencedError:
        log.warning("analysis.fenced", analysis_id=str(work.analysis.pk), attempt=work.claim.attempt)


def _explain(error: Exception) -> tuple[str, str]:
    if isinstance(error, ImagingError):
        return error.code, f"The images could not be used: {error.sentence}"
    if isinstance(error, (InferenceFailedError, OutputInvalidError, ModelOutputError)):
        return error.code, f"The model did not give a usable answer: {error}"
    if isinstance(error, (KeyDestroyedError, VaultCorruptError)):
        return error.code, "The stored images cannot be read any more."
    if isinstance(error, SourceMismatchError):
        return error.code, f"The result did not fit the images: {error}"
    if isinstance(error, CardError):
        return error.code, "The model's files are not what its card says; it was not run."
    log.exception("analysis.unexpected", error=type(error).__name__)  # noqa: LOG004 - called while it is handled
    return "analysis.unexpected", "Something went wrong on our side. Nothing was found or ruled out; start it again."


@contextmanager
def _heartbeat(scope: TenantScope, work: Work) -> Iterator[None]:
    """Renew the lease from a thread of its own while long steps run."""
    stop = threading.Event()

    def beat() -> None:
        with tenant_scope(scope.actor):
            while not stop.wait(HEARTBEAT_S):
                try:
                    renew_lease(analysis_id=work.analysis.pk, claim=work.claim)
                except FencedError:
                    return  # the next write of the run itself will find out
                except DatabaseError as error:
                    log.warning("heartbeat.missed", error=type(error).__name__)
                finally:
                    connections.close_all()

    thread = threading.Thread(target=beat, name="analysis-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@dataclass
class _Timings:
    """Seconds by stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - started


class _Run:
    """One attempt at one analysis."""

    def __init__(self, scope: TenantScope, work: Work) -> None:
        self.scope = scope
        self.work = work
        self.vault: Vault = get_vault()
        self.timings = _Timings()
        self.runtime = inference_runtime()
        self._reported_at = 0.0

    def execute(self) -> None:
        analysis = self.work.analysis
        card = find_card(analysis.model, analysis.version)
        if card is None or card.weights.sha256 != analysis.weights_sha256:
            raise CardError("The model version left the repository or its weights changed.")
        self.timings.seconds["quiet"] = self._quiet_s()
        self.timings.seconds["queue"] = self._queue_s()
        with self.timings.measure("read"), tracer.start_as_current_span("analysis.read"):
            sources, volume = self._read()
        with tracer.start_as_current_span("analysis.segment"):
            labels = self._segment(card, volume)
        self._report(Stage.WRITE, _READ_SHARE + _INFER_SHARE, force=True)
        with tracer.start_as_current_span("analysis.write"):
            self._write(card, sources, volume, labels)

    def _quiet_s(self) -> float:
        study, analysis = self.work.study, self.work.analysis
        return max((analysis.created_at - study.last_instance_at).total_seconds(), 0.0)

    def _queue_s(self) -> float:
        analysis = self.work.analysis
        started = analysis.started_at or analysis.created_at
        return max((started - analysis.created_at).total_seconds(), 0.0)

    def _report(self, stage: Stage, progress: float, *, force: bool = False) -> None:
        now = time.monotonic()
        if force or now - self._reported_at >= _PROGRESS_EVERY_S:
            self._reported_at = now
            report_progress(analysis_id=self.work.analysis.pk, claim=self.work.claim, stage=stage, progress=progress)

    def _read(self) -> tuple[list[Dataset], Volume]:
        """Read every slice: headers kept, pixels straight into the volume."""
        with unit_of_work():
            assert self.work.analysis.series_id
            rows = list(Instance.objects.filter(series_id=self.work.analysis.series_id).select_related("series"))
        headers: list[Dataset | None] = [None] * len(rows)

        def frame(index: int) -> NDArray[Any]:
            with self.vault.open(stored_ref(rows[index], rows[index].tenant_id)) as reader:
                data = reader.read()
            header = headers[index] = read_header(data)
            return to_modality_units(decode_frames(data, 0), header, 0)

        def progress(done: int, total: int) -> None:
            self._report(Stage.READ, _READ_SHARE * done / total)

        volume = assemble_volume(slice_headers(rows), frame, np.int16, progress)
        return [header for header in headers if header is not None], volume

    def _segment(self, card: Card, volume: Volume) -> NDArray[np.uint8]:
        input_name, output_name = card.input_tensors[0].name, card.output_tensors[0].name
        headers: dict[str, str] = {}
        propagate.inject(headers)

        def infer(batch: NDArray[np.float32]) -> NDArray[np.float32]:
            with tracer.start_as_current_span("inference.request"):
                answer = self.runtime.infer(card.name, card.version, {input_name: batch}, headers=headers)
            return answer[output_name]

        def progress(done: int, total: int) -> None:
            self._report(Stage.INFER, _READ_SHARE + _INFER_SHARE * done / total)

        # Every stage is told when it begins; within one, not more often than people can see.
        self._report(Stage.INFER, _READ_SHARE, force=True)
        spec = Spec(PreprocessSpec.from_card(card.preprocess), PostprocessSpec.from_card(card.postprocess))
        result = segment_volume(volume, spec=spec, infer_batch=infer, on_progress=progress)
        self.timings.seconds.update(result.timings_s)
        return result.labels_kji

    def _write(self, card: Card, sources: list[Dataset], volume: Volume, labels: NDArray[np.uint8]) -> None:
        started = time.perf_counter()
        analysis, study = self.work.analysis, self.work.study
        described = self.runtime.describe()
        provenance = Provenance(
            model=card.name,
            version=card.version,
            weights_sha256=card.weights.sha256,
            runtime=described.kind,
            runtime_version=described.version,
            analysis_id=str(analysis.pk),
            study_revision=analysis.study_revision,
            input_sop_instance_uids=tuple(str(source.SOPInstanceUID) for source in sources),
            created_at=analysis.created_at,
        )
        staged: list[SealedObject] = []
        try:
            findings: list[NewFinding] = []
            numbers: dict[str, int] = {}

            def keep(found: FoundRegion, mask_kji: NDArray[np.bool_]) -> None:
                number = len(findings) + 1
                numbers[found.tracking_uid] = number
                outlines = self._stage(f"contours-{number}", _contours(found, mask_kji), staged)
                wrapped = self.vault.seal(study.tenant_id, outlines, study.patient.key_id)
                values = _finding_values(found, numbers)
                findings.append(NewFinding(number, values, outlines, wrapped))

            graph = build_findings(labels, volume, card, sources, provenance, on_finding=keep)
            results = [
                self._result(kind, data, staged)
                for kind, data in _dicom_objects(card, sources, volume, labels, provenance, graph)
            ]
            sealed = self._stage("graph", gzip.compress(graph.to_json().encode()), staged)
            artefact = NewArtefact("graph", sealed, self.vault.seal(study.tenant_id, sealed, study.patient.key_id))
            self.timings.seconds["write"] = time.perf_counter() - started
            self.timings.seconds["total"] = sum(self.timings.seconds.values())
            finish_analysis(
                actor=self.scope.actor,
                analysis_id=analysis.pk,
                claim=self.work.claim,
                results=results,
                findings=findings,
                artefacts=[artefact],
                runtime=f"{described.kind} {described.version} ({described.provider})",
                timings_s={stage: round(seconds, 3) for stage, seconds in self.timings.seconds.items()},
            )
        except BaseException:
            for one in staged:
                self.vault.discard(one)
            raise

    def _stage(self, kind: str, data: bytes, staged: list[SealedObject]) -> SealedObject:
        """Seal an object under a name that follows from analysis, attempt and kind."""
        name = uuid5(self.work.analysis.pk, f"{self.work.claim.attempt}/{kind}")
        with self.vault.begin(self.work.study.tenant_id, name) as writer:
            writer.write(data)
            sealed = writer.commit()
        staged.append(sealed)
        return sealed

    def _result(self, kind: str, data: bytes, staged: list[SealedObject]) -> ResultObject:
        """Stage a DICOM object of ours, indexed from its own bytes by the same parser as everybody's."""
        with MemFile(_MAX_RESULT_BYTES) as file:
            file.write(data)
            (parsed,) = _result_parsers().parse_batch_sync([file])
        if not isinstance(parsed, ParsedInstance):
            raise RuntimeError(f"our own {kind} object does not parse: {parsed.code}")
        return ResultObject(self._stage(kind, data, staged), parsed)


def _dicom_objects(
    card: Card,
    sources: list[Dataset],
    volume: Volume,
    labels: NDArray[np.uint8],
    provenance: Provenance,
    graph: FindingGraph,
) -> Iterator[tuple[str, bytes]]:
    """Write the result out as SEG, SR and STL; an empty one has a report that says so and nothing to outline."""
    segmentation = write_segmentation(sources, labels, volume, card, provenance)
    yield "seg", segmentation
    yield "sr", write_measurement_report(sources, dcmread(io.BytesIO(segmentation)), graph, card)
    ordered = order_sources(sources, volume)
    for segment in card.segments:
        mask = labels == segment.number
        if mask.any():
            mesh = build_mesh(mask, volume)
            yield f"stl-{segment.number}", write_mesh(ordered, mesh, segment.number, card, provenance)


def _contours(found: FoundRegion, mask_kji: NDArray[np.bool_]) -> bytes:
    """Return a finding's outlines as compressed JSON, by image."""
    slices = {
        area.sop_instance_uid: contours_to_json(trace_contours(mask_kji[area.slice_index]))
        for area in found.slice_areas
    }
    document = {"encoding": CONTOUR_ENCODING, "slices": slices}
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=5, mtime=0) as file:
        file.write(json.dumps(document, separators=(",", ":")).encode())
    return buffer.getvalue()


def _finding_values(found: FoundRegion, numbers: dict[str, int]) -> dict[str, Any]:
    red, green, blue = found.display_srgb
    return {
        "part_of": numbers[found.part_of] if found.part_of else None,
        "tracking_uid": found.tracking_uid,
        "label": found.label[:128],
        "concept": {
            "value": found.concept.value,
            "scheme": found.concept.scheme,
            "meaning": found.concept.meaning,
        },
        "color": f"#{red:02x}{green:02x}{blue:02x}",
        "measurements": [
            {
                "name": one.concept.meaning
                if one.derivation is None
                else f"{one.derivation.meaning} {one.concept.meaning}",
                "value": round(one.value, 3),
                "unit": one.unit.value,
                "unit_display": {"cm3": "cm³", "[hnsf'U]": "HU"}.get(one.unit.value, one.unit.value),
            }
            for one in found.measurements
        ],
        "key_sop_instance_uid": found.key_sop_instance_uid or "",
        "slice_areas": [
            {"sop_instance_uid": area.sop_instance_uid, "area_mm2": round(area.area_mm2, 1)}
            for area in found.slice_areas
        ],
    }
