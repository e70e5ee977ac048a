"""The engine for machines with a graphics processor: VTK's volume mapper, off screen through EGL.

OpenGL contexts belong to the thread that made them, so that all of it happens on one thread of the engine's own.
"""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from gantry_imaging.volume import Volume
from gantry_render.engine.port import Picture
from gantry_render.errors import EngineError, FrameCancelledError, SceneError
from gantry_render.presets import Blend, Preset, Shading
from gantry_render.scene import LabelOverlay, Scene, SurfaceMesh, Tier

_T = TypeVar("_T")

_STEP: Final = {Tier.SETTLED: 0.5, Tier.MOTION: 1.0}
_OWN_RANGE: Final = (1.0, 99.9)
# Asked in a process of its own: a broken driver ends the asker.
_PROBE: Final = """
from vtkmodules.vtkRenderingOpenGL2 import vtkEGLRenderWindow
window = vtkEGLRenderWindow()
window.SetSize(8, 8)
window.Render()
print([line for line in window.ReportCapabilities().splitlines() if "renderer string" in line][0].split(":", 1)[1].strip())
"""


@lru_cache(maxsize=1)
def describe_renderer() -> str | None:
    """Return what the OpenGL behind EGL calls itself, or None where there is none. Takes a second, once."""
    try:
        done = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = done.stdout.strip().splitlines()
    return lines[-1] if done.returncode == 0 and lines else None


class VtkGpuEngine:
    """Draws with vtkOpenGLGPUVolumeRayCastMapper."""

    name = "vtk-gpu"

    def predicted_bytes(self, shape_kji: tuple[int, int, int], bytes_per_voxel: int) -> int:
        """Return the texture, which VTK keeps beside the array it was made of."""
        return 2 * bytes_per_voxel * int(np.prod(shape_kji))

    def load(self, volume: Volume, half_kji: NDArray[Any] | None = None) -> "VtkVolume":  # needs none
        """Hand the voxels to VTK; they reach the graphics memory with the first picture."""
        if describe_renderer() is None:
            raise EngineError("engine.unavailable", "EGL offers no OpenGL here.")
        return VtkVolume(volume)


class VtkVolume:
    """A volume in graphics memory, with a window of its own."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="vtk")
        self._closed = False
        self._do(self._open)

    @property
    def size_bytes(self) -> int:
        """Texture and array."""
        return 0 if self._closed else 2 * self._volume.voxels_kji.nbytes

    def render(self, scene: Scene, cancelled: Callable[[], bool] | None = None) -> Picture:
        """Draw on the engine's thread, one picture after the other; one that waits for its turn may be cancelled."""
        if self._closed:
            raise EngineError("engine.closed", "The volume was closed.")

        def draw() -> Picture:
            if cancelled is not None and cancelled():
                raise FrameCancelledError
            return self._draw(scene)

        return self._do(draw)

    def close(self) -> None:
        """Free the graphics memory and overwrite the copy."""
        if not self._closed:
            self._closed = True
            self._do(self._release)
            self._thread.shutdown()

    def _do(self, work: Callable[[], _T]) -> _T:
        return self._thread.submit(work).result()

    def _open(self) -> None:
        from vtkmodules.vtkRenderingCore import vtkRenderer, vtkVolume
        from vtkmodules.vtkRenderingOpenGL2 import vtkEGLRenderWindow
        from vtkmodules.vtkRenderingVolumeOpenGL2 import vtkOpenGLGPUVolumeRayCastMapper

        self._copy = np.array(self._volume.voxels_kji)
        self._image = image_of(self._copy, self._volume)
        self._mapper = vtkOpenGLGPUVolumeRayCastMapper()
        self._mapper.SetInputData(self._image)
        self._mapper.AutoAdjustSampleDistancesOff()
        self._mapper.UseJitteringOff()
        self._actor = vtkVolume()
        self._actor.SetMapper(self._mapper)
        self._renderer = vtkRenderer()
        self._renderer.AddVolume(self._actor)
        self._window = vtkEGLRenderWindow()
        self._window.SetMultiSamples(0)
        self._window.AddRenderer(self._renderer)
        sample = self._copy.reshape(-1)[:: max(1, self._copy.size // 200_000)]
        low, high = np.percentile(sample, _OWN_RANGE)
        self._own_range = float(low), float(max(high, low + 1e-6))
        self._actors: list[Any] = []

    def _draw(self, scene: Scene) -> Picture:
        from vtkmodules.util.numpy_support import vtk_to_numpy
        from vtkmodules.vtkRenderingCore import vtkWindowToImageFilter

        if scene.overlay is not None and scene.overlay.labels_kji.shape != self._volume.shape_kji:
            raise SceneError("scene.bad_overlay", "The label map does not lie on the volume's grid.")
        preset = scene.preset.scaled(
            *(self._own_range if scene.preset.relative else (0.0, 1.0)), scene.window_shift, scene.window_scale
        )
        self._actor.SetProperty(property_of(preset, scene.overlay))
        blends = {Blend.COMPOSITE: 0, Blend.MIP: 1, Blend.MINIP: 2}
        self._mapper.SetBlendMode(blends[preset.blend])
        self._mapper.SetSampleDistance(float(self._volume.spacing_ijk_mm.min()) * _STEP[scene.tier])
        self._mask(scene.overlay)
        self._crop(scene)
        for actor in self._actors:
            self._renderer.RemoveActor(actor)
        self._actors = [actor_of(mesh, preset.shading or Shading()) for mesh in scene.meshes]
        for actor in self._actors:
            self._renderer.AddActor(actor)
        self._renderer.SetBackground(*(part / 255 for part in scene.background))
        width, height = scene.frame_size
        self._window.SetSize(width, height)
        aim(self._renderer, scene)
        self._window.Render()
        grab = vtkWindowToImageFilter()
        grab.SetInput(self._window)
        grab.ReadFrontBufferOff()
        grab.ShouldRerenderOff()
        grab.Update()
        pixels = vtk_to_numpy(grab.GetOutput().GetPointData().GetScalars())  # type: ignore[no-untyped-call]  # VTK's
        rgb: NDArray[np.uint8] = pixels.reshape(height, width, 3)[::-1]
        return Picture(np.ascontiguousarray(rgb), None)

    def _mask(self, overlay: LabelOverlay | None) -> None:
        if overlay is None:
            self._mapper.SetMaskInput(None)
            return
        self._labels = np.ascontiguousarray(overlay.labels_kji)
        self._mapper.SetMaskTypeToLabelMap()
        self._mapper.SetMaskBlendFactor(0.7)
        self._mapper.SetMaskInput(image_of(self._labels, self._volume))

    def _crop(self, scene: Scene) -> None:
        self._mapper.SetCropping(scene.crop is not None)
        if scene.crop is not None:
            # VTK crops in its data's own axes: origin 0, spacing from the volume, direction in the matrix.
            pairs = zip(scene.crop.low_ijk, scene.crop.high_ijk, self._volume.spacing_ijk_mm, strict=True)
            bounds = [float(edge * spacing) for low, high, spacing in pairs for edge in (low, high)]
            self._mapper.SetCroppingRegionPlanes(*bounds)
            self._mapper.SetCroppingRegionFlagsToSubVolume()
        self._actor.SetUserMatrix(matrix_of(self._volume))

    def _release(self) -> None:
        self._renderer.RemoveAllViewProps()
        self._mapper.ReleaseGraphicsResources(self._window)
        self._window.Finalize()
        self._copy[:] = 0
        del self._image, self._mapper, self._actor, self._renderer, self._window, self._actors


def image_of(voxels_kji: NDArray[Any], volume: Volume) -> Any:
    """Return voxels as vtkImageData that shares their memory, at the origin and without direction."""
    from vtkmodules.util.numpy_support import numpy_to_vtk
    from vtkmodules.vtkCommonDataModel import vtkImageData

    image = vtkImageData()
    image.SetDimensions(*voxels_kji.shape[::-1])
    image.SetSpacing(*(float(step) for step in volume.spacing_ijk_mm))
    image.GetPointData().SetScalars(numpy_to_vtk(voxels_kji.reshape(-1), deep=False))  # type: ignore[no-untyped-call]  # VTK's
    return image


def matrix_of(volume: Volume) -> Any:
    """Return rotation and origin of a volume, its spacing left out, as vtkMatrix4x4."""
    from vtkmodules.vtkCommonMath import vtkMatrix4x4

    rigid = np.eye(4)
    rigid[:3, :3], rigid[:3, 3] = volume.direction, volume.origin_lps_mm
    matrix = vtkMatrix4x4()
    matrix.DeepCopy([float(number) for number in rigid.ravel()])
    return matrix


def property_of(preset: Preset, overlay: LabelOverlay | None = None) -> Any:
    """Return a preset, already in the volume's units, as vtkVolumeProperty."""
    from vtkmodules.vtkCommonDataModel import vtkPiecewiseFunction
    from vtkmodules.vtkRenderingCore import vtkColorTransferFunction, vtkVolumeProperty

    opacity, colour, made = vtkPiecewiseFunction(), vtkColorTransferFunction(), vtkVolumeProperty()
    for value, at in preset.opacity:
        # A projection's ramp is its grey, not its opacity.
        opacity.AddPoint(value, at if preset.blend is Blend.COMPOSITE else 1.0)
        if preset.blend is not Blend.COMPOSITE:
            colour.AddRGBPoint(value, at, at, at)
    if preset.blend is Blend.COMPOSITE:
        for value, red, green, blue in preset.colour:
            colour.AddRGBPoint(value, red, green, blue)
    made.SetColor(colour)
    made.SetScalarOpacity(opacity)
    made.SetInterpolationTypeToLinear()
    if preset.shading is not None:
        made.ShadeOn()
        made.SetAmbient(preset.shading.ambient)
        made.SetDiffuse(preset.shading.diffuse)
        made.SetSpecular(preset.shading.specular)
        made.SetSpecularPower(preset.shading.power)
    if overlay is not None:
        for label, (red, green, blue, strength) in overlay.colours.items():
            tint, veil = vtkColorTransferFunction(), vtkPiecewiseFunction()
            tint.AddRGBPoint(0.0, red, green, blue)
            veil.AddPoint(0.0, strength)
            made.SetLabelColor(label, tint)
            made.SetLabelScalarOpacity(label, veil)
    return made


def actor_of(mesh: SurfaceMesh, shading: Shading) -> Any:
    """Return a mesh as vtkActor."""
    from vtkmodules.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray
    from vtkmodules.vtkCommonCore import vtkPoints
    from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData
    from vtkmodules.vtkFiltersCore import vtkPolyDataNormals
    from vtkmodules.vtkRenderingCore import vtkActor, vtkPolyDataMapper

    points, cells, surface, mapper, actor = vtkPoints(), vtkCellArray(), vtkPolyData(), vtkPolyDataMapper(), vtkActor()
    points.SetData(numpy_to_vtk(np.ascontiguousarray(mesh.vertices_lps_mm), deep=True))  # type: ignore[no-untyped-call]  # VTK's
    counted = np.insert(mesh.triangles.astype(np.int64), 0, 3, axis=1).ravel()
    cells.ImportLegacyFormat(numpy_to_vtkIdTypeArray(counted, deep=True))  # type: ignore[no-untyped-call]  # VTK's
    surface.SetPoints(points)
    surface.SetPolys(cells)
    normals = vtkPolyDataNormals()
    normals.SetInputData(surface)
    normals.SplittingOff()
    mapper.SetInputConnection(normals.GetOutputPort())
    actor.SetMapper(mapper)
    look = actor.GetProperty()
    look.SetColor(*mesh.colour[:3])
    look.SetOpacity(mesh.colour[3])
    look.SetAmbient(shading.ambient)
    look.SetDiffuse(shading.diffuse)
    look.SetSpecular(shading.specular)
    look.SetSpecularPower(shading.power)
    if mesh.smooth:
        look.SetInterpolationToPhong()
    else:
        look.SetInterpolationToFlat()
    return actor


def aim(renderer: Any, scene: Scene) -> None:
    """Set a vtkRenderer's camera, clipping range and lamp."""
    from vtkmodules.vtkRenderingCore import vtkLight

    eye, camera = scene.camera, renderer.GetActiveCamera()
    camera.SetPosition(*eye.position_lps_mm)
    camera.SetFocalPoint(*eye.focal_point_lps_mm)
    camera.SetViewUp(*eye.view_up_lps)
    camera.SetParallelProjection(eye.parallel_scale_mm is not None)
    camera.SetParallelScale(eye.parallel_scale_mm or 1.0)
    camera.SetViewAngle(eye.view_angle_deg)
    renderer.ResetCameraClippingRange()
    renderer.RemoveAllLights()
    # VTK's volume mapper lights slanted surfaces too weakly by any other lamp than one at the eye, and then adds ambient
    # light without the tissue's colour: a preset's off-axis light is moved to the eye here.
    light = vtkLight()
    light.SetLightTypeToHeadlight()
    renderer.AddLight(light)
