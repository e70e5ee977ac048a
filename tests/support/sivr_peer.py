"""The method of SIVR (SoftwareX 2022, MIT) written again as a baseline: one POST a frame, whole frames, WebP q95 or PNG.

Its node keeps the decoded volume, renders a frame to the size the page set before, encodes it and answers
`fetch-frame`; its page shows the answer in an `<img>`. What differs here is in the baseline's favour: the page asks
at once, not a second after the slider came to rest, asks for one frame at a time and then for the newest, and PNG is
one grey channel where SIVR reads four back from OpenGL.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

ROOT: Final = Path(__file__).resolve().parents[2]

PAGE: Final = """<!doctype html>
<meta charset="utf-8"><title>baseline</title>
<style>body{margin:0;background:#000}img{width:512px;height:512px;display:block}</style>
<img id="picture" alt="">
<script>
const picture = document.querySelector("#picture");
const count = __COUNT__;
let wanted = 0, wantedSince = 0, shown = -1, isBusy = false, isDue = false;
window.painted = [];
async function ask() {
  if (isBusy || wanted === shown) return;
  isBusy = true;
  const frame = wanted, start = wantedSince;
  const answer = await fetch("/restful/render/fetch-frame", {method: "POST",
    headers: {"Content-Type": "application/json"}, body: JSON.stringify({md5sum: "0".repeat(32), frame})});
  const data = await answer.blob();
  const before = picture.src;
  picture.src = URL.createObjectURL(data);
  await picture.decode();
  if (before) URL.revokeObjectURL(before);
  shown = frame;
  requestAnimationFrame(() => {
    window.painted.push({start, end: performance.now(), place: frame, bytes: data.size});
  });
  isBusy = false;
  ask();
}
document.addEventListener("wheel", (event) => {
  event.preventDefault();
  wanted = Math.max(0, Math.min(count - 1, wanted + Math.round(event.deltaY / 120)));
  wantedSince = event.timeStamp;
  if (!isDue) requestAnimationFrame(() => { isDue = false; ask(); });
  isDue = true;
}, {passive: false});
wantedSince = performance.now();
ask();
</script>
"""


def encode_frame(picture: NDArray[np.uint8], media_type: str) -> bytes:
    """Encode as SIVR's node does: libwebp's default preset at quality 95, or PNG at zlib's default level."""
    from PIL import Image

    kept = io.BytesIO()
    image = Image.fromarray(picture)
    if media_type == "webp":
        image.convert("RGB").save(kept, "webp", quality=95, method=4)
    else:
        image.save(kept, "png")
    return kept.getvalue()


def serve(folder: Path, port: int, media_type: str, center: float, width: float) -> None:
    """Serve the page and its frames until ended; prints a line once it does."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import HTMLResponse, Response
    from starlette.routing import Route

    from gantry_imaging.render2d import Voi, render_values
    from real_ct import read_ct

    voxels = read_ct(folder).voxels_kji

    async def page(request: Request) -> Response:
        return HTMLResponse(PAGE.replace("__COUNT__", str(len(voxels))))

    def fetch_frame_now(number: int) -> bytes:
        return encode_frame(render_values(voxels[number], Voi(center, width)), media_type)

    async def fetch_frame(request: Request) -> Response:
        words: dict[str, Any] = await request.json()
        return Response(fetch_frame_now(int(words["frame"])), media_type="text/plain")

    routes = [Route("/", page), Route("/restful/render/fetch-frame", fetch_frame, methods=["POST"])]
    uvicorn.run(Starlette(routes=routes), host="127.0.0.1", port=port, log_level="error")


class SivrPeer:
    """The baseline's server in a process of its own."""

    def __init__(self, folder: Path, media_type: str, center: float, width: float) -> None:
        from gantry.embedded.ports import first_free_ports

        self.port = first_free_ports(19_300)[0]
        words = [str(folder), str(self.port), media_type, f"{center:g}", f"{width:g}"]
        self._command = [sys.executable, str(Path(__file__)), *words]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        from embedded_stack import wait_until

        self._process = subprocess.Popen(self._command)
        wait_until(self._answers, "the baseline answers", 60.0)
        return self

    def _answers(self) -> bool:
        import httpx

        assert self._process is not None
        assert self._process.poll() is None, "the baseline has ended"
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/").status_code == 200
        except httpx.TransportError:
            return False

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(20)


def _main() -> None:
    sys.path[:0] = [str(ROOT / "rendering"), str(ROOT / "platform")]
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("port", type=int)
    parser.add_argument("media_type", choices=("png", "webp"))
    parser.add_argument("center", type=float)
    parser.add_argument("width", type=float)
    words = parser.parse_args()
    serve(words.folder, words.port, words.media_type, words.center, words.width)


if __name__ == "__main__":
    _main()
