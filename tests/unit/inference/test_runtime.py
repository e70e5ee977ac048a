import random
from pathlib import Path

import numpy as np
import pytest

from ct_result import REPOSITORY
from gantry_inference.breaker import CircuitBreaker
from gantry_inference.cards import load_card, load_cards
from gantry_inference.onnx_local import OnnxLocalRuntime
from gantry_inference.runtime import OutputInvalidError, RuntimeUnavailableError, probe_inputs, require_outputs
from gantry_inference.triton import TritonRuntime
from gantry_inference.triton_server import TritonInstallation, Unavailable, build_command, locate
from tiny_models import SIDE, write_tiny_repository
from triton_process import free_ports, require_triton


class Hands:
    """A clock moved by hand; sleeping moves it too."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.slept_s: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.now_s += seconds

    def monotonic(self) -> float:
        return self.now_s


def test_breaker_opens_after_consecutive_failures_and_lets_one_probe_through_when_the_pause_is_over() -> None:
    clock = Hands()
    breaker = CircuitBreaker(2, 5.0, clock.monotonic)
    breaker.record_failure()
    breaker.record_success()
    breaker.record_failure()
    assert str(breaker.state) == "closed"
    breaker.record_failure()
    assert str(breaker.state) == "open"
    assert breaker.wait_s() == pytest.approx(5.0)
    clock.now_s += 5.0
    assert str(breaker.state) == "half_open"
    assert breaker.wait_s() == 0.0
    assert breaker.wait_s() > 0.0, "a second caller waits while the probe is out"
    breaker.record_failure()
    assert str(breaker.state) == "open"
    clock.now_s += 5.0
    assert breaker.wait_s() == 0.0
    breaker.record_success()
    assert str(breaker.state) == "closed"


def test_attempts_are_three_with_jitter_and_the_breaker_opens_when_nobody_listens() -> None:
    clock = Hands()
    card = load_card(REPOSITORY / "bone_ct")
    _, port, _ = free_ports()
    runtime = TritonRuntime(
        f"127.0.0.1:{port}", [card], rng=random.Random(3), sleep=clock.sleep, monotonic=clock.monotonic
    )
    assert not runtime.check_ready(card.name, card.version).ready
    assert str(runtime.breaker_state) == "closed", "asking for readiness counts nothing"
    with pytest.raises(RuntimeUnavailableError):
        runtime.infer(card.name, card.version, probe_inputs(card))
    assert len(clock.slept_s) == 2
    assert 0 < clock.slept_s[0] <= 1.0
    assert 0 < clock.slept_s[1] <= 4.0
    assert str(runtime.breaker_state) == "open"
    with pytest.raises(RuntimeUnavailableError) as refusal:
        runtime.infer(card.name, card.version, probe_inputs(card))
    assert refusal.value.retry_after_s is not None
    assert len(clock.slept_s) == 2, "an open breaker is not waited for"
    with pytest.raises(RuntimeUnavailableError):
        runtime.describe()


@pytest.mark.parametrize(
    "settings",
    [
        {"deadline_s": 20.0, "queue_timeout_s": 20.0},
        {"queue_timeout_s": 1.0},
        {"max_attempts": 4},
        {"max_attempts": 0},
    ],
)
def test_runtime_is_refused_when_its_limits_contradict_each_other(settings: dict[str, float]) -> None:
    card = load_card(REPOSITORY / "bone_ct")
    assert TritonRuntime("127.0.0.1:1", [card])
    with pytest.raises(ValueError, match=r"deadline_s|queue_timeout_s|max_attempts"):
        TritonRuntime("127.0.0.1:1", [card], **settings)  # type: ignore[arg-type]  # numbers of both kinds


def test_local_runtime_answers_and_describes_itself_when_the_weights_are_there(tmp_path: Path) -> None:
    repository = write_tiny_repository(tmp_path / "models")
    [card] = load_cards(repository)
    runtime = OnnxLocalRuntime(repository, threads=1)
    ready = runtime.check_ready("tiny", card.version)
    assert ready.ready
    assert ready.latency_s is not None
    assert runtime.describe().kind == "onnxruntime"
    assert runtime.infer("tiny", card.version, probe_inputs(card))["probability"].shape == (1, 1, SIDE, SIDE)


@pytest.mark.parametrize("spoil", ["missing", "shape", "dtype", "batch", "nan", "inf", "range"])
def test_output_is_refused_when_it_breaks_the_card(spoil: str) -> None:
    card = load_card(REPOSITORY / "bone_ct")
    [tensor] = card.output_tensors
    good = np.full((2, *tensor.shape[1:]), 0.25, np.float32)
    assert require_outputs(card, {tensor.name: good}, 2)[tensor.name] is good
    bad = good.copy()
    outputs = {tensor.name: bad}
    match spoil:
        case "missing":
            outputs = {}
        case "shape":
            outputs = {tensor.name: bad[:, :, :-1]}
        case "dtype":
            outputs = {tensor.name: bad.astype(np.float64)}
        case "batch":
            outputs = {tensor.name: bad[:1]}
        case _:
            bad.flat[1234] = {"nan": np.nan, "inf": np.inf, "range": 1.5}[spoil]
    with pytest.raises(OutputInvalidError):
        require_outputs(card, outputs, 2)


def test_triton_is_unavailable_with_a_sentence_when_its_environment_is_missing(tmp_path: Path) -> None:
    found = locate(tmp_path / ".venv-triton")
    assert isinstance(found, Unavailable)
    assert found.reason.endswith(".")


def test_command_listens_on_loopback_alone_and_takes_nothing_from_the_callers_environment_when_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_PLATFORM", "x")
    installation: TritonInstallation = require_triton()
    argv, env = build_command(
        installation, repository=tmp_path, http_port=1, grpc_port=2, metrics_port=3, run_dir=tmp_path / "run"
    )
    addresses = [word for word in argv if "-address=" in word]
    assert addresses == [f"--{kind}-address=127.0.0.1" for kind in ("http", "grpc", "metrics")]
    assert "SECRET_OF_THE_PLATFORM" not in env
    assert env["PATH"].startswith(str(installation.environment / "bin"))
