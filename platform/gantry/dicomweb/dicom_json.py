"""The DICOM JSON Model (PS3.18 Annex F), for the answers that we write ourselves."""

from __future__ import annotations

import datetime as dt
from typing import Any

Attribute = dict[str, Any]
Item = dict[str, Attribute]

#: Tag and VR of the attributes in our answers.
_TAGS: dict[str, tuple[str, str]] = {
    "StudyDate": ("00080020", "DA"),
    "StudyTime": ("00080030", "TM"),
    "AccessionNumber": ("00080050", "SH"),
    "InstanceAvailability": ("00080056", "CS"),
    "Modality": ("00080060", "CS"),
    "ModalitiesInStudy": ("00080061", "CS"),
    "ReferringPhysicianName": ("00080090", "PN"),
    "StudyDescription": ("00081030", "LO"),
    "SeriesDescription": ("0008103E", "LO"),
    "ReferencedSOPClassUID": ("00081150", "UI"),
    "ReferencedSOPInstanceUID": ("00081155", "UI"),
    "RetrieveURL": ("00081190", "UR"),
    "WarningReason": ("00081196", "US"),
    "FailureReason": ("00081197", "US"),
    "FailedSOPSequence": ("00081198", "SQ"),
    "ReferencedSOPSequence": ("00081199", "SQ"),
    "ErrorComment": ("00000902", "LO"),
    "PatientName": ("00100010", "PN"),
    "PatientID": ("00100020", "LO"),
    "IssuerOfPatientID": ("00100021", "LO"),
    "PatientBirthDate": ("00100030", "DA"),
    "PatientSex": ("00100040", "CS"),
    "BodyPartExamined": ("00180015", "CS"),
    "StudyInstanceUID": ("0020000D", "UI"),
    "SeriesInstanceUID": ("0020000E", "UI"),
    "StudyID": ("00200010", "SH"),
    "SeriesNumber": ("00200011", "IS"),
    "FrameOfReferenceUID": ("00200052", "UI"),
    "NumberOfStudyRelatedSeries": ("00201206", "IS"),
    "NumberOfStudyRelatedInstances": ("00201208", "IS"),
    "NumberOfSeriesRelatedInstances": ("00201209", "IS"),
}
KEYWORD_OF_TAG = {tag: keyword for keyword, (tag, _) in _TAGS.items()}


def encode(**values: object) -> Item:
    """Return an item of the DICOM JSON Model; an empty value becomes an attribute without one."""
    item: Item = {}
    for keyword, value in values.items():
        tag, vr = _TAGS[keyword]
        item[tag] = {"vr": vr, **_value(vr, value)}
    return dict(sorted(item.items()))


def _value(vr: str, value: object) -> dict[str, list[Any]]:
    values = [one for one in (value if isinstance(value, (list, tuple)) else [value]) if one not in (None, "")]
    if not values:
        return {}
    if vr == "PN":
        return {"Value": [_person_name(str(one)) for one in values]}
    return {"Value": [_scalar(one) for one in values]}


def _scalar(value: object) -> object:
    if isinstance(value, dt.date):
        return value.strftime("%Y%m%d")
    if isinstance(value, dt.time):
        return value.strftime("%H%M%S.%f").removesuffix(".000000")
    return value


def _person_name(name: str) -> dict[str, str]:
    groups = zip(("Alphabetic", "Ideographic", "Phonetic"), name.split("="), strict=False)
    return {group: text for group, text in groups if text}
