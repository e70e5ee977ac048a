"""Scrolling through a chest CT in Chromium over 2G and 4G: our viewer against one POST a frame, through the same thin link.

The baseline is SIVR's method (`tests/support/sivr_peer.py`), in WebP q95 and in PNG. Both pages are driven alike: jumps of many
slices in one turn of the wheel, half a second after the picture before was settled, to what nothing can have fetched; 50 notches
at five a second; 50 at twenty a second. What counts is the time from the wheel event to the animation frame that paints the
picture it led to.

The paper's series C is not to be had; ours has 275 slices of 512 x 512. Latency of a link is a round trip.
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / folder) for folder in ("platform", "rendering", "inference", "tests/support")]

import numpy as np  # noqa: E402  # the path stands above
from playwright.sync_api import Page  # noqa: E402  # as above

from bench_browser import browser_behind, jump, painted, turn_wheel, wait_painted, why_no_chromium  # noqa: E402
from bench_result import write_result  # noqa: E402  # as above
from bench_stack import BenchSeries, BenchStack, bench_stack  # noqa: E402  # as above
from real_ct import find_set  # noqa: E402  # as above
from sivr_peer import SivrPeer  # noqa: E402  # as above
from throttle import LINKS  # noqa: E402  # as above

JUMPS, NOTCHES, SLOW_MS, FAST_MS = 12, 50, 200.0, 50.0
REST_MS = 500.0
WINDOW = (-450.0, 2000.0)
TIMES_SHORTER, FAST_BAR_MS, SETTLED_BAR_MS = 4.0, 120.0, 1500.0
PICTURE = "[data-testid=viewport]"

Painted = list[dict[str, Any]]


def scroll(page: Page, place: int, slices: int, *, settles: str, rest_ms: float) -> dict[str, Painted]:
    """Drive a page that shows a slice; return what it painted, by the way it was driven.

    Parameters
    ----------
    settles
        What the last picture of a place meets, as a condition on `one`.
    rest_ms
        Before each run through fifty slices.
    """
    chance = random.Random(5)
    found: dict[str, Painted] = {"jumps": [], "slow": [], "fast": []}
    for _ in range(JUMPS):
        painted(page)
        goal = place
        while abs(goal - place) < 40:
            goal = chance.randrange(slices)
        before = page.evaluate("performance.now()")
        jump(page, goal - place)
        assert wait_painted(page, f"one.start >= {before} && {settles}"), "nothing was painted after a jump"
        page.wait_for_timeout(REST_MS)
        shown = [one for one in painted(page) if one["start"] >= before]
        found["jumps"] += [{**one, "is_first": number == 0} for number, one in enumerate(shown)]
        place = goal
    # Room for fifty notches downwards.
    jump(page, 10 - place)
    place = 10
    assert wait_painted(page, f"one.place === {place} && {settles}"), "the first slice of the run is not shown"
    for name, every_ms in (("slow", SLOW_MS), ("fast", FAST_MS)):
        page.wait_for_timeout(rest_ms)
        painted(page)
        turn_wheel(page, NOTCHES, every_ms)
        place += NOTCHES
        assert wait_painted(page, f"one.place === {place} && {settles}"), "the last slice of the run is not shown"
        found[name] = painted(page)
    return found


def look_ours(stack: BenchStack, series: BenchSeries, link: str) -> tuple[dict[str, Painted], int]:
    """Scroll in our viewer; return what was painted and how many bytes the page took to open."""
    with browser_behind(stack.port, LINKS[link]) as (browser, proxy):
        page = stack.sit_down(browser)
        begun = proxy.bytes_down
        page.goto(f"/t/north/studies/{series.study_id}/", timeout=120_000)
        assert wait_painted(page, "one.isSettled", 60_000), "the viewer shows no slice of the stream"
        opened, place = proxy.bytes_down - begun, int(painted(page)[-1]["place"])
        box = page.locator(PICTURE).first.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        return scroll(page, place, series.slices, settles="one.isSettled", rest_ms=2500.0), opened


def look_peer(folder: Path, media_type: str, slices: int, link: str) -> dict[str, Painted]:
    """Scroll in the baseline's page."""
    with SivrPeer(folder, media_type, *WINDOW) as peer, browser_behind(peer.port, LINKS[link]) as (browser, _):
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(f"http://127.0.0.1:{peer.port}/")
        assert wait_painted(page, "true"), "the baseline shows no slice"
        page.mouse.move(256, 256)
        return scroll(page, 0, slices, settles="true", rest_ms=REST_MS)


def times_ms(found: Painted) -> list[float]:
    """Return how long each took from its wheel event."""
    return [one["end"] - one["start"] for one in found]


def spread(found: Painted) -> dict[str, float]:
    """Return count, median, p95 and mean KiB."""
    if not found:
        return {"painted": 0}
    times = times_ms(found)
    return {
        "painted": len(found),
        "p50_ms": round(float(np.median(times)), 1),
        "p95_ms": round(float(np.quantile(times, 0.95)), 1),
        "kib": round(float(np.mean([one["bytes"] for one in found])) / 1024, 1),
    }


def first(found: Painted) -> Painted:
    """Return of each jump the first picture that came over the link."""
    return [one for one in found if one["is_first"] and not one.get("isHit")]


def describe_ours(found: dict[str, Painted]) -> dict[str, Any]:
    """Return misses, hits and settled frames of our viewer, apart, and sizes by tier."""
    everything = [one for part in found.values() for one in part]
    motion = {name: [one for one in part if not one["isSettled"] and not one["isHit"]] for name, part in found.items()}
    tiers = sorted({(one["tier"], one["width"], one["isSettled"]) for one in everything if not one["isHit"]})
    return {
        **{f"misses_{name}": spread(part) for name, part in motion.items()},
        **{f"hits_{name}": spread([one for one in part if one["isHit"]]) for name, part in found.items()},
        "settled_jumps": spread([one for one in found["jumps"] if one["isSettled"] and not one["isHit"]]),
        "settled": spread([one for one in everything if one["isSettled"] and not one["isHit"]]),
        "kib_by_tier": {
            f"T{tier} {width} wide{', settled' if settled else ''}": spread(
                [
                    one
                    for one in everything
                    if (one["tier"], one["width"], one["isSettled"]) == (tier, width, settled) and not one["isHit"]
                ]
            )["kib"]
            for tier, width, settled in tiers
        },
    }


def main() -> None:
    """Run it; `--link 2G` for one link alone."""
    folder, why_not = find_set("ct-chest-lidc0314"), why_no_chromium()
    if folder is None or why_not is not None:
        sys.stdout.write(f"scroll: left out: {why_not or 'the real CT does not lie beside the checkout.'}\n")
        return
    links = sys.argv[2:3] if sys.argv[1:2] == ["--link"] else ["2G", "4G"]
    with bench_stack() as stack:
        series = stack.add_series(folder)
        for link in links:
            measure(stack, series, folder, link)


def measure(stack: BenchStack, series: BenchSeries, folder: Path, link: str) -> None:
    """Look through all three pages over one link and write the results."""
    load = os.getloadavg()[0]
    ours, opened = look_ours(stack, series, link)
    peers = {media: look_peer(folder, media, series.slices, link) for media in ("webp", "png")}
    misses = first(ours["jumps"])
    theirs = {media: first(found["jumps"]) for media, found in peers.items()}
    best = min(theirs, key=lambda media: float(np.median(times_ms(theirs[media]))))
    peer_p50 = float(np.median(times_ms(theirs[best])))
    details = {
        "link": f"{LINKS[link].bits_per_s / 1e3:g} kbit/s each way, {1e3 * LINKS[link].round_trip_s:g} ms round trip",
        "series": "ct-chest-lidc0314, 275 x 512 x 512, in place of series C",
        "page_and_first_slice_kib": round(opened / 1024, 1),
        "ours": {"first_of_a_jump": spread(misses), **describe_ours(ours)},
        "peers": {
            media: {"first_of_a_jump": spread(theirs[media]), **{name: spread(part) for name, part in found.items()}}
            for media, found in peers.items()
        },
        "times_shorter": {
            media: round(float(np.median(times_ms(part)) / np.median(times_ms(misses))), 2)
            for media, part in theirs.items()
        },
    }
    name = link.lower()
    write_result(
        f"scroll_{name}",
        unit="ms from wheel to paint, p50 of misses",
        better="lower",
        ours=float(np.median(times_ms(misses))),
        peer=peer_p50,
        peer_name=f"SIVR's method, {'WebP q95' if best == 'webp' else 'PNG'}",
        bar=round(peer_p50 / TIMES_SHORTER, 1) if link == "2G" else None,
        load_before=load,
        details=details,
    )
    motion = [one for part in ours.values() for one in part if not one["isSettled"] and not one["isHit"]]
    # Where a link bears it, the first picture is the settled one.
    motion += [one for one in misses if one["isSettled"]]
    write_result(
        f"scroll_{name}_p95",
        unit="ms from wheel to paint, p95 of all misses",
        better="lower",
        ours=float(np.quantile(times_ms(motion), 0.95)),
        peer=float(np.quantile([t for part in peers[best].values() for t in times_ms(part)], 0.95)),
        peer_name=f"SIVR's method, {'WebP q95' if best == 'webp' else 'PNG'}",
        bar=FAST_BAR_MS if link == "4G" else None,
        load_before=load,
        details=details,
    )
    write_result(
        f"scroll_{name}_paced_p95",
        unit="ms from wheel to paint, p95 of 50 slices at 5/s and at 20/s, hits and misses",
        better="lower",
        ours=float(np.quantile(times_ms([one for one in ours["slow"] + ours["fast"] if not one["isSettled"]]), 0.95)),
        peer=float(np.quantile(times_ms(peers[best]["slow"] + peers[best]["fast"]), 0.95)),
        peer_name=f"SIVR's method, {'WebP q95' if best == 'webp' else 'PNG'}",
        bar=FAST_BAR_MS if link == "4G" else None,
        load_before=load,
        details=details,
    )
    settled = [one for one in ours["jumps"] if one["isSettled"] and not one["isHit"]]
    write_result(
        f"scroll_{name}_settled",
        unit="ms from wheel to the settled frame, p95 of jumps",
        better="lower",
        ours=float(np.quantile(times_ms(settled), 0.95)),
        bar=SETTLED_BAR_MS if link == "2G" else None,
        load_before=load,
        details=details,
    )


if __name__ == "__main__":
    main()
