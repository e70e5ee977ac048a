"""A volume whose every value is known: linear along each axis."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SLICES = 24
ROWS, COLUMNS = 48, 64


def phantom_kji() -> NDArray[np.int16]:
    """Return a field that is linear in i, j and k, so that linear interpolation is exact in it."""
    k, j, i = np.meshgrid(np.arange(SLICES), np.arange(ROWS), np.arange(COLUMNS), indexing="ij")
    return (-500 + 7 * i + 5 * j + 11 * k).astype(np.int16)
