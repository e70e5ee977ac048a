"""Triton Python backend that runs the ONNX file beside it; repository.py copies it into every model.

It runs in Triton's own environment and imports nothing of the platform.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort  # type: ignore[import-untyped]  # ships no annotations
import triton_python_backend_utils as pb_utils  # type: ignore[import-not-found]  # the stub's


class TritonPythonModel:
    """One instance of the model; Triton calls it by these names."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the weights, refusing a file other than the card's."""
        _close_shared_memory()
        config: dict[str, Any] = json.loads(args["model_config"])
        parameters = {key: value["string_value"] for key, value in config["parameters"].items()}
        # Triton gives the model's folder; the configuration names the file inside the version's folder.
        weights = Path(args["model_repository"]) / args["model_version"] / parameters["weights_file"]
        digest = hashlib.sha256(weights.read_bytes()).hexdigest()
        if digest != parameters["weights_sha256"]:
            raise pb_utils.TritonModelException(f"{weights.name} hashes to {digest[:12]}, not to what the card says.")
        options = ort.SessionOptions()
        options.intra_op_num_threads = int(parameters["threads"])
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = ort.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])
        self._inputs = [entry["name"] for entry in config["input"]]
        self._outputs = [entry["name"] for entry in config["output"]]

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request for itself: on a CPU one large batch is no faster, only larger."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        if request.is_cancelled():
            cancelled = pb_utils.TritonError("The client went away.", pb_utils.TritonError.CANCELLED)
            return pb_utils.InferenceResponse(error=cancelled)
        feeds = {
            name: np.ascontiguousarray(pb_utils.get_input_tensor_by_name(request, name).as_numpy())
            for name in self._inputs
        }
        try:
            values = self._session.run(self._outputs, feeds)
        except Exception as error:  # noqa: BLE001  # its own classes share no other base
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(f"ONNX Runtime: {type(error).__name__}"))
        tensors = [pb_utils.Tensor(name, value) for name, value in zip(self._outputs, values, strict=True)]
        return pb_utils.InferenceResponse(output_tensors=tensors)


def _close_shared_memory() -> None:
    """Take the region that pixels pass through from other users of the machine: Triton lets all read it.

    It is named on the command line of this process; no request has been seen yet.
    """
    for argument in Path("/proc/self/cmdline").read_text(encoding="utf-8").split("\0"):
        region = Path("/dev/shm") / argument.strip("/")
        if argument and "/" not in argument.strip("/") and region.is_file():
            region.chmod(0o600)
