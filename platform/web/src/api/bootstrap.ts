import type { Bootstrap } from "./types";

function parseFrom(page: Document): Bootstrap {
  const element = page.getElementById("gantry-bootstrap");
  if (!element?.textContent) throw new Error("The page carries no bootstrap data.");
  return JSON.parse(element.textContent) as Bootstrap;
}

let current: Bootstrap | undefined;

/** What the server said about this page, its tenant and its user. */
export function bootstrap(): Bootstrap {
  current ??= parseFrom(document);
  return current;
}

/** Fetch the page again for a fresh CSRF token: signing in in another tab replaces it. */
export async function refreshBootstrap(): Promise<boolean> {
  const answer = await fetch(location.href, { credentials: "same-origin" });
  if (!answer.ok || answer.redirected) return false;
  const fresh = parseFrom(new DOMParser().parseFromString(await answer.text(), "text/html"));
  if (fresh.user.id !== bootstrap().user.id) {
    // Somebody else signed in: nothing of the former user may stay on the screen.
    location.reload();
    return false;
  }
  current = fresh;
  return true;
}

/** Whether results are shown to this user before a person has accepted them. */
export function seesUnreviewed(): boolean {
  return bootstrap().role === "radiologist" || bootstrap().role === "surgeon";
}

export function may(permission: string): boolean {
  return bootstrap().permissions.includes(permission);
}
