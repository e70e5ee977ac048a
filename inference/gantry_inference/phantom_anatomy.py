"""The pelvis and the chest as shapes: what lies where, how large, and how it varies between people."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gantry_inference.phantom_canvas import (
    BoneTissue,
    Canvas,
    Capsule,
    Ellipsoid,
    Field,
    Ribbon,
    Shape,
    chain,
    point,
)

# Labels of `Phantom.parts_kji`.
PARTS: Final = {
    "hip_right": 1,
    "hip_left": 2,
    "femur_right": 3,
    "femur_left": 4,
    "sacrum": 5,
    "vertebra": 6,
    "rib": 7,
    "sternum": 8,
    "scapula": 9,
    "clavicle": 10,
    "humerus": 11,
    "forearm": 12,
}


@dataclass(frozen=True)
class Person:
    """How one phantom differs from the next.

    Parameters
    ----------
    scale
        Size relative to the average adult, per axis (x, y, z).
    density
        Bone mineral relative to the average: below 0.6 is osteoporotic.
    fatness
        Thickness of the subcutaneous fat relative to the average.
    contrast_hu
        HU of the large vessels (45 without contrast agent).
    roll_rad, bend_mm
        In-plane rotation, and sideways and forward bend per 100 mm of height.
    """

    scale: NDArray[np.float64]
    density: float
    fatness: float
    contrast_hu: float
    roll_rad: float
    bend_mm: NDArray[np.float64]
    arms: bool
    oral_contrast: bool
    bladder_contrast: bool

    @classmethod
    def random(cls, rng: np.random.Generator) -> "Person":
        """Draw a person."""
        size = rng.normal(1.0, 0.06)
        return cls(
            scale=np.clip(size * rng.normal(1.0, 0.04, 3), 0.8, 1.2),
            density=float(np.clip(rng.normal(0.95, 0.25), 0.4, 1.5)),
            fatness=float(np.clip(rng.lognormal(0.0, 0.5), 0.3, 3.0)),
            contrast_hu=45.0 if rng.random() < 0.45 else float(rng.uniform(110, 420)),
            roll_rad=float(np.radians(rng.normal(0.0, 4.0))),
            bend_mm=rng.normal(0.0, 3.0, 2),
            arms=bool(rng.random() < 0.4),
            oral_contrast=bool(rng.random() < 0.35),
            bladder_contrast=bool(rng.random() < 0.25),
        )

    def tissue(self, cortex_mm: float, cortex_hu: float, inside_hu: float) -> BoneTissue:
        """Return bone tissue at this person's density."""
        return BoneTissue(
            cortex_mm=cortex_mm * (0.55 + 0.45 * self.density),
            cortex_hu=150.0 + (cortex_hu - 150.0) * (0.3 + 0.7 * self.density),
            inside_hu=-40.0 + (inside_hu + 40.0) * self.density,
            inside_texture_hu=30.0 + 35.0 * self.density,
        )


class Builder:
    """Places shapes given in the average adult's millimetres: jitters, scales, bends and turns them."""

    def __init__(self, canvas: Canvas, person: Person, rng: np.random.Generator) -> None:
        self.canvas, self.person, self.rng = canvas, person, rng

    def at(
        self, points: NDArray[np.float64] | Sequence[Sequence[float]], jitter_mm: float = 0.0
    ) -> NDArray[np.float64]:
        """Return `points` (..., 3) of the average adult where this person has them."""
        placed: NDArray[np.float64] = np.asarray(points, dtype=np.float64) * self.person.scale
        if jitter_mm:
            placed = placed + self.rng.normal(0.0, jitter_mm, placed.shape)
        bend = np.stack([placed[..., 2] / 100.0 * m for m in self.person.bend_mm], axis=-1)
        x, y = placed[..., 0] + bend[..., 0], placed[..., 1] + bend[..., 1]
        cosine, sine = np.cos(self.person.roll_rad), np.sin(self.person.roll_rad)
        return np.stack([cosine * x - sine * y, sine * x + cosine * y, placed[..., 2]], axis=-1)

    def ball(self, centre: Sequence[float], radii: Sequence[float], jitter_mm: float = 0.0) -> Ellipsoid:
        """Return a placed ellipsoid."""
        vary = self.rng.normal(1.0, 0.06, 3) if jitter_mm else np.ones(3)
        return Ellipsoid(self.at([centre], jitter_mm)[0], np.asarray(radii) * self.person.scale * vary)

    def rod(
        self,
        points: Sequence[Sequence[float]],
        radii: Sequence[float],
        flatness: float = 1.0,
        jitter_mm: float = 0.0,
    ) -> list[Shape]:
        """Return a placed chain of capsules."""
        size = float(self.person.scale.mean())
        return chain(self.at(points, jitter_mm), np.asarray(radii) * size, flatness)

    def plate(
        self,
        sections: Sequence[tuple[float, Sequence[Sequence[float]], Sequence[float]]],
        jitter_mm: float = 0.0,
    ) -> Ribbon:
        """Return a placed ribbon from sections (z, [(x, y), ...], [half thickness, ...])."""
        heights = np.array([section[0] for section in sections])
        flat = np.array([[(*xy, section[0]) for xy in section[1]] for section in sections])
        placed = self.at(flat)
        if jitter_mm:
            # One shift per polyline point, the same at all heights: the plate bends but stays smooth.
            placed = placed + self.rng.normal(0.0, jitter_mm, (1, placed.shape[1], 3)) * np.array([1, 1, 0])
        radii = np.array([section[2] for section in sections]) * self.person.scale.mean() * self.rng.normal(1.0, 0.08)
        return Ribbon(heights * self.person.scale[2], placed[..., :2], radii)


def mirrored(points: Sequence[Sequence[float]], side: int) -> list[list[float]]:
    """Return points given for the left (+x) on `side` (+1 left, -1 right)."""
    return [[side * p[0], *p[1:]] for p in points]


def paint_trunk(build: Builder, half_width_mm: float, half_depth_mm: float, centre_y_mm: float) -> None:
    """Paint skin, fat and the muscle wall of the whole trunk, and note where its inside is."""
    canvas, person, rng = build.canvas, build.person, build.rng
    z = canvas.z_mm[:, None, None]
    centre = build.at(
        np.stack([0 * canvas.z_mm, 0 * canvas.z_mm + centre_y_mm, canvas.z_mm / person.scale[2]], axis=-1)
    )
    dx = canvas.x_mm[None, None, :] - centre[:, 0].astype(np.float32)[:, None, None]
    dy = canvas.y_mm[None, :, None] - centre[:, 1].astype(np.float32)[:, None, None]
    wobble = np.float32(1.0) + np.float32(rng.normal(0, 0.03)) * np.sin(
        z / np.float32(rng.uniform(60, 120)) + np.float32(rng.uniform(0, 6))
    )
    width = np.float32(half_width_mm * person.scale[0]) * wobble
    depth = np.float32(half_depth_mm * person.scale[1]) * wobble
    fat_mm = np.float32(16.0 * person.fatness)
    power = np.float32(rng.uniform(2.2, 2.9))
    # A superellipse, flattened where the back lies on the couch.
    flat = np.where(dy > 0, np.float32(rng.uniform(0.92, 1.02)), np.float32(rng.uniform(0.98, 1.12)))

    def level(half_x: Field, half_y: Field) -> Field:
        value: Field = (np.abs(dx / half_x) ** power + np.abs(dy / (half_y * flat)) ** power) ** (
            np.float32(1.0) / power
        ) - np.float32(1.0)
        return value

    skin = level(width + fat_mm, depth + fat_mm)
    muscle = level(width, depth)
    fat_hu = np.float32(rng.normal(-100, 8))
    grain = canvas.texture((slice(0, z.size), slice(0, canvas.y_mm.size), slice(0, canvas.x_mm.size)))
    hu = canvas.hu_kji
    skin_level = np.float32(2.2) / (width + fat_mm)
    edge = np.float32(canvas.x_mm[1] - canvas.x_mm[0]) / width
    inside = np.clip(np.float32(0.5) - skin / edge, 0, 1)
    hu += inside * (np.float32(30.0) - hu)
    inside = np.clip(np.float32(0.5) - (skin + skin_level) / edge, 0, 1)
    hu += inside * (fat_hu + np.float32(6.0) * grain - hu)
    inside = np.clip(np.float32(0.5) - muscle / edge, 0, 1)
    hu += inside * (np.float32(rng.normal(56, 6)) + np.float32(6.0) * grain - hu)
    canvas.trunk_kji = muscle < -0.06


def paint_couch(build: Builder, surface_y_mm: float) -> None:
    """Paint a couch under `surface_y_mm`: bright shell or shells, dark foam, as far as the grid goes."""
    canvas, rng = build.canvas, build.rng
    style = rng.integers(0, 4)
    if style == 3:
        return
    x = canvas.x_mm[None, :]
    y = canvas.y_mm[:, None]
    half_width = np.float32(rng.uniform(190, 270))
    sag = np.float32(rng.uniform(0, 45))
    curve = np.float32(surface_y_mm) + np.float32(rng.uniform(2, 10)) - sag * (x / half_width) ** 2
    thick = np.float32(rng.uniform(0.8, 3.0))
    gap = np.float32(rng.uniform(8, 70))
    inside = np.abs(x) < half_width
    pad_hu, shell_hu = np.float32(rng.uniform(-950, -750)), np.float32(rng.uniform(-300, 1100))
    below = y - curve
    layer = np.full((y.size, x.size), np.float32(-1000.0))
    layer = np.where(inside & (below > 0) & (below < gap), pad_hu, layer)
    lower_curve = (
        below
        - gap
        + (np.float32(0.0) if style == 0 else sag * (x / half_width) ** 2 * np.float32(rng.uniform(-0.6, 0.8)))
    )
    for shell in (below, lower_curve):
        cover = np.clip(thick / 2 + np.float32(0.5) - np.abs(shell), 0, 1) * inside
        layer = layer + cover * (shell_hu - layer)
    if style == 2:
        for rail_x in (-1, 1):
            for _ in range(3):
                cx, cy = rail_x * rng.uniform(150, 220), surface_y_mm + float(gap) + rng.uniform(0, 60)
                ring = np.abs(
                    np.sqrt((x - np.float32(cx)) ** 2 + (y - np.float32(cy)) ** 2) - np.float32(rng.uniform(4, 12))
                )
                layer = np.where(ring < thick, np.float32(rng.uniform(100, 1200)), layer)
    air = canvas.hu_kji < -950
    np.copyto(canvas.hu_kji, layer[None], where=air)


def paint_bowel(build: Builder, centre: Sequence[float], spread: Sequence[float], count: int) -> None:
    """Paint bowel loops: wall, and gas, fluid, stool or contrast agent inside."""
    rng = build.rng
    for _ in range(count):
        place = np.asarray(centre) + rng.uniform(-1, 1, 3) * np.asarray(spread)
        radius = rng.uniform(9, 24)
        path = np.cumsum(np.vstack([place, rng.normal(0, radius, (3, 3))]), axis=0)
        loop = build.rod(path.tolist(), [radius] * 4)
        build.canvas.fill(loop, float(rng.uniform(25, 60)), texture_hu=8, confined=True)
        lumen = build.rod(path.tolist(), [radius * 0.82] * 4)
        kind = rng.random()
        if kind < 0.3:
            build.canvas.fill(lumen, -950.0, confined=True)
        elif kind < 0.5:
            build.canvas.fill(lumen, float(rng.uniform(-100, 20)), texture_hu=90, confined=True)
        elif kind < 0.75 and build.person.oral_contrast:
            build.canvas.fill(lumen, float(rng.uniform(150, 700)), texture_hu=15, confined=True)
        else:
            build.canvas.fill(lumen, float(rng.uniform(0, 40)), texture_hu=6, confined=True)


def paint_vessel(build: Builder, points: Sequence[Sequence[float]], radii: Sequence[float]) -> None:
    """Paint a vessel, at times with calcified plaques: bright as bone, but no bone."""
    rng = build.rng
    build.canvas.fill(build.rod(points, radii), build.person.contrast_hu, texture_hu=4)
    if rng.random() < 0.4:
        path = np.asarray(points, dtype=np.float64)
        for _ in range(int(rng.integers(2, 12))):
            n = int(rng.integers(0, len(path) - 1))
            t = rng.random()
            middle, radius = path[n] * (1 - t) + path[n + 1] * t, radii[n] * (1 - t) + radii[n + 1] * t
            angle = rng.uniform(0, 2 * np.pi)
            wall = middle + radius * np.array([np.cos(angle), np.sin(angle), 0.0])
            tangent = rng.uniform(1, 5) * np.array([-np.sin(angle), np.cos(angle), rng.normal(0, 0.8)])
            thick = rng.uniform(0.6, 1.6)
            plaque = build.rod([(wall - tangent).tolist(), (wall + tangent).tolist()], [thick, thick])
            build.canvas.fill(plaque, float(rng.uniform(350, 1100)))


def paint_vertebra(
    build: Builder, centre: Sequence[float], half: Sequence[float], tilt: float, *, thoracic: bool
) -> None:
    """Paint one vertebra: body, pedicles, arch, processes, the canal left free.

    Parameters
    ----------
    half
        Half width, depth and height of the body.
    tilt
        How far the spinous process hangs, mm.
    """
    cx, cy, cz = centre
    hx, hy, hz = half
    # Age lips the rims of the end plates and lets the discs sink into them.
    lip = float(build.rng.uniform(0.97, 1.16))
    body_sections = [
        (
            cz + t * hz,
            [(cx - 0.45 * hx, cy), (cx, cy - 0.12 * hy), (cx + 0.45 * hx, cy)],
            [0.55 * hx * f, 0.95 * hy * f, 0.55 * hx * f],
        )
        for t, f in ((-1.0, lip), (-0.6, 0.94), (0.0, 0.88), (0.6, 0.94), (1.0, lip))
    ]
    sunk, gap = float(build.rng.uniform(1.0, 4.0)), 3.5 if thoracic else 5.0
    discs: list[Shape] = [
        build.ball((cx, cy, cz + side * (hz + gap)), (0.83 * hx, 0.8 * hy, gap + sunk)) for side in (-1, 1)
    ]
    build.canvas.fill(discs, 85.0, texture_hu=8)
    tissue = build.person.tissue(float(build.rng.uniform(0.9, 1.8)), 620, 190)
    canal = build.rod([(cx, cy + hy + 8.5, cz - hz - 9), (cx, cy + hy + 8.5, cz + hz + 9)], [8.5, 8.5])
    shapes: list[Shape] = [build.plate(body_sections, jitter_mm=0.8)]
    arch: list[Shape] = []
    spread = 0.55 * hx + 2
    back = cy + hy + 19
    for side in (-1, 1):
        joint = [cx + side * (spread + 1), cy + hy + 11, cz + 2]
        arch += build.rod([(cx + side * spread, cy + 0.7 * hy, cz + 4), joint], [5.0, 4.5], 1.4)
        arch += build.rod([joint, (cx, back, cz - 4)], [4.2, 3.2], 2.0)
        arch += build.rod(
            [(joint[0], joint[1] + 4, cz - 12), (joint[0], joint[1] + 3, cz + 13)], [5.0, 4.5], jitter_mm=0.5
        )
        reach = (
            cx + side * (spread + (24 if thoracic else 32)),
            cy + hy + (26 if thoracic else 10),
            cz + (8 if thoracic else 4),
        )
        arch += build.rod([joint, reach], [4.2, 3.2 if not thoracic else 4.2], jitter_mm=1.0)
    arch += build.rod(
        [(cx, back, cz - 4), (cx, back + (20 if thoracic else 22), cz - 6 - tilt)],
        [3.6, 3.2],
        1.4 if thoracic else 2.4,
        jitter_mm=1.0,
    )
    build.canvas.bone(PARTS["vertebra"], shapes, tissue, without=[(canal, 0.0), (discs, 0.0)])
    build.canvas.bone(PARTS["vertebra"], arch, build.person.tissue(1.6, 750, 200), without=[(canal, 0.0)])
    build.canvas.fill(canal, 25.0, texture_hu=5)


def paint_disc(build: Builder, centre: Sequence[float], half: Sequence[float], half_height: float) -> None:
    """Paint the soft disc around a vertebral gap."""
    cx, cy, cz = centre
    hx, hy = half[0] * 0.9, half[1] * 0.9
    section = [(cx - 0.45 * hx, cy), (cx, cy), (cx + 0.45 * hx, cy)]
    radii = [0.55 * hx, 0.9 * hy, 0.55 * hx]
    build.canvas.fill(
        [build.plate([(cz - half_height, section, radii), (cz + half_height, section, radii)])],
        85.0,
        texture_hu=8,
    )


def paint_forearms(build: Builder, half_width_mm: float) -> None:
    """Paint arms lying beside or on the trunk: skin, muscle, two bones each, or hands with five."""
    rng = build.rng
    for side in (-1, 1):
        start = [side * (half_width_mm + rng.uniform(25, 60)), rng.uniform(-70, 60), -300.0]
        end = [side * (half_width_mm + rng.uniform(15, 60)), rng.uniform(-70, 60), 330.0]
        build.canvas.fill(build.rod([start, end], [36, 42]), -95.0)
        build.canvas.fill(build.rod([start, end], [30, 36]), 58.0, texture_hu=7)
        hand = rng.random() < 0.4
        count = 5 if hand else int(rng.integers(1, 3))
        for n in range(count):
            angle = rng.uniform(0, np.pi) if not hand else 0.4 * n
            away = (12.0 if count > 1 else 2.0) * np.array([np.cos(angle + np.pi * n), np.sin(angle + np.pi * n), 0.0])
            if hand:
                away = np.array([(n - 2) * 2.0, (n - 2) * 12.0, 0.0])
            radius = rng.uniform(4.5, 6.5) if hand else rng.uniform(7, 10) if count == 2 else rng.uniform(10, 13)
            tissue = build.person.tissue(radius * 0.33, 1350, 20)
            bone = build.rod(
                [(np.array(start) + away).tolist(), (np.array(end) + away).tolist()],
                [radius, radius],
                jitter_mm=1.0,
            )
            build.canvas.bone(PARTS["forearm" if count > 1 else "humerus"], bone, tissue)


def unit_noise(rng: np.random.Generator, count: int, smooth: float) -> NDArray[np.float64]:
    """Return `count` smooth unit-variance values along a line."""
    from scipy.ndimage import gaussian_filter1d

    values = gaussian_filter1d(rng.standard_normal(count + 20), smooth)[10 : 10 + count]
    result: NDArray[np.float64] = values / (values.std() + 1e-6)
    return result


__all__ = [
    "PARTS",
    "Builder",
    "Capsule",
    "Ellipsoid",
    "Person",
    "Ribbon",
    "mirrored",
    "paint_bowel",
    "paint_couch",
    "paint_disc",
    "paint_forearms",
    "paint_trunk",
    "paint_vertebra",
    "paint_vessel",
    "point",
    "unit_noise",
]
