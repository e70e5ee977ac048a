"""What readers do in a viewer with several viewports, and what they see there."""

from __future__ import annotations

import io
from dataclasses import dataclass
from uuid import UUID

import pydicom
import pytest
from playwright.sync_api import Locator, expect
from pydicom.uid import generate_uid

from ct_files import Patient, make_ct, to_files
from embedded_stack import wait_until
from phantom_files import PhantomStudy, make_study
from reader import LONG_MS, Reader
from site_user import Site
from stack import WholeStack

SLICES, EVERY = 12, 3
CINE_FRAMES, CINE_FRAME_MS = 10, 40.0


@dataclass(frozen=True)
class Scans:
    """A patient with a thin series, a thick one at the same places, and one of another frame of reference."""

    patient_id: str
    study_id: str


@dataclass(frozen=True)
class Oddities:
    """A patient with a CT that has a gap, a recording of ultrasound, and one mammogram."""

    patient_id: str


def send_scans(stack: WholeStack) -> Scans:
    """Send the scans, and wait for what the AI says of them."""
    site, thin = Site(stack), make_study(SLICES)
    files = (*thin.files, *_again(thin.files[1::EVERY], 2), *_again(thin.files, 3, generate_uid()))
    study_id = site.send(PhantomStudy(thin.study_uid, thin.patient_id, files))
    site.wait_for(study_id, lambda state, _: state == "done", "the end of the analyses", LONG_MS / 1000)
    _wait_packed(stack, study_id, 3)
    return Scans(thin.patient_id, str(study_id))


def send_oddities(stack: WholeStack) -> Oddities:
    """Send what no volume can be made of."""
    patient = Patient(patient_id=f"ODD-{generate_uid()[-12:]}")
    gap = make_ct(10, patient=patient)
    del gap[6]
    study = str(gap[0].StudyInstanceUID)
    (cine,) = make_ct(
        1, patient=patient, study_uid=study, Modality="US", SeriesNumber=2, SeriesDescription="Cine",
        PhotometricInterpretation="MONOCHROME2", BitsAllocated=8, BitsStored=8, HighBit=7, PixelRepresentation=0,
        NumberOfFrames=CINE_FRAMES, FrameTime=CINE_FRAME_MS, FrameIncrementPointer=0x00181063,
        SOPClassUID="1.2.840.10008.5.1.4.1.1.3.1", WindowCenter=None, WindowWidth=None, RescaleSlope=None,
        RescaleIntercept=None, PixelData=b"".join(bytes([20 * k + 10]) * 1024 for k in range(CINE_FRAMES)),
    )  # fmt: skip
    (breast,) = make_ct(
        1, patient=patient, study_uid=study, Modality="MG", SeriesNumber=3, SeriesDescription="MLO", ImageLaterality="L",
        SOPClassUID="1.2.840.10008.5.1.4.1.1.1.2", ImagePositionPatient=None, ImageOrientationPatient=None,
        FrameOfReferenceUID=None, BodyPartExamined="BREAST",
    )  # fmt: skip
    files = tuple(to_files([*gap, cine, breast]))
    _wait_packed(stack, Site(stack).send(PhantomStudy(study, patient.patient_id, files)), 3)
    return Oddities(patient.patient_id)


def _wait_packed(stack: WholeStack, study_id: UUID, series: int) -> None:
    """Wait until so many series can be rendered, where anything renders."""

    def is_packed() -> bool:
        ((ready,),) = stack.query(
            "select count(*) from studies_seriespack where study_id = %s and state = 'ready'", study_id
        )
        return int(ready) >= series

    if "Rendering" not in stack.fallbacks:
        wait_until(is_packed, "the packs", 2 * LONG_MS / 1000)


def _again(files: tuple[bytes, ...], number: int, frame_of_reference_uid: str | None = None) -> list[bytes]:
    """Return the files as another series of the study, in another frame of reference where one is given."""
    series_uid, written = generate_uid(), []
    for file in files:
        dataset = pydicom.dcmread(io.BytesIO(file))
        dataset.SeriesInstanceUID, dataset.SeriesNumber = series_uid, number
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        if frame_of_reference_uid is not None:
            dataset.FrameOfReferenceUID = frame_of_reference_uid
        buffer = io.BytesIO()
        dataset.save_as(buffer)
        written.append(buffer.getvalue())
    return written


def cells(reader: Reader) -> Locator:
    """Return the cells of the layout."""
    return reader.page.get_by_test_id("cell")


def choose_layout(reader: Reader, name: str) -> None:
    """Choose a layout as a reader does."""
    reader.page.keyboard.press("g")
    reader.page.get_by_test_id(f"layout-{name}").click()


def places(reader: Reader) -> list[int]:
    """Return the index of each cell's slice."""
    found: list[int] = cells(reader).evaluate_all("cells => cells.map((cell) => Number(cell.dataset.index))")
    return found


def active(reader: Reader) -> int:
    """Return the number of the cell that the keyboard is in."""
    return int(reader.page.locator("[data-testid=cell][aria-current=true]").get_attribute("data-cell") or -1)


def lay_out(reader: Reader, name: str) -> None:
    """Choose a grid, with the thin series first, then the thick one, then the one of another frame of reference."""
    choose_layout(reader, name)
    expect(reader.page.get_by_test_id("viewport")).to_have_count(3)
    for at in range(3):
        reader.page.get_by_test_id("series").nth(at).click()
        reader.page.keyboard.press("ArrowRight")
    while active(reader) > 0:
        reader.page.keyboard.press("ArrowLeft")


def require_volumes(reader: Reader) -> None:
    """Skip where no render service runs."""
    if "Rendering" in reader.stack.fallbacks:
        pytest.skip(f"No render service: {reader.stack.fallbacks['Rendering']}")


def open_volume_layout(reader: Reader, name: str) -> None:
    """Choose MPR or 3D, or skip where no render service runs here."""
    require_volumes(reader)
    choose_layout(reader, name)


def settled(reader: Reader, at: int = 0) -> Locator:
    """Wait until a cell's picture is the stream's best; return its viewport."""
    viewport = cells(reader).nth(at).get_by_test_id("viewport")
    expect(viewport).to_have_attribute("data-source", "stream", timeout=LONG_MS)
    expect(viewport).to_have_attribute("data-settled", "true", timeout=LONG_MS)
    return viewport
