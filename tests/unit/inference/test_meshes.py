import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ct_result import GRIDS, make_case
from gantry_imaging.volume import Volume
from gantry_inference import meshes
from gantry_inference.meshes import build_mesh, from_stl_bytes, to_stl_bytes

ROOT = Path(__file__).resolve().parents[3]


def ball(radius: int = 14, size: int = 40) -> tuple[NDArray[np.bool_], Volume]:
    k, j, i = np.ogrid[:size, :size, :size]
    centre = (size - 1) / 2
    mask = (k - centre) ** 2 + (j - centre) ** 2 + (i - centre) ** 2 <= radius**2
    return mask, Volume(np.zeros(mask.shape, np.int16), np.eye(4))


@pytest.mark.parametrize("grid", GRIDS)
def test_mesh_encloses_the_mask_facing_outward_when_grid_is(grid: str) -> None:
    mask, volume = ball()
    turned = Volume(volume.voxels_kji, np.array(make_case(grid).volume.lps_from_ijk))
    mesh = build_mesh(mask, turned)
    assert mesh.volume_mm3 == pytest.approx(mask.sum() * turned.voxel_volume_mm3, rel=0.02)
    centre_lps = (turned.lps_from_ijk @ [19.5, 19.5, 19.5, 1.0])[:3]
    assert np.allclose(mesh.vertices_lps_mm.mean(axis=0), centre_lps, atol=0.2)
    corners = mesh.vertices_lps_mm[mesh.triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    outward = corners.mean(axis=1) - centre_lps
    assert np.mean(np.einsum("ij,ij->i", normals, outward) > 0) > 0.999


def test_mesh_is_closed_when_the_mask_touches_the_border() -> None:
    mask = np.ones((6, 7, 8), np.bool_)
    mesh = build_mesh(mask, Volume(np.zeros(mask.shape, np.int16), np.eye(4)))
    edges = np.sort(mesh.triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    _, uses = np.unique(edges, axis=0, return_counts=True)
    assert set(uses) == {2}


def test_triangles_stay_below_the_bound_when_the_surface_is_large() -> None:
    mask, volume = ball()
    assert len(build_mesh(mask, volume).triangles) > 3000
    small = build_mesh(mask, volume, max_triangles=1500)
    assert len(small.triangles) <= 1500
    assert small.volume_mm3 == pytest.approx(mask.sum(), rel=0.03)


def test_mesh_keeps_place_and_volume_when_the_mask_was_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    mask, volume = ball(radius=15, size=44)
    monkeypatch.setattr(meshes, "MAX_VOXELS", 4000)
    mesh = build_mesh(mask, volume)
    assert mesh.volume_mm3 == pytest.approx(mask.sum(), rel=0.06)
    assert np.allclose(mesh.vertices_lps_mm.mean(axis=0), 21.5, atol=0.25)


def test_mesh_is_empty_when_the_mask_is() -> None:
    mask, volume = ball()
    assert build_mesh(np.zeros_like(mask), volume).is_empty


def test_stl_holds_the_same_surface_when_read_back() -> None:
    mesh = build_mesh(*ball())
    data = to_stl_bytes(mesh)
    assert len(data) == 84 + 50 * len(mesh.triangles)
    again = from_stl_bytes(data)
    assert len(again.vertices_lps_mm) == len(mesh.vertices_lps_mm)
    assert again.volume_mm3 == pytest.approx(mesh.volume_mm3)


@pytest.mark.parametrize("spoil", [lambda data: data[:-30], lambda data: data[:50], lambda data: data + b"\0" * 40])
def test_stl_is_refused_when_its_length_is_wrong(spoil: object) -> None:
    assert callable(spoil)
    data = to_stl_bytes(build_mesh(*ball()))
    assert from_stl_bytes(data)
    with pytest.raises(ValueError, match="STL"):
        from_stl_bytes(spoil(data))


def test_no_rendering_library_is_loaded_when_meshes_are_imported() -> None:
    code = (
        "import sys, gantry_inference.meshes;"
        "print([name for name in sys.modules if 'Rendering' in name or name == 'vtk']);"
        "print([line for line in open('/proc/self/maps') if 'libEGL' in line or 'libGL.' in line])"
    )
    path = os.pathsep.join(str(ROOT / folder) for folder in ("inference", "rendering"))
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["[]", "[]"]
