"""How tissue looks in 3D: published, named transfer functions.

Control points are (value, opacity) and (value, red, green, blue), straight lines in between, the ends held. Values
are Hounsfield units for CT; for MR and others, whose units are arbitrary, a preset is *relative*: 0 to 1 stand for
the volume's 1st and 99.9th percentile. Opacity is that of 1 mm of the tissue, 0 to 1; colours are 0 to 1, sRGB.

CT-Bone
    Mineral only: trabecular bone ochre, cortex ivory, metal white. Calcified vessels and contrast show too.
CT-Soft-Tissue
    Skin and organs as a translucent shell over bone.
CT-Lung
    Airways and vessels in aerated lung; air outside the body and soft tissue stay clear.
CT-Angio
    Contrast-filled vessels red in front of bone that is drawn lighter.
CT-MIP, MR-MIP
    The brightest value on the line of sight, greyscale; nothing is shaded.
CT-MinIP
    The darkest value on the line of sight within the body: airways.
MR-Default
    Bright tissue opaque, dark tissue clear.
MR-Angio
    The brightest flow alone.
PET-Hot
    Uptake from dark red to white.
"""

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeAlias

from gantry_render.errors import SceneError

OpacityPoints: TypeAlias = tuple[tuple[float, float], ...]
ColourPoints: TypeAlias = tuple[tuple[float, float, float, float], ...]


class Blend(StrEnum):
    """How samples along a line of sight become a pixel."""

    COMPOSITE = "composite"
    MIP = "mip"
    MINIP = "minip"


@dataclass(frozen=True, slots=True)
class Shading:
    """Blinn-Phong reflection under one distant light that moves with the eye.

    Parameters
    ----------
    ambient, diffuse, specular
        Weights; the first two add to 1 for a surface that faces the light.
    power
        Sharpness of the highlight.
    light
        Direction to the light: right, up and towards the viewer. (0, 0, 1) is a headlight.
    """

    ambient: float = 0.22
    diffuse: float = 0.78
    specular: float = 0.18
    power: float = 24.0
    light: tuple[float, float, float] = (-0.32, 0.42, 0.85)


@dataclass(frozen=True, slots=True)
class Preset:
    """One named look.

    Parameters
    ----------
    opacity
        (value, opacity of 1 mm), ascending.
    colour
        (value, red, green, blue), ascending.
    shading
        None where light tells nothing.
    blend
        Composite, or a projection; a projection uses `opacity` as its grey ramp, 0 black and 1 the full colour.
    relative
        Values are fractions of the volume's own range.
    enclosed_by
        For the darkest value: only what lies between values of at least this counts, so that the air around a body
        does not hide the air in it. VTK's mapper knows no such thing.
    """

    opacity: OpacityPoints
    colour: ColourPoints
    shading: Shading | None = Shading()
    blend: Blend = Blend.COMPOSITE
    relative: bool = False
    enclosed_by: float | None = None

    @property
    def middle(self) -> float:
        """Where the opacity changes, on average: what a window's centre is to a ramp."""
        steps = [
            (abs(after[1] - before[1]), (before[0] + after[0]) / 2)
            for before, after in zip(self.opacity, self.opacity[1:], strict=False)
        ]
        change = sum(rise for rise, _ in steps)
        return sum(rise * at for rise, at in steps) / change if change else self.opacity[0][0]

    def scaled(self, low: float, high: float, shift: float, scale: float = 1.0) -> "Preset":
        """Return the preset in the volume's units: fractions are of the range `low` to `high`.

        Values are spread around the middle by the factor `scale`, then moved by `shift`.
        """
        base, factor = (low, high - low) if self.relative else (0.0, 1.0)
        middle = base + factor * self.middle

        def place(value: float) -> float:
            return middle + scale * (base + factor * value - middle) + shift

        return Preset(
            tuple((place(value), opacity) for value, opacity in self.opacity),
            tuple((place(value), *rgb) for value, *rgb in self.colour),  # type: ignore[misc]  # three
            self.shading,
            self.blend,
            enclosed_by=None if self.enclosed_by is None else place(self.enclosed_by),
        )


_MATT: Final = Shading(ambient=0.28, diffuse=0.72, specular=0.06, power=10.0)
_GREY: Final = ((0.0, 1.0, 1.0, 1.0),)

PRESETS: Final = MappingProxyType(
    {
        "CT-Bone": Preset(
            opacity=((140, 0.0), (220, 0.12), (340, 0.55), (700, 0.85), (3000, 0.95)),
            colour=(
                (140, 0.62, 0.42, 0.30),
                (260, 0.84, 0.70, 0.53),
                (420, 0.93, 0.86, 0.74),
                (900, 0.98, 0.96, 0.90),
                (2500, 1.0, 1.0, 1.0),
            ),
        ),
        "CT-Soft-Tissue": Preset(
            opacity=((-320, 0.0), (-180, 0.08), (-60, 0.12), (40, 0.16), (110, 0.2), (200, 0.5), (500, 0.9)),
            colour=(
                (-320, 0.88, 0.66, 0.52),
                (-60, 0.92, 0.70, 0.52),
                (40, 0.78, 0.36, 0.28),
                (140, 0.86, 0.52, 0.40),
                (260, 0.93, 0.86, 0.74),
                (900, 1.0, 0.99, 0.95),
            ),
            shading=_MATT,
        ),
        "CT-Lung": Preset(
            opacity=((-930, 0.0), (-870, 0.006), (-760, 0.02), (-620, 0.07), (-480, 0.09), (-380, 0.02), (-300, 0.0)),
            colour=(
                (-930, 0.28, 0.42, 0.62),
                (-800, 0.50, 0.64, 0.80),
                (-640, 0.86, 0.76, 0.72),
                (-480, 0.95, 0.55, 0.45),
                (-300, 0.98, 0.70, 0.60),
            ),
            shading=_MATT,
        ),
        "CT-Angio": Preset(
            opacity=((130, 0.0), (180, 0.10), (260, 0.45), (420, 0.62), (600, 0.70), (1500, 0.85)),
            colour=(
                (130, 0.45, 0.06, 0.05),
                (220, 0.76, 0.13, 0.09),
                (360, 0.90, 0.34, 0.22),
                (520, 0.94, 0.74, 0.56),
                (900, 0.98, 0.95, 0.88),
            ),
        ),
        "CT-MIP": Preset(opacity=((-200, 0.0), (1500, 1.0)), colour=_GREY, shading=None, blend=Blend.MIP),
        "CT-MinIP": Preset(
            opacity=((-1010, 0.0), (-650, 1.0)), colour=_GREY, shading=None, blend=Blend.MINIP, enclosed_by=-300.0
        ),
        "MR-Default": Preset(
            opacity=((0.12, 0.0), (0.25, 0.04), (0.45, 0.16), (0.75, 0.45), (1.0, 0.7)),
            colour=(
                (0.12, 0.24, 0.20, 0.22),
                (0.35, 0.58, 0.46, 0.42),
                (0.65, 0.84, 0.74, 0.66),
                (1.0, 1.0, 0.98, 0.94),
            ),
            shading=_MATT,
            relative=True,
        ),
        "MR-Angio": Preset(
            opacity=((0.55, 0.0), (0.7, 0.25), (0.9, 0.7), (1.2, 0.85)),
            colour=((0.55, 0.55, 0.10, 0.06), (0.8, 0.92, 0.40, 0.22), (1.1, 1.0, 0.86, 0.68)),
            relative=True,
        ),
        "MR-MIP": Preset(opacity=((0.05, 0.0), (1.0, 1.0)), colour=_GREY, shading=None, blend=Blend.MIP, relative=True),
        "PET-Hot": Preset(
            opacity=((0.08, 0.0), (0.3, 0.03), (0.6, 0.2), (1.0, 0.5)),
            colour=(
                (0.08, 0.25, 0.0, 0.0),
                (0.35, 0.80, 0.08, 0.0),
                (0.65, 1.0, 0.62, 0.05),
                (1.0, 1.0, 1.0, 0.9),
            ),
            shading=None,
            relative=True,
        ),
    }
)
"""Every preset that a viewer offers, by name."""


def get_preset(name: str) -> Preset:
    """Return a published preset.

    Raises
    ------
    SceneError
        `scene.unknown_preset`.
    """
    preset = PRESETS.get(name)
    if preset is None:
        raise SceneError("scene.unknown_preset", f"There is no preset {name!r}; there are {', '.join(PRESETS)}.")
    return preset
