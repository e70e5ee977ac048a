"""Phantoms: seeded, plausible, exactly labelled, and valid as DICOM."""

from collections.abc import Callable
from datetime import date
from functools import cache
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from gantry_imaging.volume import Volume
from gantry_inference.phantoms import (
    PARTS,
    Phantom,
    ScannerProfile,
    generate_chest,
    generate_pelvis,
    write_ct_series,
)

_QUIET = ScannerProfile(noise_hu=2.0, streaks=0.0)


@cache
def pelvis(seed: int) -> Phantom:
    return generate_pelvis(seed, shape_kji=(56, 160, 176), spacing_ijk_mm=(2.6, 2.6, 4.5), scanner=_QUIET)


@cache
def chest(seed: int) -> Phantom:
    return generate_chest(seed, shape_kji=(60, 160, 176), spacing_ijk_mm=(2.6, 2.6, 5.0), scanner=_QUIET)


def test_phantom_is_the_same_when_the_seed_is_the_same() -> None:
    first, again, other = (
        generate_pelvis(seed, shape_kji=(4, 96, 112), spacing_ijk_mm=(4.0, 4.0, 3.0)) for seed in (5, 5, 6)
    )
    assert first.volume.shape_kji == (4, 96, 112)
    assert first.volume.spacing_ijk_mm.tolist() == [4.0, 4.0, 3.0]
    np.testing.assert_array_equal(first.volume.voxels_kji, again.volume.voxels_kji)
    np.testing.assert_array_equal(first.parts_kji, again.parts_kji)
    assert not np.array_equal(first.volume.voxels_kji, other.volume.voxels_kji)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_pelvis_has_every_part_when_the_whole_region_is_scanned(seed: int) -> None:
    phantom = pelvis(seed)
    found = set(np.unique(phantom.parts_kji).tolist())
    wanted = {"hip_right", "hip_left", "femur_right", "femur_left", "sacrum", "vertebra"}
    assert {PARTS[name] for name in wanted} <= found
    np.testing.assert_array_equal(phantom.bone_kji, phantom.parts_kji > 0)


def test_left_and_right_hip_lie_on_their_sides_when_the_patient_is_supine() -> None:
    phantom = pelvis(1)
    columns = {side: np.nonzero(phantom.parts_kji == PARTS[f"hip_{side}"])[2].mean() for side in ("left", "right")}
    assert columns["left"] > columns["right"]


@pytest.mark.parametrize("seed", [1, 2])
def test_chest_has_every_part_when_the_whole_region_is_scanned(seed: int) -> None:
    found = set(np.unique(chest(seed).parts_kji).tolist())
    wanted = {"vertebra", "rib", "sternum", "scapula", "clavicle", "humerus"}
    assert {PARTS[name] for name in wanted} <= found


@pytest.mark.parametrize("make", [pelvis, chest])
def test_tissues_have_their_hu_when_the_noise_is_low(make: Callable[[int], Phantom]) -> None:
    phantom = make(2)
    hu, bone = phantom.volume.voxels_kji, phantom.bone_kji
    assert 150 < hu[bone].mean() < 900
    assert hu[bone].mean() > hu[~bone & (hu > -300)].mean() + 120
    soft = hu[~bone & (hu > -200) & (hu < 200)]
    assert ((soft > -140) & (soft < -60)).mean() > 0.05
    assert ((soft > 20) & (soft < 90)).mean() > 0.2


@pytest.mark.parametrize("seed", range(4))
def test_couch_is_no_bone_when_it_is_bright(seed: int) -> None:
    phantom = pelvis(seed)
    rows = np.nonzero((phantom.volume.voxels_kji > -200).any(axis=(0, 2)))[0]
    bone_rows = np.nonzero(phantom.bone_kji.any(axis=(0, 2)))[0]
    assert bone_rows.max() < rows.max()
    below = phantom.bone_kji[:, bone_rows.max() + 1 :]
    assert not below.any()


def test_bone_covers_the_same_volume_when_the_grid_is_finer() -> None:
    coarse = pelvis(3)
    fine = generate_pelvis(3, shape_kji=(56, 320, 352), spacing_ijk_mm=(1.3, 1.3, 4.5), scanner=_QUIET)
    volumes = [phantom.bone_kji.sum() * phantom.volume.voxel_volume_mm3 for phantom in (coarse, fine)]
    assert volumes[0] == pytest.approx(volumes[1], rel=0.06)


def test_noise_has_the_asked_strength_when_measured_in_the_body() -> None:
    quiet, noisy = (
        generate_pelvis(
            4,
            shape_kji=(3, 256, 256),
            spacing_ijk_mm=(1.6, 1.6, 1.0),
            scanner=ScannerProfile(noise_hu=noise, streaks=0.0),
        )
        for noise in (0.01, 30.0)
    )
    difference = noisy.volume.voxels_kji.astype(float) - quiet.volume.voxels_kji
    centre = difference[:, 108:148, 108:148]
    assert 22 < centre.std() < 42
    assert abs(centre.mean()) < 4


def test_series_is_read_back_as_it_was_when_written_as_dicom(tmp_path: Path) -> None:
    voxels = np.arange(3 * 5 * 4, dtype=np.int16).reshape(3, 5, 4) * 30 - 900
    affine = np.array([[0.8, 0, 0, -10.5], [0, 0.9, 0, 20.25], [0, 0, 2.5, -7.0], [0, 0, 0, 1.0]])
    written = write_ct_series(
        Volume(voxels, affine),
        tmp_path / "ct",
        patient_name="Phantom^Pelvis",
        patient_id="P-7",
        referring_physician_name="Referrer^Rosa",
        institution_name="North Clinic",
        study_date=date(2026, 2, 3),
        uid_root="1.2.3.",
        seed=9,
    )
    files = sorted((tmp_path / "ct").iterdir())
    assert len(files) == len(written) == 3
    for k, path in enumerate(files):
        ds = pydicom.dcmread(path)
        assert ds.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        assert ds.SOPClassUID == CTImageStorage
        np.testing.assert_array_equal(ds.pixel_array * ds.RescaleSlope + ds.RescaleIntercept, voxels[k])
        assert [float(v) for v in ds.ImagePositionPatient] == pytest.approx([-10.5, 20.25, -7.0 + 2.5 * k])
        assert [float(v) for v in ds.PixelSpacing] == [0.9, 0.8]
        assert (str(ds.ReferringPhysicianName), ds.InstitutionName) == ("Referrer^Rosa", "North Clinic")
        for uid in (ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID, ds.FrameOfReferenceUID):
            assert uid.startswith("1.2.3.")
            assert uid.is_valid


def test_series_uids_follow_from_the_seed_when_nothing_is_written() -> None:
    volume = Volume(np.zeros((2, 4, 4), np.int16), np.eye(4))
    first, again, other = (write_ct_series(volume, None, seed=seed) for seed in (1, 1, 2))
    assert [ds.SOPInstanceUID for ds in first] == [ds.SOPInstanceUID for ds in again]
    assert len({ds.SOPInstanceUID for ds in first}) == 2
    assert first[0].StudyInstanceUID != other[0].StudyInstanceUID


def test_series_has_every_mandatory_attribute_when_written() -> None:
    (ds,) = write_ct_series(Volume(np.zeros((1, 4, 4), np.int16), np.eye(4)), None)
    # Type 1 and 2 attributes of the CT Image IOD's mandatory modules (PS3.3 table A.3-1).
    wanted = (
        "PatientName PatientID PatientBirthDate PatientSex StudyInstanceUID StudyDate StudyTime "
        "ReferringPhysicianName StudyID AccessionNumber Modality SeriesInstanceUID SeriesNumber "
        "PatientPosition FrameOfReferenceUID PositionReferenceIndicator Manufacturer InstanceNumber "
        "PixelSpacing ImageOrientationPatient ImagePositionPatient SliceThickness SamplesPerPixel "
        "PhotometricInterpretation Rows Columns BitsAllocated BitsStored HighBit PixelRepresentation "
        "PixelData ImageType RescaleIntercept RescaleSlope KVP AcquisitionNumber SOPClassUID "
        "SOPInstanceUID"
    )
    assert [name for name in wanted.split() if name not in ds] == []
