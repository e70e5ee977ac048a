"""DICOM Segmentation of a result (PS3.3 A.51)."""

from collections.abc import Sequence
from typing import Any

import highdicom as hd
import numpy as np
from highdicom.color import CIELabColor
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from gantry_imaging.volume import Volume
from gantry_inference.cards import Card, Segment
from gantry_inference.outputs.objects import (
    SERIES_NUMBERS,
    algorithm,
    coded,
    complete,
    instance_uid,
    series_uid,
    to_bytes,
    usable_sources,
)
from gantry_inference.outputs.provenance import Provenance, tracking_uid, uid_for
from gantry_inference.outputs.sources import order_sources


def write_segmentation(
    sources: Sequence[Dataset],
    labels_kji: NDArray[np.integer[Any]],
    volume: Volume,
    card: Card,
    provenance: Provenance,
) -> bytes:
    """Return a BINARY Segmentation with every segment of the card, on the frames of its source images.

    Binary, because that is what others read; empty frames are left out, but an empty segment is described.

    Parameters
    ----------
    sources
        Headers of the series in any order, one single-frame image per slice; pixel data are not read.
    labels_kji
        Segment number of each voxel, 0 for none, on the volume's grid.

    Raises
    ------
    SourceMismatchError
        The sources do not lie on the volume's slices.
    ValueError
        The labels have another shape than the volume, or hold numbers that no segment of the card has.
    """
    if labels_kji.shape != volume.shape_kji:
        raise ValueError(f"The labels have shape {labels_kji.shape}, the volume {volume.shape_kji}.")
    if int(labels_kji.max(initial=0)) > len(card.segments) or int(labels_kji.min(initial=0)) < 0:
        raise ValueError(f"The labels hold numbers other than 0 to {len(card.segments)}.")
    ordered = usable_sources(order_sources(sources, volume))
    segmentation = hd.seg.Segmentation(
        source_images=ordered,
        pixel_array=labels_kji.astype(np.uint8, copy=False),
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[_description(segment, card, provenance) for segment in card.segments],
        series_instance_uid=series_uid(provenance, "seg"),
        series_number=SERIES_NUMBERS["seg"],
        sop_instance_uid=instance_uid(provenance, "seg"),
        instance_number=1,
        manufacturer=card.manufacturer,
        manufacturer_model_name=card.name,
        software_versions=card.version,
        device_serial_number=provenance.weights_sha256[:16],
        content_label="SEGMENTATION",
        content_description=card.title,
        # An all-empty segmentation keeps its frames: without frames there is no valid object.
        omit_empty_frames=bool(labels_kji.any()),
    )
    complete(segmentation, card, provenance, ordered[0])
    _fix_dimension_uid(segmentation, provenance)
    return to_bytes(segmentation)


def _description(segment: Segment, card: Card, provenance: Provenance) -> hd.seg.SegmentDescription:
    description = hd.seg.SegmentDescription(
        segment_number=segment.number,
        segment_label=segment.label,
        segmented_property_category=coded(segment.category),
        segmented_property_type=coded(segment.type),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm(card, provenance),
        tracking_uid=tracking_uid(provenance, segment.number),
        tracking_id=f"{card.name} {segment.label}",
        display_color=CIELabColor.from_rgb(*segment.display_srgb),
    )
    description.SegmentDescription = segment.description
    return description


def _fix_dimension_uid(segmentation: Dataset, provenance: Provenance) -> None:
    """Replace the random UID that the writer gives to the dimensions: a retry gives the same bytes."""
    uid = uid_for(provenance.analysis_id, "seg-dimensions")
    for item in (*segmentation.DimensionOrganizationSequence, *segmentation.DimensionIndexSequence):
        item.DimensionOrganizationUID = uid
