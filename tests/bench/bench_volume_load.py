"""Opening a series as a render pod does: a sealed pack in a directory store, nothing of it cached in memory."""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

sys.path.append(str(Path(__file__).resolve().parents[1] / "support"))

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmwrite, uid
from pydicom.dataset import FileMetaDataset

from bench_result import write_result
from gantry_imaging.pack import InstanceSource, Pack, write_pack
from gantry_storage import (
    ObjectCorruptError,
    ObjectName,
    ObjectStore,
    SealedObject,
    SealedReader,
    SealedWriter,
    StoreConfig,
    open_store,
)
from real_ct import find_set, read_ct

RUNS: Final = 7
PEER: Final = "SIVR, published, on other hardware (i7-11700)"


@dataclass(frozen=True)
class Case:
    """A series, and what was asked for."""

    name: str
    shape: tuple[int, int, int]
    peer_s: float
    bar_s: float


CASES: Final = (Case("ct", (555, 512, 512), 3.63, 2.0), Case("large", (96, 1996, 2457), 11.27, 6.0))


def slices_of(shape: tuple[int, int, int]) -> Iterator[NDArray[np.uint16]]:
    """Yield stored values as CT has them: of a chest where real data is, else smooth with the noise of a scanner."""
    count, rows, columns = shape
    folder = find_set("ct-chest-lidc0314")
    rng = np.random.default_rng(7)
    if folder is not None:
        voxels = (read_ct(folder).voxels_kji.astype(np.int32) + 1024).clip(0, 4095).astype(np.uint16)
    else:
        k, j, i = np.ogrid[:64, :512, :512]
        body = (((j - 256) / 180) ** 2 + ((i - 256) / 220) ** 2 < 1) * (900 + 200 * np.sin(k / 9) * np.cos(j / 23))
        voxels = (body + 100 + rng.normal(0, 15, (64, 512, 512))).clip(0, 4095).astype(np.uint16)
    across, down = -(-columns // 512), -(-rows // 512)
    for number in range(count):
        # Neighbours of each other side by side: never the same slice twice in one picture.
        tiles = [[voxels[(number + 7 * (down * x + y)) % len(voxels)] for x in range(across)] for y in range(down)]
        yield np.ascontiguousarray(np.block(tiles)[:rows, :columns])


def to_file(pixels: NDArray[np.uint16], k: int) -> bytes:
    """Return a slice as a DICOM file."""
    dataset, file = Dataset(), BytesIO()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = uid.CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = uid.UID(f"1.2.826.0.1.{k + 1}")
    dataset.Modality, dataset.SamplesPerPixel, dataset.PhotometricInterpretation = "CT", 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [0, 0, k], [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing = [0.7, 0.7]
    dataset.PixelData = pixels.tobytes()
    dcmwrite(file, dataset, enforce_file_format=True)
    return file.getvalue()


def write(store: ObjectStore, case: Case, folder: Path) -> tuple[SealedObject, float]:
    """Write the pack from files; returns the object and the seconds it took."""
    paths = []
    for k, pixels in enumerate(slices_of(case.shape)):
        paths.append(folder / f"{case.name}-{k}.dcm")
        paths[-1].write_bytes(to_file(pixels, k))
    begun = time.perf_counter()
    with SealedWriter(store, uuid4()) as writer:
        write_pack(writer, [_instance(path) for path in paths])
        sealed = writer.commit()
    took_s = time.perf_counter() - begun
    for path in paths:
        path.unlink()
    return sealed, took_s


def _instance(path: Path) -> InstanceSource:
    @contextmanager
    def open_file() -> Iterator[bytes]:
        yield path.read_bytes()

    return InstanceSource(path.stem, open_file)


def forget(path: Path) -> None:
    """Have the operating system drop what it holds of a file."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


@contextmanager
def opened(store: ObjectStore, sealed: SealedObject) -> Iterator[Pack]:
    """Open the pack with what a manifest holds: name, size and data key."""
    name = ObjectName(sealed.tenant_id, sealed.object_id)
    with SealedReader(store, name, sealed.data_key, sealed.size_bytes) as reader:
        yield Pack.open(reader, damage=(ObjectCorruptError,))


def main() -> None:
    """Run it."""
    for case in CASES:
        load_before = os.getloadavg()[0]
        with tempfile.TemporaryDirectory(prefix="gantry-bench-", dir="/tmp") as name:
            folder = Path(name)
            store = open_store(StoreConfig(kind="directory", path=folder / "objects"))
            sealed, written_s = write(store, case, folder)
            (blob,) = (folder / "objects" / "blobs").rglob(str(sealed.object_id))
            first_ms, cold_s, warm_s = [], [], []
            for run in range(RUNS):
                forget(blob)
                begun = time.perf_counter()
                with opened(store, sealed) as pack:
                    pack.read_frame((run * 37) % case.shape[0])
                    first_ms.append(1000 * (time.perf_counter() - begun))
            for _ in range(RUNS):
                forget(blob)
                cold_s.append(_load(store, sealed))
                warm_s.append(_load(store, sealed))
            decoded = int(np.prod(case.shape)) * 2
            details: dict[str, Any] = {
                "shape": list(case.shape),
                "decoded_bytes": decoded,
                "pack_bytes": sealed.size_bytes,
                "ratio_with_levels": round(decoded / sealed.size_bytes, 2),
                "pack_written_s": round(written_s, 2),
                "whole_warm_s": round(statistics.median(warm_s), 3),
                "whole_cold_worst_s": round(max(cold_s), 3),
                "first_slice_worst_ms": round(max(first_ms), 1),
                "pixels": "ct-chest-lidc0314" if find_set("ct-chest-lidc0314") else "made, with noise",
            }
        if case.name == "ct":
            write_result(
                "volume_first_slice", unit="ms", better="lower", ours=statistics.median(first_ms), bar=150.0,
                peer=1000 * case.peer_s, peer_name=f"{PEER}: the whole record", load_before=load_before,
                details=details,
            )  # fmt: skip
        write_result(
            f"volume_load_{case.name}", unit="s", better="lower", ours=statistics.median(cold_s), bar=case.bar_s,
            peer=case.peer_s, peer_name=PEER, load_before=load_before, details=details,
        )  # fmt: skip


def _load(store: ObjectStore, sealed: SealedObject) -> float:
    begun = time.perf_counter()
    with opened(store, sealed) as pack:
        pack.load_volume()
        return time.perf_counter() - begun


if __name__ == "__main__":
    main()
