"""What an engineer writes in an afternoon: read a CT series, run the model on it, write a SEG. The benchmark's peer."""

from __future__ import annotations

import sys
from pathlib import Path

import highdicom
import numpy as np
import onnxruntime  # type: ignore[import-untyped]  # it has no stubs
import pydicom
from highdicom.sr.coding import CodedConcept
from scipy.ndimage import zoom

MODEL = Path(__file__).resolve().parents[2] / "inference/model_repository/bone_ct/1/model.onnx"
BATCH, SIDE = 4, 256


def main(folder: Path) -> None:
    """Read, infer slice by slice, write."""
    slices = [pydicom.dcmread(path) for path in sorted(folder.glob("*.dcm"))]
    slices.sort(key=lambda one: float(one.ImagePositionPatient[2]))
    hu = np.stack([one.pixel_array * float(one.RescaleSlope) + float(one.RescaleIntercept) for one in slices])
    small = zoom(hu, (1, SIDE / hu.shape[1], SIDE / hu.shape[2]), order=1).astype(np.float32)
    small = np.clip(small / 500.0, -1.0, 3.0)
    padded = np.pad(small, ((1, 1), (0, 0), (0, 0)), mode="edge")
    stacked = np.stack([padded[:-2], padded[1:-1], padded[2:]], axis=1)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    session = onnxruntime.InferenceSession(MODEL, options, providers=["CPUExecutionProvider"])
    (name,) = (one.name for one in session.get_inputs())
    found = [session.run(None, {name: stacked[at : at + BATCH]})[0] for at in range(0, len(slices), BATCH)]
    probability = np.concatenate(found)[:, 0]
    bone = zoom(probability, (1, hu.shape[1] / SIDE, hu.shape[2] / SIDE), order=1) > 0.5
    description = highdicom.seg.SegmentDescription(
        segment_number=1,
        segment_label="Bone",
        segmented_property_category=CodedConcept("91723000", "SCT", "Anatomical Structure"),
        segmented_property_type=CodedConcept("272673000", "SCT", "Bone"),
        algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            "plain", CodedConcept("123109", "DCM", "Manual Processing"), "1"
        ),
    )
    highdicom.seg.Segmentation(
        source_images=slices,
        pixel_array=bone.astype(np.uint8),
        segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[description],
        series_instance_uid=highdicom.UID(),
        series_number=100,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer="nobody",
        manufacturer_model_name="plain script",
        software_versions="1",
        device_serial_number="1",
    ).save_as(folder / "seg.dcm")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
