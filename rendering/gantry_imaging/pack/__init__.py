"""Volume packs: a series made ready for rendering, so that any frame is one range read (ADR 0011).

`write_pack` makes one out of DICOM instances, `Pack` reads it. Both know only a sink and a source of bytes:
encryption, and the proof that bytes are what was written, belong to whoever stores them.
"""

from gantry_imaging.pack.index import BrickIndex, Chunk, FrameEntry, Level, PackIndex, VoiLut, Window
from gantry_imaging.pack.reader import Pack, PackSource
from gantry_imaging.pack.writer import InstanceSource, PackSink, write_pack

__all__ = [
    "BrickIndex",
    "Chunk",
    "FrameEntry",
    "InstanceSource",
    "Level",
    "Pack",
    "PackIndex",
    "PackSink",
    "PackSource",
    "VoiLut",
    "Window",
    "write_pack",
]
