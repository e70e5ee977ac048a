"""Export a checkpoint to ONNX: `python -m training.bone_ct.export CHECKPOINT MODEL.onnx`."""

import argparse
import hashlib
from pathlib import Path

import onnx
import torch  # type: ignore[import-not-found]  # lives in the training environment only

from training.bone_ct.network import BoneNet, Deployed

OPSET = 17
SIZE = 256


def export(checkpoint: Path, target: Path) -> str:
    """Write the deployed network (`image` to `probability`, free batch axis); return its SHA-256."""
    network = BoneNet()
    network.load_state_dict(torch.load(checkpoint, weights_only=True))
    deployed = Deployed(network).eval()
    target.parent.mkdir(parents=True, exist_ok=True)
    torch.onnx.export(
        deployed,
        (torch.zeros(2, 3, SIZE, SIZE),),
        str(target),
        input_names=["image"],
        output_names=["probability"],
        dynamic_axes={"image": {0: "batch"}, "probability": {0: "batch"}},
        opset_version=OPSET,
        dynamo=False,
    )
    model = onnx.load(target)
    onnx.checker.check_model(model, full_check=True)
    # The exporter writes where it ran into the file; the weights should not say.
    for node in model.graph.node:
        node.doc_string = ""
    model.producer_name, model.producer_version = "gantry bone_ct", "1"
    onnx.save(model, target)
    return hashlib.sha256(target.read_bytes()).hexdigest()


def main() -> None:
    """Export and print digest, size and operators."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("target", type=Path)
    args = parser.parse_args()
    digest = export(args.checkpoint, args.target)
    operators = sorted({node.op_type for node in onnx.load(args.target).graph.node})
    print(f"sha256 {digest}\nsize_bytes {args.target.stat().st_size}\noperators {' '.join(operators)}")


if __name__ == "__main__":
    main()
