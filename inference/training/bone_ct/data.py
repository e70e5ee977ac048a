"""Training and held-out samples on the model's grid: `python -m training.bone_ct.data OUT`.

A sample is one slice with its neighbours: `image` (3, size, size) int16 HU, `label` (size, size) uint8,
the share of the pixel that is bone times 255, and `weight` (size, size) uint8, 0 where the label is not
to be believed.
"""

import argparse
import gzip
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray

from gantry_imaging.volume import Volume
from gantry_inference.phantoms import generate_chest, generate_pelvis
from gantry_inference.transforms import PreprocessSpec, fit_grid, neighbours
from training.bone_ct.labels import label_bone

# Phantom seeds below this train; tests and reported metrics use seeds from here on.
FIRST_UNSEEN_SEED = 10_000
# Held out of the real volumes, with a gap beyond the reach of the neighbours: never trained on.
CHEST_TRAIN, CHEST_HELD_OUT = range(262), range(110, 146)
PELVIS_TRAIN, PELVIS_HELD_OUT = range(150), range(62, 82)
GAP = 5

Sample = tuple[NDArray[np.int16], NDArray[np.uint8], NDArray[np.uint8]]


def read_series(folder: Path) -> Volume:
    """Read a CT series whose slices are parallel and axial; returns HU as int16, sorted towards the head."""
    datasets = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
    datasets.sort(key=lambda ds: float(ds.ImagePositionPatient[2]))
    first = datasets[0]
    hu = np.stack(
        [
            np.rint(ds.pixel_array.astype(np.float32) * float(ds.RescaleSlope) + float(ds.RescaleIntercept))
            for ds in datasets
        ]
    ).astype(np.int16)
    positions = np.array([[float(v) for v in ds.ImagePositionPatient] for ds in datasets])
    affine = np.diag([float(first.PixelSpacing[1]), float(first.PixelSpacing[0]), 1.0, 1.0])
    affine[2, 2] = (positions[-1, 2] - positions[0, 2]) / (len(datasets) - 1)
    affine[:3, 3] = positions[0]
    return Volume(hu, affine)


def read_totalsegmentator_labels(path: Path) -> NDArray[np.uint8]:
    """Read the reference label map (NIfTI-1, LAS order) onto the DICOM grid: (slices, rows, columns)."""
    raw = gzip.decompress(path.read_bytes())
    size = struct.unpack_from("<3h", raw, 42)
    (offset,) = struct.unpack_from("<f", raw, 108)
    count = int(np.prod(size))
    labels = np.frombuffer(raw, np.uint8, count, int(offset)).reshape(size, order="F")
    return np.ascontiguousarray(labels.transpose(2, 1, 0)[:, ::-1, :])


def samples(
    volume: Volume,
    bone_kji: NDArray[np.bool_],
    unsure_kji: NDArray[np.bool_] | None,
    ks: Iterator[int] | range,
    rng: np.random.Generator,
) -> Iterator[Sample]:
    """Yield samples of the slices `ks`, each on a grid of its own fineness."""
    for k in ks:
        spec = PreprocessSpec(margin_mm=float(rng.uniform(2, 40)), finest_mm=float(rng.uniform(0.9, 1.9)))
        grid = fit_grid(volume, spec)
        channels = [
            grid.down(np.maximum(volume.voxels_kji[n].astype(np.float32), -1000)) for n in neighbours(k, volume, spec)
        ]
        label = grid.down(bone_kji[k].astype(np.float32), 0.0)
        weight = np.ones_like(label)
        if unsure_kji is not None:
            weight = 1.0 - (grid.down(unsure_kji[k].astype(np.float32), 0.0) > 0.25)
        yield (
            np.rint(np.stack(channels)).astype(np.int16),
            np.rint(label * 255).clip(0, 255).astype(np.uint8),
            weight.astype(np.uint8),
        )


def phantom_samples(seed: int) -> Iterator[Sample]:
    """Yield samples of one phantom: random region, grid and scanner."""
    rng = np.random.default_rng(900_000 + seed)
    dz = float(rng.choice([0.8, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0]))
    pixel = float(rng.uniform(0.62, 1.05))
    count = 12 if dz >= 2 else 20
    make = generate_pelvis if seed % 2 == 0 else generate_chest
    phantom = make(seed, shape_kji=(count, 448, 512), spacing_ijk_mm=(pixel, pixel, dz))
    yield from samples(phantom.volume, phantom.bone_kji, None, range(1, count - 1, 2 if count == 12 else 4), rng)


def write(path: Path, items: list[Sample]) -> None:
    """Write samples as one uncompressed archive."""
    images, labels, weights = (np.stack(part) for part in zip(*items, strict=True))
    np.savez(path, image=images, label=labels, weight=weights)


def main() -> None:
    """Write phantom and real samples into a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--chest", type=Path, help="folder of the ct-chest-lidc0314 DICOM files")
    parser.add_argument("--pelvis", type=Path, help="folder of the ct-pelvis-vhf DICOM files")
    parser.add_argument("--seeds", type=int, nargs=2, default=(0, 360), metavar=("FIRST", "END"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for name, folder, train, held in (
        ("chest", args.chest, CHEST_TRAIN, CHEST_HELD_OUT),
        ("pelvis", args.pelvis, PELVIS_TRAIN, PELVIS_HELD_OUT),
    ):
        if folder is None:
            continue
        volume = read_series(folder)
        labels = label_bone(volume, fatty=name == "pelvis")
        near = range(held.start - GAP, held.stop + GAP)
        rng = np.random.default_rng(7)
        for part, ks in (("train", [k for k in train if k not in near]), ("held", list(held)[::3])):
            items = list(samples(volume, labels.bone_kji, labels.unsure_kji, iter(ks), rng))
            write(args.out / f"real_{name}_{part}.npz", items)
    for first in range(args.seeds[0], args.seeds[1], 20):
        batch = [item for seed in range(first, min(first + 20, args.seeds[1])) for item in phantom_samples(seed)]
        write(args.out / f"phantom_{first:05d}.npz", batch)
        print(f"phantoms to seed {first + 20}: {len(batch)} samples", flush=True)


if __name__ == "__main__":
    main()
