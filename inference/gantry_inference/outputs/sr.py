"""DICOM Structured Report of a result (PS3.16 TID 1500)."""

from collections.abc import Sequence

import highdicom as hd
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import SegmentationStorage

from gantry_inference.cards import Card, Concept
from gantry_inference.outputs.findings import Finding, FindingGraph, Measurement
from gantry_inference.outputs.objects import (
    SERIES_NUMBERS,
    coded,
    complete,
    instance_uid,
    series_uid,
    to_bytes,
    usable_sources,
)
from gantry_inference.outputs.provenance import device_uid

# The procedure that was imaged, not the algorithm (IHE AIR). LOINC, PS3.16 CID 100.
_PROCEDURES = {
    "CT": Concept("25045-6", "LN", "CT unspecified body region"),
    "MR": Concept("25056-3", "LN", "MRI unspecified body region"),
}
_OTHER_PROCEDURE = Concept("18748-4", "LN", "Diagnostic imaging study")


def write_measurement_report(
    sources: Sequence[Dataset], segmentation: Dataset, graph: FindingGraph, card: Card
) -> bytes:
    """Return a Comprehensive 3D SR with one TID 1411 group per segment, UNVERIFIED.

    Parts of a segment are in the findings graph only: they have no segment that a group could refer to.

    Parameters
    ----------
    sources
        Headers of the segmented series.
    segmentation
        The Segmentation of the same analysis (`pydicom.dcmread` of what write_segmentation returned).
    graph
        The findings of the same analysis.

    Raises
    ------
    ValueError
        A finding is not tracked by the segmentation: the two come from different analyses.
    """
    provenance = graph.provenance
    tracked = {str(segment.TrackingUID) for segment in segmentation.SegmentSequence}
    findings = [finding for finding in graph.findings if finding.part_of is None]
    if {finding.tracking_uid for finding in findings} != tracked:
        raise ValueError("The findings and the segmentation come from different analyses.")
    evidence = [*usable_sources(sources), segmentation]
    report = hd.sr.MeasurementReport(
        observation_context=_observer(graph, card),
        procedure_reported=coded(_PROCEDURES.get(sources[0].Modality, _OTHER_PROCEDURE)),
        imaging_measurements=[_group(finding, segmentation, graph, card) for finding in findings],
        title=codes.DCM.ImagingMeasurementReport,
    )
    document = hd.sr.Comprehensive3DSR(
        evidence=evidence,
        content=report[0],
        series_instance_uid=series_uid(provenance, "sr"),
        series_number=SERIES_NUMBERS["sr"],
        sop_instance_uid=instance_uid(provenance, "sr"),
        instance_number=1,
        manufacturer=card.manufacturer,
        is_complete=True,
        is_final=False,
        is_verified=False,
    )
    complete(document, card, provenance, sources[0])
    return to_bytes(document)


def _observer(graph: FindingGraph, card: Card) -> hd.sr.ObservationContext:
    provenance = graph.provenance
    attributes = hd.sr.DeviceObserverIdentifyingAttributes(
        uid=device_uid(provenance),
        name=card.name,
        manufacturer_name=card.manufacturer,
        model_name=f"{card.name} {card.version}",
        serial_number=provenance.weights_sha256,
    )
    return hd.sr.ObservationContext(
        observer_device_context=hd.sr.ObserverContext(
            observer_type=codes.DCM.Device, observer_identifying_attributes=attributes
        )
    )


def _group(
    finding: Finding, segmentation: Dataset, graph: FindingGraph, card: Card
) -> hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations:
    return hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(uid=finding.tracking_uid, identifier=finding.tracking_id),
        # Built by hand: highdicom's from_segmentation fails on a segmentation with a single segment.
        referenced_segment=hd.sr.ReferencedSegment(
            sop_class_uid=SegmentationStorage,
            sop_instance_uid=segmentation.SOPInstanceUID,
            segment_number=finding.segment_number,
            source_series=hd.sr.SourceSeriesForSegmentation(graph.series_instance_uid),
        ),
        finding_type=coded(finding.concept),
        finding_category=coded(finding.category),
        algorithm_id=_algorithm(graph, card),
        measurements=[_measurement(measurement) for measurement in finding.measurements],
    )


def _algorithm(graph: FindingGraph, card: Card) -> hd.sr.AlgorithmIdentification:
    facts = [f"{key} {value}" for key, value in graph.provenance.parameters.items()]
    return hd.sr.AlgorithmIdentification(
        name=card.name,
        version=card.version,
        manufacturer=card.manufacturer,
        parameters=[*facts, card.disclaimer] if card.disclaimer else facts,
    )


def _measurement(measurement: Measurement) -> hd.sr.Measurement:
    return hd.sr.Measurement(
        name=coded(measurement.concept),
        value=measurement.value,
        unit=coded(measurement.unit),
        derivation=coded(measurement.derivation) if measurement.derivation else None,
    )
