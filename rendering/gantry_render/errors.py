"""What this package refuses, as types with stable codes."""

from gantry_imaging.errors import ImagingError


class SceneError(ImagingError):
    """A view that cannot be made, or was asked for in impossible terms.

    Codes: `scene.bad_camera`, `scene.bad_crop`, `scene.bad_overlay`, `scene.bad_mesh`, `scene.bad_size`,
    `scene.bad_shift`, `scene.bad_plane`, `scene.unknown_preset`.
    """


class EngineError(ImagingError):
    """An engine that cannot do its work here.

    Codes: `engine.unavailable`, `engine.closed`.
    """
