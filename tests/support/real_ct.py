"""Real CT beside the checkout, for benchmarks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import numpy as np
import pydicom

from gantry_imaging.series import SliceHeader, assemble_volume
from gantry_imaging.volume import Volume

_UNPACK: Final = Path(__file__).resolve().parents[3] / "shared" / "data" / "unpack.py"


def find_set(name: str) -> Path | None:
    """Return the folder of a set of real DICOM, unpacked, or None where it is not there."""
    if not _UNPACK.is_file():
        return None
    done = subprocess.run([sys.executable, str(_UNPACK), name], check=False, capture_output=True, text=True)
    return Path(done.stdout.strip().splitlines()[-1]) if done.returncode == 0 else None


def image_files(folder: Path) -> list[Path]:
    """Return the DICOM images of a folder in the order of their names."""
    found = []
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        try:
            dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["Rows", "SOPInstanceUID"])
        except pydicom.errors.InvalidDicomError:
            continue
        if "Rows" in dataset:
            found.append(path)
    return found


def read_ct(folder: Path) -> Volume:
    """Return a CT series of one frame a file as a volume in Hounsfield units, int16."""
    datasets = [pydicom.dcmread(path) for path in image_files(folder)]
    headers = [
        SliceHeader(
            str(each.SOPInstanceUID),
            int(each.InstanceNumber),
            0,
            tuple(map(float, each.ImagePositionPatient)),  # type: ignore[arg-type]  # three
            tuple(map(float, each.ImageOrientationPatient)),  # type: ignore[arg-type]  # six
            tuple(map(float, each.PixelSpacing)),  # type: ignore[arg-type]  # two
            int(each.Rows),
            int(each.Columns),
        )
        for each in datasets
    ]

    def values(number: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
        each = datasets[number]
        return (each.pixel_array * float(each.RescaleSlope) + float(each.RescaleIntercept)).astype(np.int16)

    return assemble_volume(headers, values)
