"""Several viewports side by side in real Chromium: layouts, links, cine, tools by keyboard, phones."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from reader import LONG_MS, Reader
from viewer_hands import EVERY, SLICES, Scans, active, cells, choose_layout, lay_out, open_volume_layout, places

pytestmark = pytest.mark.browser

GRIDS = [f"{rows}x{columns}" for rows in (1, 2, 3) for columns in (1, 2, 3)]
SitDown = Callable[..., Reader]


@pytest.fixture
def reader(sit_down: SitDown, scans: Scans) -> Reader:
    """Somebody who looks at the scans."""
    seated = sit_down("radiologist")
    seated.open_study(scans.patient_id)
    return seated


@pytest.mark.parametrize("name", GRIDS)
def test_every_grid_opens_with_its_cells_when_it_is_chosen(reader: Reader, name: str, pictures: Path) -> None:
    rows, columns = map(int, name.split("x"))
    choose_layout(reader, name)
    expect(cells(reader)).to_have_count(rows * columns)
    expect(reader.page.get_by_test_id("viewport")).to_have_count(min(3, rows * columns))
    reader.page.screenshot(path=pictures / f"layout-{name}.png")
    boxes = [box for box in (cell.bounding_box() for cell in cells(reader).all()) if box]
    assert len({round(box["x"]) for box in boxes}) == columns
    assert len({round(box["y"]) for box in boxes}) == rows
    reader.page.reload()
    expect(cells(reader)).to_have_count(rows * columns)


@pytest.mark.parametrize(
    ("name", "modes"),
    [
        ("mpr", ["axial", "coronal", "sagittal"]),
        ("mpr-3d", ["axial", "coronal", "sagittal", "volume"]),
        ("3d", ["volume", "axial", "coronal", "sagittal"]),
    ],
)
def test_planes_and_volume_are_painted_when_a_volume_layout_is_chosen(
    reader: Reader, name: str, modes: list[str], pictures: Path
) -> None:
    open_volume_layout(reader, name)
    expect(cells(reader)).to_have_count(len(modes))
    assert cells(reader).evaluate_all("cells => cells.map((cell) => cell.dataset.mode)") == modes
    for at in range(len(modes)):
        viewport = cells(reader).nth(at).get_by_test_id("viewport")
        expect(viewport).to_have_attribute("data-source", "stream", timeout=LONG_MS)
    reader.page.screenshot(path=pictures / f"layout-{name}.png")


def test_the_other_planes_go_through_the_place_when_the_crosshair_is_set(reader: Reader) -> None:
    open_volume_layout(reader, "mpr")
    labels = [cells(reader).nth(at).get_by_test_id("slice-label") for at in range(3)]
    for label in labels:
        expect(label).to_contain_text("/", timeout=LONG_MS)
    expect(cells(reader).first.get_by_test_id("viewport")).to_have_attribute("data-source", "stream", timeout=LONG_MS)
    axial, *before = [label.inner_text() for label in labels]
    reader.page.keyboard.press("x")
    box = cells(reader).first.bounding_box()
    assert box is not None
    reader.page.mouse.click(box["x"] + box["width"] * 0.7, box["y"] + box["height"] * 0.55)
    for label, was in zip(labels[1:], before, strict=True):
        expect(label).not_to_have_text(was)
    expect(labels[0]).to_have_text(axial)


def test_only_cells_of_one_frame_of_reference_follow_when_one_is_scrolled(reader: Reader) -> None:
    lay_out(reader, "1x3")
    reader.page.keyboard.press("Home")
    reader.until(lambda: places(reader)[0] == 0, "the first slice")
    *_, apart = places(reader)
    for _ in range(2 * EVERY + 1):
        reader.page.keyboard.press("ArrowDown")
    # The middle one of every three is in the thick series, whichever end is counted from.
    reader.until(lambda: places(reader)[:2] == [2 * EVERY + 1, 2], "the thick series at the same place")
    assert places(reader)[2] == apart
    reader.page.keyboard.press("k")
    reader.page.keyboard.press("Home")
    reader.until(lambda: places(reader)[0] == 0, "the first slice again")
    assert places(reader)[1:] == [2, apart]


def test_cine_goes_on_until_it_is_stopped_when_c_is_pressed(reader: Reader) -> None:
    page = reader.page
    page.get_by_test_id("cine-speed").select_option("30")
    page.keyboard.press("c")
    button = page.locator("[data-command=cine]")
    expect(button).to_have_attribute("aria-pressed", "true")
    seen: set[int] = set()

    def has_gone_round() -> bool:
        seen.update(places(reader))
        return len(seen) > SLICES // 2

    reader.until(has_gone_round, "many slices")
    page.keyboard.press("c")
    expect(button).to_have_attribute("aria-pressed", "false")
    (stopped,) = places(reader)
    page.keyboard.press("ArrowUp")
    reader.until(lambda: places(reader) == [max(0, stopped - 1)], "one slice back, and no further")


_FOCUSED = """() => {
  let at = document.activeElement;
  while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
  const host = at?.getRootNode().host;
  return at?.dataset?.command ?? at?.dataset?.testid ?? host?.tagName ?? "";
}"""
_IN_TOOLBAR = {
    "layout-menu", "mode-menu", "tool-window", "tool-pan", "tool-zoom", "tool-scroll", "tool-crosshair",
    "tool-rotate", "window-preset", "invert", "reset", "picture-menu", "cine", "cine-speed", "links-menu",
    "ai", "overlay-opacity", "maximise", "help",
}  # fmt: skip


def test_every_tool_is_reached_when_the_toolbar_is_walked_with_tab(reader: Reader) -> None:
    page = reader.page
    page.get_by_test_id("layout-menu").focus()
    walked = set()
    for _ in range(len(_IN_TOOLBAR) + 3):
        walked.add(page.evaluate(_FOCUSED))
        page.keyboard.press("Tab")
    assert walked >= _IN_TOOLBAR
    for button in page.locator("gantry-toolbar button").all():
        assert button.get_attribute("aria-label") or button.inner_text().strip()


def test_a_menu_is_used_by_keyboard_alone_when_it_is_opened_with_enter(reader: Reader) -> None:
    page = reader.page
    page.get_by_test_id("picture-menu").focus()
    page.keyboard.press("Enter")
    reader.until(lambda: page.evaluate(_FOCUSED) == "rotate-left", "the first of the menu")
    page.keyboard.press("ArrowDown")
    reader.until(lambda: page.evaluate(_FOCUSED) == "rotate-right", "the second of the menu")
    page.keyboard.press("Enter")
    reader.until(lambda: page.get_by_test_id("viewport").evaluate("one => one.rotation") == 90, "turned")
    page.keyboard.press("Escape")
    reader.until(lambda: page.evaluate(_FOCUSED) == "picture-menu", "the menu's button")


def test_pictures_change_when_their_keys_are_pressed(reader: Reader) -> None:
    page = reader.page
    look = "one => [one.isInverted, one.rotation, one.isFlipped, one.interpolation, one.quality, one.tool]"
    wanted = {
        "i": [True, 0, False, "linear", "auto", "window"],
        "r": [True, 90, False, "linear", "auto", "window"],
        "l": [True, 0, False, "linear", "auto", "window"],
        "h": [True, 0, True, "linear", "auto", "window"],
        "v": [True, 180, False, "linear", "auto", "window"],
        "y": [True, 180, False, "nearest", "auto", "window"],
        "q": [True, 180, False, "nearest", "lossless", "window"],
        "m": [True, 180, False, "nearest", "lossless", "pan"],
    }
    for key, shown in wanted.items():
        page.keyboard.press(key)
        reader.until(lambda: page.get_by_test_id("viewport").evaluate(look) == shown, f"what {key} does")  # noqa: B023
    page.keyboard.press(" ")
    reader.until(
        lambda: page.get_by_test_id("viewport").evaluate(look) == [False, 0, False, "linear", "auto", "pan"], "reset"
    )
    page.keyboard.press("4")
    expect(page.get_by_test_id("window-label")).to_contain_text("W 2500")


def test_the_keyboard_goes_from_viewport_to_viewport_when_arrows_are_pressed(reader: Reader) -> None:
    choose_layout(reader, "2x2")
    expect(cells(reader)).to_have_count(4)
    page = reader.page
    for key, wanted in (("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("ArrowLeft", 0)):
        page.keyboard.press(key)
        reader.until(lambda: active(reader) == wanted, f"viewport {wanted}")  # noqa: B023
    page.keyboard.press("Enter")
    expect(cells(reader).nth(1)).to_be_hidden()
    page.get_by_test_id("viewport").first.dblclick()
    expect(cells(reader).nth(1)).to_be_visible()


def test_a_series_is_shown_where_it_is_dropped_when_its_thumbnail_is_dragged(reader: Reader) -> None:
    lay_out(reader, "2x2")
    third = reader.page.get_by_test_id("series").nth(2)
    third.drag_to(cells(reader).nth(3))
    expect(cells(reader).nth(3)).to_have_attribute(
        "data-series", cells(reader).nth(2).get_attribute("data-series") or "?"
    )
    assert active(reader) == 3
    reader.page.get_by_test_id("series").nth(1).click()
    expect(cells(reader).nth(3)).to_have_attribute(
        "data-series", cells(reader).nth(1).get_attribute("data-series") or "?"
    )
    expect(reader.page.get_by_test_id("shown-in").nth(1)).to_have_text(re.compile(r"2\s*4\s*$"))


def test_nobody_is_named_when_texts_are_hidden_for_teaching(reader: Reader, scans: Scans) -> None:
    page = reader.page
    page.keyboard.press("t")
    expect(page.get_by_test_id("identity-hidden")).to_be_visible()
    assert page.get_by_text(scans.patient_id).count() == 0
    reader.until(lambda: page.title() == "Study | Gantry", "a title without a name")
    page.keyboard.press("t")
    expect(page.get_by_test_id("patient-id")).to_have_text(scans.patient_id)


def test_the_sheet_lists_every_tool_when_a_question_mark_is_typed(reader: Reader, pictures: Path) -> None:
    page = reader.page
    page.keyboard.press("?")
    sheet = page.locator("gantry-shortcut-sheet")
    for name in ("Cine: play or pause", "Crosshair", "Flip left and right", "Link scrolling by position", "Crop box"):
        expect(sheet.get_by_text(name, exact=True)).to_be_attached()
    page.screenshot(path=pictures / "sheet.png")
    page.keyboard.press("Escape")
    expect(sheet).to_have_count(0)


@pytest.mark.parametrize("size", [(390, 844), (844, 390), (320, 640)], ids=["upright", "sideways", "small"])
def test_one_viewport_and_every_tool_fit_when_the_screen_is_a_phones(
    sit_down: SitDown, scans: Scans, pictures: Path, size: tuple[int, int]
) -> None:
    reader = sit_down("radiologist", is_phone=True)
    page = reader.page
    width, height = size
    page.set_viewport_size({"width": width, "height": height})
    reader.open_study(scans.patient_id)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    expect(cells(reader)).to_have_count(1)
    expect(page.get_by_test_id("lossy-tag")).to_be_visible()
    for button in page.locator("gantry-toolbar button:visible").all():
        box = button.bounding_box()
        assert box is not None
        assert (box["width"], box["height"]) >= (44, 44)
    picture = page.get_by_test_id("viewport").bounding_box()
    assert picture is not None
    assert picture["width"] * picture["height"] > 0.5 * width * height
    before = places(reader)
    page.locator("[data-command=cine]").tap()
    reader.until(lambda: places(reader) != before, "the cine runs")
    page.locator("[data-command=cine]").tap()
    page.get_by_test_id("mode-menu").tap()
    page.screenshot(path=pictures / f"phone-{width}-menu.png")
    expect(page.get_by_test_id("mode-coronal")).to_be_visible()
    page.get_by_test_id("mode-stack").tap()
    page.get_by_role("button", name="Series", exact=True).tap()
    expect(page.get_by_test_id("series").first).to_be_visible()
