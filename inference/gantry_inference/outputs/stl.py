"""DICOM Encapsulated STL of a result (PS3.3 A.85.1)."""

from collections.abc import Sequence

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import EncapsulatedSTLStorage, ExplicitVRLittleEndian

from gantry_inference.cards import Card, Concept
from gantry_inference.meshes import Mesh, to_stl_bytes
from gantry_inference.outputs.objects import (
    SERIES_NUMBERS,
    code_item,
    complete,
    instance_uid,
    reference_to,
    series_uid,
    to_bytes,
    usable_sources,
)
from gantry_inference.outputs.provenance import Provenance, tracking_uid

# What an object shares with the images it was made from (PS3.3 C.7.1.1, C.7.1.3, C.7.2.1, C.7.2.2, C.7.4.1).
_SHARED = (
    "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex",
    "OtherPatientIDsSequence", "PatientAge", "PatientSize", "PatientWeight",
    "ClinicalTrialSponsorName", "ClinicalTrialProtocolID", "ClinicalTrialSubjectID",
    "StudyInstanceUID", "StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "StudyDescription",
    "AccessionNumber", "IssuerOfAccessionNumberSequence",
    "FrameOfReferenceUID", "PositionReferenceIndicator", "SpecificCharacterSet",
)  # fmt: skip
_MODELS = {
    "CT": Concept("85040-4", "LN", "CT 3D CAM model"),
    "MR": Concept("85041-2", "LN", "MR 3D CAM model"),
}
_OTHER_MODEL = Concept("129019", "DCM", "Mixed Modality 3D CAM model")


def write_mesh(
    sources: Sequence[Dataset], mesh: Mesh, segment_number: int, card: Card, provenance: Provenance
) -> bytes:
    """Return an Encapsulated STL of one segment's surface, in LPS mm of the images' frame of reference.

    Parameters
    ----------
    sources
        Headers of the segmented series, in slice order.

    Raises
    ------
    ValueError
        The mesh is empty: a segment without voxels has no surface to write.
    """
    if mesh.is_empty:
        raise ValueError("An empty mesh is not written: the segment has no voxels.")
    segment = card.segments[segment_number - 1]
    usable = usable_sources(sources)
    source = usable[0]
    dataset = Dataset()
    for keyword in _SHARED:
        if keyword in source:
            dataset[keyword] = source[keyword]
    dataset.SOPClassUID = EncapsulatedSTLStorage
    dataset.SOPInstanceUID = instance_uid(provenance, "mesh", segment_number)
    dataset.Modality = "M3D"
    dataset.SeriesInstanceUID = series_uid(provenance, "mesh")
    dataset.SeriesNumber = SERIES_NUMBERS["mesh"]
    dataset.InstanceNumber = segment_number
    dataset.PositionReferenceIndicator = source.get("PositionReferenceIndicator", "")
    dataset.AcquisitionDateTime = ""
    dataset.ImageLaterality = "U"
    dataset.BurnedInAnnotation = "NO"
    # Skin can be recognised as a face; bone of the skull may be, so nothing is promised.
    dataset.RecognizableVisualFeatures = "YES"
    dataset.VerificationFlag = "UNVERIFIED"
    dataset.DocumentTitle = f"{card.title}: {segment.label}"
    dataset.ConceptNameCodeSequence = [code_item(_MODELS.get(source.Modality, _OTHER_MODEL))]
    dataset.SourceInstanceSequence = [reference_to(image) for image in usable]
    series = Dataset()
    series.SeriesInstanceUID = source.SeriesInstanceUID
    series.ReferencedInstanceSequence = [reference_to(image) for image in usable]
    dataset.ReferencedSeriesSequence = [series]
    _describe_model(dataset, card, provenance, segment_number)
    complete(dataset, card, provenance, source)
    _encapsulate(dataset, to_stl_bytes(mesh))
    return to_bytes(dataset)


def _describe_model(dataset: Dataset, card: Card, provenance: Provenance, segment_number: int) -> None:
    """Write the Manufacturing 3D Model module (PS3.3 C.35.1), and the tracking that SEG and SR share."""
    segment = card.segments[segment_number - 1]
    dataset.MeasurementUnitsCodeSequence = [code_item(Concept("mm", "UCUM", "mm"))]
    dataset.ModelModification = "NO"
    dataset.ModelMirroring = "NO"
    dataset.ContentDescription = f"{segment.label} surface"
    dataset.TrackingID = f"{card.name} {segment.label}"
    dataset.TrackingUID = tracking_uid(provenance, segment_number)


def _encapsulate(dataset: Dataset, stl: bytes) -> None:
    dataset.MIMETypeOfEncapsulatedDocument = "model/stl"
    dataset.EncapsulatedDocumentLength = len(stl)
    dataset.EncapsulatedDocument = stl + b"\0" * (len(stl) % 2)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
