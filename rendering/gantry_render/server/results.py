"""Findings and segments of a series, read when they are first shown: DICOM objects to meshes and label maps."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import numpy as np
import pydicom
import structlog
from numpy.typing import NDArray
from pydicom.uid import EncapsulatedSTLStorage, SegmentationStorage

from gantry_imaging.errors import DecodeError, GeometryError, ImagingError
from gantry_imaging.pack import PackIndex
from gantry_render.scene import LabelOverlay, SurfaceMesh
from gantry_render.server.control import Manifest, ResultRef
from gantry_render.server.objects import Objects
from gantry_render.surfaces import coarsen, with_normals
from gantry_storage import StorageError

log = structlog.get_logger(__name__)

MAX_OBJECT_BYTES: Final = 512 << 20
_STL_HEADER_BYTES: Final = 84
_STL_TRIANGLE: Final = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attributes", "<u2")])
_COARSE_MM: Final = 2.0
"""Cells of the surfaces in moving pictures: about a pixel of a moving picture of a pelvis."""
_COARSE_FROM: Final = 20_000
_PLANE_OPACITY: Final = 0.4
_VOLUME_OPACITY: Final = 0.85
# A segment's pixel may lie this part of a voxel from the volume's.
_OFF_GRID: Final = 0.1


class Results:
    """What may be drawn in one session's volume. Safe among threads.

    Parameters
    ----------
    manifest
        Names the results that this reader may see.
    index
        The volume that they must lie on.
    objects
        Where they are read from.
    on_change
        Called, from any thread, with a result's id when it was read, and with why it could not be (else None).
    """

    def __init__(
        self,
        manifest: Manifest,
        index: PackIndex,
        objects: Objects,
        on_change: Callable[[str, ImagingError | None], None],
    ) -> None:
        self._references = {each.id: each for each in manifest.results}
        self._index = index
        self._objects = objects
        self._on_change = on_change
        self._lock = threading.Lock()
        self._asked: set[str] = set()
        self._meshes: dict[str, SurfaceMesh] = {}
        self._coarse: dict[str, SurfaceMesh] = {}
        self._labels: dict[str, NDArray[np.bool_]] = {}
        self._combined: tuple[tuple[str, ...], NDArray[np.uint8]] | None = None

    def want(self, ids: Iterable[str]) -> None:
        """Read results in the background, once each."""
        with self._lock:
            fresh = [each for each in ids if each in self._references and each not in self._asked]
            self._asked.update(fresh)
        if fresh:
            threading.Thread(target=self._read, args=(fresh,), name="results", daemon=True).start()

    def meshes(self, ids: Iterable[str], *, is_moving: bool = False) -> Mapping[str, SurfaceMesh]:
        """Return those of the meshes that have been read; coarser ones for pictures that move."""
        found = self._coarse if is_moving else self._meshes
        return {each: found[each] for each in ids if each in found}

    def labels(
        self, ids: tuple[str, ...]
    ) -> tuple[NDArray[np.uint8], dict[int, tuple[float, float, float, float]]] | None:
        """Return the label map of the segments that have been read, and the colours of its labels; None for none."""
        found = self._combine(ids)
        return None if found is None else (found[1], self._colours(found[0], _PLANE_OPACITY))

    def overlay(self, ids: tuple[str, ...]) -> LabelOverlay | None:
        """Return the segments that have been read as an engine draws them."""
        found = self._combine(ids)
        return None if found is None else LabelOverlay(found[1], self._colours(found[0], _VOLUME_OPACITY))

    def close(self) -> None:
        """Overwrite and forget."""
        with self._lock:
            for mask in self._labels.values():
                mask[...] = False
            if self._combined is not None:
                self._combined[1][...] = 0
            self._labels.clear()
            self._meshes.clear()
            self._coarse.clear()
            self._combined = None

    def _colours(self, ids: tuple[str, ...], opacity: float) -> dict[int, tuple[float, float, float, float]]:
        return {n: (*self._references[each].colour, opacity) for n, each in enumerate(ids, start=1)}

    def _combine(self, ids: tuple[str, ...]) -> tuple[tuple[str, ...], NDArray[np.uint8]] | None:
        with self._lock:
            ready = tuple(each for each in ids if each in self._labels)
            if not ready:
                return None
            if self._combined is None or self._combined[0] != ready:
                labels = np.zeros(self._labels[ready[0]].shape, np.uint8)
                for n, each in enumerate(ready, start=1):
                    labels[self._labels[each]] = n
                self._combined = ready, labels
            return self._combined

    def _read(self, ids: list[str]) -> None:
        for each in ids:
            reference = self._references[each]
            try:
                dataset = pydicom.dcmread(io.BytesIO(self._fetch(reference)))
                if reference.kind == "mesh":
                    mesh = read_mesh(dataset, reference.colour)
                    is_large = len(mesh.triangles) > _COARSE_FROM
                    coarse = with_normals(coarsen(mesh, _COARSE_MM)) if is_large else mesh
                    with self._lock:
                        self._coarse[each], self._meshes[each] = coarse, mesh
                else:
                    mask = read_segments(dataset, self._index)
                    with self._lock:
                        self._labels[each] = mask
            except ImagingError as error:
                log.warning("result_not_shown", result=each, code=error.code)
                self._on_change(each, error)
            except (StorageError, OSError):
                log.warning("result_not_shown", result=each, code="store.unavailable")
                self._on_change(each, DecodeError("store.unavailable", "The result cannot be read from the store now."))
                with self._lock:
                    self._asked.discard(each)
            except Exception as error:  # noqa: BLE001  # whatever a file holds, the session goes on without it
                log.warning("result_not_shown", result=each, code="result.corrupt", kind=type(error).__name__)
                self._on_change(each, DecodeError("result.corrupt", "The result's file cannot be read."))
            else:
                self._on_change(each, None)

    def _fetch(self, reference: ResultRef) -> bytes:
        if reference.object.size_bytes > MAX_OBJECT_BYTES:
            raise DecodeError("result.too_large", "The result's file is too large to be shown.")
        source = self._objects.open(reference.object)
        try:
            return source.read(0, source.size_bytes)
        finally:
            source.close()


def read_mesh(dataset: pydicom.Dataset, colour: tuple[float, float, float]) -> SurfaceMesh:
    """Return the surface of an Encapsulated STL instance; its coordinates are the patient's, in millimetres.

    Raises
    ------
    DecodeError
        `result.corrupt`, `result.unsupported`.
    """
    if dataset.get("SOPClassUID") != EncapsulatedSTLStorage:
        raise DecodeError("result.unsupported", "The result is no encapsulated STL surface.")
    data = bytes(dataset.EncapsulatedDocument)
    count = int.from_bytes(data[80:84], "little")
    if len(data) - _STL_HEADER_BYTES - count * _STL_TRIANGLE.itemsize not in {0, 1}:
        raise DecodeError("result.corrupt", "The surface is not binary STL, or was cut short.")
    corners = np.frombuffer(data, _STL_TRIANGLE, count, _STL_HEADER_BYTES)["corners"].reshape(-1, 3)
    vertices, triangles = np.unique(corners, axis=0, return_inverse=True)
    return with_normals(
        SurfaceMesh(
            np.ascontiguousarray(vertices, np.float32),
            np.ascontiguousarray(triangles.reshape(-1, 3), np.int32),
            (*colour, 1.0),
        )
    )


def read_segments(dataset: pydicom.Dataset, index: PackIndex) -> NDArray[np.bool_]:
    """Return where any segment of a binary SEG lies, on the volume's grid, (slices, rows, columns).

    Raises
    ------
    DecodeError
        `result.unsupported`.
    GeometryError
        `result.other_grid` where its pixels are not the volume's voxels.
    """
    shape, affine = index.shape_kji, index.affine
    if dataset.get("SOPClassUID") != SegmentationStorage or dataset.get("SegmentationType") != "BINARY":
        raise DecodeError("result.unsupported", "The result is no binary segmentation.")
    if shape is None or affine is None:
        raise GeometryError("result.other_grid", "The series is no volume that segments could lie on.")
    if (int(dataset.Rows), int(dataset.Columns)) != shape[1:]:
        raise GeometryError("result.other_grid", "The segmentation's pixels are not the volume's.")
    if index.frame_of_reference_uid and dataset.get("FrameOfReferenceUID") != index.frame_of_reference_uid:
        raise GeometryError("result.other_grid", "The segmentation lies in another frame of reference.")
    frames = np.asarray(dataset.pixel_array).reshape(-1, *shape[1:])
    mask = np.zeros(shape, np.bool_)
    inverse = np.asarray(np.linalg.inv(affine), np.float64)
    shared = dataset.SharedFunctionalGroupsSequence[0]
    for plane, group in zip(frames, dataset.PerFrameFunctionalGroupsSequence, strict=True):
        mask[_slice_of(group, shared, inverse, shape)] |= plane > 0
    return mask


def _slice_of(group: Any, shared: Any, ijk_from_lps: NDArray[np.float64], shape: tuple[int, int, int]) -> int:
    """Return the volume's slice that a frame lies on."""

    def functional(name: str) -> Any:
        return (group.get(name) or shared.get(name))[0]

    position = np.array(functional("PlanePositionSequence").ImagePositionPatient, np.float64)
    turned = np.array(functional("PlaneOrientationSequence").ImageOrientationPatient, np.float64).reshape(2, 3)
    rows_mm, columns_mm = (float(part) for part in functional("PixelMeasuresSequence").PixelSpacing)
    corners = np.stack(
        [
            position,
            position + turned[0] * columns_mm * (shape[2] - 1),
            position + turned[1] * rows_mm * (shape[1] - 1),
        ]
    )
    i, j, k = ijk_from_lps[:3, :3] @ corners.T + ijk_from_lps[:3, 3:]
    expected_i, expected_j = np.array([0, shape[2] - 1, 0]), np.array([0, 0, shape[1] - 1])
    number = round(float(k[0]))
    off = max(np.abs(i - expected_i).max(), np.abs(j - expected_j).max(), np.abs(k - number).max())
    if off > _OFF_GRID or not 0 <= number < shape[0]:
        raise GeometryError("result.other_grid", "The segmentation's pixels are not the volume's voxels.")
    return number
