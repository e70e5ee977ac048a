"""Segment a whole volume slice by slice within bounded memory."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import perf_counter
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from gantry_imaging.volume import Volume
from gantry_inference.transforms import (
    FloatArray,
    Grid,
    PostprocessSpec,
    PreprocessSpec,
    drop_crumbs,
    fit_grid,
    neighbours,
    normalise,
    refine,
)

InferBatch: TypeAlias = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True, slots=True)
class Spec:
    """The pre- and post-processing of a card."""

    preprocess: PreprocessSpec = field(default_factory=PreprocessSpec)
    postprocess: PostprocessSpec = field(default_factory=PostprocessSpec)


@dataclass(frozen=True, slots=True)
class Segmentation:
    """Labels on the volume's grid (0 background, 1 bone) and the seconds spent in pre, infer and post."""

    labels_kji: NDArray[np.uint8]
    timings_s: dict[str, float]


class ModelOutputError(RuntimeError):
    """The model answered with something that is not one probability per pixel."""

    code = "model.bad_output"


def segment_volume(
    volume: Volume,
    *,
    spec: Spec,
    infer_batch: InferBatch,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    clock: Callable[[], float] = perf_counter,
) -> Segmentation:
    """Find bone in a near-axial CT volume.

    Parameters
    ----------
    volume
        HU, any integer or floating type; read slice by slice, never copied whole.
    infer_batch
        Takes (N, 3, size, size) float32, returns probabilities (N, 1, size, size) float32.
    on_progress
        Called with slices done and slices in all, after every batch.

    Returns
    -------
    Segmentation
        One byte per voxel; the peak beside it is four bytes per voxel of the body while parts are counted.

    Raises
    ------
    ModelOutputError
        The model's answer has another shape or is not finite.
    """
    timings = {"pre": 0.0, "infer": 0.0, "post": 0.0}
    started = clock()

    def lap(stage: str) -> None:
        nonlocal started
        now = clock()
        timings[stage] += now - started
        started = now

    grid = fit_grid(volume, spec.preprocess)
    slices = volume.shape_kji[0]
    pixel_mm2 = float(np.prod(volume.spacing_ijk_mm[:2]))
    marks = np.zeros(volume.shape_kji, dtype=np.uint8)
    for span, batch in _batches(volume, grid, spec.preprocess):
        lap("pre")
        answer = _checked(infer_batch(batch), batch)
        lap("infer")
        for k, image in zip(range(span.start, span.stop), answer, strict=True):
            chance = grid.up(image[0])
            hu = volume.voxels_kji[k, grid.rows, grid.columns].astype(np.float32)
            bone = refine(chance, hu, pixel_mm2, spec.postprocess)
            certain = bone & (chance > spec.postprocess.certain)
            marks[k, grid.rows, grid.columns] = bone.view(np.uint8) + certain.view(np.uint8)
        lap("post")
        on_progress(span.stop, slices)
    drop_crumbs(marks[:, grid.rows, grid.columns], volume.voxel_volume_mm3, spec.postprocess)
    lap("post")
    return Segmentation(marks, timings)


def _batches(volume: Volume, grid: Grid, spec: PreprocessSpec) -> Iterator[tuple[slice, FloatArray]]:
    """Yield slice ranges and their network input; a slice is shrunk once and kept while it is a neighbour."""
    slices = volume.shape_kji[0]
    shrunk: dict[int, FloatArray] = {}

    def small(k: int) -> FloatArray:
        if k not in shrunk:
            shrunk[k] = normalise(grid.down(volume.voxels_kji[k]), spec)
        return shrunk[k]

    for start in range(0, slices, spec.batch):
        span = slice(start, min(start + spec.batch, slices))
        wanted = [neighbours(k, volume, spec) for k in range(span.start, span.stop)]
        yield span, np.stack([np.stack([small(n) for n in channels]) for channels in wanted])
        for k in [k for k in shrunk if k < wanted[-1][0]]:
            del shrunk[k]


def _checked(answer: FloatArray, batch: FloatArray) -> FloatArray:
    expected = (batch.shape[0], 1, *batch.shape[2:])
    if answer.shape != expected or not np.isfinite(answer).all():
        raise ModelOutputError(f"The model answered with shape {answer.shape}; expected finite {expected}.")
    return answer
