"""The platform's main job as people do it: a study goes in, findings come out, under a signed agreement."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
import pytest
from playwright.sync_api import Route, expect

from phantom_files import make_study
from reader import LONG_MS, Reader
from site_user import Site
from stack import WholeStack

pytestmark = pytest.mark.browser

SLAB = 40
SitDown = Callable[..., Reader]


@dataclass(frozen=True)
class Slab:
    """A slab of a real CT: neighbouring slices, as a folder and as a ZIP."""

    folder: Path
    archive: Path
    patient_id: str
    study_uid: str


@pytest.fixture(scope="session")
def slab(real_data: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Slab:
    found = []
    for path in real_data("ct-pelvis-vhf").rglob("*"):
        if path.is_file() and pydicom.misc.is_dicom(path):
            header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["ImagePositionPatient"])
            found.append((float(header.ImagePositionPatient[2]), path))
    middle = len(found) // 2
    chosen = [path for _, path in sorted(found)[middle - SLAB // 2 : middle + SLAB // 2]]
    folder = tmp_path_factory.mktemp("slab") / "pelvis"
    folder.mkdir()
    archive = folder.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in chosen:
            shutil.copy(path, folder / path.name)
            file.write(path, f"CD/IMAGES/{path.name}")
    first = pydicom.dcmread(chosen[0], stop_before_pixels=True)
    return Slab(folder, archive, str(first.PatientID), str(first.StudyInstanceUID))


def upload_folder(reader: Reader, folder: Path) -> None:
    """Choose a folder, and the institution where there are several."""
    reader.page.get_by_test_id("upload-folder-input").set_input_files(folder)
    confirm_institution(reader)


def confirm_institution(reader: Reader) -> None:
    if reader.tenant == "north":
        reader.page.get_by_test_id("upload-institution").click()


def expected_slice(stack: WholeStack, tenant: str, study_uid: str) -> int:
    """Return the number of the slice that the first finding is best seen on, as the API has it."""
    with stack.client("radiologist", tenant) as http:
        found = http.post("/api/v1/worklist/search", json={"page_size": 100}).json()["results"]
        (study_id,) = (row["id"] for row in found if row["study_instance_uid"] == study_uid)
        (analysis,) = http.get(f"/api/v1/studies/{study_id}/analyses").json()["analyses"]
        wanted = analysis["findings"][0]
        series = http.get(f"/api/v1/studies/{study_id}").json()["series"]
        (images,) = (one for one in series if one["series_instance_uid"] == wanted["series_instance_uid"])
        uids = [one["sop_instance_uid"] for one in images["instances"]]
        return uids.index(wanted["key_sop_instance_uid"]) + 1


@pytest.mark.realdata
def test_findings_of_a_real_ct_are_seen_judged_and_shared_when_its_folder_is_dropped(
    sit_down: SitDown, stack: WholeStack, slab: Slab, pictures: Path
) -> None:
    reader = sit_down("radiologist")
    referrer = sit_down("referrer")
    page = reader.page
    assert reader.row(slab.patient_id).count() == 0
    reader.record_states()
    addresses: list[str] = []
    page.on("framenavigated", lambda frame: addresses.append(frame.url))

    # Others are before it in the queue, else it would not be queued for longer than a blink.
    for _ in range(3):
        Site(stack).send(make_study(12))

    # In: the study appears and its analysis goes on, on the page as it is.
    upload_folder(reader, slab.folder)
    row = reader.row(slab.patient_id)
    expect(row).to_be_visible(timeout=LONG_MS)
    study_id = row.get_attribute("data-study") or ""
    reader.until(lambda: "done" in reader.states_seen(study_id), "the result", LONG_MS)
    assert [state for state in reader.states_seen(study_id) if state != "none"] == ["queued", "running", "done"]
    assert addresses == [], "the page was loaded again"
    expect(page.get_by_test_id("upload-summary")).to_contain_text(f"{SLAB} of {SLAB} files stored")
    page.screenshot(path=pictures / "worklist.png")

    # Out: the picture, the overlay, the findings.
    row.get_by_test_id("row-patient").click()
    reader.wait_for_picture()
    expect(page.get_by_test_id("patient-id")).to_have_text(slab.patient_id)
    reader.wait_for_overlay()
    key_slice = expected_slice(stack, "north", slab.study_uid)
    reader.until(lambda: reader.slice_number() == key_slice, "the slice where the finding is seen best")
    page.screenshot(path=pictures / "viewer.png")
    shown = reader.painted()
    page.get_by_test_id("overlay-toggle").click()
    reader.until(lambda: reader.painted() == (0, 0), "the overlay is gone")
    expect(page.get_by_test_id("ai-tag")).to_contain_text("hidden")
    page.get_by_test_id("overlay-toggle").click()
    reader.until(lambda: reader.painted() == shown, "the overlay is there again")
    page.get_by_test_id("overlay-opacity").fill("30")
    reader.until(lambda: 0 < reader.painted()[1] < shown[1], "the overlay is fainter")

    # Shared: nothing before the referral, no finding before the review.
    study_path = page.url.removeprefix(stack.url)
    assert referrer.row(slab.patient_id).count() == 0
    page.get_by_test_id("refer-to").click()
    page.get_by_test_id("refer-search").fill("Riley")
    page.get_by_label("Riley Referrer").check()
    page.get_by_test_id("refer-confirm").click()
    referrer.page.reload()
    expect(referrer.row(slab.patient_id)).to_be_visible()
    referrer.page.goto(study_path)
    referrer.wait_for_picture()
    expect(referrer.page.get_by_test_id("finding-row")).to_have_count(0)

    # Judged: kept, and shown to the referrer without a reload.
    page.get_by_test_id("finding-accept").first.click()
    finding = page.get_by_test_id("finding-row").first
    expect(finding).to_have_attribute("data-state", "accepted")
    expect(referrer.page.get_by_test_id("finding-row").first).to_be_visible()
    assert referrer.page.get_by_test_id("finding-accept").count() == 0
    page.reload()
    reader.wait_for_picture()
    expect(finding).to_have_attribute("data-state", "accepted")


@pytest.mark.realdata
def test_a_study_is_stored_once_when_its_zip_is_uploaded_after_a_reload_in_the_middle(
    sit_down: SitDown, stack: WholeStack, slab: Slab
) -> None:
    reader = sit_down("radiologist", "west")
    page = reader.page
    page.on("dialog", lambda dialog: dialog.accept())
    held: list[Route] = []
    page.route("**/dicomweb/studies", lambda route: held.append(route))
    page.get_by_test_id("upload-input").set_input_files(slab.archive)
    reader.until(lambda: held, "the upload is on its way")
    page.reload()
    page.unroute("**/dicomweb/studies")
    assert reader.row(slab.patient_id).count() == 0
    page.get_by_test_id("upload-input").set_input_files(slab.archive)
    expect(page.get_by_test_id("upload-summary")).to_contain_text(f"{SLAB} of {SLAB} files stored", timeout=LONG_MS)
    page.get_by_test_id("upload-open").click()
    reader.wait_for_picture()
    expect(page.get_by_test_id("finding-row").first).to_be_visible(timeout=LONG_MS)
    stored = stack.query(
        "select count(*) from studies_study s join tenancy_tenant t on t.id = s.tenant_id"
        " where t.slug = 'west' and s.study_instance_uid = %s",
        slab.study_uid,
    )
    assert stored == [(1,)]


@pytest.mark.realdata
def test_every_file_is_in_quarantine_with_its_reason_when_a_set_has_no_uids(
    sit_down: SitDown, real_data: Callable[[str], Path], tmp_path: Path
) -> None:
    for path in real_data("ct-bone-ref-totalseg").rglob("*"):
        if path.is_file() and pydicom.misc.is_dicom(path):
            shutil.copy(path, tmp_path / path.name)
    count = len(list(tmp_path.iterdir()))
    assert count == 20
    reader = sit_down("radiologist")
    reader.expected.append("409")
    upload_folder(reader, tmp_path)
    panel = reader.page.get_by_test_id("upload-panel")
    expect(panel).to_contain_text(f"0 of {count} files stored", timeout=LONG_MS)
    expect(panel).to_contain_text(f"{count} files not stored")
    expect(panel).to_contain_text("UID")
    reader.page.get_by_test_id("quarantine").click()
    expect(reader.page.locator("gantry-dialog")).to_contain_text("a UID is missing or empty")


def send_phantom(stack: WholeStack) -> str:
    """Send a new patient's study, wait for its findings, and return the patient's id."""
    site, study = Site(stack), make_study(12)
    site.wait_until_done(site.send(study))
    return study.patient_id


@pytest.fixture(scope="session")
def phantom(stack: WholeStack) -> str:
    """A patient whose study everybody reads and nobody changes."""
    return send_phantom(stack)


def first_finding_reviews(stack: WholeStack, patient_id: str) -> int:
    """Return how often the patient's first finding was judged."""
    ((count,),) = stack.query(
        "select f.review_count from analyses_finding f join studies_study s on s.id = f.study_id"
        " join studies_patient p on p.id = s.patient_id where p.patient_id = %s and f.number = 1",
        patient_id,
    )
    return int(count)


def test_a_finding_is_accepted_once_when_accept_is_clicked_twice(sit_down: SitDown, stack: WholeStack) -> None:
    patient_id = send_phantom(stack)
    reader = sit_down("radiologist")
    reader.open_study(patient_id)
    reader.page.get_by_test_id("finding-accept").first.dblclick()
    finding = reader.page.get_by_test_id("finding-row").first
    expect(finding).to_have_attribute("data-state", "accepted")
    assert first_finding_reviews(stack, patient_id) == 1
    reader.page.get_by_test_id("finding-reopen").first.click()
    expect(finding).to_have_attribute("data-state", "unreviewed")


def test_a_finding_leaves_the_picture_with_its_reason_kept_when_it_is_rejected(
    sit_down: SitDown, stack: WholeStack
) -> None:
    patient_id = send_phantom(stack)
    reader = sit_down("radiologist")
    reader.open_study(patient_id)
    reader.wait_for_overlay()
    page = reader.page
    standing = page.get_by_test_id("finding-accept").count()
    page.get_by_test_id("finding-reject").first.click()
    page.get_by_test_id("finding-reject-confirm").click()
    assert page.get_by_test_id("rejected-findings").count() == 0, "a rejection needs a reason"
    page.get_by_test_id("finding-reason").select_option("Wrong extent or outline")
    page.get_by_test_id("finding-reason-text").fill("The couch is no bone")
    page.get_by_test_id("finding-reject-confirm").click()
    expect(page.get_by_test_id("rejected-findings")).to_be_visible()
    reader.until(lambda: page.get_by_test_id("finding-accept").count() < standing, "it stands no longer")
    reader.until(lambda: reader.painted()[0] == 0, "its outline is gone")
    page.reload()
    reader.wait_for_picture()
    page.get_by_text("Rejected (1)").click()
    expect(page.get_by_test_id("rejected-findings")).to_contain_text("The couch is no bone")
    page.get_by_test_id("finding-reopen").first.click()
    reader.until(lambda: page.get_by_test_id("finding-accept").count() == standing, "it stands again")


def test_a_study_is_read_by_keyboard_when_there_is_no_mouse(sit_down: SitDown, phantom: str) -> None:
    reader = sit_down("radiologist")
    page = reader.page
    expect(page.get_by_test_id("worklist-row").first).to_be_visible()
    focused = "() => { let at = document.activeElement; while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;"
    focused += " return at?.closest('[data-study]')?.dataset.study ?? ''; }"
    page.keyboard.press("j")
    first = page.evaluate(focused)
    assert first
    if page.get_by_test_id("worklist-row").count() > 1:
        page.keyboard.press("j")
        assert page.evaluate(focused) != first
        page.keyboard.press("k")
        assert page.evaluate(focused) == first
    page.locator(f"[data-study='{first}']").get_by_test_id("row-patient").focus()
    page.keyboard.press("Enter")
    reader.wait_for_picture()
    page.goto("/t/north/")
    reader.open_study(phantom)
    page.keyboard.press("Home")
    reader.until(lambda: reader.slice_number() == 1, "the first slice")
    page.keyboard.press("ArrowDown")
    reader.until(lambda: reader.slice_number() == 2, "the next slice")
    page.keyboard.press("ArrowUp")
    reader.until(lambda: reader.slice_number() == 1, "the slice before")
    page.keyboard.press("n")
    reader.until(lambda: reader.painted()[0] > 0, "the first finding")
    page.keyboard.press("a")
    reader.until(lambda: reader.painted()[0] == 0, "no overlay")
    page.keyboard.press("a")
    reader.until(lambda: reader.painted()[0] > 0, "the overlay")


def swipe(reader: Reader, dy: int) -> None:
    """Move one finger over the picture."""
    box = reader.page.get_by_test_id("viewport").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    wire = reader.context.new_cdp_session(reader.page)

    def touch(kind: str, *points: dict[str, float]) -> None:
        wire.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": list(points)})

    touch("touchStart", {"x": x, "y": y})
    for step in range(1, 9):
        touch("touchMove", {"x": x, "y": y + dy * step / 8})
        reader.page.wait_for_timeout(20)
    # The finger rests before it lifts: after a fling Chromium takes the next tap for its end.
    reader.page.wait_for_timeout(200)
    touch("touchMove", {"x": x, "y": y + dy})
    touch("touchEnd")


def test_a_study_is_read_with_a_thumb_when_the_screen_is_a_phones(
    sit_down: SitDown, phantom: str, pictures: Path
) -> None:
    reader = sit_down("radiologist", is_phone=True)
    page = reader.page
    expect(page.get_by_test_id("worklist-row").first).to_be_visible()
    width = "() => document.documentElement.scrollWidth"
    assert page.evaluate(width) <= 390
    page.screenshot(path=pictures / "phone-worklist.png")
    reader.open_study(phantom)
    assert page.evaluate(width) <= 390
    before = reader.slice_number()
    swipe(reader, -160)
    reader.until(lambda: reader.slice_number() != before, "another slice")
    page.screenshot(path=pictures / "phone-viewer.png")
    page.get_by_role("button", name="Findings").tap()
    expect(page.get_by_test_id("finding-row").first).to_be_visible()
    page.screenshot(path=pictures / "phone-findings.png")
    page.get_by_test_id("finding-jump").first.tap()
    reader.until(lambda: reader.painted()[0] > 0, "the outline on the picture")


def test_nothing_is_shown_any_more_when_the_reader_signs_out(sit_down: SitDown, phantom: str) -> None:
    reader = sit_down("radiologist")
    reader.open_study(phantom)
    reader.expected += ["401", "WebSocket"]
    address = reader.page.url
    other = reader.context.new_page()
    other.goto("/accounts/logout/")
    other.get_by_role("button", name="Sign out").click()
    other.wait_for_url("**/accounts/login/**")
    # The page that is still open is told within seconds; nothing new opens.
    expect(reader.page.locator("gantry-dialog").get_by_role("link", name="Sign in")).to_be_visible(timeout=LONG_MS)
    other.goto(address)
    expect(other.locator("input[name=password]")).to_be_visible()
    answer = reader.context.request.post("/t/north/api/v1/worklist/search", data={})
    assert answer.status in {401, 403}


def test_the_reason_is_said_and_nothing_can_be_sent_when_no_agreement_is_in_force(
    sit_down: SitDown, stack: WholeStack, tmp_path: Path
) -> None:
    reader = sit_down("radiologist", "south")
    sent: list[str] = []
    reader.page.on("request", lambda request: sent.append(f"{request.method} {request.url}"))
    expect(reader.page.get_by_text("agreement is in force").first).to_be_visible()
    file = tmp_path / "slice.dcm"
    file.write_bytes(bytes(128) + b"DICM")
    reader.page.evaluate(
        """() => {
          const files = new DataTransfer();
          files.items.add(new File([new Uint8Array(200)], "slice.dcm"));
          window.dispatchEvent(new DragEvent("drop", { dataTransfer: files, bubbles: true, cancelable: true }));
        }"""
    )
    expect(reader.page.get_by_text("Uploading is not possible")).to_be_visible()
    assert not [url for url in sent if url.startswith("POST") and "dicomweb" in url]
    with stack.client("radiologist", "south") as http:
        refused = http.post("/api/v1/worklist/search", json={})
    assert (refused.status_code, refused.json()["code"]) == (403, "agreement.not_in_force")


_NAMED_ROLES = {
    "button",
    "link",
    "textbox",
    "searchbox",
    "combobox",
    "checkbox",
    "radio",
    "slider",
    "img",
    "dialog",
    "table",
}


def nameless(reader: Reader) -> list[str]:
    """Return the roles of what a screen reader would find without a name."""
    wire = reader.context.new_cdp_session(reader.page)
    nodes: list[dict[str, Any]] = wire.send("Accessibility.getFullAXTree")["nodes"]
    shown = [node for node in nodes if not node.get("ignored") and node.get("role", {}).get("value") in _NAMED_ROLES]
    assert shown
    return [node["role"]["value"] for node in shown if not node.get("name", {}).get("value", "").strip()]


def test_everything_has_a_name_when_a_screen_reader_asks(
    sit_down: SitDown, phantom: str, chromium: Any, stack: WholeStack, pictures: Path
) -> None:
    reader = sit_down("radiologist")
    expect(reader.page.get_by_test_id("worklist-row").first).to_be_visible()
    assert nameless(reader) == []
    reader.open_study(phantom)
    assert nameless(reader) == []
    assert reader.page.evaluate("() => document.documentElement.lang") == "en"
    assert reader.page.get_by_role("heading", level=1).count() == 1
    stranger = chromium.new_context(base_url=stack.url)
    page = stranger.new_page()
    page.goto("/accounts/login/")
    for label in ("E-mail", "Password"):
        expect(page.get_by_label(label)).to_be_visible()
    page.screenshot(path=pictures / "sign-in.png")
    stranger.close()
    assert os.listdir(pictures)
