"""Turning a pelvis for eight seconds in Chromium, end to end on the same two cores: our viewer against trame-rca, tuned.

The same series, the bone preset, 512 x 512 pixels, the same way of the mouse at the same pace. Frames are counted in the
animation frame that paints them, bytes on the wire. Likeness is the structural similarity of frames that were sent while it
turned, as large as they are shown, to a settled picture of the same renderer under the same camera. Then the cameras of the peer
are drawn by our engine too, and the cheapest way to send them that is as like as the peer's gives the bytes at equal likeness.
"""

from __future__ import annotations

import base64
import io
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / folder) for folder in ("platform", "rendering", "inference", "tests/support")]

import numpy as np  # noqa: E402  # the path stands above
from numpy.typing import NDArray  # noqa: E402  # as above
from PIL import Image  # noqa: E402  # as above
from playwright.sync_api import Page  # noqa: E402  # as above

from bench_browser import browser_behind, painted, wait_painted, why_no_chromium  # noqa: E402  # as above
from bench_result import write_result  # noqa: E402  # as above
from bench_stack import BenchSeries, BenchStack, bench_stack  # noqa: E402  # as above
from gantry_imaging.encode import encode_image  # noqa: E402  # as above
from gantry_imaging.volume import Volume  # noqa: E402  # as above
from gantry_render.engine.cpu import CpuEngine  # noqa: E402  # as above
from gantry_render.presets import get_preset  # noqa: E402  # as above
from gantry_render.scene import Camera, Scene, Tier  # noqa: E402  # as above
from real_ct import find_set, read_ct  # noqa: E402  # as above
from render_reference import FixedPoint, object_ssim  # noqa: E402  # as above
from throttle import LINKS  # noqa: E402  # as above
from trame_peer import SIDE, TramePeer, why_no_trame  # noqa: E402  # as above

LASTS_S, JUDGED, BAR_FPS = 8.0, 10, 25.0
PUBLISHED_FPS = 20.6
PICTURE = "[data-testid=viewport]"
CAMERA = ("position_lps_mm", "focal_point_lps_mm", "view_up_lps", "parallel_scale_mm", "view_angle_deg")

Rgb = NDArray[np.uint8]

#: Keeps the states that go out and the frames that come in, as they are on the wire.
KEEP = """
window.states = {}; window.frames = [];
const Plain = WebSocket;
window.WebSocket = class extends Plain {
  constructor(...words) {
    super(...words);
    this.addEventListener("message", ({data}) => {
      if (data instanceof ArrayBuffer && new DataView(data).getUint8(0) === 0x47) window.frames.push(data);
    });
  }
  send(data) {
    if (typeof data === "string" && data.startsWith("{")) {
      const message = JSON.parse(data);
      if (message.type === "view") window.states[message.state_id] = message.state;
    }
    super.send(data);
  }
};
"""
#: Notes when an image that trame's page makes was loaded and the next animation frame came.
WATCH = """
window.painted = [];
const Plain = window.Image;
const watch = (image) => {
  image.addEventListener("load", () => requestAnimationFrame((at) => window.painted.push({end: at})));
  return image;
};
window.Image = function (...words) { return watch(new Plain(...words)); };
window.Image.prototype = Plain.prototype;
"""


def drag(page: Page, x: float, y: float) -> float:
    """Turn for eight seconds around a place; return how long it took, the mouse still down."""
    page.mouse.move(x, y)
    page.mouse.down()
    begun = time.perf_counter()
    while (passed := time.perf_counter() - begun) < LASTS_S:
        page.mouse.move(x + 120 * math.sin(1.2 * passed), y + 40 * math.sin(2.4 * passed))
        page.wait_for_timeout(8)
    return time.perf_counter() - begun


def rate(ends: list[float]) -> dict[str, float]:
    """Return frames a second, counting each animation frame once, and the gaps between them."""
    ends = sorted(set(ends))
    gaps = np.diff(ends)
    return {
        "frames": len(ends),
        "fps": round(1e3 * (len(ends) - 1) / (ends[-1] - ends[0]), 1),
        "p95_gap_ms": round(float(np.quantile(gaps, 0.95)), 1),
    }


def turn_ours(stack: BenchStack, series: BenchSeries) -> tuple[dict[str, Any], list[tuple[dict[str, Any], bytes]]]:
    """Turn in our viewer; return what was measured, and states with the pictures that were sent for them."""
    with browser_behind(stack.port, LINKS["open"]) as (browser, proxy):
        page = stack.sit_down(browser, 1100, 800)
        page.add_init_script(KEEP)
        page.goto(f"/t/north/studies/{series.study_id}/", timeout=60_000)
        assert wait_painted(page, "one.isSettled", 60_000), "the viewer shows no slice of the stream"
        page.get_by_test_id("mode-menu").click()
        page.get_by_test_id("mode-volume").click()
        assert wait_painted(page, "one.mode === 'volume' && one.isSettled", 60_000), "the viewer shows no volume"
        # The peer draws no findings: theirs is bone alone.
        page.keyboard.press("d")
        box = page.locator(PICTURE).first.bounding_box()
        for _ in range(3):
            assert box is not None and page.viewport_size is not None
            size = page.viewport_size
            wide, tall = size["width"] + SIDE - box["width"], size["height"] + SIDE - box["height"]
            page.set_viewport_size({"width": round(wide), "height": round(tall)})
            page.wait_for_timeout(500)
            box = page.locator(PICTURE).first.bounding_box()
        assert box is not None
        page.wait_for_timeout(1500)
        painted(page)
        page.evaluate("window.frames.splice(0)")
        before = proxy.bytes_down
        drag(page, box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        found = [one for one in painted(page) if one["mode"] == "volume"]
        sent = proxy.bytes_down - before
        packed = page.evaluate(
            """(count) => {
              const every = Math.max(1, Math.floor(window.frames.length / count));
              return window.frames.filter((_, at) => at % every === 0).map((frame) => {
                const bytes = new Uint8Array(frame);
                return [window.states[new DataView(frame).getUint32(12, true)],
                        btoa(bytes.reduce((text, byte) => text + String.fromCharCode(byte), ""))];
              });
            }""",
            JUDGED,
        )
        page.mouse.up()
    moving = [one for one in found if not one["isSettled"]]
    assert not any(state["meshes"] for state, _ in packed if state), "findings are still shown"
    measured = {
        **rate([one["end"] for one in moving]),
        "bytes_a_frame": round(sent / max(1, len(moving))),
        "p50_ms_from_input": round(float(np.median([one["end"] - one["start"] for one in moving])), 1),
        "size": [round(box["width"]), round(box["height"])],
        "sizes_sent": sorted({(one["width"], one["height"]) for one in moving}),
    }
    kept = [(state, base64.b64decode(data)[72:]) for state, data in packed if state and state["kind"] == "volume"]
    return measured, kept


def turn_peer(folder: Path, kept: Path) -> dict[str, Any]:
    """Turn in trame's page; frames and cameras are left in `kept`."""
    with TramePeer(folder, kept) as peer, browser_behind(peer.port, LINKS["open"]) as (browser, proxy):
        page = browser.new_page(viewport={"width": 600, "height": 560})
        page.add_init_script(WATCH)
        page.goto(f"http://127.0.0.1:{peer.port}/index.html")
        assert wait_painted(page, "true", 30_000), "trame shows nothing"
        page.wait_for_timeout(2000)
        painted(page)
        (kept / "begun").touch()
        before = proxy.bytes_down
        drag(page, 8 + SIDE / 2, 8 + SIDE / 2)
        found = painted(page)
        sent = proxy.bytes_down - before
        (kept / "over").touch()
        page.mouse.up()
    return {**rate([one["end"] for one in found]), "bytes_a_frame": round(sent / max(1, len(found)))}


def shown(data: bytes, width: int = SIDE, height: int = SIDE) -> Rgb:
    """Decode a picture and enlarge it as a browser does."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))


def likeness(picture: Rgb, reference: Rgb) -> float:
    """Return the likeness over what the reference shows."""
    return object_ssim(picture, reference, reference.max(axis=2) > 12)


def judge_ours(volume: Volume, kept: list[tuple[dict[str, Any], bytes]]) -> dict[str, float]:
    """Compare what was sent with settled pictures of the same states."""
    loaded = CpuEngine().load(volume)
    alike, sizes = [], []
    for state, data in kept:
        eye: Any = {name: tuple(value) if isinstance(value, list) else value for name, value in state["camera"].items()}
        width, height = (int(side) for side in state["size"])
        scene = Scene(Camera(*(eye[name] for name in CAMERA)), width, height, get_preset(state["preset"]))
        alike.append(likeness(shown(data, width, height), loaded.render(scene).rgb))
        sizes.append(len(data))
    return {"ssim": round(float(np.mean(alike)), 3), "bytes_of_judged": round(float(np.mean(sizes)))}


def judge_peer(volume: Volume, kept: Path) -> tuple[dict[str, float], list[Scene]]:
    """Compare trame's frames with VTK's settled pictures; return also the scenes."""
    begun, over = ((kept / name).stat().st_mtime for name in ("begun", "over"))
    frames = [path for path in sorted(kept.glob("*.jpg")) if begun < path.stat().st_mtime < over][3:]
    frames = frames[:: max(1, len(frames) // JUDGED)][:JUDGED]
    scenes = []
    for path in frames:
        numbers = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["camera"]
        camera = Camera(tuple(numbers[0:3]), tuple(numbers[3:6]), tuple(numbers[6:9]), numbers[9])
        scenes.append(Scene(camera, SIDE, SIDE, get_preset("CT-Bone")))
    vtk = FixedPoint(volume)
    alike = []
    for scene, path in zip(scenes, frames, strict=True):
        vtk.prepare(scene)
        vtk.draw()
        alike.append(likeness(shown(path.read_bytes()), vtk.grab()))
    sizes = [path.stat().st_size for path in frames]
    return {"ssim": round(float(np.mean(alike)), 3), "bytes_of_judged": round(float(np.mean(sizes)))}, scenes


def cheapest(volume: Volume, scenes: list[Scene], least: float) -> dict[str, Any] | None:
    """Return size, quality and bytes of our cheapest moving frames that are as like as `least`, over the same cameras."""
    loaded = CpuEngine().load(volume)
    settled = [loaded.render(scene).rgb for scene in scenes]
    ways: list[tuple[str, Callable[[Scene], Rgb]]] = [
        # A moving frame has half the side that is asked for.
        *(
            (f"{side} moving", lambda scene, side=side: loaded.render(_sized(scene, 2 * side, Tier.MOTION)).rgb)
            for side in (256, 320, 384, 448, 512)
        ),
        *(
            (f"{side} full", lambda scene, side=side: loaded.render(_sized(scene, side, Tier.SETTLED)).rgb)
            for side in (256, 320, 384, 512)
        ),
    ]
    found: list[dict[str, Any]] = []
    for name, draw in ways:
        pictures = [np.ascontiguousarray(draw(scene)) for scene in scenes]
        for quality in (30, 40, 50, 60, 75, 90):
            coded = [encode_image(picture, "image/jpeg", quality) for picture in pictures]
            alike = float(np.mean([likeness(shown(c), s) for c, s in zip(coded, settled, strict=True)]))
            if alike >= least:
                size = round(float(np.mean([len(data) for data in coded])))
                found.append({"bytes": size, "ssim": round(alike, 3), "frame": f"{name}, JPEG q{quality}"})
                break
    return min(found, key=lambda one: int(one["bytes"]), default=None)


def _sized(scene: Scene, side: int, tier: Tier) -> Scene:
    return replace(scene, width=side, height=side, tier=tier)


def main() -> None:
    """Run it."""
    folder, why_not = find_set("ct-pelvis-vhf"), why_no_chromium()
    if folder is None or why_not is not None:
        sys.stdout.write(f"drag: left out: {why_not or 'the real CT does not lie beside the checkout.'}\n")
        return
    load = os.getloadavg()[0]
    with bench_stack() as stack:
        ours, states = turn_ours(stack, stack.add_series(folder))
    volume = read_ct(folder)
    details: dict[str, Any] = {"ours": {**ours, **judge_ours(volume, states)}}
    peer_fps, peer_name = PUBLISHED_FPS, "trame-rca tuned (measured earlier elsewhere, not in this run)"
    best = None
    if why_no_trame() is None:
        with tempfile.TemporaryDirectory(prefix="gantry-drag-", dir="/tmp") as name:
            kept = Path(name) / "kept"
            kept.mkdir()
            peer = turn_peer(folder, kept)
            judged, scenes = judge_peer(volume, kept)
        best = cheapest(volume, scenes, judged["ssim"])
        details |= {"peer": {**peer, **judged}, "ours_at_the_peers_likeness": best}
        peer_fps, peer_name = peer["fps"], "trame-rca tuned (120 frames/s, events every 8 ms)"
    else:
        details["why_no_peer"] = why_no_trame()
    write_result(
        "drag",
        unit="frames/s painted",
        better="higher",
        ours=ours["fps"],
        peer=peer_fps,
        peer_name=peer_name,
        bar=BAR_FPS,
        load_before=load,
        details=details,
    )
    if best is not None:
        write_result(
            "drag_bytes",
            unit="bytes a frame at equal likeness",
            better="lower",
            ours=float(best["bytes"]),
            peer=details["peer"]["bytes_of_judged"],
            peer_name=peer_name,
            bar=details["peer"]["bytes_of_judged"],
            load_before=load,
            details=details,
        )


if __name__ == "__main__":
    main()
