"""Inner loops of 2D pictures, compiled, without the interpreter's lock."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gantry_render.engine.jit import kernel


@kernel
def look_up(index: Any, table: Any, grey: Any) -> Any:
    """Write `table[index]` of 8- or 16-bit patterns, (rows, columns)."""
    for row in range(index.shape[0]):
        source, target = index[row], grey[row]
        for column in range(index.shape[1]):
            target[column] = table[source[column]]


@kernel
def window_values(values: Any, center: float, scale: float, step: float, is_inverted: bool, grey: Any) -> Any:
    """Write 255 * ((value - center) * scale + 0.5), cut and rounded; a scale of 0 is a step; NaN is black."""
    for row in range(values.shape[0]):
        for column in range(values.shape[1]):
            value = float(values[row, column])
            if np.isnan(value):
                grey[row, column] = 0
                continue
            if scale == 0.0:
                level = 255.0 if value > step else 0.0
            else:
                level = (value - center) * scale + 127.5
            level = min(max(level, 0.0), 255.0)
            whole = np.uint8(level + 0.5)
            grey[row, column] = np.uint8(255) - whole if is_inverted else whole


@kernel
def sigmoid_values(values: Any, center: float, factor: float, is_inverted: bool, grey: Any) -> Any:
    """Write 255 / (1 + exp((value - center) * factor)), rounded; NaN is black."""
    for row in range(values.shape[0]):
        for column in range(values.shape[1]):
            value = float(values[row, column])
            if np.isnan(value):
                grey[row, column] = 0
                continue
            whole = np.uint8(min(max(255.0 / (1.0 + np.exp((value - center) * factor)), 0.0), 255.0) + 0.5)
            grey[row, column] = np.uint8(255) - whole if is_inverted else whole


def average_area(values: NDArray[Any], width: int, height: int) -> NDArray[np.float32]:
    """Shrink (rows, columns) to (height, width), every pixel the mean of the area that it covers."""
    rows, columns = values.shape
    shrunk = np.empty((height, width), np.float32)
    if rows == 2 * height and columns == 2 * width:
        _average_pairs(values, shrunk)
    else:
        _average_rows(values, columns / width, rows / height, np.empty(width, np.float64), shrunk)
    return shrunk


@kernel
def _average_pairs(values: Any, shrunk: Any) -> Any:
    for row in range(shrunk.shape[0]):
        above, below = values[2 * row], values[2 * row + 1]
        target = shrunk[row]
        for column in range(shrunk.shape[1]):
            left = np.float32(above[2 * column]) + np.float32(below[2 * column])
            right = np.float32(above[2 * column + 1]) + np.float32(below[2 * column + 1])
            target[column] = (left + right) * np.float32(0.25)


@kernel
def _average_rows(values: Any, across: float, down: float, line: Any, shrunk: Any) -> Any:
    rows, columns = values.shape
    for row in range(shrunk.shape[0]):
        line[:] = 0.0
        top, bottom = row * down, min(float(rows), (row + 1) * down)
        for j in range(int(top), min(rows, int(np.ceil(bottom)))):
            weight = min(bottom, j + 1.0) - max(top, float(j))
            source = values[j]
            for column in range(shrunk.shape[1]):
                left, right = column * across, min(float(columns), (column + 1) * across)
                total = 0.0
                for i in range(int(left), min(columns, int(np.ceil(right)))):
                    total += (min(right, i + 1.0) - max(left, float(i))) * source[i]
                line[column] += weight * total
        area = across * down
        for column in range(shrunk.shape[1]):
            shrunk[row, column] = line[column] / area
