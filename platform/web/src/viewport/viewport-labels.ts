/** The words and letters that lie over a picture. What they say is what is shown, never what is still on its way. */
import { html, nothing, svg } from "lit";
import type { Series } from "../api/types";
import { icon } from "../ui/kit/icons";
import { type Size, scaleBar } from "./geometry";
import type { ViewportMode } from "./modes";
import type { Status } from "./scene";

/** What of a viewport the words depend on, beside its scene. */
export interface Seen {
  readonly series: Series | null;
  readonly mode: ViewportMode;
  readonly size: Size;
  readonly isInverted: boolean;
  readonly isPhone: boolean;
  readonly isAiHidden: boolean;
  readonly hasUnreviewed: boolean;
}

const SIDES: Record<string, string> = { L: "Left", R: "Right", B: "Both sides" };
/** For narrow viewports. */
const SHORT: Record<string, string> = {
  "Lossy preview, not for diagnosis": "Lossy, not for diagnosis",
  "Rendering, not for diagnosis": "Not for diagnosis",
  "Lossy when received, not for diagnosis": "Lossy source, not for diagnosis",
};

/** Which side of the body, where that must always be readable. */
export const sideOf = (series: Series | null): string => SIDES[series?.laterality ?? ""] ?? "";

function renderSeries(series: Series, status: Status) {
  const side = sideOf(series);
  return html`<div class="corner top start">
    <strong>${series.series_number === null ? "" : `${series.series_number}: `}${series.series_description || series.modality}</strong>
    <span>${[status.plane, series.body_part_examined].filter(Boolean).join(" · ")}</span>
    ${side ? html`<span class="laterality" data-testid="laterality">${side}</span>` : nothing}
  </div>`;
}

export function renderTags(seen: Seen, status: Status) {
  // A phone's screen is none to read on, whatever is sent to it.
  const lossy = status.hasPicture && seen.isPhone ? "Not for diagnosis: lossy preview" : status.lossy;
  return html`<div class="corner top end">
    ${
      seen.hasUnreviewed
        ? html`<span class="chip ai" data-testid="ai-tag">
            ${icon("spark", "small")}${seen.isAiHidden ? "AI hidden, not reviewed" : "AI, not reviewed"}
          </span>`
        : nothing
    }
    ${
      lossy
        ? html`<span class="chip warn" data-testid="lossy-tag">${icon("alert", "small")}<span class="long">${lossy}</span
            ><span class="short">${SHORT[lossy] ?? lossy}</span></span>`
        : nothing
    }
    ${
      status.isLossless && !lossy
        ? html`<span class="chip" data-testid="quality-tag">Full quality</span>`
        : nothing
    }
    ${
      status.isRefining && status.hasPicture
        ? html`<span class="refining" data-testid="refining" title="A better picture is on its way"></span>`
        : nothing
    }
  </div>`;
}

function renderPlace(probed: string, status: Status) {
  return html`<div class="corner bottom start">
    <span><span>${status.word} </span><strong data-testid="slice-label">${status.index + 1} / ${status.count}</strong></span>
    ${status.position ? html`<span>${status.position}</span>` : nothing}
    ${probed ? html`<span data-testid="probe-label">${probed}</span>` : nothing}
  </div>`;
}

function renderLook(seen: Seen, status: Status) {
  const format = (value: number): string =>
    value.toLocaleString("en", { maximumFractionDigits: 2, useGrouping: false });
  const { window, pxPerMm } = status;
  const bar = pxPerMm ? scaleBar(pxPerMm, Math.min(160, seen.size.width * 0.3)) : null;
  const isVolume = seen.mode === "volume";
  return html`<div class="corner bottom end">
    ${
      bar
        ? svg`<svg class="scale" width=${bar.px} height="8" aria-hidden="true">
            <path d="M0.5 0v7H${bar.px - 0.5}V0" fill="none" stroke="#000" stroke-width="3"></path>
            <path d="M0.5 0v7H${bar.px - 0.5}V0" fill="none" stroke="#fff" stroke-width="1.5"></path>
          </svg>`
        : nothing
    }
    <span>${bar ? (bar.mm >= 10 ? `${bar.mm / 10} cm` : `${bar.mm} mm`) : "No scale"}</span>
    <span data-testid="window-label">
      ${window ? `C ${format(window.center)}  W ${format(window.width)}` : status.hasPicture && !isVolume ? "Colour" : ""}${seen.isInverted && !isVolume ? " inverted" : ""}
    </span>
    <span data-testid="zoom-label">Zoom ${status.zoom}</span>
  </div>`;
}

export function renderLetters({ letters }: Status) {
  if (!letters) return nothing;
  return html`<div data-testid="orientation" aria-label="Orientation: left edge ${letters.left}, top edge ${letters.top}">
    <span class="letter left">${letters.left}</span><span class="letter right">${letters.right}</span>
    <span class="letter topmost">${letters.top}</span><span class="letter lowest">${letters.bottom}</span>
  </div>`;
}

/** Which series, where in it, and how it is shown; `probed` is the value under the cursor. */
export function renderText(seen: Seen, probed: string, status: Status) {
  const hasPlace = status.count > 0 && seen.mode !== "volume";
  return html`${seen.series ? renderSeries(seen.series, status) : nothing}
    ${hasPlace ? renderPlace(probed, status) : nothing}
    ${status.count > 0 && seen.size.width > 0 ? renderLook(seen, status) : nothing}`;
}
