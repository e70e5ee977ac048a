"""A small CT series on any grid, and everything else that a result is written from."""

import datetime as dt
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from gantry_imaging.volume import Volume
from gantry_inference.cards import Card, load_card
from gantry_inference.outputs.provenance import Provenance

REPOSITORY = Path(__file__).resolve().parents[2] / "inference" / "model_repository"
SHAPE_KJI = (12, 40, 48)
SPACING_IJK_MM = (0.8, 0.7, 2.5)


def _turned(degrees_x: float, degrees_z: float) -> NDArray[np.float64]:
    x, z = np.radians([degrees_x, degrees_z])
    about_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    about_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    turned: NDArray[np.float64] = about_z @ about_x
    return turned


GRIDS: dict[str, NDArray[np.float64]] = {
    "axial": np.eye(3),
    "oblique": _turned(17.0, 31.0),
    "flipped": np.diag([-1.0, 1.0, -1.0]),
    "left_handed": np.diag([1.0, 1.0, -1.0]),
}
"""Directions of i, j and k by name."""


@dataclass(frozen=True)
class Case:
    """Headers in slice order, the volume, its labels, and who made them."""

    sources: list[Dataset]
    volume: Volume
    labels_kji: NDArray[np.uint8]
    card: Card
    provenance: Provenance


def make_case(grid: str = "axial", *, empty: bool = False) -> Case:
    """Two boxes of bone (one three times the other) in soft tissue."""
    affine = np.eye(4)
    affine[:3, :3] = GRIDS[grid] * SPACING_IJK_MM
    affine[:3, 3] = (-12.5, 33.25, -101.75)
    labels = np.zeros(SHAPE_KJI, np.uint8)
    if not empty:
        labels[2:8, 5:20, 6:30] = 1
        labels[9:11, 25:35, 30:42] = 1
    voxels = np.where(labels == 1, 700, 40).astype(np.int16)
    volume = Volume(voxels, affine)
    sources = [make_header(k, volume) for k in range(SHAPE_KJI[0])]
    card = load_card(REPOSITORY / "bone_ct")
    card = replace(card, segments=(replace(card.segments[0], max_parts=8, min_part_mm3=100.0),))
    provenance = Provenance(
        model=card.name,
        version=card.version,
        weights_sha256=card.weights.sha256,
        runtime="triton",
        runtime_version="2.51.0",
        analysis_id="7a0f6cb0-8c2b-4d55-9c8b-0d8a1f6f1a11",
        study_revision=3,
        input_sop_instance_uids=tuple(source.SOPInstanceUID for source in sources),
        created_at=dt.datetime(2026, 11, 21, 10, 30, 15, 250000, tzinfo=dt.UTC),
    )
    return Case(sources, volume, labels, card, provenance)


def make_header(k: int, volume: Volume) -> Dataset:
    """Return the header of slice `k` as a scanner writes it, without pixels."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header = Dataset()
    header.file_meta = meta
    position: NDArray[Any] = (volume.lps_from_ijk @ [0, 0, k, 1])[:3]
    attributes: dict[str, Any] = {
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": f"1.2.826.0.1.3680043.8.498.100.{k + 1}",
        "StudyInstanceUID": "1.2.826.0.1.3680043.8.498.1",
        "SeriesInstanceUID": "1.2.826.0.1.3680043.8.498.2",
        "FrameOfReferenceUID": "1.2.826.0.1.3680043.8.498.3",
        "PatientName": "Phantom^Pelvis",
        "PatientID": "PH-1",
        "PatientBirthDate": "19700101",
        "PatientSex": "O",
        "StudyDate": "20261120",
        "StudyTime": "101500",
        "StudyID": "1",
        "AccessionNumber": "A-1",
        "ReferringPhysicianName": "Referrer^Robin",
        "StudyDescription": "CT pelvis",
        "Modality": "CT",
        "SeriesNumber": 2,
        "InstanceNumber": k + 1,
        "Rows": volume.shape_kji[1],
        "Columns": volume.shape_kji[2],
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 1,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "PixelSpacing": [SPACING_IJK_MM[1], SPACING_IJK_MM[0]],
        "SliceThickness": SPACING_IJK_MM[2],
        "ImagePositionPatient": [f"{value:.10g}" for value in position],
        "ImageOrientationPatient": [f"{value:.10g}" for value in volume.direction[:, :2].T.ravel()],
        "PositionReferenceIndicator": "",
    }
    for keyword, value in attributes.items():
        setattr(header, keyword, value)
    return header
