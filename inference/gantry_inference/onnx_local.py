"""ONNX Runtime in this process: the fallback where Triton cannot run, and the parity tests' yardstick."""

import threading
import time
from collections.abc import Mapping
from pathlib import Path

import onnxruntime as ort  # type: ignore[import-untyped]  # ships no annotations

from gantry_inference.cards import Card, CardError, load_cards
from gantry_inference.runtime import (
    Array,
    Catalogue,
    InferenceError,
    InferenceFailedError,
    Readiness,
    RuntimeDescription,
    probe_inputs,
    require_inputs,
    require_outputs,
)

_PROVIDER = "CPUExecutionProvider"


class OnnxLocalRuntime:
    """Runs the repository's ONNX files on this machine's CPU.

    Parameters
    ----------
    repository
        The model repository.
    threads
        Threads of one inference.

    Raises
    ------
    CardError
        A card of the repository is bad.
    """

    def __init__(self, repository: Path, threads: int = 2) -> None:
        self._catalogue = Catalogue(load_cards(repository))
        self._threads = threads
        self._sessions: dict[str, ort.InferenceSession] = {}
        self._loading = threading.Lock()

    def infer(
        self,
        model: str,
        version: str,
        inputs: Mapping[str, Array],
        *,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Array]:
        """Run one batch; `headers` go nowhere, nothing leaves the process. See InferenceRuntime.infer."""
        card = self._catalogue.find(model, version)
        batch = require_inputs(card, inputs)
        session = self._session(card)
        names = [tensor.name for tensor in card.output_tensors]
        try:
            values = session.run(names, dict(inputs))
        except Exception as error:  # onnxruntime raises its own classes, which share no base but Exception
            raise InferenceFailedError(f"{model} {version} failed in ONNX Runtime: {type(error).__name__}.") from error
        return require_outputs(card, dict(zip(names, values, strict=True)), batch)

    def check_ready(self, model: str, version: str) -> Readiness:
        """Run one probe through the model."""
        started = time.perf_counter()
        try:
            self.infer(model, version, probe_inputs(self._catalogue.find(model, version)))
        except InferenceError as error:
            return Readiness(False, str(error))
        return Readiness(True, "A real inference went through.", time.perf_counter() - started)

    def describe(self) -> RuntimeDescription:
        """Name ONNX Runtime, its version and its provider."""
        return RuntimeDescription("onnxruntime", ort.__version__, _PROVIDER)

    def _session(self, card: Card) -> ort.InferenceSession:
        # InferenceSession.run may be called from many threads; only making one needs the lock.
        with self._loading:
            session = self._sessions.get(card.name)
            if session is None:
                session = self._sessions[card.name] = self._load(card)
            return session

    def _load(self, card: Card) -> ort.InferenceSession:
        options = ort.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        # Idle threads that spin would take the other core from the worker's own pre- and post-processing.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            return ort.InferenceSession(str(card.require_weights()), options, providers=[_PROVIDER])
        except CardError as error:
            raise InferenceFailedError(str(error)) from error
        except Exception as error:  # onnxruntime raises its own classes, which share no base but Exception
            raise InferenceFailedError(f"ONNX Runtime cannot load {card.name}: {type(error).__name__}.") from error
