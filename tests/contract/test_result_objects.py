"""SEG, SR and STL as others read them: highdicom, and the checker of dicom3tools where it is installed."""

import io
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from ct_result import GRIDS, Case, make_case
from gantry_imaging.volume import Volume
from gantry_inference.meshes import build_mesh, from_stl_bytes
from gantry_inference.outputs.findings import build_findings
from gantry_inference.outputs.seg import write_segmentation
from gantry_inference.outputs.sources import SourceMismatchError
from gantry_inference.outputs.sr import write_measurement_report
from gantry_inference.outputs.stl import write_mesh


def write_all(case: Case) -> dict[str, bytes]:
    seg = write_segmentation(case.sources, case.labels_kji, case.volume, case.card, case.provenance)
    graph = build_findings(case.labels_kji, case.volume, case.card, case.sources, case.provenance)
    objects = {"seg": seg, "sr": write_measurement_report(case.sources, read(seg), graph, case.card)}
    if case.labels_kji.any():
        mesh = build_mesh(case.labels_kji == 1, case.volume)
        objects["stl"] = write_mesh(case.sources, mesh, 1, case.card, case.provenance)
    return objects


def read(data: bytes) -> Dataset:
    return pydicom.dcmread(io.BytesIO(data))


def test_objects_share_one_frame_of_reference_when_each_slice_has_its_own() -> None:
    case = make_case()
    for source in case.sources:
        source.FrameOfReferenceUID = generate_uid()
    objects = {kind: read(data) for kind, data in write_all(case).items()}
    assert sorted(objects) == ["seg", "sr", "stl"]
    first = case.sources[0].FrameOfReferenceUID
    assert [objects[kind].FrameOfReferenceUID for kind in ("seg", "stl")] == [first, first]


@pytest.mark.parametrize("grid", GRIDS)
def test_segmentation_lies_where_the_labels_lie_when_grid_is(grid: str) -> None:
    case = make_case(grid)
    data = write_segmentation(case.sources[::-1], case.labels_kji, case.volume, case.card, case.provenance)
    segmentation = hd.seg.segread(io.BytesIO(data))
    labels = segmentation.get_pixels_by_source_instance(
        [source.SOPInstanceUID for source in case.sources],
        segment_numbers=[1],
        combine_segments=True,
        assert_missing_frames_are_empty=True,
    )
    assert np.array_equal(labels, case.labels_kji)
    for frame in segmentation.PerFrameFunctionalGroupsSequence:
        k = [
            source.SOPInstanceUID
            for source in case.sources
        ].index(frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID)  # fmt: skip
        position = frame.PlanePositionSequence[0].ImagePositionPatient
        assert position == case.sources[k].ImagePositionPatient


@pytest.mark.parametrize("grid", GRIDS)
def test_segmentation_volume_has_the_geometry_of_the_source_when_grid_is(grid: str) -> None:
    case = make_case(grid)
    data = write_segmentation(case.sources, case.labels_kji, case.volume, case.card, case.provenance)
    volume = hd.seg.segread(io.BytesIO(data)).get_volume(combine_segments=True)
    # highdicom's axes are (slice, row, column); compare where every labelled voxel lies in the patient.
    theirs = volume.map_indices_to_reference(np.argwhere(volume.array == 1))
    kji = np.argwhere(case.labels_kji == 1)
    ours = (case.volume.lps_from_ijk @ np.c_[kji[:, ::-1], np.ones(len(kji))].T)[:3].T
    assert theirs.shape == ours.shape
    order = [np.lexsort(np.round(points, 3).T) for points in (theirs, ours)]
    assert np.allclose(theirs[order[0]], ours[order[1]], atol=1e-4)


@pytest.mark.parametrize("kind", ["seg", "sr", "stl"])
def test_object_carries_full_provenance_when_written(kind: str) -> None:
    case = make_case()
    dataset = read(write_all(case)[kind])
    item = dataset.ContributingEquipmentSequence[0]
    assert (item.ManufacturerModelName, item.SoftwareVersions) == ("bone_ct", case.card.version)
    text = item.ContributionDescription
    for fact in (
        case.provenance.weights_sha256,
        "triton 2.51.0",
        case.provenance.analysis_id,
        "study_revision 3",
    ):
        assert fact in text
    assert "not for clinical use" in text
    assert dataset.SeriesDescription == f"AI: Bone (bone_ct {case.card.version})"
    assert dataset.StudyInstanceUID == case.sources[0].StudyInstanceUID
    assert (dataset.PatientID, str(dataset.PatientName)) == ("PH-1", "Phantom^Pelvis")
    assert set(case.provenance.input_sop_instance_uids) <= referenced_instances(dataset)


def groups_of(data: bytes) -> list[hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations]:
    content = hd.sr.srread(io.BytesIO(data)).content
    assert isinstance(content, hd.sr.MeasurementReport)
    return content.get_volumetric_roi_measurement_groups()


def referenced_instances(dataset: Dataset) -> set[str]:
    return {str(element.value) for element in dataset.iterall() if element.keyword == "ReferencedSOPInstanceUID"}


def test_tracking_uid_is_shared_when_one_analysis_writes_three_objects() -> None:
    case = make_case()
    seg, sr, stl = (read(data) for data in write_all(case).values())
    [group] = groups_of(write_all(case)["sr"])
    assert seg.SegmentSequence[0].TrackingUID == stl.TrackingUID == group.tracking_uid
    assert seg.SegmentSequence[0].TrackingID == stl.TrackingID == group.tracking_identifier
    assert len({seg.SeriesInstanceUID, sr.SeriesInstanceUID, stl.SeriesInstanceUID}) == 3


def test_report_holds_measurements_and_is_unverified_when_written() -> None:
    case = make_case()
    data = write_all(case)
    report = hd.sr.srread(io.BytesIO(data["sr"]))
    assert report.VerificationFlag == "UNVERIFIED"
    [group] = groups_of(data["sr"])
    assert group.referenced_segment is not None
    assert group.referenced_segment.referenced_sop_instance_uid == read(data["seg"]).SOPInstanceUID
    assert group.referenced_segment.referenced_segment_numbers == [1]
    measured = group.get_measurements()
    assert [(m.name.value, m.unit.value) for m in measured] == [("118565006", "cm3"), ("112031", "[hnsf'U]")]
    voxels = int((case.labels_kji == 1).sum())
    volume_cm3 = voxels * case.volume.voxel_volume_mm3 / 1000
    assert [float(m.value) for m in measured] == pytest.approx([volume_cm3, 700.0])
    assert group.finding_type is not None
    assert group.finding_type.value == "272673000"


def test_objects_are_equal_bytes_when_the_analysis_is_repeated() -> None:
    first, second = write_all(make_case("oblique")), write_all(make_case("oblique"))
    assert first == second


def test_objects_differ_in_every_uid_when_the_analysis_is_another() -> None:
    case = make_case()
    other = replace(case, provenance=replace(case.provenance, analysis_id="other"))
    for mine, theirs in zip(write_all(case).values(), write_all(other).values(), strict=True):
        assert read(mine).SOPInstanceUID != read(theirs).SOPInstanceUID
        assert read(mine).SeriesInstanceUID != read(theirs).SeriesInstanceUID


def test_empty_segment_is_described_with_volume_zero_when_nothing_was_segmented() -> None:
    case = make_case(empty=True)
    objects = write_all(case)
    assert read(objects["seg"]).SegmentSequence[0].SegmentLabel == "Bone"
    [group] = groups_of(objects["sr"])
    assert [(m.name.value, m.value) for m in group.get_measurements()] == [("118565006", 0.0)]
    with pytest.raises(ValueError, match="no voxels"):
        write_mesh(case.sources, build_mesh(case.labels_kji == 1, case.volume), 1, case.card, case.provenance)


@pytest.mark.parametrize("grid", GRIDS)
def test_mesh_lies_around_the_labels_when_read_back_from(grid: str) -> None:
    case = make_case(grid)
    dataset = read(write_all(case)["stl"])
    assert dataset.SOPClassUID == "1.2.840.10008.5.1.4.1.1.104.3"
    assert dataset.FrameOfReferenceUID == case.sources[0].FrameOfReferenceUID
    mesh = from_stl_bytes(dataset.EncapsulatedDocument[: dataset.EncapsulatedDocumentLength])
    box = build_findings(case.labels_kji, case.volume, case.card, case.sources, case.provenance).findings[0].box
    assert box is not None
    slack_mm = float(case.volume.spacing_ijk_mm.max())
    assert np.all(mesh.vertices_lps_mm.min(axis=0) >= np.array(box.low_lps_mm) - slack_mm)
    assert np.all(mesh.vertices_lps_mm.max(axis=0) <= np.array(box.high_lps_mm) + slack_mm)
    assert mesh.volume_mm3 > 0


def _shifted(case: Case) -> Case:
    moved = np.array(case.volume.lps_from_ijk)
    moved[:3, 3] += 3.0
    return replace(case, volume=type(case.volume)(case.volume.voxels_kji, moved))


def _missing(case: Case) -> Case:
    return replace(case, sources=case.sources[:-1])


def _doubled(case: Case) -> Case:
    return replace(case, sources=[*case.sources[:-1], case.sources[0]])


def _turned(case: Case) -> Case:
    return replace(case, volume=make_case("oblique").volume)


@pytest.mark.parametrize("spoil", [_shifted, _missing, _doubled, _turned])
def test_writing_is_refused_when_sources_are_not_the_volume(spoil: Callable[[Case], Case]) -> None:
    case = make_case()
    assert write_segmentation(case.sources, case.labels_kji, case.volume, case.card, case.provenance)
    bad = spoil(case)
    with pytest.raises(SourceMismatchError) as refusal:
        write_segmentation(bad.sources, bad.labels_kji, bad.volume, bad.card, bad.provenance)
    assert refusal.value.code == "outputs.source_mismatch"


def test_segmentation_is_written_when_sources_lack_patient_and_study_attributes() -> None:
    case = make_case()
    for source in case.sources:
        for keyword in (
            "PatientBirthDate",
            "PatientSex",
            "StudyID",
            "AccessionNumber",
            "ReferringPhysicianName",
        ):
            delattr(source, keyword)
    objects = write_all(case)
    assert all(read(data).AccessionNumber == "" for data in objects.values())


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy is not installed (package dicom3tools).")
@pytest.mark.parametrize("empty", [False, True], ids=["found", "empty"])
@pytest.mark.parametrize("grid", GRIDS)
def test_checker_finds_no_error_when_objects_are_of(grid: str, empty: bool, tmp_path: Path) -> None:
    for kind, data in write_all(make_case(grid, empty=empty)).items():
        path = tmp_path / f"{kind}.dcm"
        path.write_bytes(data)
        checked = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, check=False)
        assert "Error" not in checked.stderr, f"{kind}: {checked.stderr}"
        assert checked.returncode == 0


@pytest.mark.realdata
def test_objects_are_written_when_series_is_a_real_one(real_data: Callable[[str], Path]) -> None:
    folder = real_data("ct-pelvis-vhf")
    files = [path for path in folder.rglob("*") if path.is_file() and pydicom.misc.is_dicom(path)]
    headers: list[Dataset] = [pydicom.dcmread(path, stop_before_pixels=True) for path in files]
    headers.sort(key=lambda header: float(header.ImagePositionPatient[2]))
    headers = headers[:20]
    first, last = (np.array(header.ImagePositionPatient, float) for header in (headers[0], headers[-1]))
    affine = np.eye(4)
    row, column = np.array(headers[0].ImageOrientationPatient, float).reshape(2, 3)
    spacing = [float(value) for value in headers[0].PixelSpacing]
    affine[:3, 0], affine[:3, 1] = row * spacing[1], column * spacing[0]
    affine[:3, 2], affine[:3, 3] = (last - first) / (len(headers) - 1), first
    labels = np.zeros((len(headers), headers[0].Rows, headers[0].Columns), np.uint8)
    labels[3:9, 200:260, 180:240] = 1
    base = make_case()
    case = replace(
        base,
        sources=headers,
        labels_kji=labels,
        volume=Volume(labels.astype(np.int16), affine),
        provenance=replace(base.provenance, input_sop_instance_uids=tuple(h.SOPInstanceUID for h in headers)),
    )
    objects = write_all(case)
    assert read(objects["seg"]).NumberOfFrames == 6
    assert {read(data).StudyInstanceUID for data in objects.values()} == {headers[0].StudyInstanceUID}
