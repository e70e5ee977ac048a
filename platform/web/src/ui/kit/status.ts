/** How states are shown: always an icon and a word, the colour only helps. */
import { html, nothing, type TemplateResult } from "lit";
import type { AnalysisSummary, ReviewState, ReviewSummary, RunState } from "../../api/types";
import { type IconName, icon } from "./icons";

interface Look {
  tone: string;
  icon: IconName;
  word: string;
}

const RUNS: Record<RunState | "none", Look> = {
  none: { tone: "", icon: "clock", word: "Not started" },
  queued: { tone: "busy", icon: "clock", word: "Queued" },
  running: { tone: "busy", icon: "play", word: "Analysing" },
  waiting: { tone: "warn", icon: "wait", word: "Waiting" },
  done: { tone: "ok", icon: "done", word: "Analysed" },
  failed: { tone: "bad", icon: "alert", word: "Analysis failed" },
  not_analysed: { tone: "warn", icon: "info", word: "Not analysed" },
};

const REVIEWS: Record<Exclude<ReviewSummary, "none">, Look> = {
  unreviewed: { tone: "ai", icon: "spark", word: "AI, not reviewed" },
  accepted: { tone: "ok", icon: "accept", word: "Accepted" },
  rejected: { tone: "", icon: "cancel", word: "Rejected" },
  mixed: { tone: "ai", icon: "spark", word: "AI, partly reviewed" },
};

function chip(look: Look, testId: string): TemplateResult {
  return html`<span class="chip ${look.tone}" data-testid=${testId}>${icon(look.icon, "small")}${look.word}</span>`;
}

export const runWord = (state: RunState | "none"): string => RUNS[state].word;

export function runChip(state: RunState | "none"): TemplateResult {
  return chip(RUNS[state], "run-state");
}

/** State of a run with its progress or reason. */
export function runStatus(run: Pick<AnalysisSummary, "state" | "progress" | "sentence">): TemplateResult {
  const percent = Math.round(run.progress * 100);
  const isBusy = run.state === "running";
  return html`
    <div class="run">
      <span class="row">
        ${runChip(run.state)} ${isBusy ? html`<span class="number small">${percent} %</span>` : nothing}
      </span>
      ${isBusy ? html`<progress max="100" .value=${percent} aria-label="Progress of the analysis"></progress>` : nothing}
      ${run.sentence && run.state !== "done" ? html`<span class="sentence small">${run.sentence}</span>` : nothing}
    </div>
  `;
}

export function reviewChip(review: ReviewSummary | ReviewState): TemplateResult | typeof nothing {
  return review === "none" ? nothing : chip(REVIEWS[review], "review-state");
}
