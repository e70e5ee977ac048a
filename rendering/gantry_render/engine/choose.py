"""The one place that says which engine draws, and why."""

from collections.abc import Callable
from dataclasses import dataclass

from gantry_render.engine.cpu import CpuEngine
from gantry_render.engine.port import Engine
from gantry_render.engine.vtk_gpu import VtkGpuEngine, describe_renderer

# What graphics drivers that compute on the processor call themselves.
_SOFTWARE = ("llvmpipe", "softpipe", "swrast", "swiftshader", "software", "lavapipe")


@dataclass(frozen=True, slots=True)
class Choice:
    """An engine and the sentence that goes to the log and the readiness page."""

    engine: Engine
    reason: str


def choose_engine(
    *, hidden: frozenset[str] = frozenset(), probe: Callable[[], str | None] = describe_renderer
) -> Choice:
    """Take VTK's mapper where EGL leads to a graphics processor, else our own ray caster.

    Parameters
    ----------
    hidden
        What to do without, as `GANTRY_HIDE` says: `egl` hides graphics processors.
    probe
        Names the renderer behind EGL, or None.
    """
    if "egl" in hidden:
        return Choice(CpuEngine(), "Drawing on the processor: graphics were hidden by configuration.")
    renderer = probe()
    if renderer is None:
        return Choice(CpuEngine(), "Drawing on the processor: EGL offers no OpenGL here.")
    if any(word in renderer.lower() for word in _SOFTWARE):
        return Choice(
            CpuEngine(), f"Drawing on the processor: EGL leads to {renderer!r}, which is slower than our own caster."
        )
    return Choice(VtkGpuEngine(), f"Drawing with VTK on {renderer!r} through EGL.")
