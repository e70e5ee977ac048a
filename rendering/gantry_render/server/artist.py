"""Work to a frame: draw, encode, say what it is. Called in any thread."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Final

from gantry_imaging.errors import PackError
from gantry_imaging.pack import VoiLut
from gantry_imaging.voi import PRESETS, Voi
from gantry_render.protocol import Frame, FrameFlag, MediaType, PlaneState, StackState, Tier, VolumeState
from gantry_render.server.encoding import encode
from gantry_render.server.loading import Series
from gantry_render.server.pace import Moving
from gantry_render.server.pictures import Drawing
from gantry_render.server.planes import draw_plane
from gantry_render.server.results import Results
from gantry_render.server.session import Urgency, Work
from gantry_render.server.views2d import draw_frame
from gantry_render.server.volumes import draw_volume, halve_crop

_NANOSECONDS: Final = 1000


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """A frame without its number, and whether anything better than it may come but a lossless one."""

    frame: Frame
    is_final: bool
    moving: Moving | None = None
    """How it was drawn, if it is a moving picture in 3D."""


class Artist:
    """Draws one session's views.

    Parameters
    ----------
    series
        The pixels.
    results
        Findings and segments that may be drawn in it.
    accept
        What the client reads.
    """

    def __init__(self, series: Series, results: Results, accept: tuple[str, ...]) -> None:
        self._series = series
        self._results = results
        self._accept = accept
        self._default = default_plane_voi(series)

    def draw(self, work: Work, is_low: bool, moving: Moving) -> Drawn:
        """Make a frame of a piece of work.

        Parameters
        ----------
        is_low
            The link bears little.
        moving
            How moving pictures in 3D are drawn.

        Raises
        ------
        ImagingError
            What cannot be drawn, with its code.
        """
        started = time.perf_counter_ns()
        used = moving if isinstance(work.state, VolumeState) and work.urgency is Urgency.MOTION else None
        drawing = self._draw(work, used)
        drawn = time.perf_counter_ns()
        is_lossless = work.tier is Tier.T3 and drawing.is_exact
        media_type, payload = encode(
            drawing.pixels, work.tier, accept=self._accept, is_lossless=is_lossless, is_low=is_low
        )
        encoded = time.perf_counter_ns()
        frame = _frame(work, drawing, media_type, payload, is_lossless)
        times = (drawn - started) // _NANOSECONDS, (encoded - drawn) // _NANOSECONDS
        # A moving picture in 3D is drawn with longer steps, so its settled one is better at any size.
        # A settled one that is a preview is drawn where nothing better comes: the rest does not fit, or has failed.
        is_passing = drawing.is_preview and work.urgency is Urgency.MOTION and not self._series.room.is_reduced
        is_final = drawing.is_full and work.tier >= Tier.T2 and not is_passing
        return Drawn(_with_times(frame, *times), is_final, used)

    def _draw(self, work: Work, moving: Moving | None) -> Drawing:
        state = work.state
        if isinstance(state, StackState):
            if state.frame >= len(self._series.index.frames):
                raise PackError("view.no_frame", "The series has no such frame.")
            with self._series.frame(state.frame) as values:
                return draw_frame(values, self._series.index.frames[state.frame], state, work.tier)
        if self._series.index.kind != "volume":
            raise PackError(self._series.index.reason_code or "view.no_volume", self._series.index.reason)
        if isinstance(state, PlaneState):
            with self._series.shown() as (volume, is_preview):
                # Segments lie on the whole volume's grid.
                labels = None if is_preview else self._results.labels(state.segments)
                return _as_preview(draw_plane(volume, state, work.tier, self._default, labels), is_preview)
        with self._series.drawn() as (loaded, is_preview):
            meshes = self._results.meshes(state.meshes, is_moving=moving is not None)
            overlay = None if is_preview else self._results.overlay(state.segments)
            seen = halve_crop(state) if is_preview else state
            return _as_preview(
                draw_volume(loaded, seen, moving, meshes, overlay, lambda: work.is_cancelled), is_preview
            )


def _as_preview(drawing: Drawing, is_preview: bool) -> Drawing:
    return replace(drawing, is_exact=False, is_preview=True) if is_preview else drawing


def default_plane_voi(series: Series) -> Voi:
    """Return the window for planes: the middle slice's own, else the modality's, else the series' percentiles."""
    index = series.index
    middle = index.frames[len(index.frames) // 2]
    voi = middle.default_voi()
    if voi is not None and middle.default_lut is None:
        return voi
    presets = PRESETS.get(index.modality)
    if presets:
        return next(iter(presets.values()))
    return middle.auto_voi()


def _frame(work: Work, drawing: Drawing, media_type: MediaType, payload: bytes, is_lossless: bool) -> Frame:
    flags = FrameFlag(0)
    if work.urgency is Urgency.PREFETCH:
        flags |= FrameFlag.PREFETCHED
    if is_lossless:
        flags |= FrameFlag.LOSSLESS
    if drawing.pixels.ndim == 3:
        flags |= FrameFlag.COLOUR
    if drawing.is_inverted:
        flags |= FrameFlag.INVERTED
    if drawing.is_preview:
        flags |= FrameFlag.PREVIEW
    height, width = drawing.pixels.shape[:2]
    return Frame(
        media_type=media_type,
        tier=work.tier if is_lossless else min(work.tier, Tier.T2),
        flags=flags,
        view=work.view,
        seq=0,
        state_id=work.state_id,
        width=width,
        height=height,
        place=drawing.place,
        region=drawing.region,
        window_center=drawing.window[0],
        window_width=drawing.window[1],
        queued_us=0,
        render_us=0,
        encode_us=0,
        payload=payload,
    )


def _with_times(frame: Frame, render_us: int, encode_us: int) -> Frame:
    object.__setattr__(frame, "render_us", render_us)
    object.__setattr__(frame, "encode_us", encode_us)
    return frame


def describe_lut(lut: VoiLut, number: int) -> str:
    """Return what a lookup table is called in a menu."""
    return lut.explanation or f"LUT {number + 1}"
