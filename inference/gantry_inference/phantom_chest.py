"""A chest with spine, ribs, sternum, clavicles, scapulae and upper arms, in the average adult's millimetres.

The origin lies in the middle of the trunk at the height of the eighth thoracic vertebra; x points left, y to
the back, z to the head.
"""

import numpy as np
from numpy.typing import NDArray

from gantry_inference.phantom_anatomy import (
    PARTS,
    Builder,
    mirrored,
    paint_bowel,
    paint_couch,
    paint_disc,
    paint_forearms,
    paint_trunk,
    paint_vertebra,
    paint_vessel,
    unit_noise,
)
from gantry_inference.phantom_canvas import Ribbon, Shape

_PITCH_MM = 24.0


def paint_chest(build: Builder) -> None:
    """Paint the chest and upper abdomen and the soft tissue in them."""
    rng, person = build.rng, build.person
    half_width, half_depth = float(rng.normal(146, 8)), float(rng.normal(96, 6))
    paint_trunk(build, half_width, half_depth, 0.0)
    cage = np.array([half_width - 12.0, half_depth - 14.0])
    arms_up = rng.random() < 0.6
    shoulders = {side: _place_shoulder(build, arms_up) for side in (-1, 1)}
    for side, (joint, reach) in shoulders.items():
        _paint_shoulder_muscle(build, side, joint, reach)
    _paint_lungs(build, cage)
    _paint_heart(build)
    _paint_abdomen(build, cage)
    _paint_spine(build, half_depth)
    for number in range(1, 13):
        for side in (-1, 1):
            _paint_rib(build, number, side, cage)
    _paint_sternum(build, cage)
    for side, (joint, reach) in shoulders.items():
        _paint_shoulder(build, side, cage, joint, reach)
    if person.arms:
        paint_forearms(build, half_width * person.scale[0] + 16 * person.fatness)
    paint_couch(build, half_depth * float(person.scale[1]) + 16.0 * person.fatness)


def _narrowing(z_mm: float) -> float:
    """Return the width of the rib cage at a height relative to its widest."""
    return float(np.interp(z_mm, [-160, -60, 60, 130, 170, 190], [0.93, 1.0, 0.92, 0.72, 0.5, 0.4]))


def _paint_lungs(build: Builder, cage: NDArray[np.float64]) -> None:
    rng = build.rng
    lung_hu = float(rng.uniform(-900, -760))
    floor = float(rng.uniform(-70, -10))
    for side in (-1, 1):
        sections = []
        for z in np.linspace(floor, 178, 12):
            width = _narrowing(float(z)) * (cage[0] - 10)
            tip = min(1.0, (z - floor + 8) / 60, (190 - z) / 40)
            middle = side * (0.36 * width + 14)
            reach = max(4.0, 0.30 * width * tip)
            depth = (cage[1] - 34) * _narrowing(float(z)) ** 0.5
            sections.append(
                (
                    float(z),
                    [
                        (middle - side * 6, -depth * 0.75),
                        (middle + side * 8, 0),
                        (middle - side * 2, depth * 0.62),
                    ],
                    [reach * 0.55, reach, reach * 1.05],
                )
            )
        build.canvas.fill([build.plate(sections, jitter_mm=2)], lung_hu, texture_hu=22)
        for _ in range(70):
            where = np.array([side * rng.uniform(25, 105), rng.uniform(-55, 60), rng.uniform(floor, 160)])
            along = rng.normal(0, 14, 3)
            radius = float(rng.uniform(0.7, 3.0))
            build.canvas.fill(
                build.rod([where.tolist(), (where + along).tolist()], [radius, radius * 0.6]),
                0.5 * (40 + build.person.contrast_hu) - 60,
            )


def _paint_heart(build: Builder) -> None:
    rng, person = build.rng, build.person
    build.canvas.fill([build.ball((22, -22, -8), (52, 44, 48), 3)], 45.0, texture_hu=6)
    build.canvas.fill([build.ball((28, -22, -8), (30, 26, 30), 3)], person.contrast_hu, edge_mm=6)
    build.canvas.fill(
        build.rod([(0, -20, 20), (0, -30, 70), (0, -15, 120), (0, 0, 180)], [38, 30, 28, 34]),
        -70.0,
        texture_hu=45,
        edge_mm=4,
    )
    paint_vessel(
        build,
        [(24, 24, -180), (24, 30, 40), (20, 24, 85), (2, -8, 98), (-8, -28, 60), (0, -20, 20)],
        [10, 12, 12, 13, 14, 14],
    )
    paint_vessel(build, [(-30, -18, 30), (-26, -18, 110), (-30, -12, 170)], [9, 8, 6])
    trachea = build.rod([(0, 5, 60), (0, 0, 120), (0, -8, 230)], [8, 8.5, 9])
    build.canvas.fill(build.rod([(0, 5, 60), (0, 0, 120), (0, -8, 230)], [10, 10.5, 11]), 40.0)
    build.canvas.fill(trachea, -980.0)
    # Calcified lymph nodes: bright, but no bone.
    for _ in range(int(rng.integers(0, 3))):
        node = build.ball((rng.uniform(-25, 25), rng.uniform(-10, 20), rng.uniform(40, 90)), [rng.uniform(1.5, 4)] * 3)
        build.canvas.fill([node], float(rng.uniform(200, 700)))


def _paint_abdomen(build: Builder, cage: NDArray[np.float64]) -> None:
    rng, person = build.rng, build.person
    fat = float(rng.normal(-100, 8))
    build.canvas.fill([build.ball((0, -12, -110), (cage[0] - 14, cage[1] - 18, 55), 2)], fat, texture_hu=8)
    enhancement = 0.25 * (person.contrast_hu - 45)
    build.canvas.fill([build.ball((-50, -10, -72), (72, 62, 55), 3)], 55 + enhancement, texture_hu=7)
    build.canvas.fill([build.ball((88, 28, -75), (28, 38, 42), 3)], 48 + enhancement, texture_hu=5)
    for side in (-1, 1):
        build.canvas.fill(
            [build.ball((side * 58, 42, -135), (26, 24, 46), 3)],
            40 + 0.6 * (person.contrast_hu - 45),
            texture_hu=5,
        )
        build.canvas.fill(
            build.rod(mirrored([(30, 74, -200), (28, 74, 160)], side), [24, 20], jitter_mm=2),
            52.0,
            texture_hu=12,
        )
    paint_bowel(build, (35, -45, -110), (60, 22, 50), int(rng.integers(4, 10)))


def _paint_spine(build: Builder, half_depth: float) -> None:
    rng = build.rng
    for level in range(-6, 10):
        z = level * _PITCH_MM
        size = float(np.interp(z, [-150, 0, 200], [21.0, 16.0, 12.5]))
        y = (
            half_depth
            - 52.0
            - 10.0 * np.sin((z + 160) / 380 * np.pi) * 0.3
            + float(np.interp(z, [-160, 0, 150, 215], [-12, 4, -6, -22]))
        )
        half = (size, size * 0.82, _PITCH_MM / 2 - float(rng.uniform(2.2, 3.4)))
        centre = (np.array([0.0, y, z]) + rng.normal(0, 0.7, 3)).tolist()
        paint_disc(build, (centre[0], centre[1], z - _PITCH_MM / 2), half, 3.5)
        paint_vertebra(build, centre, half, 12.0 if level > -4 else 3.0, thoracic=level > -4)


def _paint_rib(build: Builder, number: int, side: int, cage: NDArray[np.float64]) -> None:
    """Paint rib `number` (1 topmost) from its vertebra round the wall, and its cartilage to the sternum."""
    rng, person = build.rng, build.person
    head_z = (9 - number) * _PITCH_MM + 6.0
    drop = float(np.interp(number, [1, 4, 8, 12], [18, 62, 92, 55]))
    sweep = float(np.interp(number, [1, 7, 10, 11, 12], [0.80, 0.80, 0.66, 0.50, 0.36])) * float(rng.normal(1, 0.03))
    turns = np.linspace(0.0, sweep, 16)
    narrow = float(np.interp(number, [1, 2, 3, 4, 5, 12], [0.47, 0.63, 0.76, 0.87, 0.95, 1.0]))
    angles = np.pi / 2 - turns * np.pi * 0.97
    width, depth = cage[0] * narrow, (cage[1]) * narrow**0.6
    start = np.array([18.0, cage[1] - 40.0])
    along = np.abs(np.cos(angles)) ** 0.8 * np.sign(np.cos(angles)) * width
    back = np.abs(np.sin(angles)) ** 0.85 * np.sign(np.sin(angles)) * depth
    path = np.stack([along, back, head_z - drop * (turns / 0.8) ** 1.3], axis=-1)
    ease = np.clip(turns / 0.14, 0, 1)[:, None]
    path[:, :2] = (1 - ease) * start + ease * path[:, :2]
    path[:, 2] += 1.5 * unit_noise(rng, 16, 4.0)
    path[:, 0] += 0.8 * unit_noise(rng, 16, 4.0)
    points = mirrored(path.tolist(), side)
    thick = float(rng.normal(3.6, 0.35))
    radii = np.interp(np.arange(16), [0, 2, 12, 15], [4.2, thick, thick, thick + 0.8]).tolist()
    if number <= 10:
        _paint_cartilage(build, path[-1], number, side, cage)
    build.canvas.bone(
        PARTS["rib"], build.rod(points, radii, 1.75), person.tissue(0.95, 720, float(rng.normal(150, 40)))
    )


def _paint_cartilage(
    build: Builder, end: NDArray[np.float64], number: int, side: int, cage: NDArray[np.float64]
) -> None:
    rng = build.rng
    target = np.array([14.0, -cage[1] * 0.9, float(np.interp(number, [1, 7, 10], [112, -18, -48]))])
    middle = 0.5 * (end + target) + np.array([6.0, -3.0, -6.0])
    points = np.array(mirrored([end.tolist(), middle.tolist(), target.tolist()], side))
    build.canvas.fill(build.rod(points.tolist(), [4.6, 4.6, 4.4], 1.6), float(rng.uniform(75, 140)), texture_hu=10)
    if rng.random() < 0.45:
        # Calcified cartilage: a broken shell and crumbs, not bone.
        for _ in range(int(rng.integers(2, 9))):
            t = rng.random() * 0.9
            base = points[0] * (1 - t) + points[1] * t
            base = base + rng.normal(0, 2.2, 3)
            tip = base + rng.normal(0, 3.0, 3)
            build.canvas.fill(
                build.rod([base.tolist(), tip.tolist()], [rng.uniform(0.7, 1.8)] * 2),
                float(rng.uniform(220, 700)),
            )


def _paint_sternum(build: Builder, cage: NDArray[np.float64]) -> None:
    rng = build.rng
    front = -cage[1] * 0.93
    body = [
        (-30.0, [(-4, front + 2), (4, front + 2)], [3.0, 3.0]),
        (-12.0, [(-13, front), (13, front)], [4.5, 4.5]),
        (40.0, [(-12, front + 3), (12, front + 3)], [5.0, 5.0]),
        (84.0, [(-10, front + 9), (10, front + 9)], [5.0, 5.0]),
    ]
    manubrium = [
        (87.0, [(-11, front + 10), (11, front + 10)], [5.5, 5.5]),
        (110.0, [(-22, front + 19), (22, front + 19)], [6.5, 6.5]),
        (128.0, [(-17, front + 25), (17, front + 25)], [6.0, 6.0]),
    ]
    tissue = build.person.tissue(1.0, 560, float(rng.normal(110, 25)))
    for sections in (body, manubrium):
        build.canvas.bone(PARTS["sternum"], [build.plate(sections, jitter_mm=0.7)], tissue)


def _place_shoulder(build: Builder, arms_up: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the left shoulder joint and elbow in the average adult's frame."""
    joint = np.array([140.0, 10.0, 158.0] if arms_up else [155.0, 10.0, 135.0]) + build.rng.normal(0, 4, 3)
    return joint, joint + np.array([15.0, -20.0, 160.0] if arms_up else [28.0, 8.0, -280.0])


def _paint_shoulder_muscle(build: Builder, side: int, joint: NDArray[np.float64], reach: NDArray[np.float64]) -> None:
    canvas = build.canvas
    canvas.fill(build.rod(mirrored([(95, 20, 120), joint.tolist()], side), [62, 48]), -98.0, edge_mm=3)
    canvas.fill(build.rod(mirrored([(90, 20, 120), joint.tolist()], side), [55, 42]), 57.0, texture_hu=8)
    canvas.fill(build.rod(mirrored([(80, 58, 100), (95, 55, 0)], side), [24, 12]), 55.0, texture_hu=8)
    canvas.fill(build.rod(mirrored([joint.tolist(), reach.tolist()], side), [44, 38]), -98.0)
    canvas.fill(build.rod(mirrored([joint.tolist(), reach.tolist()], side), [37, 31]), 57.0, texture_hu=8)


def _paint_shoulder(
    build: Builder,
    side: int,
    cage: NDArray[np.float64],
    joint: NDArray[np.float64],
    reach: NDArray[np.float64],
) -> None:
    rng, person, canvas = build.rng, build.person, build.canvas
    front = -cage[1] * 0.93
    clavicle = [
        (18, front + 18, 128),
        (50, front + 14, 136),
        (90, front + 40, 146),
        tuple(joint + np.array([-14, 0, 26])),
    ]
    canvas.bone(
        PARTS["clavicle"],
        build.rod(mirrored([list(p) for p in clavicle], side), [9, 6, 5.5, 6.5], jitter_mm=1.0),
        person.tissue(1.8, 950, 130),
    )
    blade: Ribbon = build.plate(
        [
            (5.0, mirrored([(92, 66), (88, 68), (84, 70)], side), [3.0, 2.0, 2.0]),
            (40.0, mirrored([(108, 54), (92, 66), (74, 76)], side), [4.5, 1.7, 2.0]),
            (90.0, mirrored([(118, 40), (94, 60), (66, 76)], side), [5.5, 1.6, 2.2]),
            (125.0, mirrored([(126, 28), (98, 52), (66, 70)], side), [7.0, 2.4, 2.2]),
            (150.0, mirrored([(112, 26), (92, 46), (72, 62)], side), [4.0, 2.4, 2.0]),
        ],
        jitter_mm=3.0,
    )
    glenoid = joint + np.array([-26.0, 4.0, 0.0])
    scapula: list[Shape] = [blade]
    scapula += build.rod(mirrored([(122, 30, 122), glenoid.tolist()], side), [8, 13], 1.3)
    scapula += build.rod(
        mirrored([(72, 72, 126), (105, 68, 138), tuple(joint + np.array([0, 24, 24]))], side),
        [4, 4.5, 6],
        1.5,
        jitter_mm=1.0,
    )
    scapula += build.rod(mirrored([glenoid.tolist(), tuple(glenoid + np.array([2, -28, 12]))], side), [7, 5])
    head: list[Shape] = [build.ball(mirrored([joint.tolist()], side)[0], (22, 22, 22))]
    joint_space: list[Shape] = [build.ball(mirrored([joint.tolist()], side)[0], (25, 25, 25))]
    canvas.bone(PARTS["scapula"], scapula, person.tissue(1.1, 800, 160), without=[(joint_space, 0.0)])
    shaft_start = joint + 0.1 * (reach - joint)
    canvas.bone(PARTS["humerus"], head, person.tissue(1.3, 750, float(rng.normal(170, 40))))
    canvas.bone(
        PARTS["humerus"],
        build.rod(mirrored([shaft_start.tolist(), reach.tolist()], side), [16, 11]),
        person.tissue(3.6, 1350, 0),
    )
    canvas.fill(
        build.rod(mirrored([joint.tolist(), shaft_start.tolist()], side), [16, 10]),
        -40 + 200 * person.density,
        texture_hu=40,
        edge_mm=6,
    )
