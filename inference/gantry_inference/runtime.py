"""The port through which models are run, and what can go wrong there."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gantry_inference.cards import Card, Tensor

Array: TypeAlias = NDArray[Any]

DTYPES: Mapping[str, np.dtype[Any]] = {
    "FP32": np.dtype(np.float32),
    "FP16": np.dtype(np.float16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "UINT8": np.dtype(np.uint8),
}
"""NumPy's name for Triton's."""


class InferenceError(Exception):
    """A model could not be run. `code` is stable; the message is a sentence without patient data."""

    code = "inference.error"


class RuntimeUnavailableError(InferenceError):
    """The runtime cannot answer now; the same request may succeed later."""

    code = "inference.unavailable"

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class InferenceFailedError(InferenceError):
    """The runtime refused or failed this request and would do so again."""

    code = "inference.failed"


class OutputInvalidError(InferenceError):
    """The model answered with something that its card excludes: not a result, and never shown as one."""

    code = "inference.output_invalid"


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether a real inference went through, how long it took, and if not why."""

    ready: bool
    reason: str
    latency_s: float | None = None


@dataclass(frozen=True, slots=True)
class RuntimeDescription:
    """What runs the models, for provenance."""

    kind: str
    version: str
    provider: str


class InferenceRuntime(Protocol):
    """Runs a model version on a batch. Adapters are safe to share between threads."""

    def infer(
        self,
        model: str,
        version: str,
        inputs: Mapping[str, Array],
        *,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Array]:
        """Run one batch and return the outputs that the card names.

        Parameters
        ----------
        model, version
            As in the card, such as `bone_ct` and `1.0`.
        inputs
            Every input tensor of the card by name, batch axis first, at most the card's batch size.
        headers
            Trace context to pass on (`traceparent`, `tracestate`); never patient data.

        Raises
        ------
        RuntimeUnavailableError
            Try again later.
        InferenceFailedError
            Do not try again: unknown model, input that the card excludes, failure inside the model.
        OutputInvalidError
            An output is missing, of another shape or type, out of range, or not a number.
        """
        ...

    def check_ready(self, model: str, version: str) -> Readiness:
        """Run a tiny real inference and say how it went; a ready flag alone proves nothing."""
        ...

    def describe(self) -> RuntimeDescription:
        """Say what runs the models."""
        ...


class Catalogue:
    """The cards that a runtime serves, by model and version."""

    def __init__(self, cards: list[Card]) -> None:
        self._cards = {(card.name, card.version): card for card in cards}

    def __iter__(self) -> Iterator[Card]:
        return iter(self._cards.values())

    def find(self, model: str, version: str) -> Card:
        """Return the card, or raise InferenceFailedError: an unknown model stays unknown."""
        card = self._cards.get((model, version))
        if card is None:
            raise InferenceFailedError(f"No model {model} {version} in the repository.")
        return card


def require_inputs(card: Card, inputs: Mapping[str, Array]) -> int:
    """Refuse inputs that the card does not describe and return the batch size.

    Raises
    ------
    InferenceFailedError
        A tensor is missing, superfluous, or of another shape or type; or batches differ or are too large.
    """
    names = {tensor.name for tensor in card.input_tensors}
    if names != set(inputs):
        raise InferenceFailedError(f"{card.name} takes {sorted(names)}, not {sorted(inputs)}.")
    batches = set()
    for tensor in card.input_tensors:
        problem = _problem(tensor, inputs[tensor.name])
        if problem:
            raise InferenceFailedError(f"Input {tensor.name} of {card.name} {problem}.")
        batches.add(inputs[tensor.name].shape[0])
    largest = card.triton.max_batch_size if card.triton else None
    if len(batches) != 1 or 0 in batches or (largest is not None and max(batches) > largest):
        raise InferenceFailedError(f"{card.name} takes batches of 1 to {largest or 'any'}, not {sorted(batches)}.")
    return int(batches.pop())


def require_outputs(card: Card, outputs: Mapping[str, Array], batch: int) -> dict[str, Array]:
    """Return the outputs after checking them against the card.

    Raises
    ------
    OutputInvalidError
        An output is missing, of another shape or type, not finite, or outside the range on the card.
    """
    checked: dict[str, Array] = {}
    for tensor in card.output_tensors:
        values = outputs.get(tensor.name)
        if values is None:
            raise OutputInvalidError(f"{card.name} did not return {tensor.name}.")
        problem = _problem(tensor, values)
        if problem is None and values.shape[0] != batch:
            problem = f"has {values.shape[0]} entries for a batch of {batch}"
        if problem is None:
            problem = _value_problem(tensor, values)
        if problem:
            raise OutputInvalidError(f"Output {tensor.name} of {card.name} {problem}.")
        checked[tensor.name] = values
    return checked


def probe_inputs(card: Card) -> dict[str, Array]:
    """Return one batch entry of the lowest allowed values: the cheapest valid input of the model."""
    return {
        tensor.name: np.full(
            (1, *tensor.shape[1:]), tensor.values.low if tensor.values else 0, dtype=DTYPES[tensor.dtype]
        )
        for tensor in card.input_tensors
    }


def _problem(tensor: Tensor, values: Array) -> str | None:
    if values.dtype != DTYPES[tensor.dtype]:
        return f"is {values.dtype}, not {tensor.dtype}"
    if values.ndim != len(tensor.shape) or values.shape[1:] != tensor.shape[1:]:
        return f"has shape {list(values.shape)}, not {list(tensor.shape)}"
    return None


def _value_problem(tensor: Tensor, values: Array) -> str | None:
    # Two reductions without a mask: a NaN anywhere makes both NaN, an infinity shows in one of them.
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        return "holds values that are not finite numbers"
    if tensor.values is None:
        return None
    # Sigmoids and half precision overshoot their range by rounding.
    slack = 1e-3 * (tensor.values.high - tensor.values.low)
    if low < tensor.values.low - slack or high > tensor.values.high + slack:
        return f"lies in [{low:.4g}, {high:.4g}], outside [{tensor.values.low:g}, {tensor.values.high:g}]"
    return None
