"""Triton's model repository, from the cards: `python -m gantry_inference.repository check|write`."""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from gantry_inference.cards import Card, CardError, Tensor, load_cards

Backend = Literal["python", "onnxruntime"]

DEFAULT_REPOSITORY = Path(__file__).resolve().parents[1] / "model_repository"
_BACKEND_CODE = Path(__file__).with_name("triton_backend.py")
_WRITE = "python -m gantry_inference.repository write"
_NOTICE = f"# Generated from card.yaml by `{_WRITE}`. Change the card instead.\n"
_INSTANCE_KIND: Mapping[Backend, str] = {"python": "KIND_CPU", "onnxruntime": "KIND_AUTO"}


def render_config(card: Card, backend: Backend = "python") -> str:
    """Return the text of Triton's config.pbtxt for one model.

    `python` is ONNX Runtime inside the Python backend, which the embedded stack has; `onnxruntime` is
    Triton's own backend, for production images. Both serve the same file under the same names and limits.

    Raises
    ------
    CardError
        The card does not name Triton among its targets.
    """
    target = card.triton
    if target is None:
        raise CardError(f"{card.name}: targets.triton is absent, so there is no configuration to write.")
    lines = [
        _NOTICE.rstrip(),
        f"name: {_quoted(card.name)}",
        f"backend: {_quoted(backend)}",
        f"max_batch_size: {target.max_batch_size}",
        f"version_policy {{ specific {{ versions: [{card.triton_version}] }} }}",
        *(f"input [{_tensor(tensor)}]" for tensor in card.input_tensors),
        *(f"output [{_tensor(tensor)}]" for tensor in card.output_tensors),
        f"instance_group [{{ kind: {_INSTANCE_KIND[backend]} count: {target.instances} }}]",
        "dynamic_batching {",
        f"  max_queue_delay_microseconds: {target.queue.delay_us}",
        "  default_queue_policy {",
        # Triton's own clients may not ask for longer than the gateway's deadline assumes.
        "    timeout_action: REJECT",
        f"    default_timeout_microseconds: {target.queue.timeout_ms * 1000}",
        "    allow_timeout_override: false",
        f"    max_queue_size: {target.queue.max_size}",
        "  }",
        "}",
        *_backend_lines(card, backend, target.threads),
    ]
    return "\n".join(lines) + "\n"


def _backend_lines(card: Card, backend: Backend, threads: int) -> list[str]:
    if backend == "onnxruntime":
        return [
            f"default_model_filename: {_quoted(card.weights.file.name)}",
            _parameter("intra_op_thread_count", str(threads)),
            _parameter("inter_op_thread_count", "1"),
        ]
    return [
        _parameter("weights_file", card.weights.file.name),
        _parameter("weights_sha256", card.weights.sha256),
        _parameter("threads", str(threads)),
    ]


def _parameter(key: str, value: str) -> str:
    return f"parameters {{ key: {_quoted(key)} value {{ string_value: {_quoted(value)} }} }}"


def _tensor(tensor: Tensor) -> str:
    return f"{{ name: {_quoted(tensor.name)} data_type: TYPE_{tensor.dtype} dims: {list(tensor.shape[1:])} }}"


def _quoted(text: str) -> str:
    return json.dumps(text)


def generated_files(card: Card) -> dict[Path, str]:
    """Return what `write` would write for one model, by path; nothing where Triton does not serve it."""
    if card.triton is None:
        return {}
    return {
        card.folder / "config.pbtxt": render_config(card),
        card.folder / card.triton_version / "model.py": _NOTICE + _BACKEND_CODE.read_text(encoding="utf-8"),
    }


def find_problems(repository: Path) -> Iterator[str]:
    """Yield a sentence for each generated file that is stale and each weights file that is not the card's.

    Raises
    ------
    CardError
        A card is bad.
    """
    for card in load_cards(repository):
        for path, text in generated_files(card).items():
            if not path.is_file() or path.read_text(encoding="utf-8") != text:
                yield f"{path.relative_to(card.folder.parent)} is stale. Run `{_WRITE}`."
        try:
            card.require_weights()
        except CardError as error:
            yield str(error)


def write_repository(repository: Path) -> list[Path]:
    """Write every generated file that differs and return their paths.

    Raises
    ------
    CardError
        A card is bad; nothing is written then.
    """
    changed = []
    for card in load_cards(repository):
        for path, text in generated_files(card).items():
            if not path.is_file() or path.read_text(encoding="utf-8") != text:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
                changed.append(path)
    return changed


def main(arguments: list[str] | None = None) -> int:
    """Check or write the repository; the exit status is 1 when something is stale or bad."""
    parser = argparse.ArgumentParser(prog="python -m gantry_inference.repository", description=__doc__)
    parser.add_argument("action", choices=["check", "write"])
    parser.add_argument("repository", nargs="?", type=Path, default=DEFAULT_REPOSITORY)
    options = parser.parse_args(arguments)
    try:
        if options.action == "write":
            for path in write_repository(options.repository):
                print(f"wrote {path}")
        problems = list(find_problems(options.repository))
    except CardError as error:
        problems = [str(error)]
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
