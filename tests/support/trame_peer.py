"""trame-rca with VTK's fixed-point ray caster, tuned, as the peer of a benchmark: the scene of ours, turned by its own page.

Tuned means: a target of 120 frames a second and mouse events every 8 ms (its defaults, 30 and 100 ms, paint fewer
frames), and VTK's own choice of coarser rays while the mouse is down. Its encoder and qualities are left as they are.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final, Self

ROOT: Final = Path(__file__).resolve().parents[2]
SIDE: Final = 512


def why_no_trame() -> str | None:
    """Return why the peer cannot run here, or None."""
    if importlib.util.find_spec("trame_rca") is None:
        return "trame-rca is not installed (it comes with the development packages: scripts/bootstrap dev)."
    return None


def serve(folder: Path, port: int, kept: Path | None, target_fps: float, throttle_ms: int) -> None:
    """Serve the scene until ended. With `kept`, every frame that is sent is written there with the camera it shows."""
    # Neither typed nor there for everybody.
    get_server = importlib.import_module("trame.app").get_server
    div_layout = importlib.import_module("trame.ui.html").DivLayout
    rca = importlib.import_module("trame.widgets.rca")
    from vtkmodules.vtkInteractionStyle import vtkInteractorStyleTrackballCamera
    from vtkmodules.vtkRenderingCore import vtkRenderer, vtkRenderWindowInteractor, vtkVolume
    from vtkmodules.vtkRenderingOpenGL2 import vtkEGLRenderWindow
    from vtkmodules.vtkRenderingVolume import vtkFixedPointVolumeRayCastMapper

    from gantry_render.engine.vtk_gpu import aim, image_of, matrix_of, property_of
    from real_ct import read_ct
    from render_scene import bone_scene

    importlib.import_module("vtkmodules.vtkRenderingVolumeOpenGL2")
    volume = read_ct(folder)
    scene = bone_scene(volume, SIDE)
    mapper = vtkFixedPointVolumeRayCastMapper()
    mapper.SetInputData(image_of(volume.voxels_kji, volume))
    actor = vtkVolume()
    actor.SetMapper(mapper)
    actor.SetUserMatrix(matrix_of(volume))
    actor.SetProperty(property_of(scene.preset))
    renderer = vtkRenderer()
    renderer.AddVolume(actor)
    window = vtkEGLRenderWindow()
    window.SetMultiSamples(0)
    window.SetSize(SIDE, SIDE)
    window.AddRenderer(renderer)
    interactor = vtkRenderWindowInteractor()
    interactor.SetRenderWindow(window)
    interactor.SetInteractorStyle(vtkInteractorStyleTrackballCamera())
    interactor.Initialize()
    aim(renderer, scene)
    renderer.ResetCameraClippingRange()

    server: Any = get_server("peer", client_type="vue3")
    with div_layout(server, style="margin:0;background:#000") as layout:
        layout.root.style = f"margin:0;width:{SIDE}px;height:{SIDE}px"
        area = rca.RemoteControlledArea(
            name="scene", display="image", event_throttle_ms=throttle_ms, style=f"width:{SIDE}px;height:{SIDE}px"
        )
        handler = area.create_view_handler(window, encoder="jpeg", target_fps=target_fps)
    if kept is not None:
        _keep(handler, renderer, kept)
    server.start(
        host="127.0.0.1", port=port, open_browser=False, show_connection_info=False, timeout=0, exec_mode="main"
    )


def _keep(handler: Any, renderer: Any, kept: Path) -> None:
    """Write down every frame that goes out and the camera of that time."""
    send = handler.push
    cameras: list[list[float]] = []
    numbers = itertools.count()
    render = handler._rca._render

    def note() -> None:
        render()
        camera = renderer.GetActiveCamera()
        cameras.append([*camera.GetPosition(), *camera.GetFocalPoint(), *camera.GetViewUp(), camera.GetParallelScale()])

    def push(content: bytes, meta: dict[str, Any]) -> None:
        # Frames leave in the order in which they were drawn.
        number = next(numbers)
        (kept / f"{number:05}.json").write_text(json.dumps({"camera": cameras[number], **meta}), encoding="utf-8")
        (kept / f"{number:05}.jpg").write_bytes(content)
        send(content, meta)

    handler._rca._render = note
    handler._scheduler.set_push_callback(push)


class TramePeer:
    """The peer in a process of its own."""

    def __init__(
        self, folder: Path, kept: Path | None = None, *, target_fps: float = 120.0, throttle_ms: int = 8
    ) -> None:
        from gantry.embedded.ports import first_free_ports

        self.port = first_free_ports(19_400)[0]
        words = [str(folder), str(self.port), f"--target-fps={target_fps}", f"--throttle-ms={throttle_ms}"]
        if kept is not None:
            words.append(f"--kept={kept}")
        self._command = [sys.executable, str(Path(__file__)), *words]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        from embedded_stack import wait_until

        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self._answers, "trame answers", 60.0)
        return self

    def _answers(self) -> bool:
        import httpx

        assert self._process is not None
        assert self._process.poll() is None, "the peer has ended"
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/index.html").status_code == 200
        except httpx.TransportError:
            return False

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _main() -> None:
    sys.path[:0] = [str(ROOT / "rendering"), str(ROOT / "platform")]
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("port", type=int)
    parser.add_argument("--kept", type=Path)
    parser.add_argument("--target-fps", type=float, default=120.0)
    parser.add_argument("--throttle-ms", type=int, default=8)
    words = parser.parse_args()
    # trame reads the command line too.
    sys.argv[1:] = []
    serve(words.folder, words.port, words.kept, words.target_fps, words.throttle_ms)


if __name__ == "__main__":
    _main()
