"""The findings graph: what a result says, before it is written out in any format."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from scipy import ndimage

from gantry_imaging.volume import Volume
from gantry_inference.cards import Card, Concept, Segment
from gantry_inference.outputs.provenance import Provenance, tracking_uid, uid_for
from gantry_inference.outputs.sources import order_sources

FORMAT_VERSION = 1

VOLUME = Concept("118565006", "SCT", "Volume")
ATTENUATION = Concept("112031", "DCM", "Attenuation Coefficient")
MEAN = Concept("373098007", "SCT", "Mean")
CUBIC_CENTIMETRE = Concept("cm3", "UCUM", "cubic centimeter")
HOUNSFIELD_UNIT = Concept("[hnsf'U]", "UCUM", "Hounsfield unit")


@dataclass(frozen=True, slots=True)
class Measurement:
    """A measured quantity: concept, value, UCUM unit, and how it was derived from many values."""

    concept: Concept
    value: float
    unit: Concept
    derivation: Concept | None = None


@dataclass(frozen=True, slots=True)
class Box:
    """Axis-aligned in LPS millimetres, around the voxels' outer faces."""

    low_lps_mm: tuple[float, float, float]
    high_lps_mm: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class SliceArea:
    """How much of a finding lies on one image."""

    sop_instance_uid: str
    slice_index: int
    area_mm2: float


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing the model found, or looked for and did not segment (`volume` 0, no box, no key image).

    `part_of` is the tracking UID of the segment that a part belongs to. A part is a connected region: no
    claim is made of what it is.
    """

    tracking_uid: str
    tracking_id: str
    label: str
    segment_number: int
    part_of: str | None
    category: Concept
    concept: Concept
    display_srgb: tuple[int, int, int]
    measurements: tuple[Measurement, ...]
    box: Box | None
    key_sop_instance_uid: str | None
    slice_areas: tuple[SliceArea, ...]

    @property
    def is_empty(self) -> bool:
        """Whether nothing was segmented. That is a result; it does not mean that there is nothing."""
        return not self.slice_areas


@dataclass(frozen=True, slots=True)
class FindingGraph:
    """All findings of one analysis, with what they were made from and by."""

    study_instance_uid: str
    series_instance_uid: str
    frame_of_reference_uid: str | None
    title: str
    disclaimer: str | None
    provenance: Provenance
    findings: tuple[Finding, ...]

    def to_json(self) -> str:
        """Return the graph as JSON with sorted keys: equal graphs give equal text."""
        document = {**_plain(self), "format": FORMAT_VERSION, "provenance": self.provenance.to_json()}
        return json.dumps(document, sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "FindingGraph":
        """Read what `to_json` wrote.

        Raises
        ------
        ValueError
            The text is of another format version.
        """
        document: dict[str, Any] = json.loads(text)
        if document.pop("format", None) != FORMAT_VERSION:
            raise ValueError(f"This is not a findings graph of format {FORMAT_VERSION}.")
        return cls(
            **{
                **document,
                "provenance": Provenance.from_json(document["provenance"]),
                "findings": tuple(map(_finding, document["findings"])),
            }
        )


def build_findings(
    labels_kji: NDArray[np.integer[Any]],
    volume: Volume,
    card: Card,
    sources: Sequence[Dataset],
    provenance: Provenance,
    on_finding: Callable[[Finding, NDArray[np.bool_]], None] = lambda finding, mask_kji: None,
) -> FindingGraph:
    """Measure every segment of the card, and its largest separate parts where the card asks for them.

    Parameters
    ----------
    labels_kji
        Segment number of each voxel, 0 for none, on the volume's grid.
    volume
        What was segmented, in HU.
    sources
        Headers of the series, in any order.
    on_finding
        Called with each finding and its mask while that is at hand; a whole comes before its parts. The mask
        is reused afterwards.

    Raises
    ------
    ValueError
        The labels have another shape than the volume.
    SourceMismatchError
        The sources do not lie on the volume's slices.
    """
    if labels_kji.shape != volume.shape_kji:
        raise ValueError(f"Labels of shape {labels_kji.shape} do not lie on a volume of shape {volume.shape_kji}.")
    ordered = order_sources(sources, volume)
    findings: list[Finding] = []
    for segment in card.segments:
        mask = labels_kji == segment.number
        whole = _measure(
            mask,
            volume,
            segment,
            ordered,
            uid=tracking_uid(provenance, segment.number),
            tracking_id=f"{card.name} {segment.label}",
        )
        findings.append(whole)
        on_finding(whole, mask)
        findings.extend(_parts(mask, volume, segment, ordered, whole, provenance, on_finding))
    first = ordered[0]
    return FindingGraph(
        study_instance_uid=str(first.StudyInstanceUID),
        series_instance_uid=str(first.SeriesInstanceUID),
        frame_of_reference_uid=str(first.get("FrameOfReferenceUID") or "") or None,
        title=card.title,
        disclaimer=card.disclaimer,
        provenance=provenance,
        findings=tuple(findings),
    )


def _parts(
    mask: NDArray[np.bool_],
    volume: Volume,
    segment: Segment,
    sources: Sequence[Dataset],
    whole: Finding,
    provenance: Provenance,
    on_finding: Callable[[Finding, NDArray[np.bool_]], None],
) -> list[Finding]:
    """Give the largest connected regions, if there are several, as findings of their own."""
    if segment.max_parts == 0 or whole.is_empty:
        return []
    crop = ndimage.find_objects(mask.view(np.uint8))[0]
    regions, _ = ndimage.label(mask[crop])
    sizes = np.bincount(regions.ravel())[1:]
    floor = segment.min_part_mm3 / volume.voxel_volume_mm3
    largest = [int(n) for n in np.argsort(-sizes, kind="stable")[: segment.max_parts] if sizes[n] >= floor]
    if len(largest) < 2:
        return []
    found = []
    part = np.zeros(volume.shape_kji, dtype=np.bool_)
    for rank, region in enumerate(largest, start=1):
        part[crop] = regions == region + 1
        found.append(
            _measure(
                part,
                volume,
                segment,
                sources,
                uid=uid_for(provenance.analysis_id, f"tracking-{segment.number}", rank),
                tracking_id=f"{whole.tracking_id} part {rank}",
                label=f"{segment.label}, region {rank}",
                part_of=whole.tracking_uid,
            )
        )
        on_finding(found[-1], part)
    return found


def _measure(
    mask: NDArray[np.bool_],
    volume: Volume,
    segment: Segment,
    sources: Sequence[Dataset],
    *,
    uid: str,
    tracking_id: str,
    label: str | None = None,
    part_of: str | None = None,
) -> Finding:
    counts = np.count_nonzero(mask, axis=(1, 2))
    pixel_mm2 = float(np.prod(volume.spacing_ijk_mm[:2]))
    areas = tuple(
        SliceArea(str(sources[k].SOPInstanceUID), k, round(float(counts[k]) * pixel_mm2, 3))
        for k in np.flatnonzero(counts).tolist()
    )
    return Finding(
        tracking_uid=str(uid),
        tracking_id=tracking_id,
        label=label or segment.label,
        segment_number=segment.number,
        part_of=part_of,
        category=segment.category,
        concept=segment.type,
        display_srgb=segment.display_srgb,
        measurements=tuple(_measurements(mask, int(counts.sum()), volume, segment)),
        box=_box(mask, volume) if areas else None,
        key_sop_instance_uid=str(sources[int(counts.argmax())].SOPInstanceUID) if areas else None,
        slice_areas=areas,
    )


def _measurements(mask: NDArray[np.bool_], voxels: int, volume: Volume, segment: Segment) -> list[Measurement]:
    taken = []
    if "volume" in segment.measurements:
        volume_cm3 = voxels * volume.voxel_volume_mm3 / 1000.0
        taken.append(Measurement(VOLUME, round(volume_cm3, 4), CUBIC_CENTIMETRE))
    # Nothing has no mean: the measurement is left out rather than invented.
    if "mean_hu" in segment.measurements and voxels:
        total = sum(float(hu[inside].sum(dtype=np.float64)) for hu, inside in zip(volume.voxels_kji, mask, strict=True))
        taken.append(Measurement(ATTENUATION, round(total / voxels, 2), HOUNSFIELD_UNIT, MEAN))
    return taken


def _box(mask: NDArray[np.bool_], volume: Volume) -> Box:
    """Bound the voxels' outer corners in the patient's frame."""
    slices, rows, columns = ndimage.find_objects(mask.view(np.uint8))[0]
    ends = [(axis.start - 0.5, axis.stop - 0.5) for axis in (columns, rows, slices)]
    corners = np.array([(i, j, k, 1.0) for i in ends[0] for j in ends[1] for k in ends[2]])
    lps_mm = (corners @ volume.lps_from_ijk.T)[:, :3]
    return Box(_point(lps_mm.min(axis=0)), _point(lps_mm.max(axis=0)))


def _point(values: NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = (round(float(value), 3) for value in values)
    return x, y, z


def _plain(graph: FindingGraph) -> dict[str, Any]:
    # asdict would take the provenance's date as it is; its own to_json replaces it.
    return {
        **{name: getattr(graph, name) for name in FindingGraph.__slots__ if name not in {"findings", "provenance"}},
        "findings": [asdict(finding) for finding in graph.findings],
    }


def _concept(document: Mapping[str, str]) -> Concept:
    return Concept(**document)


def _finding(document: Mapping[str, Any]) -> Finding:
    box = document["box"]
    return Finding(
        **{
            **document,
            "category": _concept(document["category"]),
            "concept": _concept(document["concept"]),
            "display_srgb": tuple(document["display_srgb"]),
            "measurements": tuple(map(_measurement, document["measurements"])),
            "box": Box(tuple(box["low_lps_mm"]), tuple(box["high_lps_mm"])) if box else None,
            "slice_areas": tuple(SliceArea(**area) for area in document["slice_areas"]),
        }
    )


def _measurement(document: Mapping[str, Any]) -> Measurement:
    derivation = document["derivation"]
    return Measurement(
        concept=_concept(document["concept"]),
        value=document["value"],
        unit=_concept(document["unit"]),
        derivation=_concept(derivation) if derivation else None,
    )
