"""What an engine is: it takes a volume once and draws scenes of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gantry_imaging.volume import Volume
from gantry_render.scene import Scene


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """What was drawn.

    Parameters
    ----------
    rgb
        uint8 (height, width, 3), C-contiguous, of `Scene.frame_size`.
    depth_mm
        float32 (height, width): distance from the camera's plane to where a pixel became half opaque, infinite
        where nothing did; None where the engine does not tell.
    """

    rgb: NDArray[np.uint8]
    depth_mm: NDArray[np.float32] | None


class Loaded(Protocol):
    """A volume that an engine has made ready. Safe to draw from several threads at once."""

    @property
    def size_bytes(self) -> int:
        """Memory held now, main and graphics together, the caller's own voxels left out."""

    def render(self, scene: Scene, cancelled: Callable[[], bool] | None = None) -> Picture:
        """Draw.

        Parameters
        ----------
        cancelled
            Asked every few milliseconds from any thread, must be quick; once it says yes, drawing stops.

        Raises
        ------
        SceneError
            `scene.bad_overlay` where the overlay lies on another grid.
        EngineError
            `engine.closed`.
        FrameCancelledError
            `engine.cancelled`.
        """

    def close(self) -> None:
        """Overwrite and let go of the pixels that the engine copied. Drawing that is under way ends first."""


class Engine(Protocol):
    """One way to draw."""

    @property
    def name(self) -> str:
        """What metrics and logs call it."""

    def predicted_bytes(self, shape_kji: tuple[int, int, int], bytes_per_voxel: int) -> int:
        """Return the most that a loaded volume of this size will hold, beside the voxels given, without overlays."""

    def load(self, volume: Volume, half_kji: NDArray[Any] | None = None) -> Loaded:
        """Make a volume ready.

        Parameters
        ----------
        half_kji
            It in half of the resolution, where a pack has it and an engine has a use for it; kept as long as `volume`.

        Raises
        ------
        EngineError
            `engine.unavailable`.
        """
