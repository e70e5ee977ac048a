"""The viewer's tools in real Chromium: slab, oblique plane, crop box, links, cine, fingers; and what it refuses."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from reader import LONG_MS, Reader
from stack import WholeStack
from viewer_hands import (
    CINE_FRAME_MS,
    Oddities,
    Scans,
    cells,
    lay_out,
    open_volume_layout,
    places,
    require_volumes,
    settled,
)

pytestmark = pytest.mark.browser

SitDown = Callable[..., Reader]

_SUM = """one => {
  const canvas = one.shadowRoot.querySelector("#picture");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let sum = 0;
  for (let at = 0; at < data.length; at += 4) sum = (sum * 31 + data[at]) % 1000000007;
  return sum;
}"""
_BRIGHTNESS = """one => {
  const canvas = one.shadowRoot.querySelector("#picture");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let sum = 0;
  for (let at = 0; at < data.length; at += 4) sum += data[at];
  return sum / (data.length / 4);
}"""
#: Middles of what is filled with the crop box's blue: its handles, from left to right, in CSS pixels.
_HANDLES = """one => {
  const canvas = one.shadowRoot.querySelector("#overlay");
  const { width, height } = canvas;
  const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
  const isBlue = (x, y) => {
    const at = 4 * (y * width + x);
    return Math.abs(data[at] - 127) + Math.abs(data[at + 1] - 212) + Math.abs(data[at + 2] - 255) < 12;
  };
  const found = [];
  for (let x = 4; x < width - 4; x += 1)
    for (let y = 4; y < height - 4; y += 1) {
      let isFull = true;
      for (let by = -4; by <= 4 && isFull; by += 1) isFull = isBlue(x + by, y) && isBlue(x, y + by);
      if (isFull && !found.some(([a, b]) => Math.hypot(a - x, b - y) < 12)) found.push([x, y]);
    }
  return found.map(([x, y]) => [x / devicePixelRatio, y / devicePixelRatio]);
}"""


@pytest.fixture
def reader(sit_down: SitDown, scans: Scans) -> Reader:
    """Somebody who looks at the scans."""
    seated = sit_down("radiologist")
    seated.open_study(scans.patient_id)
    return seated


def middle(place: Locator) -> tuple[float, float, float]:
    """Return the middle of something on the page, and half its shorter side."""
    box = place.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, min(box["width"], box["height"]) / 2


def test_a_slab_is_as_thick_and_as_bright_as_chosen_when_planes_are_shown(reader: Reader, pictures: Path) -> None:
    open_volume_layout(reader, "mpr")
    page, viewport = reader.page, settled(reader)
    shown = cells(reader).first
    thin = viewport.evaluate(_BRIGHTNESS)
    page.get_by_test_id("slab-menu").click()
    page.get_by_test_id("slab-mip").click()
    expect(shown).to_contain_text("MIP 10 mm")
    page.get_by_label("Thickness").fill("40")
    expect(shown).to_contain_text("MIP 40 mm")
    reader.until(lambda: viewport.evaluate(_BRIGHTNESS) > thin + 1, "the brightest of the slab")
    page.screenshot(path=pictures / "slab-mip.png")
    page.get_by_test_id("slab-minip").click()
    expect(shown).to_contain_text("MinIP 40 mm")
    reader.until(lambda: viewport.evaluate(_BRIGHTNESS) < thin - 1, "the darkest of the slab")
    page.get_by_test_id("slab-none").click()
    expect(shown).not_to_contain_text("MinIP")


def test_a_plane_becomes_oblique_when_the_end_of_its_line_is_turned(reader: Reader, pictures: Path) -> None:
    open_volume_layout(reader, "mpr")
    axial, coronal = settled(reader), settled(reader, 1)
    reader.until(lambda: axial.evaluate("one => one.referencePlanes.length") == 2, "the lines of both other planes")
    before = coronal.evaluate(_SUM)
    x, y, half = middle(axial)
    page = reader.page
    page.mouse.move(x - 0.8 * half, y)
    page.mouse.down()
    for degrees in (5, 15, 25):
        angle = math.radians(degrees)
        page.mouse.move(x - 0.8 * half * math.cos(angle), y - 0.8 * half * math.sin(angle))
    page.mouse.up()
    expect(cells(reader).nth(1)).to_have_attribute("data-mode", "oblique")
    assert cells(reader).first.get_attribute("data-mode") == "axial"
    row = coronal.evaluate("one => one.plane.row")
    assert math.degrees(math.atan2(row[1], row[0])) == pytest.approx(25, abs=3)
    settled(reader, 1)
    reader.until(lambda: coronal.evaluate(_SUM) != before, "the oblique plane")
    page.screenshot(path=pictures / "oblique.png")


def at_rest(reader: Reader, viewport: Locator) -> int:
    """Return the sum of a picture that stays as it is: a better one, or a result, may still be on its way."""
    seen: list[int] = []

    def has_stayed() -> bool:
        seen.append(viewport.evaluate(_SUM))
        return len(seen) > 12 and len(set(seen[-12:])) == 1

    reader.until(has_stayed, "a picture that stays")
    return seen[-1]


def test_the_volume_is_cut_off_when_a_handle_of_the_crop_box_is_moved(reader: Reader, pictures: Path) -> None:
    require_volumes(reader)
    page = reader.page
    page.get_by_test_id("mode-menu").click()
    page.get_by_test_id("mode-volume").click()
    viewport = settled(reader)
    picture = at_rest(reader, viewport)
    whole = viewport.evaluate(_BRIGHTNESS)
    crop = page.locator("gantry-toolbar [data-command=crop]")
    crop.click()
    reader.until(lambda: len(viewport.evaluate(_HANDLES)) >= 4, "the handles")
    left, *_ = viewport.evaluate(_HANDLES)
    box = viewport.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + left[0], box["y"] + left[1])
    page.mouse.down()
    page.mouse.move(box["x"] + left[0] + 40, box["y"] + left[1], steps=4)
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + left[1], steps=4)
    page.mouse.up()
    low = viewport.evaluate("one => one.crop.low")
    assert low[0] > 100
    assert low[1:] == [0, 0]
    settled(reader)
    reader.until(lambda: viewport.evaluate(_SUM) != picture, "half of it")
    page.screenshot(path=pictures / "crop.png")
    crop.click()
    reader.until(lambda: viewport.evaluate("one => one.crop") is None, "the whole again")
    settled(reader)
    # Two pictures of the same scene are alike, not equal: how small they are packed follows the link.
    reader.until(lambda: abs(viewport.evaluate(_BRIGHTNESS) - whole) < 0.03 * whole, "the same picture as before")


def zooms(reader: Reader) -> list[float]:
    """Return how far each viewport is zoomed."""
    found: list[float] = reader.page.get_by_test_id("viewport").evaluate_all("all => all.map((one) => one.view.zoom)")
    return found


def test_the_others_are_zoomed_too_when_zoom_is_linked(reader: Reader) -> None:
    lay_out(reader, "1x3")
    page = reader.page
    page.keyboard.press("+")
    reader.until(lambda: zooms(reader)[0] > 1, "the first is zoomed")
    assert zooms(reader)[1:] == [1, 1]
    page.keyboard.press("=")
    page.get_by_test_id("links-menu").click()
    page.locator("[data-command=link-zoom]").check()
    page.keyboard.press("Escape")
    page.keyboard.press("+")
    reader.until(lambda: zooms(reader)[0] > 1 and len(set(zooms(reader))) == 1, "all are zoomed")


def test_another_frame_of_reference_follows_in_amber_once_the_reader_says_where_it_is(
    reader: Reader, pictures: Path
) -> None:
    lay_out(reader, "1x3")
    page = reader.page
    page.keyboard.press("Home")
    reader.until(lambda: places(reader)[0] == 0, "the first slice")
    apart = places(reader)[2]
    assert page.get_by_test_id("by-hand").count() == 0
    page.get_by_test_id("links-menu").click()
    page.get_by_test_id("hand-link-2").click()
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("by-hand")).to_have_count(3)
    expect(cells(reader).first.get_by_test_id("by-hand")).to_contain_text(
        re.compile(r"viewport 3 at [+-]\d+(\.\d)? mm")
    )
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    reader.until(lambda: places(reader)[::2] == [3, apart + 3], "the other frame of reference follows")
    expect(cells(reader).nth(2).get_by_test_id("by-hand")).to_contain_text("viewport 1, 2 at")
    page.screenshot(path=pictures / "linked-by-hand.png")
    page.get_by_test_id("links-menu").click()
    page.get_by_test_id("hand-link-2").click()
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("by-hand")).to_have_count(0)
    page.keyboard.press("Home")
    reader.until(lambda: places(reader)[0] == 0, "the first slice again")
    assert places(reader)[2] == apart + 3
    page.reload()
    expect(page.get_by_test_id("viewport")).to_have_count(3)
    assert page.get_by_test_id("by-hand").count() == 0


def test_a_cine_takes_the_rate_of_its_recording_until_another_is_chosen(sit_down: SitDown, oddities: Oddities) -> None:
    reader = sit_down("radiologist")
    require_volumes(reader)
    reader.open_study(oddities.patient_id)
    page, speed = reader.page, reader.page.get_by_test_id("cine-speed")
    expect(speed).to_have_value("10")
    page.get_by_test_id("series").nth(1).click()
    expect(speed).to_have_value(f"{1000 / CINE_FRAME_MS:.0f}", timeout=LONG_MS)
    page.keyboard.press("c")
    seen: set[int] = set()

    def has_gone_round() -> bool:
        seen.update(places(reader))
        return len(seen) > 3

    reader.until(has_gone_round, "several frames")
    page.keyboard.press("c")
    speed.select_option("5")
    page.get_by_test_id("series").first.click()
    expect(speed).to_have_value("10")
    page.get_by_test_id("series").nth(1).click()
    expect(speed).to_have_value("5")


def test_no_plane_is_offered_and_the_reason_said_when_slices_are_missing(
    sit_down: SitDown, oddities: Oddities, pictures: Path
) -> None:
    reader = sit_down("radiologist")
    require_volumes(reader)
    reader.open_study(oddities.patient_id)
    page = reader.page
    axial = page.get_by_test_id("mode-axial")
    expect(axial).to_have_attribute("aria-disabled", "true", timeout=LONG_MS)
    page.get_by_test_id("mode-menu").click()
    reason = axial.get_attribute("title") or ""
    assert re.match(r"MPR and 3D are not offered: \w.{20,}\.$", reason), reason
    expect(page.locator("gantry-toolbar").get_by_text(reason).first).to_be_visible()
    page.screenshot(path=pictures / "refused.png")
    # It is read and focused like any other, and says why it does nothing.
    axial.click(force=True)
    expect(cells(reader).first).to_have_attribute("data-mode", "stack")


def test_the_side_of_a_mammogram_stays_when_texts_are_shown_and_planes_are_refused(
    sit_down: SitDown, oddities: Oddities, pictures: Path
) -> None:
    reader = sit_down("radiologist")
    reader.open_study(oddities.patient_id)
    page = reader.page
    page.get_by_test_id("series").nth(2).click()
    expect(page.get_by_test_id("laterality")).to_have_text("Left")
    expect(page.get_by_test_id("mode-volume")).to_have_attribute("aria-disabled", "true")
    expect(page.locator("[data-command=cine]").first).to_have_attribute("aria-disabled", "true")
    reader.wait_for_picture()
    page.screenshot(path=pictures / "mammogram.png")


def test_pictures_go_and_the_reason_comes_when_a_referral_is_withdrawn(
    sit_down: SitDown, stack: WholeStack, scans: Scans, pictures: Path
) -> None:
    referrer = sit_down("referrer")
    require_volumes(referrer)
    referrer.expected += ["404", "403", "WebSocket"]
    path = f"/api/v1/studies/{scans.study_id}/referrals"
    with stack.client("radiologist") as http:
        (person,) = (one for one in http.get("/api/v1/people").json()["people"] if "Riley" in one["name"])
        referral = http.post(path, json={"person_id": person["id"]})
        assert referral.status_code == 201, referral.text
        referrer.page.reload()
        referrer.open_study(scans.patient_id)
        settled(referrer)
        assert http.delete(f"{path}/{referral.json()['id']}").status_code == 204
    expect(referrer.page.get_by_test_id("revoked")).to_be_visible(timeout=LONG_MS)
    for gone in ("viewport", "series", "finding-row"):
        expect(referrer.page.get_by_test_id(gone)).to_have_count(0)
    assert referrer.page.get_by_text(scans.patient_id).count() == 0
    referrer.page.screenshot(path=pictures / "revoked.png")


def test_two_fingers_zoom_and_move_and_one_scrolls_when_the_screen_is_touched(
    sit_down: SitDown, scans: Scans, pictures: Path
) -> None:
    reader = sit_down("radiologist", is_phone=True)
    reader.open_study(scans.patient_id)
    page, viewport = reader.page, reader.page.get_by_test_id("viewport")
    wire = reader.context.new_cdp_session(page)
    x, y, _ = middle(viewport)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        listed = [{"x": x + dx, "y": y + dy, "id": at} for at, (dx, dy) in enumerate(points)]
        wire.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": listed})

    def view() -> dict[str, float]:
        found: dict[str, float] = viewport.evaluate("one => ({ zoom: one.view.zoom, ...one.view.pan })")
        return found

    (before,) = places(reader)
    touch("touchStart", (-40, 0), (40, 0))
    for apart in (50, 60, 70, 80):
        touch("touchMove", (-apart, 0), (apart, 0))
    reader.until(lambda: view()["zoom"] == pytest.approx(2, rel=0.05), "twice as large")
    for down in (10, 20, 30, 40):
        touch("touchMove", (-80, down), (80, down))
    touch("touchEnd")
    reader.until(lambda: view()["y"] == pytest.approx(40, abs=4), "moved by both fingers")
    assert abs(view()["x"]) < 4
    assert page.evaluate("visualViewport.scale") == 1, "the page itself is not zoomed"
    assert places(reader) == [before]
    page.screenshot(path=pictures / "phone-zoomed.png")
    touch("touchStart", (0, 0))
    for down in (20, 40, 60, 80):
        touch("touchMove", (0, down))
    touch("touchEnd")
    reader.until(lambda: places(reader) != [before], "one finger scrolls")
    assert view()["zoom"] == pytest.approx(2, rel=0.05)
