"""A model repository made on the spot: real ONNX, real cards, small enough to run in a millisecond."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import yaml
from onnx import TensorProto, helper, numpy_helper

from ct_result import REPOSITORY
from gantry_inference.repository import write_repository

SIDE = 16


def write_tiny_repository(folder: Path, *, name: str = "tiny", broken: str | None = None) -> Path:
    """Write a repository with one model that smooths its input and squeezes it into 0..1.

    Parameters
    ----------
    broken
        `nan` for a model whose output is not a number, `range` for one whose output leaves 0..1.
    """
    weights = folder / name / "1" / "model.onnx"
    weights.parent.mkdir(parents=True)
    onnx.save(_network(broken), weights)
    data = weights.read_bytes()
    card: dict[str, Any] = yaml.safe_load((REPOSITORY / "bone_ct" / "card.yaml").read_text(encoding="utf-8"))
    shape = [-1, 1, SIDE, SIDE]
    card["name"] = name
    card["tensors"]["inputs"] = [{"name": "image", "dtype": "FP32", "shape": shape, "range": [-1, 1]}]
    card["tensors"]["outputs"] = [{"name": "probability", "dtype": "FP32", "shape": shape, "range": [0, 1]}]
    card["weights"] |= {"sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}
    (folder / name / "card.yaml").write_text(yaml.safe_dump(card, sort_keys=False), encoding="utf-8")
    write_repository(folder)
    return folder


def _network(broken: str | None) -> onnx.ModelProto:
    kernel = np.random.default_rng(7).normal(size=(1, 1, 3, 3)).astype(np.float32)
    nodes = [helper.make_node("Conv", ["image", "kernel"], ["smooth"], kernel_shape=[3, 3], pads=[1, 1, 1, 1])]
    match broken:
        case "nan":
            nodes += [
                helper.make_node("Sub", ["smooth", "smooth"], ["zero"]),
                helper.make_node("Div", ["zero", "zero"], ["probability"]),
            ]
        case "range":
            nodes.append(helper.make_node("Exp", ["image"], ["probability"]))
        case _:
            nodes.append(helper.make_node("Sigmoid", ["smooth"], ["probability"]))
    shape: list[str | int | None] = ["batch", 1, SIDE, SIDE]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(kernel, "kernel")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model
