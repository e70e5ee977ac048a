"""Volume frames of the CPU engine against VTK's fixed-point ray caster in the same run: time and likeness.

Bone preset under a headlight, twelve views around the patient, 512 x 512. Likeness is the structural similarity over
object pixels to a brute-force picture in steps of 0.1 mm, of three of the views. Beside elapsed time the details hold
processor time, which a busy machine disturbs less. Then the chest again by a processor that is told to do without
AVX-512, and planes through it, without a peer.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / folder) for folder in ("rendering", "inference", "tests/support")]

from bench_result import write_result  # noqa: E402  # the path stands above
from gantry_imaging.volume import Volume  # noqa: E402  # as above
from gantry_inference.phantoms import generate_pelvis  # noqa: E402  # as above
from gantry_render.engine.cpu import CpuEngine  # noqa: E402  # as above
from gantry_render.engine.lanes import WIDTH  # noqa: E402  # as above
from gantry_render.engine.mpr import orthogonal_plane, sample_plane  # noqa: E402  # as above
from gantry_render.presets import Shading, get_preset  # noqa: E402  # as above
from gantry_render.protocol import SlabMode  # noqa: E402  # as above
from gantry_render.scene import Camera, Plane, Scene, Tier  # noqa: E402  # as above
from render_reference import FixedPoint, draw_reference, object_ssim  # noqa: E402  # as above

PEER = "VTK fixed-point ray caster"
UNPACK = ROOT.parent / "shared" / "data" / "unpack.py"
PRESET = replace(get_preset("CT-Bone"), shading=Shading(0.22, 0.78, 0.0, 1.0, (0.0, 0.0, 1.0)))
SIDE, VIEWS, JUDGED, ROUNDS = 512, 12, (0, 3, 8), 3
# What the kernels may use of a processor that is told to do without AVX-512.
AVX2 = frozenset(
    f"+{each}"
    for each in (
        "64bit", "aes", "avx", "avx2", "bmi", "bmi2", "cmov", "cx16", "cx8", "f16c", "fma", "fxsr", "lzcnt", "mmx", "movbe",
        "pclmul", "popcnt", "sahf", "sse", "sse2", "sse3", "sse4.1", "sse4.2", "ssse3", "xsave", "xsaveopt",
    )
)  # fmt: skip
# Likeness and milliseconds of a moving frame that are asked for.
BARS = {"pelvis": (0.90, 20.0), "chest": (0.84, 50.0), "phantom": (None, None)}


def read_series(name: str) -> Volume | None:
    """Return the CT of a real set, or None where it is not there."""
    import pydicom

    from gantry_imaging.series import SliceHeader, assemble_volume

    if not UNPACK.is_file():
        return None
    done = subprocess.run([sys.executable, str(UNPACK), name], check=True, capture_output=True, text=True)
    datasets = []
    for path in sorted(Path(done.stdout.strip().splitlines()[-1]).rglob("*")):
        try:
            dataset = pydicom.dcmread(path) if path.is_file() else None
        except pydicom.errors.InvalidDicomError:
            continue
        if dataset is not None and "PixelData" in dataset:
            datasets.append(dataset)
    headers = [
        SliceHeader(
            str(d.SOPInstanceUID),
            int(d.InstanceNumber),
            0,
            tuple(map(float, d.ImagePositionPatient)),  # type: ignore[arg-type]  # three
            tuple(map(float, d.ImageOrientationPatient)),  # type: ignore[arg-type]  # six
            tuple(map(float, d.PixelSpacing)),  # type: ignore[arg-type]  # two
            int(d.Rows),
            int(d.Columns),
        )
        for d in datasets
    ]
    return assemble_volume(
        headers,
        lambda n: datasets[n].pixel_array * float(datasets[n].RescaleSlope) + float(datasets[n].RescaleIntercept),
    )


def time_ms(work: Callable[[], object]) -> tuple[float, float]:
    """Return elapsed and processor time, of a few rounds the best: what it costs when nothing else runs."""
    rounds = []
    for _ in range(ROUNDS):
        begin, begin_cpu = time.perf_counter(), time.process_time()
        work()
        rounds.append((time.perf_counter() - begin, time.process_time() - begin_cpu))
    elapsed, processor = (1e3 * min(column) for column in zip(*rounds, strict=True))
    return elapsed, processor


def make_scenes(volume: Volume) -> list[Scene]:
    """Return the views around a volume."""
    angles = np.linspace(0, 2 * np.pi, VIEWS, endpoint=False)
    cameras = [Camera.looking_at(volume, (np.sin(a), np.cos(a), 0.15), (0, 0, 1), zoom=1.35) for a in angles]
    return [Scene(camera, SIDE, SIDE, PRESET) for camera in cameras]


def measure(name: str, volume: Volume) -> None:
    """Draw all views both ways and write the results."""
    load = os.getloadavg()[0]
    scenes = make_scenes(volume)
    CpuEngine().load(volume).render(scenes[0])
    begin = time.perf_counter()
    loaded = CpuEngine().load(volume)
    loaded.render(scenes[1])
    first_ms = 1e3 * (time.perf_counter() - begin)
    loaded.render(replace(scenes[0], tier=Tier.MOTION))
    begin = time.perf_counter()
    vtk = FixedPoint(volume)
    vtk.prepare(scenes[1])
    vtk.draw()
    vtk_first_ms = 1e3 * (time.perf_counter() - begin)
    ours, moving, theirs, covered, likeness = [], [], [], [], []
    for number, scene in enumerate(scenes):
        # Side by side, view by view, so that a busy machine is busy for both.
        ours.append(time_ms(lambda scene=scene: loaded.render(scene)))  # type: ignore[misc]  # bound at once
        vtk.look(scene)
        theirs.append(time_ms(vtk.draw))
        moving.append(time_ms(lambda scene=scene: loaded.render(replace(scene, tier=Tier.MOTION))))  # type: ignore[misc]
        if number in JUDGED:
            reference, mask = draw_reference(volume, scene)
            covered.append(float(mask.mean()))
            likeness.append(
                [object_ssim(loaded.render(scene).rgb, reference, mask), object_ssim(vtk.grab(), reference, mask)]
            )
    like, vtk_like = np.mean(likeness, axis=0)
    least, moving_bar = BARS[name]
    details: dict[str, Any] = {
        "shape_kji": volume.shape_kji,
        "object_share": round(float(np.mean(covered)), 3),
        "views_ms": [round(t, 1) for t, _ in ours],
        "peer_views_ms": [round(t, 1) for t, _ in theirs],
        "processor_ms": round(float(np.mean(ours, axis=0)[1]), 1),
        "peer_processor_ms": round(float(np.mean(theirs, axis=0)[1]), 1),
        "processor_ratio": round(float(np.median(np.array(ours)[:, 1] / np.array(theirs)[:, 1])), 3),
        "moving_views_ms": [round(t, 1) for t, _ in moving],
        "moving_processor_ms": round(float(np.mean(moving, axis=0)[1]), 1),
        "peer_first_ms": round(vtk_first_ms, 1),
    }

    def write(
        what: str, unit: str, value: float, other: float | None, bar: float | None, *, higher: bool = False
    ) -> None:
        write_result(
            f"render_volume_{name}_{what}",
            unit=unit,
            better="higher" if higher else "lower",
            ours=value,
            peer=other,
            peer_name=PEER if other else "",
            bar=bar,
            load_before=load,
            details=details,
        )

    elapsed, peer_elapsed = float(np.mean(ours, axis=0)[0]), float(np.mean(theirs, axis=0)[0])
    write("settled", "ms a frame", elapsed, peer_elapsed, 0.5 * peer_elapsed)
    write("likeness", "SSIM", float(like), float(vtk_like), least, higher=True)
    write("moving", "ms a frame", float(np.mean(moving, axis=0)[0]), None, moving_bar)
    write("first", "ms", first_ms, vtk_first_ms, None if least is None else 250.0)


def measure_without_avx512(series: str) -> None:
    """Have a process of its own, whose kernels are compiled for less, draw the settled views."""
    from numba.core import codegen

    features = [each for each in str(codegen.get_host_cpu_features()).split(",") if each in AVX2]  # type: ignore[no-untyped-call]  # numba's
    if "+avx2" not in features:
        return
    environment = {**os.environ, "NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": ",".join(features)}
    subprocess.run([sys.executable, __file__, series], env=environment, check=True)


def measure_settled(name: str, volume: Volume) -> None:
    """Draw all views settled, both ways, and write processor time: elapsed time says less beside a second process."""
    load = os.getloadavg()[0]
    loaded, vtk, scenes = CpuEngine().load(volume), FixedPoint(volume), make_scenes(volume)
    loaded.render(scenes[0])
    vtk.prepare(scenes[0])
    ours, theirs = [], []
    for scene in scenes:
        ours.append(time_ms(lambda scene=scene: loaded.render(scene))[1])  # type: ignore[misc]  # bound at once
        vtk.look(scene)
        theirs.append(time_ms(vtk.draw)[1])
    write_result(
        f"render_volume_{name}_settled_avx2",
        unit="processor ms a frame",
        better="lower",
        ours=float(np.mean(ours)),
        peer=float(np.mean(theirs)),
        peer_name=PEER,
        bar=0.5 * float(np.mean(theirs)),
        load_before=load,
        details={"lanes": WIDTH, "compiled_for": os.environ.get("NUMBA_CPU_NAME", "")},
    )


def measure_planes(volume: Volume) -> None:
    """Cut planes of about 512 x 512 and write the results."""
    load = os.getloadavg()[0]
    x, y, z = (volume.lps_from_ijk @ [*(side / 2 for side in volume.shape_kji[::-1]), 1.0])[:3]
    row = np.array([0.9, 0.3, 0.1]) / np.linalg.norm([0.9, 0.3, 0.1])
    column = np.cross(row, [0.2, -0.5, 0.9])
    column /= np.linalg.norm(column)
    corner = np.array([x, y, z]) - 180 * (row + column)

    def oblique(slab_mm: float, mode: SlabMode) -> Plane:
        return Plane(tuple(corner), tuple(row), tuple(column), (360 / 511, 360 / 511), 512, 512, slab_mm, mode)

    planes = {
        "oblique": oblique(0.0, SlabMode.NONE),
        "oblique_mip_20mm": oblique(20.0, SlabMode.MIP),
        "coronal": orthogonal_plane(volume, "coronal", (x, y, z)),
        "coronal_mip_20mm": orthogonal_plane(volume, "coronal", (x, y, z), slab_mm=20.0, mode=SlabMode.MIP),
    }
    for name, plane in planes.items():
        sample_plane(volume, plane)
        elapsed, processor = time_ms(lambda plane=plane: sample_plane(volume, plane))  # type: ignore[misc]  # at once
        write_result(
            f"render_plane_{name}",
            unit="ms",
            better="lower",
            ours=elapsed,
            peer=None,
            peer_name="",
            bar=None,
            load_before=load,
            details={"columns": plane.columns, "rows": plane.rows, "processor_ms": round(processor, 2)},
        )


def main() -> None:
    """Measure a phantom and, where they are, two real patients; or one of these alone, as compiled for less."""
    if len(sys.argv) > 1:
        volume = read_series(sys.argv[1])
        assert volume is not None  # whoever asked has seen it
        measure_settled("chest", volume)
        return
    measure("phantom", generate_pelvis(11, shape_kji=(100, 256, 256), spacing_ijk_mm=(1.6, 1.6, 2.4)).volume)
    for name, series in (("pelvis", "ct-pelvis-vhf"), ("chest", "ct-chest-lidc0314")):
        volume = read_series(series)
        if volume is not None:
            measure(name, volume)
            if name == "chest":
                measure_without_avx512(series)
                measure_planes(volume)


if __name__ == "__main__":
    main()
