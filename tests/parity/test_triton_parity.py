"""The real Triton against plain ONNX Runtime, and what happens when Triton dies."""

import os
import random
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ct_result import REPOSITORY
from gantry_inference.cards import Card, load_cards
from gantry_inference.onnx_local import OnnxLocalRuntime
from gantry_inference.runtime import (
    Array,
    InferenceFailedError,
    InferenceRuntime,
    OutputInvalidError,
    RuntimeUnavailableError,
)
from gantry_inference.triton import TritonRuntime
from gantry_inference.triton_server import end_leftovers, has_dead_stub, read_resident_bytes
from tiny_models import SIDE, write_tiny_repository
from triton_process import TritonProcess, free_ports, require_triton, running_triton, wait_until

CARDS = [card for card in load_cards(REPOSITORY) if card.triton]


def connect(server: TritonProcess) -> TritonRuntime:
    return TritonRuntime(server.url, load_cards(server.repository), rng=random.Random(1))


def wait_ready(runtime: InferenceRuntime, card: Card) -> None:
    wait_until(lambda: runtime.check_ready(card.name, card.version).ready)


def inputs_for(card: Card, batch: int) -> dict[str, Array]:
    rng = np.random.default_rng(batch)
    tensor = card.input_tensors[0]
    low, high = (tensor.values.low, tensor.values.high) if tensor.values else (0.0, 1.0)
    return {tensor.name: rng.uniform(low, high, (batch, *tensor.shape[1:])).astype(np.float32)}


def infer_for_ever(runtime: InferenceRuntime, card: Card) -> None:
    inputs = inputs_for(card, 4)
    while True:
        runtime.infer(card.name, card.version, inputs)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonProcess]:
    folder = tmp_path_factory.mktemp("a long path with spaces " * 4)
    repository = write_tiny_repository(folder / "models of all kinds")
    write_tiny_repository(repository, name="not_a_number", broken="nan")
    write_tiny_repository(repository, name="out_of_range", broken="range")
    with running_triton(repository, folder / "run here") as server:
        yield server


@pytest.fixture
def card(tiny: TritonProcess) -> Card:
    return next(card for card in load_cards(tiny.repository) if card.name == "tiny")


@pytest.mark.parametrize("card", CARDS, ids=[card.name for card in CARDS])
def test_outputs_agree_within_the_card_when_run_on_triton_and_onnx_runtime(card: Card, tmp_path: Path) -> None:
    assert card.triton
    require_triton()
    if not card.weights_path.is_file():
        pytest.fail(f"{card.name} ships without its weights.")
    local = OnnxLocalRuntime(REPOSITORY)
    with running_triton(REPOSITORY, tmp_path) as server:
        remote = connect(server)
        wait_ready(remote, card)
        for batch in (1, card.triton.max_batch_size):
            inputs = inputs_for(card, batch)
            theirs = remote.infer(card.name, card.version, inputs)
            ours = local.infer(card.name, card.version, inputs)
            for name, values in ours.items():
                assert np.abs(theirs[name] - values).max() <= card.parity.max_abs_difference
                differing = np.mean((theirs[name] > 0.5) != (values > 0.5))
                assert differing <= card.parity.max_label_disagreement


def test_both_runtimes_refuse_alike_when_the_model_answers_nonsense(tiny: TritonProcess, card: Card) -> None:
    remote, local = connect(tiny), OnnxLocalRuntime(tiny.repository)
    wait_ready(remote, card)
    for runtime in (remote, local):
        assert runtime.infer("tiny", card.version, inputs_for(card, 2))["probability"].shape == (
            2,
            1,
            SIDE,
            SIDE,
        )
        for name in ("not_a_number", "out_of_range"):
            with pytest.raises(OutputInvalidError) as refusal:
                runtime.infer(name, card.version, inputs_for(card, 2))
            assert refusal.value.code == "inference.output_invalid"
        assert not runtime.check_ready("not_a_number", card.version).ready


def test_both_runtimes_refuse_alike_when_the_input_breaks_the_card(tiny: TritonProcess, card: Card) -> None:
    remote, local = connect(tiny), OnnxLocalRuntime(tiny.repository)
    good = inputs_for(card, 1)["image"]
    bad: list[dict[str, Array]] = [
        {"image": good.astype(np.float64)},
        {"image": good[:, :, :-1]},
        {"image": np.repeat(good, 99, axis=0)},
        {"image": good[:0]},
        {"picture": good},
        {},
    ]
    for runtime in (remote, local):
        for inputs in bad:
            with pytest.raises(InferenceFailedError):
                runtime.infer("tiny", card.version, inputs)
        with pytest.raises(InferenceFailedError):
            runtime.infer("unheard_of", card.version, {"image": good})


def test_server_names_itself_and_takes_trace_headers_when_asked(tiny: TritonProcess, card: Card) -> None:
    runtime = connect(tiny)
    wait_ready(runtime, card)
    described = runtime.describe()
    assert (described.kind, described.version.split(".")[0]) == ("triton", "2")
    assert described.provider == "python backend"
    trace = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    assert runtime.infer("tiny", card.version, inputs_for(card, 1), headers=trace)


def test_outputs_are_not_mixed_up_when_many_threads_share_a_runtime(tiny: TritonProcess, card: Card) -> None:
    local = OnnxLocalRuntime(tiny.repository)
    remote = connect(tiny)
    wait_ready(remote, card)
    wrong: list[int] = []

    def run(seed: int) -> None:
        inputs = {"image": np.random.default_rng(seed).uniform(-1, 1, (2, 1, SIDE, SIDE)).astype(np.float32)}
        expected = local.infer("tiny", card.version, inputs)["probability"]
        answers = [remote.infer("tiny", card.version, inputs)["probability"] for _ in range(10)]
        wrong.extend(seed for answer in answers if not np.allclose(answer, expected, atol=1e-6))

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_shared_memory_is_closed_to_others_when_models_are_loaded(tiny: TritonProcess, card: Card) -> None:
    wait_ready(connect(tiny), card)
    assert tiny.process is not None
    maps = [Path(f"/proc/{pid}/maps").read_text() for pid in read_resident_bytes(tiny.process.pid)]
    regions = {
        word for text in maps for word in text.split() if word.startswith("/dev/shm/gantry_")
    }  # fmt: skip
    assert len(regions) == 3
    assert {Path(region).stat().st_mode & 0o777 for region in regions} == {0o600}


def test_breaker_opens_and_recovers_when_triton_is_killed_and_restarted(tmp_path: Path) -> None:
    repository = write_tiny_repository(tmp_path / "models")
    [card] = load_cards(repository)
    now_s = 0.0
    with running_triton(repository, tmp_path / "run") as server:
        runtime = TritonRuntime(server.url, [card], rng=random.Random(1), sleep=lambda _: None, monotonic=lambda: now_s)
        wait_ready(runtime, card)
        killer = threading.Timer(0.3, server.kill)
        killer.start()
        with pytest.raises(RuntimeUnavailableError) as failure:
            infer_for_ever(runtime, card)
        killer.join()
        assert failure.value.code == "inference.unavailable"
        assert str(runtime.breaker_state) == "open"
        with pytest.raises(RuntimeUnavailableError) as refusal:
            runtime.infer(card.name, card.version, inputs_for(card, 1))
        assert refusal.value.retry_after_s == pytest.approx(5.0)

        server.start()
        patient = connect(server)
        wait_ready(patient, card)
        now_s += 6.0
        assert str(runtime.breaker_state) == "half_open"
        assert runtime.infer(card.name, card.version, inputs_for(card, 1))
        assert str(runtime.breaker_state) == "closed"


def test_nothing_is_left_when_a_server_was_killed_in_the_middle_of_a_request(tmp_path: Path) -> None:
    repository = write_tiny_repository(tmp_path / "models")
    [card] = load_cards(repository)
    with running_triton(repository, tmp_path / "run") as server:
        runtime = connect(server)
        wait_ready(runtime, card)
        assert server.process is not None
        end_leftovers(server.run_dir)
        assert runtime.check_ready(card.name, card.version).ready, "a running server keeps its stubs"
        family = dict(read_resident_bytes(server.process.pid))
        killer = threading.Timer(0.2, server.kill)
        killer.start()
        with pytest.raises(RuntimeUnavailableError):
            infer_for_ever(runtime, card)
        killer.join()
        end_leftovers(server.run_dir)
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in family))


def test_dead_stub_is_seen_and_unavailable_when_the_model_process_is_killed(tmp_path: Path) -> None:
    repository = write_tiny_repository(tmp_path / "models")
    [card] = load_cards(repository)
    with running_triton(repository, tmp_path / "run") as server:
        runtime = connect(server)
        wait_ready(runtime, card)
        assert server.process is not None
        pid = server.process.pid
        assert not has_dead_stub(pid)
        [stub] = [member for member in read_resident_bytes(pid) if member != pid]
        os.kill(stub, signal.SIGKILL)
        wait_until(lambda: has_dead_stub(pid))
        assert not runtime.check_ready(card.name, card.version).ready
        with pytest.raises(RuntimeUnavailableError):
            runtime.infer(card.name, card.version, inputs_for(card, 1))
        server.kill()
        server.start()
        wait_ready(runtime, card)
        assert not has_dead_stub(server.process.pid)


def test_server_exits_naming_the_port_when_a_port_is_taken(tiny: TritonProcess, card: Card, tmp_path: Path) -> None:
    wait_ready(connect(tiny), card)
    mine = free_ports()
    clash = replace(tiny, run_dir=tmp_path, ports=(mine[0], tiny.ports[1], mine[2]), process=None).start()
    assert clash.wait(timeout=30) == 1
    end_leftovers(tmp_path)
    _, stderr = clash.communicate(timeout=30)
    assert str(tiny.ports[1]) in stderr
    assert connect(tiny).check_ready("tiny", card.version).ready


def test_server_refuses_to_start_when_weights_are_not_the_cards(tmp_path: Path) -> None:
    repository = write_tiny_repository(tmp_path / "models")
    (repository / "tiny" / "1" / "model.onnx").write_bytes(b"other weights")
    server = TritonProcess(require_triton(), repository, tmp_path / "run", free_ports())
    process = server.start()
    assert process.wait(timeout=60) == 1
    end_leftovers(server.run_dir)
    _, stderr = process.communicate(timeout=30)
    assert "what the card says" in stderr
    [tiny_card] = load_cards(repository)
    local = OnnxLocalRuntime(repository)
    with pytest.raises(InferenceFailedError):
        local.infer("tiny", tiny_card.version, inputs_for(tiny_card, 1))
