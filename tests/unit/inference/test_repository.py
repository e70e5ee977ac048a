from pathlib import Path

import pytest
from google.protobuf import text_format  # type: ignore[import-untyped]  # ships no annotations
from tritonclient.grpc import model_config_pb2  # type: ignore[import-untyped]  # ships no annotations

from ct_result import REPOSITORY
from gantry_inference.cards import load_card
from gantry_inference.repository import find_problems, generated_files, main, render_config
from tiny_models import write_tiny_repository


@pytest.mark.parametrize("backend", ["python", "onnxruntime"])
def test_config_is_what_triton_reads_when_rendered(backend: str) -> None:
    card = load_card(REPOSITORY / "bone_ct")
    assert card.triton
    text = render_config(card, "python" if backend == "python" else "onnxruntime")
    config = text_format.Parse(text, model_config_pb2.ModelConfig())
    assert (config.name, config.backend, config.max_batch_size) == ("bone_ct", backend, card.triton.max_batch_size)
    assert [(tensor.name, list(tensor.dims)) for tensor in config.input] == [
        (tensor.name, list(tensor.shape[1:])) for tensor in card.input_tensors
    ]
    policy = config.dynamic_batching.default_queue_policy
    assert policy.default_timeout_microseconds == card.triton.queue.timeout_ms * 1000
    assert policy.max_queue_size == card.triton.queue.max_size
    assert not policy.allow_timeout_override


def test_generated_files_are_fresh_when_the_repository_ships() -> None:
    for path, text in generated_files(load_card(REPOSITORY / "bone_ct")).items():
        assert path.read_text(encoding="utf-8") == text


def test_check_fails_and_write_repairs_when_a_card_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    repository = write_tiny_repository(tmp_path / "models")
    assert main(["check", str(repository)]) == 0
    card = repository / "tiny" / "card.yaml"
    card.write_text(card.read_text(encoding="utf-8").replace("threads: 2", "threads: 1"), encoding="utf-8")
    assert main(["check", str(repository)]) == 1
    assert "config.pbtxt is stale" in capsys.readouterr().err
    assert main(["write", str(repository)]) == 0
    assert main(["check", str(repository)]) == 0


def test_check_fails_when_weights_are_not_the_cards(tmp_path: Path) -> None:
    repository = write_tiny_repository(tmp_path / "models")
    assert list(find_problems(repository)) == []
    (repository / "tiny" / "1" / "model.onnx").write_bytes(b"other")
    [problem] = find_problems(repository)
    assert "hashes to" in problem


def test_check_fails_with_the_field_when_a_card_is_bad(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    repository = write_tiny_repository(tmp_path / "models")
    (repository / "tiny" / "card.yaml").write_text("name: tiny\n", encoding="utf-8")
    assert main(["check", str(repository)]) == 1
    assert "Expected:" in capsys.readouterr().err
