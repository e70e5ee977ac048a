"""What this package refuses, as types with stable codes."""

from gantry_imaging.errors import ImagingError


class SceneError(ImagingError):
    """A view that cannot be made, or was asked for in impossible terms.

    Codes: `scene.bad_camera`, `scene.bad_crop`, `scene.bad_overlay`, `scene.bad_mesh`, `scene.bad_size`,
    `scene.bad_shift`, `scene.bad_scale`, `scene.bad_plane`, `scene.unknown_preset`.
    """


class EngineError(ImagingError):
    """An engine that cannot do its work here.

    Codes: `engine.unavailable`, `engine.closed`, `engine.too_large`.
    """


class FrameCancelledError(EngineError):
    """A frame that nobody waits for any more, given up before it was whole. Code: `engine.cancelled`."""

    def __init__(self) -> None:
        super().__init__("engine.cancelled", "The frame was given up: a newer view is wanted.")
