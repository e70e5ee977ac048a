"""What every DICOM object of a result has in common."""

import io
from collections.abc import Sequence

import highdicom as hd
from pydicom import dcmwrite
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from gantry_inference.cards import Card, Concept
from gantry_inference.outputs.provenance import Provenance, device_uid, uid_for

# Series numbers of results lie far above what scanners give; 100 per kind leaves room for more of each.
SERIES_NUMBERS = {"seg": 9100, "sr": 9200, "mesh": 9300}
_DATE, _TIME = "%Y%m%d", "%H%M%S.%f"


def coded(concept: Concept) -> hd.sr.CodedConcept:
    """Return highdicom's form of a coded concept."""
    return hd.sr.CodedConcept(concept.value, concept.scheme, concept.meaning)


def series_description(card: Card) -> str:
    """Name the series so that a list of series shows AI, what, and by which model (64 characters at most)."""
    return f"AI: {card.title} ({card.name} {card.version})"[:64]


def series_uid(provenance: Provenance, kind: str) -> str:
    """Return the Series Instance UID of this analysis' objects of a kind."""
    return str(uid_for(provenance.analysis_id, f"{kind}-series"))


def instance_uid(provenance: Provenance, kind: str, index: int = 0) -> str:
    """Return the SOP Instance UID of this analysis' `index`-th object of a kind."""
    return str(uid_for(provenance.analysis_id, kind, index))


def algorithm(card: Card, provenance: Provenance) -> hd.AlgorithmIdentificationSequence:
    """Identify the algorithm as in PS3.3 10.16."""
    return hd.AlgorithmIdentificationSequence(
        name=card.name,
        family=codes.DCM.ArtificialIntelligence,
        version=card.version,
        source=card.manufacturer,
        parameters=dict(provenance.parameters),
    )


def complete(dataset: Dataset, card: Card, provenance: Provenance, source: Dataset) -> None:
    """Write series, equipment, provenance and dates, so that a retry gives the same bytes."""
    created = provenance.created_at
    date, time = created.strftime(_DATE), created.strftime(_TIME)
    dataset.SeriesDescription = series_description(card)
    for keyword in ("SeriesDate", "ContentDate", "InstanceCreationDate"):
        setattr(dataset, keyword, date)
    for keyword in ("SeriesTime", "ContentTime", "InstanceCreationTime"):
        setattr(dataset, keyword, time)
    dataset.TimezoneOffsetFromUTC = created.strftime("%z")[:5]
    dataset.Manufacturer = card.manufacturer
    dataset.ManufacturerModelName = card.name
    dataset.DeviceSerialNumber = provenance.weights_sha256[:16]
    dataset.SoftwareVersions = card.version
    dataset.InstitutionName = source.get("InstitutionName", "")
    dataset.ContributingEquipmentSequence = [_contribution(card, provenance)]


def _contribution(card: Card, provenance: Provenance) -> Dataset:
    """Describe the algorithm as IHE AIR 6.5.3.1 asks: purpose, maker, model, version, Device UID."""
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [code_item(Concept("109102", "DCM", "Processing Equipment"))]
    item.Manufacturer = card.manufacturer
    item.ManufacturerModelName = card.name
    item.SoftwareVersions = card.version
    item.DeviceSerialNumber = provenance.weights_sha256[:16]
    item.DeviceUID = device_uid(provenance)
    item.ContributionDateTime = provenance.created_at.strftime("%Y%m%d%H%M%S.%f%z")
    item.ContributionDescription = " ".join(filter(None, (provenance.sentence, card.disclaimer)))
    return item


def code_item(concept: Concept) -> Dataset:
    """Return a code sequence item (PS3.3 8.8)."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = (
        concept.value,
        concept.scheme,
        concept.meaning,
    )
    return item


def reference_to(dataset: Dataset) -> Dataset:
    """Return a reference item to an instance."""
    item = Dataset()
    item.ReferencedSOPClassUID = dataset.SOPClassUID
    item.ReferencedSOPInstanceUID = dataset.SOPInstanceUID
    return item


def usable_sources(sources: Sequence[Dataset]) -> list[Dataset]:
    """Return copies that the standard's objects can refer to.

    Attributes that every object must have, but many lack, are present and empty. Some de-identified series give
    each slice a frame of reference of its own; where the slices were judged to be one volume, they share the
    first one's.
    """
    frames = {source.get("FrameOfReferenceUID") for source in sources}
    usable = []
    for source in sources:
        copy = Dataset()
        copy.update(source)
        for keyword in _MUST_BE_PRESENT:
            if keyword not in copy:
                setattr(copy, keyword, "")
        if len(frames) > 1:
            copy.FrameOfReferenceUID = sources[0].get("FrameOfReferenceUID")
        if hasattr(source, "file_meta"):
            copy.file_meta = source.file_meta
        usable.append(copy)
    return usable


# Type 2 in the Patient and General Study modules (PS3.3 C.7.1.1, C.7.2.1).
_MUST_BE_PRESENT = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
)


def to_bytes(dataset: Dataset) -> bytes:
    """Return DICOM Part 10 bytes."""
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()
