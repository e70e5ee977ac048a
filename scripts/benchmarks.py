"""Write docs/benchmarks.md and its picture from the results of `make bench`: `.venv/bin/python scripts/benchmarks.py`.

With `--check` nothing is written; exits with 1 when the page does not say what the results say.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape

ROOT: Final = Path(__file__).resolve().parents[1]
RESULTS: Final = ROOT / "tests" / "bench" / "results"
PAGE: Final = ROOT / "docs" / "benchmarks.md"
PLOT: Final = ROOT / "docs" / "images" / "scroll.svg"

#: Row by row: what it is, and the names of its results.
ROWS: Final = (
    ("First slice after opening, 555 × 512 × 512, nothing in memory", ("volume_first_slice",)),
    ("The whole volume, 555 × 512 × 512", ("volume_load_ct",)),
    ("The whole volume, 96 × 1996 × 2457", ("volume_load_large",)),
    ("Rendered CT slice, 512², JPEG q90, one client on loopback", ("render_slice", "render_proxied")),
    (
        "Bone, pelvis, 512²: settled, likeness, moving, first frame",
        (
            "render_volume_pelvis_settled",
            "render_volume_pelvis_likeness",
            "render_volume_pelvis_moving",
            "render_volume_pelvis_first",
        ),
    ),
    (
        "Bone, chest, 512²: settled, likeness, moving, first frame",
        (
            "render_volume_chest_settled",
            "render_volume_chest_likeness",
            "render_volume_chest_moving",
            "render_volume_chest_first",
        ),
    ),
    ("Scrolling over 2G in Chromium", ("scroll_2g", "scroll_2g_p95", "scroll_2g_paced_p95", "scroll_2g_settled")),
    ("Scrolling over 4G in Chromium", ("scroll_4g", "scroll_4g_p95", "scroll_4g_paced_p95", "scroll_4g_settled")),
    ("Turning the pelvis for 8 s in Chromium", ("drag", "drag_bytes")),
    ("20 sessions scrolling, 5 slices a second each", ("sessions", "sessions_worst", "sessions_memory")),
    ("Restoring the demo data after a disaster", ("restore",)),
)

#: Why a bar is missed, as far as it was looked into; printed only while it is.
REASONS: Final[dict[str, str]] = {}

Result = dict[str, Any]


def read_results() -> dict[str, Result]:
    """Return every result by its name."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))}


def number(value: float | None) -> str:
    """Return a number as people read it: three digits that count."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def write_page(results: dict[str, Result]) -> str:
    """Return the page."""
    parts = [
        "# Benchmarks",
        "",
        (
            "Written by `scripts/benchmarks.py` from [`tests/bench/results`](../tests/bench/results); do not edit. `make bench`"
            " runs them all, `make bench NAME=scroll` one. Peers ran in the same run on the same two cores, but where"
            " *published* is said."
        ),
        "",
        "| what | ours | peer | bar | held | load before |",
        "|---|---|---|---|---|---|",
        *(line for what, names in ROWS for line in rows(what, names, results)),
        "",
        "*Load before* is the machine's load average before the run: above two, others were at work on its two cores.",
        "",
        "## The paper's tables",
        "",
        (
            "SIVR (SoftwareX 2022, `ElsevierSoftwareX/SOFTX-D-22-00045`) is what this way of viewing is compared with. Of its"
            " tables only the loading times of two series are known to us, and the two links; its text and its series were"
            " not to be had. Series of the same sizes stand in for them, filled with a real chest CT, and its method of"
            " fetching frames was written again from its source (`tests/support/sivr_peer.py`)."
        ),
        "",
        "**Table 1, loading.** SIVR's column is published, on an i7-11700.",
        "",
        *loading(results),
        "",
        (
            "**Table 2, a frame over a weak link.** Milliseconds from the wheel to the painted picture in Chromium through one"
            " throttling proxy, median / 95 % (pictures), KiB a frame. *Jump*: many slices at once, which nothing has fetched"
            " before. *Pace*: 50 slices at 5 and at 20 a second."
        ),
        "",
        *frames(results),
        "",
    ]
    if any(name.startswith("scroll") for name in results):
        parts += [f"![From the wheel to the picture, by link]({PLOT.relative_to(PAGE.parent).as_posix()})", ""]
    parts += [
        "## How to read them",
        "",
        (
            "- *Hit*: the slice was there before it was asked for. *Miss*: it came over the link. *Settled*: all pixels that"
            " the view shows, 150 ms after the last input."
        ),
        (
            "- 2G is 750 kbit/s and 4G 4 Mbit/s in each direction; their 100 and 20 ms are round trips, as in browsers'"
            " presets. The proxy has no slow start and loses nothing."
        ),
        "- The baseline asks at once and for the newest; SIVR's own page waits a second after the slider has come to rest.",
        "- Orthanc has its files in memory, the pod its decoded frames; both make the picture anew for each request.",
        (
            "- The slice against Orthanc lies on its bar: earlier runs of the day, on machines more or less busy and with"
            " earlier code, were 2.65 to 2.95 times faster."
        ),
        (
            "- Bytes at equal likeness are reckoned: our engine draws the peer's cameras, and the cheapest size and quality"
            " that is as like as its frames counts. What the stream really sends while turning grows with the time"
            " that is left: `drag.json` has both."
        ),
        "- trame-rca is tuned: a target of 120 frames a second, mouse events every 8 ms.",
        "",
        *missed(results),
        *machines(results),
        "",
    ]
    return "\n".join(parts)


def rows(what: str, names: tuple[str, ...], results: dict[str, Result]) -> list[str]:
    """Return the lines of a row; its first one names it."""
    lines = []
    for at, name in enumerate(names):
        result = results.get(name)
        title = what if at == 0 else ""
        if result is None:
            lines.append(f"| {title} | not measured: `{name}` | | | | |")
            continue
        peer = f"{number(result['peer'])} ({result['peer_name']})" if result["peer"] is not None else "–"
        sign = "≤" if result["better"] == "lower" else "≥"
        bar = "–" if result["bar"] is None else f"{sign} {number(result['bar'])}"
        held = {True: "yes", False: "**no**", None: "–"}[result["held"]]
        lines.append(
            f"| {title} | {number(result['ours'])} {result['unit']} | {peer} | {bar} | {held} | {result['load_before']:.1f} |"
        )
    return lines


def loading(results: dict[str, Result]) -> list[str]:
    """Return the table of loading times."""
    lines = ["| series | voxels, MB | SIVR, whole record | first slice | whole volume |", "|---|---|---|---|---|"]
    for name, title in (("volume_load_ct", "555 × 512 × 512"), ("volume_load_large", "96 × 1996 × 2457")):
        if (result := results.get(name)) is None:
            continue
        details = result["details"]
        worst = details.get("first_slice_worst_ms")
        first = f"≤ {number(worst)} ms" if worst is not None else "–"
        lines.append(
            f"| {title} | {details['decoded_bytes'] / 1e6:.0f} | {result['peer']} s | {first} | {result['ours']} s |"
        )
    return lines


def frames(results: dict[str, Result]) -> list[str]:
    """Return the table of frames over weak links."""
    lines = ["| link | how | jump | pace 5/s | pace 20/s | KiB |", "|---|---|---|---|---|---|"]
    for link in ("2g", "4g"):
        if (result := results.get(f"scroll_{link}")) is None:
            lines.append(f"| {link.upper()} | not measured | | | | |")
            continue
        details = result["details"]
        ours = details["ours"]
        lines += [
            line(link, "ours, miss", ours["first_of_a_jump"], ours["misses_slow"], ours["misses_fast"]),
            line(link, "ours, hit", ours["hits_jumps"], ours["hits_slow"], ours["hits_fast"]),
            line(link, "ours, settled", ours["settled_jumps"], None, None),
            *(
                line(link, f"one POST a frame, {title}", peer["first_of_a_jump"], peer["slow"], peer["fast"])
                for media, title in (("webp", "WebP q95"), ("png", "PNG"))
                if (peer := details["peers"].get(media)) is not None
            ),
        ]
    return lines


def line(link: str, how: str, *parts: dict[str, float] | None) -> str:
    """Return one line of that table."""
    first = parts[0] or {}
    cells = [
        f"{number(part['p50_ms'])} / {number(part['p95_ms'])} ({part['painted']:g})"
        if part and part["painted"]
        else "–"
        for part in parts
    ]
    return f"| {link.upper()} | {how} | {' | '.join(cells)} | {number(first.get('kib'))} |"


def missed(results: dict[str, Result]) -> list[str]:
    """Return the bars that are missed, and why."""
    names = [name for _, each in ROWS for name in each if name in results and results[name]["held"] is False]
    if not names:
        return []
    lines = [f"- `{name}`: {REASONS.get(name, 'not looked into yet.')}" for name in names]
    return ["## Bars that are missed", "", *lines, ""]


def machines(results: dict[str, Result]) -> list[str]:
    """Return what they were measured on, and when."""
    shown = [results[name] for _, names in ROWS for name in names if name in results]
    found = sorted({f"{one['machine']}, {one['date']}" for one in shown})
    return [f"Measured on: {one}." for one in found]


def draw_plot(results: dict[str, Result]) -> str:
    """Return bars as SVG: median from the wheel to the picture after a jump, by link and method."""
    bars: list[tuple[str, str, float, str]] = []
    for link in ("2g", "4g"):
        if (result := results.get(f"scroll_{link}")) is None:
            continue
        ours, peers = result["details"]["ours"], result["details"]["peers"]
        for title, part, colour in (
            ("ours, first picture", ours["first_of_a_jump"], "#1f77b4"),
            ("ours, settled", ours["settled_jumps"], "#7fb2d9"),
            ("one POST a frame, WebP q95", peers["webp"]["first_of_a_jump"], "#b0b0b0"),
            ("one POST a frame, PNG", peers["png"]["first_of_a_jump"], "#808080"),
        ):
            if part["painted"]:
                bars.append((link.upper(), title, float(part["p50_ms"]), colour))
    left, across, step = 250, 430, 26
    most = max((value for _, _, value, _ in bars), default=1.0)
    height = 48 + step * len(bars)
    drawn = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 {height}" width="760" height="{height}" role="img"'
            ' font-family="sans-serif" font-size="13">'
        ),
        "<title>From the wheel to the painted picture</title>",
        f'<rect width="760" height="{height}" fill="#ffffff"/>',
        '<text x="12" y="22" font-weight="bold" fill="#222222">Milliseconds from the wheel to the picture, median</text>',
    ]
    for at, (link, title, value, colour) in enumerate(bars):
        y = 38 + step * at
        wide = max(1.0, across * value / most)
        drawn += [
            f'<text x="{left - 8}" y="{y + 15}" text-anchor="end" fill="#222222">{escape(f"{link}, {title}")}</text>',
            f'<rect x="{left}" y="{y + 2}" width="{wide:.1f}" height="{step - 8}" fill="{colour}"/>',
            f'<text x="{left + wide + 6:.1f}" y="{y + 15}" fill="#222222">{number(value)}</text>',
        ]
    return "\n".join([*drawn, "</svg>", ""])


def main() -> int:
    """Write the page and its picture, or compare them."""
    results = read_results()
    made = {PAGE: write_page(results), PLOT: draw_plot(results)}
    if "--check" in sys.argv[1:]:
        stale = [path for path, text in made.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
        for path in stale:
            print(f"{path.relative_to(ROOT)} is not what the results say: run scripts/benchmarks.py")
        return 1 if stale else 0
    for path, text in made.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
