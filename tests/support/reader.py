"""A person at a browser: signs in, opens studies, looks at pixels, and notices what a page must never do."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Locator, Request, expect

from stack import WholeStack

DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
PATIENCE_MS, LONG_MS = 30_000, 90_000

_PAINTED = """canvas => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let painted = 0, alpha = 0;
  for (let at = 3; at < data.length; at += 4) { if (data[at]) painted += 1; alpha += data[at]; }
  return [painted, alpha];
}"""
_LIT = """canvas => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let sum = 0;
  for (let at = 0; at < data.length; at += 4) sum += data[at] * ((at / 4) % 251 + 1);
  return sum;
}"""


#: Notes each state of each row's analysis, however short.
_RECORD = """table => {
  window.statesSeen = {};
  const note = () => {
    for (const row of table.shadowRoot.querySelectorAll("[data-study]")) {
      const state = row.querySelector("[data-testid=study-status]").dataset.state;
      const seen = (window.statesSeen[row.dataset.study] ??= []);
      if (seen.at(-1) !== state) seen.push(state);
    }
  };
  new MutationObserver(note).observe(table.shadowRoot, { subtree: true, childList: true, attributes: true });
}"""


class Reader:
    """One browser context with one page.

    Parameters
    ----------
    is_phone
        A phone's window and fingers instead of a desktop's.
    """

    def __init__(self, browser: Browser, stack: WholeStack, role: str, tenant: str, *, is_phone: bool = False) -> None:
        self.stack, self.role, self.tenant = stack, role, tenant
        options: dict[str, Any] = {"viewport": DESKTOP}
        if is_phone:
            options = {"viewport": PHONE, "is_mobile": True, "has_touch": True, "device_scale_factor": 2}
        self.context = browser.new_context(base_url=stack.url, **options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.complaints: list[str] = []
        #: What a test provokes on purpose, as parts of the console's words.
        self.expected = ["willReadFrequently"]  # we read the canvas back; the page does not
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(f"page error: {error}"))
        self.page.on("request", self._requested)

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"console {message.type}: {message.text}")

    def _requested(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme in {"http", "https", "ws", "wss"} and address.netloc != urlsplit(self.stack.url).netloc:
            self.complaints.append(f"request to another host: {address.netloc}")

    def leave(self) -> None:
        """Close the browser's window; every page it showed was well."""
        self.context.close()
        left = [said for said in self.complaints if not any(word in said for word in self.expected)]
        assert not left, left

    def sign_in(self) -> None:
        """Sign in through the page, to the worklist."""
        email, password = self.stack.password(self.tenant, self.role)
        self.page.goto("/")
        self.page.fill("input[name=login]", email)
        self.page.fill("input[name=password]", password)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(f"**/t/{self.tenant}/")

    def row(self, patient_id: str) -> Locator:
        """Return a patient's row of the worklist."""
        return self.page.get_by_test_id("worklist-row").filter(has_text=patient_id)

    def record_states(self) -> None:
        """Begin to note what each row of the worklist says about its analysis."""
        self.page.locator("gantry-worklist-table").evaluate(_RECORD)

    def states_seen(self, study_id: str) -> list[str]:
        """Return what a row said since, in order."""
        seen: list[str] = self.page.evaluate("study => window.statesSeen?.[study] ?? []", study_id)
        return seen

    def open_study(self, patient_id: str) -> None:
        """Open a patient's study from the worklist and wait for its picture."""
        self.page.goto(f"/t/{self.tenant}/")
        self.row(patient_id).get_by_test_id("row-patient").click()
        self.wait_for_picture()

    def wait_for_picture(self) -> None:
        """Wait until the viewer shows a slice."""
        expect(self.page.get_by_test_id("patient-name")).to_be_visible()
        self.until(lambda: self.page.get_by_test_id("viewport").locator("#picture").evaluate(_LIT), "a picture")

    def painted(self) -> tuple[int, int]:
        """Return how many pixels of the overlay are painted, and the sum of their opacity."""
        count, alpha = self.page.get_by_test_id("overlay").evaluate(_PAINTED)
        return int(count), int(alpha)

    def slice_number(self) -> int:
        """Return the number of the slice that is shown."""
        return int((self.page.get_by_test_id("slice-label").inner_text()).split("/")[0])

    def wait_for_overlay(self) -> None:
        """Go to the first finding and wait until its outline is drawn."""
        self.page.get_by_test_id("finding-jump").first.click()
        self.until(lambda: self.painted()[0] > 0, "an outline is drawn")

    def until(self, condition: Any, what: str, timeout_ms: int = PATIENCE_MS) -> None:
        """Wait for something that only Python can see; the page lives on meanwhile."""
        for _ in range(timeout_ms // 50):
            if condition():
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"did not come: {what}")
