"""The Image Pixel module (PS3.3 C.7.6.3) and how its bytes become values."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from gantry_imaging.errors import DecodeError

_SUBSAMPLED = ("YBR_FULL_422", "YBR_PARTIAL_422")


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """What a file says of its pixels, checked."""

    rows: int
    columns: int
    samples: int
    frames: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    is_signed: bool
    photometric: str
    is_planar: bool
    is_float: bool = False

    @classmethod
    def of(cls, dataset: Dataset, float_bits: int | None = None) -> Self:
        """Read the format; `float_bits` (32, 64) where the file holds (Double) Float Pixel Data instead.

        Raises
        ------
        DecodeError
            `pixel.corrupt` for values that no image can have.
        """
        for keyword in ("Rows", "Columns", "BitsAllocated"):
            if dataset.get(keyword) is None:
                raise DecodeError("pixel.corrupt", f"The file holds pixel data but no {keyword}.")
        allocated = float_bits or int(dataset.BitsAllocated)
        stored = float_bits or int(dataset.get("BitsStored") or allocated)
        pixels = cls(
            rows=int(dataset.Rows),
            columns=int(dataset.Columns),
            samples=int(dataset.get("SamplesPerPixel") or 1),
            frames=int(dataset.get("NumberOfFrames") or 1),
            bits_allocated=allocated,
            bits_stored=stored,
            high_bit=stored - 1 if float_bits else int(dataset.get("HighBit", stored - 1)),
            is_signed=bool(dataset.get("PixelRepresentation")),
            photometric=str(dataset.get("PhotometricInterpretation") or "MONOCHROME2").strip(),
            is_planar=dataset.get("PlanarConfiguration") == 1,
            is_float=float_bits is not None,
        )
        pixels._require_sane()
        return pixels

    def _require_sane(self) -> None:
        if not (
            min(self.rows, self.columns, self.frames) > 0
            and self.samples in (1, 3, 4)
            and self.bits_allocated in (1, 8, 16, 32, 64)
            and 0 < self.bits_stored <= self.high_bit + 1 <= self.bits_allocated
            and (self.columns % 2 == 0 or not self.is_subsampled)
        ):
            raise DecodeError(
                "pixel.corrupt",
                f"No image is {self.columns} x {self.rows} x {self.samples}, {self.frames} frames, "
                f"with {self.bits_stored} of {self.bits_allocated} bits up to bit {self.high_bit}.",
            )

    @property
    def dtype(self) -> np.dtype[Any]:
        """Native type of the stored values; 1-bit pixels become uint8."""
        if self.is_float:
            return np.dtype(f"f{self.bits_allocated // 8}")
        return np.dtype(f"{'i' if self.is_signed else 'u'}{max(8, self.bits_allocated) // 8}")

    @property
    def is_subsampled(self) -> bool:
        """Whether two uncompressed pixels share their chroma (PS3.3 C.7.6.3.1.2)."""
        return self.photometric in _SUBSAMPLED and self.samples == 3

    @property
    def frame_bits(self) -> int:
        """Size of an uncompressed frame; 1-bit frames follow each other without padding."""
        samples = 2 if self.is_subsampled else self.samples
        return self.rows * self.columns * samples * self.bits_allocated

    @property
    def frame_bytes(self) -> int:
        """Size of an uncompressed frame that stands alone."""
        return (self.frame_bits + 7) // 8

    @property
    def decoded_bytes(self) -> int:
        """Size of a frame as decoded."""
        return self.rows * self.columns * self.samples * self.dtype.itemsize

    def unpack(self, data: bytes, first_bit: int = 0, *, is_little: bool = True) -> NDArray[Any]:
        """Turn the bytes of one uncompressed frame, which starts at `first_bit`, into shaped values.

        A view of `data` where the bytes are the values already.
        """
        if self.bits_allocated == 1:
            count = self.rows * self.columns * self.samples
            start, skip = divmod(first_bit, 8)
            octets = np.frombuffer(data, np.uint8, count=(skip + count + 7) // 8, offset=start)
            return self.shape(np.unpackbits(octets, bitorder="little")[skip : skip + count])
        stored = self.dtype.newbyteorder("<" if is_little else ">")
        values = np.frombuffer(data, stored, self.frame_bytes // stored.itemsize, first_bit // 8)
        values = self.mask_and_extend(values.astype(self.dtype, copy=False))
        return self._spread_chroma(values) if self.is_subsampled else self.shape(values)

    def shape(self, values: NDArray[Any], *, is_planar: bool | None = None) -> NDArray[Any]:
        """Give flat values the shape (rows, columns) or (rows, columns, samples)."""
        if values.size != self.rows * self.columns * self.samples:
            raise DecodeError("pixel.corrupt", f"A frame holds {values.size} values, which is not its size.")
        if self.samples == 1:
            return values.reshape(self.rows, self.columns)
        if self.is_planar if is_planar is None else is_planar:
            planes = values.reshape(self.samples, self.rows, self.columns)
            return np.ascontiguousarray(planes.transpose(1, 2, 0))
        return values.reshape(self.rows, self.columns, self.samples)

    def mask_and_extend(self, values: NDArray[Any]) -> NDArray[Any]:
        """Drop what lies outside the stored bits (old files keep overlays there) and extend the sign."""
        size = 8 * self.dtype.itemsize
        if self.is_float or self.bits_stored == size or self.bits_allocated == 1:
            return values
        shifted = values << (size - 1 - self.high_bit)
        shifted >>= size - self.bits_stored
        return shifted

    def _spread_chroma(self, values: NDArray[Any]) -> NDArray[Any]:
        """Give each pixel of a pair (Y1 Y2 Cb Cr) its own chroma."""
        pairs = values.reshape(self.rows, self.columns // 2, 4)
        spread = np.empty((self.rows, self.columns // 2, 2, 3), values.dtype)
        spread[..., 0] = pairs[..., :2]
        spread[..., 1:] = pairs[..., None, 2:]
        return spread.reshape(self.rows, self.columns, 3)
