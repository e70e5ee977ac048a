"""What a client is told first: the series, frame by frame, and what this pod can do with it."""

from __future__ import annotations

from gantry_imaging.pack import FrameEntry, PackIndex
from gantry_render.presets import PRESETS
from gantry_render.protocol import FrameFacts, ResultFacts, VolumeFacts, Welcome, WindowFacts
from gantry_render.server.artist import describe_lut
from gantry_render.server.control import Manifest
from gantry_render.server.trouble import Trouble

_LOW_PERCENT, _HIGH_PERCENT = 1.0, 99.9


def make_welcome(manifest: Manifest, index: PackIndex, engine: str, refusal: Trouble | None = None) -> Welcome:
    """Describe a series; nothing of it names the patient.

    Parameters
    ----------
    refusal
        Why this pod draws no planes and no 3D although the series is a volume.
    """
    is_volume = index.kind == "volume" and refusal is None
    code, sentence = (refusal.code, refusal.sentence) if refusal else (index.reason_code, index.reason)
    return Welcome(
        session=manifest.session,
        frames=tuple(_frame(entry) for entry in index.frames),
        modality=index.modality,
        unit=index.units,
        frame_of_reference_uid=index.frame_of_reference_uid,
        volume=_volume(index) if is_volume else None,
        no_volume_code="" if is_volume else code or "series.no_volume",
        no_volume_sentence="" if is_volume else sentence or "The frames of this series make no volume.",
        presets=tuple(PRESETS) if is_volume else (),
        results=tuple(
            ResultFacts(each.id, each.label, each.colour, each.is_reviewed, each.kind) for each in manifest.results
        ),
        engine=engine,
        frame_time_ms=index.frame_time_ms,
    )


def _frame(entry: FrameEntry) -> FrameFacts:
    return FrameFacts(
        sop_instance_uid=entry.sop_instance_uid,
        frame=entry.frame_number,
        rows=entry.rows,
        columns=entry.columns,
        spacing_mm=entry.pixel_spacing_mm,
        position_lps_mm=entry.image_position_patient,
        orientation_lps=entry.image_orientation_patient,
        is_colour=entry.samples == 3,
        is_reversed=entry.photometric == "MONOCHROME1",
        is_lossy=entry.is_lossy_source,
        windows=tuple(
            WindowFacts(each.center, each.width, each.function.lower().replace("_", "-"), each.explanation)
            for each in entry.windows
        ),
        luts=tuple(describe_lut(lut, number) for number, lut in enumerate(entry.voi_luts)),
        code=entry.code,
        sentence=entry.sentence,
    )


def _volume(index: PackIndex) -> VolumeFacts:
    shape, spacing = index.shape_kji, index.spacing_ijk_mm
    assert shape is not None and spacing is not None
    quantiles = dict(index.quantiles)
    return VolumeFacts(
        shape_kji=shape,
        lps_from_ijk=tuple(index.lps_from_ijk),
        spacing_ijk_mm=spacing,
        low=quantiles.get(_LOW_PERCENT, index.value_min),
        high=quantiles.get(_HIGH_PERCENT, index.value_max),
    )
