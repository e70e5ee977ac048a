"""Colour images to RGB: palettes, luminance and chroma (PS3.3 C.7.6.3.1.2, C.7.6.3.1.5, C.7.9.2)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset

from gantry_imaging.decode import decoded_photometric
from gantry_imaging.errors import DecodeError, RenderError
from gantry_imaging.part10 import refusing

MONOCHROME = ("MONOCHROME1", "MONOCHROME2")


def to_rgb(stored: NDArray[Any], dataset: Dataset) -> NDArray[np.uint8]:
    """Turn a decoded colour frame into RGB.

    Parameters
    ----------
    stored
        (rows, columns, 3), or (rows, columns) of palette indices, from `decode_frames`.
    dataset
        The file's header.

    Raises
    ------
    RenderError
        `render.unsupported_photometric` for HSV, ARGB, CMYK and what is not colour.
    """
    photometric = decoded_photometric(dataset)
    if photometric == "PALETTE COLOR" and stored.ndim == 2:
        with refusing("pixel.corrupt", "The colour palette cannot be read"):
            return _apply_palette(stored, dataset)
    if photometric not in ("RGB", "YBR_FULL", "YBR_PARTIAL") or stored.ndim != 3 or stored.shape[2] != 3:
        raise RenderError(
            "render.unsupported_photometric",
            f"Pixels in {photometric} with this many samples cannot be shown.",
        )
    octets = _to_octets(stored, int(dataset.get("BitsStored") or 8))
    if photometric == "YBR_FULL":
        return np.asarray(Image.fromarray(octets, "YCbCr").convert("RGB"))
    return _from_partial_range(octets) if photometric == "YBR_PARTIAL" else octets


def _to_octets(stored: NDArray[Any], bits_stored: int) -> NDArray[np.uint8]:
    if stored.dtype == np.uint8 and bits_stored == 8:
        return np.ascontiguousarray(stored)
    if bits_stored > 8:
        return (stored >> (bits_stored - 8)).astype(np.uint8)
    return (stored << (8 - bits_stored)).astype(np.uint8)


def _from_partial_range(octets: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Undo YBR_PARTIAL (ITU-R BT.601 studio range: luminance 16 to 235)."""
    y, cb, cr = np.moveaxis(octets.astype(np.float32) - np.array([16, 128, 128], np.float32), -1, 0)
    rgb = np.stack([y, y, y], axis=-1) * np.float32(1.1644)
    rgb += np.stack([1.5960 * cr, -0.3917 * cb - 0.8129 * cr, 2.0173 * cb], axis=-1)
    return np.rint(rgb).clip(0, 255).astype(np.uint8)


def _apply_palette(stored: NDArray[Any], dataset: Dataset) -> NDArray[np.uint8]:
    entries, first, bits = dataset.RedPaletteColorLookupTableDescriptor
    entries = int(entries) % (1 << 16) or 1 << 16
    tables = [_read_table(dataset, colour, entries, int(bits)) for colour in ("Red", "Green", "Blue")]
    palette = np.stack(tables, axis=-1)
    if palette.max() > 255:
        palette >>= 8
    index = np.clip(stored.astype(np.int32) - int(first), 0, entries - 1)
    return palette.astype(np.uint8)[index]


def _read_table(dataset: Dataset, colour: str, entries: int, bits: int) -> NDArray[np.uint16]:
    """Read one palette table of `entries` values; 8-bit entries may lie one or two to a word."""
    order = "<" if dataset.original_encoding[1] is not False else ">"
    data: bytes | None = dataset.get(f"{colour}PaletteColorLookupTableData")
    if data:
        dtype = np.dtype("u1") if len(data) < 2 * entries else np.dtype(f"{order}u2")
        table = np.frombuffer(data, dtype)
    else:
        segments = dataset[f"Segmented{colour}PaletteColorLookupTableData"].value
        table = _expand_segments(np.frombuffer(segments, "u1" if bits <= 8 else f"{order}u2"), entries)
    if len(table) < entries:
        raise DecodeError("pixel.corrupt", f"The palette holds {len(table)} of the {entries} entries it names.")
    return table[:entries].astype(np.uint16)


def _expand_segments(words: NDArray[Any], entries: int) -> NDArray[np.uint16]:
    """Expand a segmented table (PS3.3 C.7.9.2), never beyond the entries its descriptor names."""
    table: list[int] = []
    at = 0
    while at < len(words) and len(table) < entries:
        if words[at] == 2:
            # Indirect: so many segments again, from a byte offset; they cannot be indirect themselves.
            width = 4 // words.itemsize
            offset = sum(int(w) << (8 * words.itemsize * n) for n, w in enumerate(words[at + 2 : at + 2 + width]))
            source = offset // words.itemsize
            for _ in range(int(words[at + 1])):
                if len(table) >= entries or source >= len(words) or words[source] == 2:
                    break
                source = _expand_segment(words, source, table, entries)
            at += 2 + width
        else:
            at = _expand_segment(words, at, table, entries)
    return np.array(table, dtype=np.uint16)


def _expand_segment(words: NDArray[Any], at: int, table: list[int], entries: int) -> int:
    """Append a discrete (0) or linear (1) segment; return where the next begins."""
    opcode, length = int(words[at]), int(words[at + 1])
    if opcode == 0:
        table.extend(int(word) for word in words[at + 2 : at + 2 + length])
        return at + 2 + length
    if opcode != 1 or not table:
        raise DecodeError("pixel.corrupt", f"The palette has an impossible segment of type {opcode}.")
    steps = np.arange(1, min(length, entries - len(table)) + 1)
    start, end = table[-1], int(words[at + 2])
    table.extend(int(value) for value in np.rint(start + (end - start) * steps / max(length, 1)))
    return at + 3
