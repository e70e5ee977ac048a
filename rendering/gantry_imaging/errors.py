"""What this package refuses, as types with stable codes."""


class ImagingError(Exception):
    """Root of the package's errors.

    Parameters
    ----------
    code
        Stable identifier such as `series.gap`; callers branch and test on it.
    sentence
        Why, for a person, with the numbers. Holds no patient data.
    """

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence

    def __reduce__(self) -> tuple[type["ImagingError"], tuple[str, str]]:
        """Survive the way back from a sandbox process."""
        return type(self), (self.code, self.sentence)


class GeometryError(ImagingError):
    """Slices or an affine that do not describe one regular grid.

    Codes: `series.gap`, `series.tilt`, `series.mixed_orientation`, `series.mixed_size`, `series.too_few`,
    `series.duplicate_position`, `series.no_geometry`, `volume.bad_affine`, `volume.bad_voxels`.
    """


class DecodeError(ImagingError):
    """A file or pixel data that cannot or may not be decoded.

    Codes: `file.not_dicom`, `file.corrupt`, `file.too_large`, `pixel.unsupported_syntax`, `pixel.corrupt`,
    `pixel.too_large`, `pixel.absent`.
    """


class RenderError(ImagingError):
    """A picture that cannot be made, or was asked for in impossible terms.

    Codes: `render.bad_window`, `render.bad_viewport`, `render.bad_media_type`,
    `render.bad_quality`, `render.unsupported_photometric`.
    """


class PackError(ImagingError):
    """A volume pack that cannot be read, or not like this.

    Codes: `pack.corrupt`, `pack.unsupported_version`, `pack.too_large`, `pack.no_volume`, `pack.cancelled`. A frame
    that could not be decoded when the pack was written has the code of that.
    """
