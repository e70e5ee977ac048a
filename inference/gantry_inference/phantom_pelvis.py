"""A pelvis with femora, sacrum and lumbar spine, in the average adult's millimetres.

The origin lies midway between the femoral heads; x points left, y to the back, z to the head.
"""

from collections.abc import Sequence

import numpy as np

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
)
from gantry_inference.phantom_canvas import Shape

_HEAD = (88.0, 0.0, 0.0)
# The iliac wing: height, three points from front to back, half thicknesses.
_ILIUM = [
    (12.0, [(100, -32), (96, 0), (84, 30)], [8.0, 11.0, 9.0]),
    (25.0, [(113, -42), (99, -2), (80, 38)], [6.0, 11.0, 9.0]),
    (45.0, [(129, -50), (105, 2), (70, 55)], [5.0, 8.0, 10.0]),
    (62.0, [(138, -54), (107, 12), (54, 72)], [5.0, 5.0, 10.0]),
    (80.0, [(146, -50), (112, 18), (52, 80)], [5.0, 3.8, 10.5]),
    (100.0, [(148, -36), (116, 24), (56, 82)], [5.5, 3.5, 9.0]),
    (116.0, [(143, -15), (117, 30), (68, 74)], [5.5, 4.0, 6.5]),
    (130.0, [(132, 8), (118, 28), (98, 50)], [4.5, 4.0, 4.0]),
]
# The sacrum: height, five points from right to left, half thicknesses.
_SACRUM = [
    (-22.0, [(-5, 84), (-2, 85), (0, 85), (2, 85), (5, 84)], [3.0, 3.0, 3.0, 3.0, 3.0]),
    (5.0, [(-11, 95), (-5, 96), (0, 96), (5, 96), (11, 95)], [4.0, 5.0, 5.0, 5.0, 4.0]),
    (30.0, [(-30, 96), (-15, 94), (0, 94), (15, 94), (30, 96)], [4.5, 6.5, 8.0, 6.5, 4.5]),
    (55.0, [(-42, 88), (-20, 84), (0, 83), (20, 84), (42, 88)], [8.0, 9.0, 9.0, 9.0, 8.0]),
    (80.0, [(-47, 74), (-22, 64), (0, 61), (22, 64), (47, 74)], [11.0, 12.0, 12.0, 12.0, 11.0]),
    (102.0, [(-46, 64), (-22, 50), (0, 45), (22, 50), (46, 64)], [9.0, 13.0, 16.0, 13.0, 9.0]),
    (110.0, [(-40, 62), (-20, 48), (0, 42), (20, 48), (40, 62)], [5.0, 9.0, 14.0, 9.0, 5.0]),
]


def paint_pelvis(build: Builder) -> None:
    """Paint pelvis, femora, lower spine and the soft tissue around them."""
    rng, person = build.rng, build.person
    half_width, half_depth, centre_y = float(rng.normal(168, 8)), float(rng.normal(98, 7)), 18.0
    paint_trunk(build, half_width, half_depth, centre_y)
    _paint_cavity(build)
    _paint_gluteal_fat(build)
    paint_bowel(build, (0, -25, 90), (75, 35, 110), int(rng.integers(10, 24)))
    _paint_bladder(build)
    for side in (-1, 1):
        radius = float(rng.uniform(4.5, 7))
        paint_vessel(
            build,
            mirrored([(3, 2, 150), (28, 8, 110), (55, 5, 70), (75, -35, 20), (78, -48, -20), (84, -50, -90)], side),
            [radius + 1.5, radius, radius, radius, radius * 0.9, radius * 0.7],
        )
    paint_vessel(build, [(5, -2, 140), (8, -10, 250)], [9, 10])
    _paint_lumbar(build)
    sacrum = _paint_sacrum(build)
    for side, name in ((-1, "right"), (1, "left")):
        _paint_hip(build, side, PARTS[f"hip_{name}"], sacrum)
        _paint_femur(build, side, PARTS[f"femur_{name}"])
    if person.arms:
        paint_forearms(build, half_width * person.scale[0] + 16 * person.fatness)
    back_y = (centre_y + half_depth) * float(person.scale[1]) + 16.0 * person.fatness
    paint_couch(build, back_y)


def _paint_cavity(build: Builder) -> None:
    """Paint the fat that fills the abdomen and small pelvis, and the psoas and gluteal muscles."""
    canvas, rng = build.canvas, build.rng
    fat = float(rng.normal(-100, 8))
    canvas.fill([build.ball((0, -25, 120), (120, 62, 90), 3)], fat, texture_hu=8, edge_mm=3)
    canvas.fill([build.ball((0, 15, 20), (68, 62, 75), 3)], fat, texture_hu=8, edge_mm=3)
    for side in (-1, 1):
        canvas.fill(
            build.rod(
                mirrored([(40, 15, 240), (48, 15, 130), (72, -15, 60), (88, -28, 0), (108, 15, -60)], side),
                [22, 25, 20, 15, 9],
                jitter_mm=2,
            ),
            58.0,
            texture_hu=7,
        )
        canvas.fill(
            build.rod(mirrored([(35, 95, 240), (32, 98, 90)], side), [26, 20], jitter_mm=2),
            52.0,
            texture_hu=12,
        )


def _paint_gluteal_fat(build: Builder) -> None:
    """Paint fat planes between the muscles, so that muscle is not one flat grey."""
    rng = build.rng
    for _ in range(14):
        side = rng.choice([-1, 1])
        start = [side * rng.uniform(40, 150), rng.uniform(-70, 100), rng.uniform(-120, 100)]
        end = [start[0] + rng.normal(0, 25), start[1] + rng.normal(0, 25), start[2] + rng.normal(0, 60)]
        build.canvas.fill(build.rod([start, end], [rng.uniform(1, 5), rng.uniform(1, 5)], 2.5), -95.0, edge_mm=2)


def _paint_bladder(build: Builder) -> None:
    rng = build.rng
    size = rng.uniform(0.6, 1.25)
    centre = (rng.normal(0, 4), -12 + rng.normal(0, 5), 8 + 12 * size)
    radii = np.array([42, 30, 28]) * size
    build.canvas.fill([build.ball(centre, (radii + 3).tolist())], 40.0)
    bladder = build.ball(centre, radii.tolist())
    build.canvas.fill([bladder], float(rng.uniform(0, 15)))
    if build.person.bladder_contrast:
        # Contrast agent is heavier than urine and layers at the back.
        layer = build.ball((centre[0], centre[1] + 6, centre[2]), (radii * 0.8).tolist())
        build.canvas.fill([layer], float(rng.uniform(200, 900)), edge_mm=6)
    rectum = build.rod([(0, 60, -30), (rng.normal(0, 5), 68, 10), (rng.normal(0, 10), 62, 60)], [15, 19, 16])
    build.canvas.fill(rectum, 40.0, texture_hu=10)
    inner = build.rod([(0, 60, -30), (0, 66, 10), (0, 62, 60)], [5, 13, 9])
    build.canvas.fill(inner, float(rng.choice([-900.0, -30.0, 60.0])), texture_hu=40)
    for _ in range(int(rng.integers(0, 5))):
        stone = build.ball(
            (rng.uniform(-60, 60), rng.uniform(10, 60), rng.uniform(-30, 10)), [rng.uniform(1.2, 2.8)] * 3
        )
        build.canvas.fill([stone], float(rng.uniform(250, 700)))


def _paint_lumbar(build: Builder) -> None:
    place = np.array([0.0, 34.0, 128.0])
    for level in range(4):
        half = (23.5 - 0.8 * level, 16.0, 12.5)
        centre = (place + build.rng.normal(0, 0.8, 3)).tolist()
        paint_disc(build, (centre[0], centre[1], centre[2] - half[2] - 5), half, 6)
        paint_vertebra(build, centre, half, 2.0, thoracic=False)
        place = place + np.array([0.0, -10.0 + 5.0 * level, 35.0])


def _paint_sacrum(build: Builder) -> list[Shape]:
    rng = build.rng
    body: list[Shape] = [build.plate(_SACRUM, jitter_mm=1.5)]
    crest = build.rod([(0, 66, 108), (0, 84, 80), (0, 104, 55), (0, 108, 30)], [5.0, 4.0, 3.5, 3.0], 2.0, jitter_mm=1.0)
    arch: list[Shape] = []
    for side in (-1, 1):
        arch += build.rod(
            mirrored([(20, 66, 104), (13, 88, 78), (9, 102, 52), (6, 106, 30)], side),
            [5.0, 4.5, 4.0, 3.0],
            1.5,
            jitter_mm=1.0,
        )
    canal = build.rod([(0, 66, 116), (0, 77, 80), (0, 95, 52), (0, 102, 32)], [8.0, 7.0, 5.0, 2.5])
    holes: list[Shape] = []
    for side in (-1, 1):
        for z, y, reach in ((88.0, 62.0, 22.0), (64.0, 80.0, 19.0), (42.0, 91.0, 15.0)):
            holes += build.rod([(side * (reach + 3), y - 16, z - 6), (side * reach, y + 20, z + 3)], [4.5, 3.5])
    build.canvas.fill(canal, 20.0)
    tissue = build.person.tissue(1.2, 600, float(rng.normal(130, 30)))
    build.canvas.bone(PARTS["sacrum"], body + crest + arch, tissue, without=[(canal, 0.0), (holes, 0.0)])
    return body


def _paint_hip(build: Builder, side: int, part: int, sacrum: Sequence[Shape]) -> None:
    rng = build.rng
    sections = [(z, mirrored(points, side), radii) for z, points, radii in _ILIUM]
    wing = build.plate(sections, jitter_mm=3.0)
    head = mirrored([_HEAD], side)[0]
    cup: list[Shape] = [
        build.ball((side * 80, 2, 8), (28, 33, 30)),
        build.ball((side * 90, -4, 24), (22, 24, 14)),
    ]
    # The socket: room for the head and its cartilage, open to the side.
    socket: list[Shape] = [build.ball(head, [26.5, 26.5, 26.5])]
    socket += build.rod([head, mirrored([(140, -6, -26)], side)[0]], [26.0, 40.0])
    pubis = build.rod(mirrored([(74, -22, -6), (45, -42, -14), (15, -46, -28)], side), [10.0, 7.5, 8.5], jitter_mm=1.0)
    pubis += build.rod(mirrored([(13, -45, -24), (12, -42, -48)], side), [7.5, 7.0])
    pubis += build.rod(
        mirrored([(13, -42, -48), (32, -14, -66), (52, 22, -80)], side), [6.0, 5.5, 9.0], 1.3, jitter_mm=1.0
    )
    ischium = build.rod(
        mirrored([(74, 28, 5), (70, 36, -25), (58, 34, -70)], side), [13.0, 12.0, 14.0], 1.2, jitter_mm=1.0
    )
    symphysis: list[Shape] = build.rod([(0, -45, -10), (0, -42, -60)], [float(rng.uniform(2.0, 4.5))] * 2)
    build.canvas.fill(socket[:1], 85.0, texture_hu=6)
    build.canvas.bone(
        part,
        [wing, *cup, *pubis, *ischium],
        build.person.tissue(1.8, 850, float(rng.normal(110, 30))),
        without=[(socket, 0.0), (list(sacrum), float(rng.uniform(1.2, 2.8))), (symphysis, 0.0)],
    )


def _paint_femur(build: Builder, side: int, part: int) -> None:
    rng, person = build.rng, build.person
    head = mirrored([_HEAD], side)[0]
    turn = float(rng.normal(0, 10))
    upper: list[Shape] = [build.ball(head, [22.8, 22.8, 22.8])]
    neck_end = mirrored([(128, 10 + turn * 0.6, -26)], side)[0]
    upper += build.rod([head, neck_end], [16.0, 18.0])
    upper.append(build.ball((side * 140, 16 + turn, -22), (15, 20, 23), 1.0))
    build.canvas.bone(part, upper, person.tissue(1.6, 800, float(rng.normal(230, 35))))
    shaft = build.rod(
        [
            mirrored([(132, 12 + turn * 0.5, -34)], side)[0],
            mirrored([(124, 10, -75)], side)[0],
            mirrored([(112, 0, -400)], side)[0],
        ],
        [21.0, 16.5, 14.5],
    )
    shaft.append(build.ball((side * 116, 26, -64), (9, 10, 12), 1.0))
    build.canvas.bone(part, shaft, person.tissue(5.0, 1450, -10))
    # The spongy upper end runs into the marrow of the shaft without a wall between them.
    inner = build.rod([head, neck_end, mirrored([(128, 11 + turn * 0.4, -52)], side)[0]], [13.0, 14.0, 11.0])
    build.canvas.fill(inner, -40.0 + 240.0 * person.density, texture_hu=45, edge_mm=8)
