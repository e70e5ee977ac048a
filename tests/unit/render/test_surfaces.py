"""Surfaces made ready: normals point outwards, and the coarse form is the same surface with less of it."""

import numpy as np
import pytest
from numpy.typing import NDArray

from gantry_render.errors import SceneError
from gantry_render.scene import SurfaceMesh
from gantry_render.surfaces import coarsen, find_normals, with_normals

RADIUS_MM = 50.0
RED = (1.0, 0.0, 0.0, 1.0)


def sphere(rings: int = 120, around: int = 240) -> SurfaceMesh:
    """Return a ball's surface around (10, 20, 30), counter-clockwise seen from outside."""
    theta = np.linspace(0.01, np.pi - 0.01, rings)[:, np.newaxis]
    phi = np.arange(around)[np.newaxis] * 2 * np.pi / around
    points = np.stack(
        [np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta) * np.ones_like(phi)], axis=-1
    )
    ring, step = np.mgrid[: rings - 1, :around]
    a, b = ring * around + step, ring * around + (step + 1) % around
    c, d = a + around, b + around
    triangles = np.concatenate([np.stack([a, c, b], -1).reshape(-1, 3), np.stack([b, c, d], -1).reshape(-1, 3)])
    vertices = RADIUS_MM * points.reshape(-1, 3) + [10, 20, 30]
    return SurfaceMesh(vertices.astype(np.float32), triangles.astype(np.int32), RED)


def outwards(mesh: SurfaceMesh) -> NDArray[np.float64]:
    away = mesh.vertices_lps_mm.astype(np.float64) - [10, 20, 30]
    unit: NDArray[np.float64] = away / np.linalg.norm(away, axis=1, keepdims=True)
    return unit


def test_normals_point_away_from_the_middle_of_a_ball() -> None:
    ball = sphere()
    normals = find_normals(ball.vertices_lps_mm, ball.triangles)
    assert float(np.sum(normals * outwards(ball), axis=1).min()) > 0.99
    kept = with_normals(ball).normals_lps
    assert kept is not None
    assert np.array_equal(kept, normals)


@pytest.mark.parametrize("cell_mm", [2.0, 5.0])
def test_a_coarse_ball_lies_on_the_fine_one_when_its_vertices_are_joined(cell_mm: float) -> None:
    fine, coarse = sphere(), coarsen(sphere(), cell_mm)
    assert len(coarse.triangles) < 0.5 * len(fine.triangles)
    distance_mm = np.linalg.norm(coarse.vertices_lps_mm - [10, 20, 30], axis=1) - RADIUS_MM
    assert float(np.abs(distance_mm).max()) < cell_mm
    a, b, c = (coarse.vertices_lps_mm[coarse.triangles[:, corner]].astype(np.float64) for corner in range(3))
    area_mm2 = 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1).sum()
    assert area_mm2 == pytest.approx(4 * np.pi * RADIUS_MM**2, rel=0.05)
    facing = np.sum(np.cross(b - a, c - a) * ((a + b + c) / 3 - [10, 20, 30]), axis=1)
    assert float((facing > 0).mean()) > 0.97
    assert coarse.normals_lps is None
    assert coarse.colour == RED


def test_nothing_is_left_when_a_surface_is_smaller_than_a_cell() -> None:
    assert len(coarsen(sphere(), 500.0).triangles) == 0
    empty = SurfaceMesh(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32), RED)
    assert len(coarsen(empty, 2.0).triangles) == 0


def test_a_mesh_is_refused_when_its_normals_are_not_its_points() -> None:
    ball = sphere(4, 5)
    with pytest.raises(SceneError) as refused:
        SurfaceMesh(ball.vertices_lps_mm, ball.triangles, RED, normals_lps=np.zeros((2, 3), np.float32))
    assert refused.value.code == "scene.bad_mesh"
