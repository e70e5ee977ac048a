"""Kernels are compiled before anybody waits for them, also where the installation may only be read."""

import os
import subprocess
import sys
from pathlib import Path

from gantry_render.engine import jit

ROOT = Path(__file__).resolve().parents[2]
DRAW = """
import numpy as np
from gantry_imaging.volume import Volume
from gantry_render.engine.cpu import CpuEngine
from gantry_render.engine.jit import count_kernels
from gantry_render.engine.mpr import orthogonal_plane, sample_plane
from gantry_render.presets import PRESETS
from gantry_render.protocol import SlabMode
from gantry_render.scene import Camera, LabelOverlay, Scene, SurfaceMesh, Tier

voxels = np.random.default_rng(1).integers(-1000, 2000, (33, 34, 35)).astype(np.int16)
mesh = SurfaceMesh(np.eye(3, dtype=np.float32) * 20, np.array([[0, 1, 2]], np.int32), (1.0, 0.0, 0.0, 0.5), False)
for volume in (Volume(voxels, np.eye(4)), Volume(voxels.astype(np.float32), np.eye(4))):
    loaded = CpuEngine().load(volume)
    camera = Camera.looking_at(volume, (0.3, 1.0, 0.1), (0, 0, 1))
    overlay = LabelOverlay((voxels > 900).astype(np.uint8), {1: (1.0, 0.0, 0.0, 0.8)})
    for preset in PRESETS.values():
        for tier in Tier:
            loaded.render(Scene(camera, 40, 30, preset, tier=tier))
            loaded.render(Scene(camera, 40, 30, preset, tier=tier, overlay=overlay, meshes=[mesh]))
    for name in ("axial", "coronal", "sagittal"):
        for mode in SlabMode:
            sample_plane(volume, orthogonal_plane(volume, name, (9.0, 9.3, 9.0), slab_mm=5.0, mode=mode))
loaded, compiled = count_kernels()
print(f"{loaded > 5} {compiled}")
"""


def run(folder: str, *words: str) -> str:
    paths = os.pathsep.join(str(ROOT / part) for part in ("rendering", "inference", "platform"))
    environment = {"PATH": os.defpath, "NUMBA_CACHE_DIR": folder, "PYTHONPATH": paths, "HOME": "/nowhere"}
    done = subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


def test_nothing_is_compiled_by_a_fresh_process_when_kernels_were_warmed(tmp_path: Path) -> None:
    assert not run(str(tmp_path), "-m", "gantry_render.warm").startswith("0 kernels compiled")
    assert run(str(tmp_path), "-m", "gantry_render.warm").startswith("0 kernels compiled")
    assert run(str(tmp_path), "-c", DRAW) == "True 0"


def test_kernels_run_when_nothing_can_be_kept_where_they_should() -> None:
    draw = "import numpy as np; from gantry_render.engine.bricks import halve; print(halve(np.ones((4, 4, 4), np.int16)).sum())"
    assert run("/proc/no-folder-can-be-made-here", "-c", draw) == "8"


def test_kernels_are_copied_for_this_process_alone_when_their_folder_may_only_be_read(tmp_path: Path) -> None:
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "raycast.nbi").write_bytes(b"index")
    copy = jit._copy_of(tmp_path)
    assert copy is not None
    assert (copy / "engine" / "raycast.nbi").read_bytes() == b"index"
    assert copy.stat().st_mode & 0o077 == 0


def test_kernels_are_judged_by_their_sources_contents_when_they_are_ours() -> None:
    locator = jit._Locator.from_function(None, jit.__file__)
    assert locator is not None
    assert locator.get_source_stamp() == jit._digest()
    assert jit._Locator.from_function(None, os.__file__) is None
