"""Small CT series as files, made by code: nobody's, and each run its own UIDs."""

from __future__ import annotations

import io
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

SIZE = 32
SPACING_MM = 1.25


@dataclass(frozen=True)
class Patient:
    """Who a made-up study is of."""

    name: str = "Fictus^Ficta"
    patient_id: str = "FICT-1"
    birth_date: str = "19610203"
    sex: str = "F"


def slice_pixels(k: int) -> NDArray[np.int16]:
    """Return the stored values of slice `k`, (row, column): a ramp along the rows, raised by `k`."""
    rows = np.arange(SIZE, dtype=np.int16)[:, None] * 40 - 600
    return np.broadcast_to(rows + k, (SIZE, SIZE)).astype(np.int16)


def make_ct(
    slices: int = 12,
    *,
    patient: Patient = Patient(),
    study_uid: str = "",
    series_uid: str = "",
    **attributes: Any,
) -> list[Dataset]:
    """Return an axial CT series, slices 2.5 mm apart; `attributes` replace or (as None) remove what is usual."""
    study_uid, series_uid = study_uid or generate_uid(), series_uid or generate_uid()
    frame = generate_uid()
    return [_slice(k, patient, study_uid, series_uid, frame, attributes) for k in range(slices)]


def _slice(k: int, patient: Patient, study: str, series: str, frame: str, attributes: dict[str, Any]) -> Dataset:
    values: dict[str, Any] = {
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": generate_uid(),
        "StudyInstanceUID": study,
        "SeriesInstanceUID": series,
        "FrameOfReferenceUID": frame,
        "PatientName": patient.name,
        "PatientID": patient.patient_id,
        "PatientBirthDate": patient.birth_date,
        "PatientSex": patient.sex,
        "StudyDate": "20260304",
        "StudyTime": "101112",
        "StudyID": "S1",
        "AccessionNumber": "ACC-1",
        "ReferringPhysicianName": "Referens^Rita",
        "StudyDescription": "CT Becken",
        "SeriesDescription": "Axial 2.5",
        "Modality": "CT",
        "BodyPartExamined": "PELVIS",
        "SeriesNumber": 1,
        "InstanceNumber": k + 1,
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "Rows": SIZE,
        "Columns": SIZE,
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 1,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "RescaleSlope": 1,
        "RescaleIntercept": 0,
        "WindowCenter": 0,
        "WindowWidth": 400,
        "PixelSpacing": [SPACING_MM, SPACING_MM],
        "SliceThickness": 2.5,
        "ImagePositionPatient": [0, 0, 2.5 * k],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "PixelData": slice_pixels(k).tobytes(),
    }
    slice_ = Dataset()
    slice_.file_meta = FileMetaDataset()
    slice_.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    for keyword, value in (values | attributes).items():
        if value is not None:
            setattr(slice_, keyword, value)
    return slice_


def to_file(dataset: Dataset) -> bytes:
    """Return a data set as a PS3.10 file."""
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def to_files(datasets: list[Dataset]) -> list[bytes]:
    """Return data sets as PS3.10 files."""
    return [to_file(one) for one in datasets]


def changed(dataset: Dataset, **attributes: Any) -> bytes:
    """Return the file of a copy with other values; None removes an attribute."""
    copy = deepcopy(dataset)
    for keyword, value in attributes.items():
        if value is None:
            delattr(copy, keyword)
        else:
            setattr(copy, keyword, value)
    return to_file(copy)


def other_patient(patient: Patient) -> Patient:
    """Return somebody else."""
    return replace(patient, name="Alius^Alia", patient_id="FICT-2")
