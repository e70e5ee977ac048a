"""Triton over gRPC: the one way in which the platform reaches an inference server."""

import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import tritonclient.grpc as triton_grpc  # type: ignore[import-untyped]  # ships no annotations
from tritonclient.utils import InferenceServerException  # type: ignore[import-untyped]  # untyped

from gantry_inference.breaker import BreakerState, CircuitBreaker
from gantry_inference.cards import Card
from gantry_inference.runtime import (
    Array,
    Catalogue,
    InferenceError,
    InferenceFailedError,
    OutputInvalidError,
    Readiness,
    RuntimeDescription,
    RuntimeUnavailableError,
    probe_inputs,
    require_inputs,
    require_outputs,
)

_Answer = TypeVar("_Answer")

_MESSAGE_BYTES = 2**31 - 1
_CHANNEL = [
    ("grpc.max_send_message_length", _MESSAGE_BYTES),
    ("grpc.max_receive_message_length", _MESSAGE_BYTES),
    # gRPC's own pause between connection attempts grows to two minutes; the breaker spares the server.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # A proxy in the environment is for the internet, never for the inference server.
    ("grpc.enable_http_proxy", 0),
]
_MAX_ATTEMPTS = 3
_BREAKER_THRESHOLD = 3
_BREAKER_PAUSE_S = 5.0
_BACKOFF_S = 0.25
_DESCRIBE_TIMEOUT_S = 5.0

# The server, not the request, is at fault. Triton answers UNAVAILABLE for a full queue, an expired queue time
# and a server that is stopping.
_RETRIED = {"StatusCode.UNAVAILABLE", "StatusCode.DEADLINE_EXCEEDED", "StatusCode.RESOURCE_EXHAUSTED"}
# Triton reports a dead model process as INTERNAL; see triton_server.has_dead_stub.
_DEAD_STUB = "is not healthy"


class TritonRuntime:
    """Runs the models of a Triton server.

    Parameters
    ----------
    url
        Host and port of the gRPC endpoint, such as `127.0.0.1:8001`.
    cards
        The cards of the models it serves: what goes in and comes out is checked against them.
    deadline_s
        Longest wait for one attempt. Longer than `queue_timeout_s`: a client that gives up first leaves the
        server working for nobody.
    queue_timeout_s
        Longest time that the server lets a request wait; at least the queue timeout of every card.
    max_attempts
        Attempts for one request, 1 to 3.
    rng
        Source of the jitter between attempts.
    sleep, monotonic
        Clock of the pauses.

    Raises
    ------
    ValueError
        The timeouts contradict each other or the number of attempts is out of bounds.
    """

    def __init__(
        self,
        url: str,
        cards: Iterable[Card],
        *,
        deadline_s: float = 60.0,
        queue_timeout_s: float = 20.0,
        max_attempts: int = _MAX_ATTEMPTS,
        rng: random.Random | None = None,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        served = [card for card in cards if card.triton]
        longest_s = max((card.triton.queue.timeout_ms / 1000 for card in served if card.triton), default=0.0)
        if queue_timeout_s < longest_s:
            raise ValueError(f"queue_timeout_s is {queue_timeout_s:g} but a card lets requests wait {longest_s:g} s.")
        if deadline_s <= queue_timeout_s:
            raise ValueError(f"deadline_s {deadline_s:g} must be longer than queue_timeout_s {queue_timeout_s:g}.")
        if not 1 <= max_attempts <= _MAX_ATTEMPTS:
            raise ValueError(f"max_attempts is {max_attempts}; 1 to {_MAX_ATTEMPTS} are allowed.")
        self._catalogue = Catalogue(served)
        self._deadline_s = deadline_s
        self._max_attempts = max_attempts
        self._rng = rng or random.SystemRandom()
        self._sleep = sleep
        self._breaker = CircuitBreaker(_BREAKER_THRESHOLD, _BREAKER_PAUSE_S, monotonic)
        self._client = triton_grpc.InferenceServerClient(url, channel_args=_CHANNEL)
        self._description: RuntimeDescription | None = None
        self._describing = threading.Lock()

    @property
    def breaker_state(self) -> BreakerState:
        """Whether requests go out at all."""
        return self._breaker.state

    def infer(
        self,
        model: str,
        version: str,
        inputs: Mapping[str, Array],
        *,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Array]:
        """Run one batch on the server, trying again where that can help. See InferenceRuntime.infer."""
        card = self._catalogue.find(model, version)
        batch = require_inputs(card, inputs)
        outputs = self._with_retries(lambda: self._request(card, inputs, headers, self._deadline_s))
        return require_outputs(card, outputs, batch)

    def check_ready(self, model: str, version: str) -> Readiness:
        """Run one probe, once, past an open breaker; success closes it, failure is not counted.

        So a supervisor may ask often while the server starts, without making the workers wait.
        """
        started = time.perf_counter()
        try:
            card = self._catalogue.find(model, version)
            outputs = self._ask(lambda: self._request(card, probe_inputs(card), None, self._deadline_s))
            require_outputs(card, outputs, 1)
        except InferenceError as error:
            return Readiness(False, str(error))
        return Readiness(True, "A real inference went through.", time.perf_counter() - started)

    def describe(self) -> RuntimeDescription:
        """Name the server, its version, and the backends that serve the cards.

        Raises
        ------
        RuntimeUnavailableError
            The server has not answered yet; once it has, the answer is kept.
        """
        with self._describing:
            if self._description is None:
                self._description = self._attempt(self._ask_description)
            return self._description

    def close(self) -> None:
        """Close the channel; requests in flight fail."""
        self._client.close()

    def _with_retries(self, call: Callable[[], _Answer]) -> _Answer:
        for attempt in range(1, self._max_attempts):
            try:
                return self._attempt(call)
            except RuntimeUnavailableError as error:
                if error.retry_after_s is not None:
                    raise
                # Full jitter: workers that failed together must not come back together.
                self._sleep(self._rng.uniform(0.0, _BACKOFF_S * 4**attempt))
        return self._attempt(call)

    def _attempt(self, call: Callable[[], _Answer]) -> _Answer:
        wait_s = self._breaker.wait_s()
        if wait_s > 0:
            raise RuntimeUnavailableError("Triton does not answer; the next try is due shortly.", retry_after_s=wait_s)
        try:
            return self._ask(call)
        except RuntimeUnavailableError:
            self._breaker.record_failure()
            raise

    def _ask(self, call: Callable[[], _Answer]) -> _Answer:
        try:
            answer = call()
        except InferenceServerException as error:
            translated = _translate(error)
            if not isinstance(translated, RuntimeUnavailableError):
                self._breaker.record_success()
            raise translated from error
        self._breaker.record_success()
        return answer

    def _request(
        self, card: Card, inputs: Mapping[str, Array], headers: Mapping[str, str] | None, timeout_s: float
    ) -> dict[str, Array]:
        sent = []
        for tensor in card.input_tensors:
            values = inputs[tensor.name]
            entry = triton_grpc.InferInput(tensor.name, list(values.shape), tensor.dtype)
            entry.set_data_from_numpy(values)
            sent.append(entry)
        answer = self._client.infer(
            card.name,
            sent,
            model_version=card.triton_version,
            outputs=[triton_grpc.InferRequestedOutput(tensor.name) for tensor in card.output_tensors],
            client_timeout=timeout_s,
            headers=dict(headers) if headers else None,
        )
        try:
            received = {tensor.name: answer.as_numpy(tensor.name) for tensor in card.output_tensors}
        except ValueError as error:  # its bytes do not make up the shape that it states
            raise OutputInvalidError(f"Triton's answer for {card.name} cannot be read.") from error
        return {name: values for name, values in received.items() if values is not None}

    def _ask_description(self) -> RuntimeDescription:
        metadata: Any = self._client.get_server_metadata(client_timeout=_DESCRIBE_TIMEOUT_S)
        backends = set()
        for card in self._catalogue:
            answer: Any = self._client.get_model_config(card.name, client_timeout=_DESCRIBE_TIMEOUT_S)
            backends.add(f"{answer.config.backend} backend")
        return RuntimeDescription("triton", str(metadata.version), ", ".join(sorted(backends)))


def _translate(error: InferenceServerException) -> InferenceError:
    """Sort Triton's answer into "later" and "never"; its text may quote paths, so it is not passed on."""
    status, message = str(error.status()), str(error.message())
    if status in _RETRIED:
        return RuntimeUnavailableError(f"Triton is unavailable: {status.removeprefix('StatusCode.').lower()}.")
    if _DEAD_STUB in message:
        return RuntimeUnavailableError("The model's process has ended; Triton has to be restarted.")
    return InferenceFailedError(f"Triton refused the request: {status.removeprefix('StatusCode.').lower()}.")
