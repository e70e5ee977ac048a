"""The browser's side of the render stream is the one that gantry_render.protocol describes."""

from __future__ import annotations

import runpy
from pathlib import Path

from gantry_render.protocol import Frame, FrameFlag, MediaType, Tier

ROOT = Path(__file__).resolve().parents[2]
WEB = ROOT / "platform" / "web"


def test_the_types_of_the_browser_are_those_of_the_protocol() -> None:
    build = runpy.run_path(str(ROOT / "scripts" / "protocol.py"))["build"]
    written = (WEB / "src" / "transport" / "protocol.gen.ts").read_text(encoding="utf-8")
    assert written == build(), "run scripts/protocol.py"


def test_the_frame_that_the_browser_is_tested_with_is_one_of_ours() -> None:
    frame = Frame(
        media_type=MediaType.JPEG,
        tier=Tier.T2,
        flags=FrameFlag.SETTLED | FrameFlag.INVERTED,
        view=3,
        seq=4_000_000_001,
        state_id=70_000,
        width=512,
        height=384,
        place=-123.625,
        region=(10.5, 20.0, 256.0, 192.0),
        window_center=40.0,
        window_width=400.0,
        queued_us=1_500,
        render_us=2_500,
        encode_us=3_500,
        payload=b"\xff\xd8 picture \xff\xd9",
    )
    kept = (WEB / "tests" / "fixtures" / "frame.hex").read_text(encoding="utf-8")
    assert bytes.fromhex(kept) == frame.pack()
