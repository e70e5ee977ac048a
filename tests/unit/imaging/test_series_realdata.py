"""Geometry of real series."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gantry_imaging.decode import decode_frames, read_header, to_modality_units
from gantry_imaging.errors import GeometryError
from gantry_imaging.planes import read_slice_headers
from gantry_imaging.series import SliceHeader, assemble_volume, examine_geometry

pytestmark = pytest.mark.realdata

RealData = Callable[[str], Path]


def read_series(folder: Path) -> tuple[list[Path], list[SliceHeader]]:
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    return paths, [header for path in paths for header in read_slice_headers(read_header(path.read_bytes()))]


@pytest.mark.parametrize(
    ("name", "folder", "slices", "spacing_mm"),
    [
        ("ct-chest-lidc0314", "dicom", 275, (0.78125, 0.78125, 1.0)),
        ("ct-pelvis-vhf", "dicom", 150, (1.0, 1.0, 1.0)),
        ("ct-bone-ref-totalseg", "example_ct_dicom", 20, (0.9765625, 0.9765625, 2.0)),
        ("pet-seg-qinhn", "PET", 299, (3.5378, 3.5378, 3.375)),
    ],
)
def test_series_is_one_grid_when_it_is_a_plain_scan(
    real_data: RealData, name: str, folder: str, slices: int, spacing_mm: tuple[float, float, float]
) -> None:
    _, headers = read_series(real_data(name) / folder)
    geometry = examine_geometry(headers)
    assert sorted(geometry.order) == list(range(slices))
    assert geometry.uniform
    np.testing.assert_allclose(geometry.spacing_ijk_mm, spacing_mm, atol=1e-3)


def test_file_order_is_not_slice_order_when_series_is_the_pelvis(real_data: RealData) -> None:
    _, headers = read_series(real_data("ct-pelvis-vhf") / "dicom")
    assert examine_geometry(headers).order != tuple(range(150))


def test_every_series_is_one_grid_when_study_is_the_two_date_brain(real_data: RealData) -> None:
    folders = {path.parent for path in real_data("prior-mr-ms12").rglob("*.dcm")}
    assert len(folders) == 4
    for folder in folders:
        _, headers = read_series(folder)
        assert len(examine_geometry(headers).order) == 48


def test_head_is_refused_with_gap_and_tilt_when_gantry_was_tilted(real_data: RealData) -> None:
    paths = sorted(real_data("head-ct-ge28").glob("*.dcm"))
    headers = [header for path in paths for header in read_slice_headers(read_header(path.read_bytes()))]
    assert len(headers) == 28
    with pytest.raises(GeometryError) as refusal:
        examine_geometry(headers)
    assert refusal.value.code == "series.gap"
    assert "from 1.08 to 7.00 mm" in str(refusal.value)
    assert "tilted by 18.50 degrees" in str(refusal.value)


def test_frames_are_planes_when_file_is_enhanced_multiframe(real_data: RealData) -> None:
    source = (real_data("knee-dev") / "mr" / "MOVEKNEE.dcm").read_bytes()
    headers = read_slice_headers(read_header(source))
    assert [header.frame_index for header in headers] == list(range(19))
    assert all(header.image_orientation_patient is not None for header in headers)
    assert all(header.pixel_spacing_mm is not None for header in headers)


def test_volume_holds_hounsfield_units_when_assembled_from_files(real_data: RealData) -> None:
    paths, headers = read_series(real_data("ct-bone-ref-totalseg") / "example_ct_dicom")

    def frame(index: int) -> NDArray[np.generic]:
        source = paths[index].read_bytes()
        return to_modality_units(decode_frames(source, 0), read_header(source), 0)

    volume = assemble_volume(headers, frame)
    assert volume.voxels_kji.dtype == np.int16
    assert volume.shape_kji == (20, 512, 512)
    assert volume.voxels_kji.min() == -1024
    # The liver fills the middle of this series: soft tissue, not air, not raw stored values.
    assert 0 < np.median(volume.voxels_kji[:, 200:300, 200:300]) < 150
    k = 7
    position = headers[examine_geometry(headers).order[k]].image_position_patient
    assert tuple(volume.lps_from_ijk[:3] @ [0, 0, k, 1]) == pytest.approx(position, abs=1e-3)
