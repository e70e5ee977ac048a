"""Triangle surfaces made ready to be drawn: normals, and a coarse form for pictures that move."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gantry_render.scene import SurfaceMesh


def find_normals(vertices: NDArray[np.float32], triangles: NDArray[np.int32]) -> NDArray[np.float32]:
    """Return the mean of the adjoining triangles' normals, weighted by area: unit vectors, float32 (N, 3)."""
    a, b, c = (vertices[triangles[:, corner]] for corner in range(3))
    across = np.cross(b - a, c - a)
    normals = np.stack(
        [np.bincount(triangles.ravel(), np.repeat(across[:, axis], 3), len(vertices)) for axis in range(3)],
        axis=1,
    )
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    unit: NDArray[np.float32] = (normals / np.maximum(lengths, 1e-12)).astype(np.float32)
    return unit


def with_normals(mesh: SurfaceMesh) -> SurfaceMesh:
    """Return the mesh with its normals worked out once and for all pictures."""
    return replace(mesh, normals_lps=find_normals(mesh.vertices_lps_mm, mesh.triangles))


def coarsen(mesh: SurfaceMesh, cell_mm: float) -> SurfaceMesh:
    """Join all vertices that lie in one cube of `cell_mm` into their mean, and drop triangles that shrank to less.

    Vertex clustering (Rossignac, Borrel 1993): no detail larger than a cell is lost, holes and thin parts may close.
    """
    if len(mesh.triangles) == 0:
        return mesh
    vertices = mesh.vertices_lps_mm
    cells = ((vertices - vertices.min(axis=0)) / cell_mm).astype(np.int64)
    sides = cells.max(axis=0) + 1
    _, joined = np.unique((cells[:, 0] * sides[1] + cells[:, 1]) * sides[2] + cells[:, 2], return_inverse=True)
    shares = np.bincount(joined)
    means = [np.bincount(joined, vertices[:, axis]) / shares for axis in range(3)]
    triangles = joined.astype(np.int32)[mesh.triangles]
    a, b, c = triangles.T
    kept = triangles[(a != b) & (b != c) & (c != a)]
    # Many triangles of the fine surface become the same one: once is enough, whichever corner it begins with.
    first = np.argmin(kept, axis=1)
    turned = np.stack([kept[np.arange(len(kept)), (first + n) % 3] for n in range(3)], axis=1)
    return replace(
        mesh,
        vertices_lps_mm=np.ascontiguousarray(np.stack(means, axis=1), np.float32),
        triangles=np.ascontiguousarray(np.unique(turned, axis=0), np.int32),
        normals_lps=None,
    )
