"""Measure a model through the shipped pipeline: `python -m training.bone_ct.evaluate MODEL.onnx`."""

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort  # type: ignore[import-untyped]  # ships no annotations
from numpy.typing import NDArray
from scipy import ndimage

from gantry_imaging.volume import Volume
from gantry_inference.phantoms import generate_chest, generate_pelvis
from gantry_inference.segmentation import InferBatch, Spec, segment_volume
from training.bone_ct.data import (
    CHEST_HELD_OUT,
    FIRST_UNSEEN_SEED,
    PELVIS_HELD_OUT,
    read_series,
    read_totalsegmentator_labels,
)
from training.bone_ct.labels import label_bone
from training.bone_ct.quality import Quality, compare

# TotalSegmentator "total" v2: sacrum and vertebrae, limbs and girdles, ribs and sternum; 117 is cartilage.
_BONES = [*range(25, 51), *range(69, 79), *range(92, 117)]
_COSTAL_CARTILAGE = 117
# Cartilage and what lies within this of it is neither right nor wrong.
_CARTILAGE_MARGIN_VOXELS = 1


@dataclass(frozen=True)
class Case:
    """A volume with its reference."""

    data_set: str
    name: str
    volume: Volume
    bone_kji: NDArray[np.bool_]
    ignored_kji: NDArray[np.bool_] | None = None


def onnx_runner(model: Path, threads: int = 2) -> InferBatch:
    """Return the model in this process."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])

    def run(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        result: NDArray[np.float32] = session.run(["probability"], {"image": batch})[0]
        return result

    return run


def reference_case(folder: Path) -> Case:
    """Return ct-bone-ref-totalseg: bones against the rest, costal cartilage left out."""
    volume = read_series(folder / "example_ct_dicom")
    labels = read_totalsegmentator_labels(folder / "example_seg_dicom.nii.gz")
    cartilage = ndimage.binary_dilation(labels == _COSTAL_CARTILAGE, iterations=_CARTILAGE_MARGIN_VOXELS)
    bone = np.isin(labels, _BONES)
    return Case("ct-bone-ref-totalseg", "reference", volume, bone, cartilage & ~bone)


def phantom_cases(count: int) -> Iterator[Case]:
    """Yield unseen phantoms, pelvis and chest, of unseen scanners and spacings."""
    for n in range(count):
        for name, make in (("pelvis", generate_pelvis), ("chest", generate_chest)):
            seed = FIRST_UNSEEN_SEED + 100 + n
            rng = np.random.default_rng(seed)
            pixel, dz = float(rng.uniform(0.5, 1.2)), float(rng.choice([0.6, 1.25, 2.5, 5.0]))
            size = 512 if pixel < 0.95 else 448
            shape = (int(np.clip(100 / dz, 24, 60)), size, size)
            phantom = make(seed, shape_kji=shape, spacing_ijk_mm=(pixel, pixel, dz))
            yield Case(f"phantom {name}", str(seed), phantom.volume, phantom.bone_kji)


def held_out_cases(chest: Path, pelvis: Path) -> Iterator[Case]:
    """Yield the slices of the real volumes that were not trained on, as they are and made worse."""
    for name, folder, ks in (
        ("ct-chest-lidc0314", chest, CHEST_HELD_OUT),
        ("ct-pelvis-vhf", pelvis, PELVIS_HELD_OUT),
    ):
        whole = read_series(folder)
        bone = label_bone(whole).bone_kji
        cut = Volume(whole.voxels_kji[ks.start : ks.stop], whole.lps_from_ijk)
        label = bone[ks.start : ks.stop]
        yield Case(f"{name} held-out slices", "as is", cut, label)
        for change, worse in _DEGRADED.items():
            yield Case(f"{name} held-out slices, {change}", change, *worse(cut, label))


def _noisier(volume: Volume, bone: NDArray[np.bool_]) -> tuple[Volume, NDArray[np.bool_]]:
    noise = ndimage.gaussian_filter(np.random.default_rng(3).standard_normal(volume.shape_kji), (0, 0.7, 0.7))
    noisy = volume.voxels_kji + 45.0 * noise / noise.std()
    return volume.with_voxels(np.rint(noisy).astype(np.int16)), bone


def _blurred(volume: Volume, bone: NDArray[np.bool_]) -> tuple[Volume, NDArray[np.bool_]]:
    sigma = 0.8 / float(volume.spacing_ijk_mm[0])
    blurred = ndimage.gaussian_filter(volume.voxels_kji.astype(np.float32), (0, sigma, sigma))
    return volume.with_voxels(np.rint(blurred).astype(np.int16)), bone


def _thicker(volume: Volume, bone: NDArray[np.bool_]) -> tuple[Volume, NDArray[np.bool_]]:
    count = volume.shape_kji[0] // 4
    thick = volume.voxels_kji[: 4 * count].reshape(count, 4, *volume.shape_kji[1:]).mean(axis=1)
    share = bone[: 4 * count].reshape(count, 4, *bone.shape[1:]).mean(axis=1)
    affine = volume.lps_from_ijk.copy()
    affine[:3, 2] *= 4
    return Volume(np.rint(thick).astype(np.int16), affine), share >= 0.5


def _magnified(volume: Volume, bone: NDArray[np.bool_]) -> tuple[Volume, NDArray[np.bool_]]:
    zoom = (1, 1.4, 1.4)
    affine = volume.lps_from_ijk.copy()
    affine[:, :2] /= 1.4
    voxels = ndimage.zoom(volume.voxels_kji.astype(np.float32), zoom, order=1, grid_mode=True, mode="nearest")
    label = ndimage.zoom(bone.astype(np.float32), zoom, order=1, grid_mode=True, mode="nearest") > 0.5
    return Volume(np.rint(voxels).astype(np.int16), affine), label


_DEGRADED: dict[str, Callable[[Volume, NDArray[np.bool_]], tuple[Volume, NDArray[np.bool_]]]] = {
    "noise of 45 HU added": _noisier,
    "smoothed by 1.9 mm": _blurred,
    "slices of 4 mm": _thicker,
    "pixels 1.4 times finer": _magnified,
}


def measure(case: Case, infer: InferBatch, spec: Spec) -> tuple[Quality, NDArray[np.bool_]]:
    """Segment a case and compare."""
    result = segment_volume(case.volume, spec=spec, infer_batch=infer).labels_kji > 0
    dx, dy, dz = (float(value) for value in case.volume.spacing_ijk_mm)
    return compare(result, case.bone_kji, (dz, dy, dx), ignored_kji=case.ignored_kji), result


def main() -> None:
    """Measure every data set that is given and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--reference", type=Path, help="folder of ct-bone-ref-totalseg")
    parser.add_argument("--chest", type=Path)
    parser.add_argument("--pelvis", type=Path)
    parser.add_argument("--phantoms", type=int, default=4)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--save", type=Path, help="folder for results as arrays, to be looked at")
    args = parser.parse_args()
    infer, spec = onnx_runner(args.model), Spec()
    found: dict[str, list[dict[str, float]]] = {}

    def cases() -> Iterator[Case]:
        if args.reference:
            yield reference_case(args.reference)
        if args.chest and args.pelvis:
            yield from held_out_cases(args.chest, args.pelvis)
        yield from phantom_cases(args.phantoms)

    for case in cases():
        quality, result = measure(case, infer, spec)
        found.setdefault(case.data_set, []).append(asdict(quality))
        print(f"{case.data_set:60} {case.name:12} {quality}", flush=True)
        if args.save:
            args.save.mkdir(parents=True, exist_ok=True)
            name = f"{case.data_set}_{case.name}".replace(" ", "_")
            np.savez(args.save / name, hu=case.volume.voxels_kji, bone=case.bone_kji, result=result)
    summary = [
        {
            "data_set": name,
            "cases": len(rows),
            "mean": {key: round(float(np.mean([row[key] for row in rows])), 4) for key in rows[0]},
            "worst": {key: round(min(row[key] for row in rows), 4) for key in ("dice", "surface_dice")},
        }
        for name, rows in found.items()
    ]
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(summary, indent=1) + "\n")


if __name__ == "__main__":
    main()
