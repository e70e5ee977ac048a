"""Surfaces of masks in patient space, and binary STL."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
from vtkmodules.vtkCommonDataModel import vtkImageData, vtkPolyData
from vtkmodules.vtkFiltersCore import (
    vtkFlyingEdges3D,
    vtkQuadricDecimation,
    vtkWindowedSincPolyDataFilter,
)

from gantry_imaging.volume import Volume

# A mask of more voxels is halved until it fits: its surface, and with it time and memory, then stays bounded.
MAX_VOXELS = 6_000_000
# So is a mask with more faces than this times the triangles wanted: decimation is what takes long.
_MAX_EXCESS = 2.0
_SMOOTHING_STEPS = 12
_PASS_BAND = 0.08
_STL_HEADER = b"Binary STL, LPS millimetres".ljust(80, b" ")
_STL_TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attributes", "<u2")])


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """A triangle surface.

    Parameters
    ----------
    vertices_lps_mm
        float32 of shape (N, 3), millimetres in the patient's LPS frame.
    triangles
        int32 of shape (M, 3), counter-clockwise seen from outside.
    """

    vertices_lps_mm: NDArray[np.float32]
    triangles: NDArray[np.int32]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show."""
        return len(self.triangles) == 0

    @property
    def volume_mm3(self) -> float:
        """Enclosed volume by the divergence theorem; positive when the triangles face outward."""
        centred = self.vertices_lps_mm.astype(np.float64)
        centred -= centred.mean(axis=0) if len(centred) else 0.0
        a, b, c = (centred[self.triangles[:, corner]] for corner in range(3))
        return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6.0)


def build_mesh(mask_kji: NDArray[np.bool_], volume: Volume, *, max_triangles: int = 200_000) -> Mesh:
    """Return a smooth closed surface around a mask.

    Marching cubes (flying edges) on the cropped mask, low-pass smoothed without shrinking (windowed sinc),
    then decimated. A crop of more than MAX_VOXELS, or one with far too large a surface, is averaged over
    blocks of two first, as often as it takes: details below two or four voxels are lost there.

    Parameters
    ----------
    mask_kji
        On the volume's grid; empty gives an empty mesh.
    max_triangles
        Upper bound, kept to within a few triangles.

    Raises
    ------
    ValueError
        The mask has another shape than the volume.
    """
    if mask_kji.shape != volume.shape_kji:
        raise ValueError(f"A mask of shape {mask_kji.shape} does not lie on a volume of shape {volume.shape_kji}.")
    mask = np.ascontiguousarray(mask_kji, dtype=np.bool_)
    found = ndimage.find_objects(mask.view(np.uint8))
    if not found:
        return Mesh(np.empty((0, 3), np.float32), np.empty((0, 3), np.int32))
    crop = found[0]
    field, factor = _fit(mask[crop], max_triangles)
    surface = _reduce(_smooth(_extract(field, volume.spacing_ijk_mm * factor)), max_triangles)
    # The surface is in millimetres along the grid's axes, from the centre of the padded field's first voxel.
    first_ijk = np.array([axis.start for axis in crop], dtype=np.float64)[::-1]
    first_ijk += (factor - 1.0) / 2.0 - factor
    origin_lps_mm = volume.lps_from_ijk[:3, :3] @ first_ijk + volume.origin_lps_mm
    points_mm = _array(surface.GetPoints().GetData()).astype(np.float64)
    vertices = (points_mm @ volume.direction.T + origin_lps_mm).astype(np.float32)
    triangles = _array(surface.GetPolys().GetConnectivityArray()).reshape(-1, 3).astype(np.int32)
    mesh = Mesh(vertices, triangles)
    # A left-handed grid mirrors the surface, which turns it inside out.
    return mesh if mesh.volume_mm3 >= 0 else Mesh(vertices, np.ascontiguousarray(triangles[:, ::-1]))


def _fit(mask: NDArray[np.bool_], max_triangles: int) -> tuple[NDArray[np.uint8], float]:
    """Return the mask as 0..255 and an empty layer around it, averaged until it fits, and the factor."""
    field, factor = mask.view(np.uint8) * np.uint8(255), 1.0
    while field.size > MAX_VOXELS or _crossings(field) > max_triangles * _MAX_EXCESS:
        field, factor = _halve(field), factor * 2.0
    return np.pad(field, 1), factor


def _crossings(field: NDArray[np.uint8]) -> int:
    """Count faces between inside and outside: marching cubes makes one to two triangles for each."""
    inside = field > 127
    return sum(int(np.count_nonzero(np.diff(inside, axis=axis))) for axis in range(3))


def _halve(field: NDArray[np.uint8]) -> NDArray[np.uint8]:
    padded = np.pad(field, [(0, size % 2) for size in field.shape])
    total = np.zeros([size // 2 for size in padded.shape], dtype=np.uint16)
    for k, j, i in np.ndindex(2, 2, 2):
        total += padded[k::2, j::2, i::2]
    halved: NDArray[np.uint8] = (total >> 3).astype(np.uint8)
    return halved


def _extract(field: NDArray[np.uint8], spacing_mm: NDArray[np.float64]) -> vtkPolyData:
    image = vtkImageData()
    image.SetDimensions(*field.shape[::-1])
    image.SetSpacing(*(float(value) for value in spacing_mm))
    # Not copied by VTK: the array lives as long as the caller's reference, longer than this pipeline.
    scalars = numpy_to_vtk(field.ravel(), deep=False)  # type: ignore[no-untyped-call]  # VTK's is untyped
    image.GetPointData().SetScalars(scalars)
    edges = vtkFlyingEdges3D()
    edges.SetInputData(image)
    edges.SetValue(0, 127.5)
    edges.ComputeNormalsOff()
    edges.ComputeGradientsOff()
    edges.ComputeScalarsOff()
    edges.Update()
    surface: vtkPolyData = edges.GetOutput()
    return surface


def _smooth(surface: vtkPolyData) -> vtkPolyData:
    smooth = vtkWindowedSincPolyDataFilter()
    smooth.SetInputData(surface)
    smooth.SetNumberOfIterations(_SMOOTHING_STEPS)
    smooth.SetPassBand(_PASS_BAND)
    smooth.NormalizeCoordinatesOn()
    smooth.BoundarySmoothingOff()
    smooth.FeatureEdgeSmoothingOff()
    smooth.NonManifoldSmoothingOn()
    smooth.Update()
    smoothed: vtkPolyData = smooth.GetOutput()
    return smoothed


def _reduce(surface: vtkPolyData, max_triangles: int) -> vtkPolyData:
    triangles = surface.GetNumberOfPolys()
    if triangles <= max_triangles:
        return surface
    decimate = vtkQuadricDecimation()
    decimate.SetInputData(surface)
    decimate.SetTargetReduction(1.0 - max_triangles / triangles)
    decimate.Update()
    reduced: vtkPolyData = decimate.GetOutput()
    return reduced


def _array(values: Any) -> NDArray[Any]:
    array: NDArray[Any] = vtk_to_numpy(values)  # type: ignore[no-untyped-call]  # VTK's helper is untyped
    return array


def to_stl_bytes(mesh: Mesh) -> bytes:
    """Return binary STL: a header, a count, and 50 bytes per triangle; coordinates as in the mesh."""
    corners = mesh.vertices_lps_mm[mesh.triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    records = np.zeros(len(corners), dtype=_STL_TRIANGLE)
    records["normal"] = np.divide(normals, lengths, out=np.zeros_like(normals), where=lengths > 0)
    records["corners"] = corners
    return _STL_HEADER + np.uint32(len(records)).tobytes() + records.tobytes()


def from_stl_bytes(data: bytes) -> Mesh:
    """Read binary STL, joining corners at the same place.

    Raises
    ------
    ValueError
        The length does not fit the count: not binary STL, or cut short.
    """
    count = int.from_bytes(data[80:84], "little") if len(data) >= 84 else -1
    # Encapsulation pads to an even length.
    if count < 0 or len(data) - 84 - count * _STL_TRIANGLE.itemsize not in {0, 1}:
        raise ValueError("This is not binary STL, or it has been cut short.")
    records: NDArray[Any] = np.frombuffer(data, dtype=_STL_TRIANGLE, count=count, offset=84)
    corners = records["corners"].reshape(-1, 3)
    if not np.isfinite(corners).all():
        raise ValueError("The STL holds coordinates that are not numbers.")
    vertices, indices = np.unique(corners, axis=0, return_inverse=True)
    return Mesh(vertices.astype(np.float32), indices.reshape(-1, 3).astype(np.int32))
