"""Small DICOM files, written for each test."""

import io
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmwrite, uid
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate

WriteDicom: TypeAlias = Callable[..., bytes]


@pytest.fixture
def write_dicom() -> WriteDicom:
    """Write a CT file: `write_dicom(array or fragments, syntax=..., **elements) -> bytes`."""
    return _write


def _write(
    pixels: NDArray[Any] | Sequence[bytes] | bytes | None,
    syntax: str = uid.ExplicitVRLittleEndian,
    **elements: Any,
) -> bytes:
    file_meta = FileMetaDataset()
    file_meta.TransferSyntaxUID = uid.UID(syntax)
    file_meta.MediaStorageSOPClassUID = uid.CTImageStorage
    file_meta.MediaStorageSOPInstanceUID = uid.UID("1.2.3.4")
    dataset = Dataset()
    dataset.file_meta = file_meta
    dataset.SOPClassUID = uid.CTImageStorage
    dataset.SOPInstanceUID = "1.2.3.4"
    dataset.Modality = "CT"
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    is_little = syntax != uid.ExplicitVRBigEndian
    if isinstance(pixels, np.ndarray):
        dataset.Rows, dataset.Columns = pixels.shape[:2]
        dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.dtype.itemsize
        dataset.HighBit = dataset.BitsStored - 1
        dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    if isinstance(pixels, np.ndarray):
        dataset.PixelData = pixels.astype(pixels.dtype.newbyteorder("<" if is_little else ">")).tobytes()
    elif isinstance(pixels, bytes):
        dataset.PixelData = pixels
    elif pixels is not None:
        dataset.PixelData = encapsulate(list(pixels))
    if pixels is not None:
        dataset["PixelData"].VR = "OW" if uid.UID(syntax).is_implicit_VR or dataset.BitsAllocated > 8 else "OB"
    file = io.BytesIO()
    dcmwrite(
        file,
        dataset,
        implicit_vr=uid.UID(syntax).is_implicit_VR,
        little_endian=is_little,
        enforce_file_format=True,
    )
    return file.getvalue()
